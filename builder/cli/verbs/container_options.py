"""Words of `pybuild run` and `pybuild create`, which take the same ones, to what is asked of a container.

As docker's, with its short forms in one word (-it). What a program without a daemon cannot do is refused by name.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from typing import Final, cast

from builder.cli.arguments import add_large_layers, is_true, new_store_parser, root_of
from builder.cli.limit_flags import add_limits
from builder.cli.limits import with_limits
from builder.cli.options import parse_build_args, parse_memory_size, parse_pairs
from builder.cli.rare_options import parse_fields, parse_hosts
from builder.containers.request import ContainerRequest
from builder.errors import UsageError
from builder.oci.run_options import RunOptions
from builder.plan.step import Network
from builder.store.container_record import ContainerMount

_NO_DAEMON = "There is no daemon that would keep it running. Use 'podman run' or 'docker run' for services."
_REFUSED: Mapping[str, tuple[bool, str]] = {
    "-d": (False, _NO_DAEMON), "--detach": (False, _NO_DAEMON),
    "--restart": (True, _NO_DAEMON),
    "-p": (True, "Use --network host, or 'podman run -p', which publishes ports."),
    "--publish": (True, "Use --network host, or 'podman run -p', which publishes ports."),
    "-P": (False, "Use --network host, or 'podman run -P', which publishes ports."),
    "--publish-all": (False, "Use --network host, or 'podman run -P', which publishes ports."),
    "--link": (True, "Use a network of podman or docker."),
    "--privileged": (False, "Use 'podman run --privileged'."),
    "--cap-add": (True, "Use 'podman run', which knows all options of a container manager."),
    "--cap-drop": (True, "Use 'podman run', which knows all options of a container manager."),
    "--device": (True, "Use 'podman run', which knows all options of a container manager."),
    "--volumes-from": (True, "Name the folders one by one with -v."),
    "--pod": (True, "Use podman."),
}  # fmt: skip
"""Flag → whether a value follows, and what to use instead."""

_NETWORKS = ("default", "host", "none")
_TMPFS: Final = "tmpfs"
_BIND: Final = "bind"
_TARGETS = ("target", "dst", "destination")
_SOURCES = ("source", "src")


def container_request(verb: str, parser: argparse.ArgumentParser, argv: Sequence[str]) -> ContainerRequest:
    """Return what the words after `pybuild VERB` ask for, by its parser. Raises UsageError."""
    options, rest = _split(argv, parser)
    arguments = parser.parse_args(options)
    if not rest:
        raise UsageError(f"'pybuild {verb}' needs an image", hint="'pybuild images' lists those there are.")
    if arguments.network not in _NETWORKS:
        raise UsageError(
            f"--network {arguments.network!r} is none of {', '.join(_NETWORKS)}",
            hint="There are no networks between containers here; podman and docker have them.",
        )
    env = _env_files(arguments.env_file) | parse_build_args(arguments.env, os.environ, "--env")
    return ContainerRequest(
        root=root_of(arguments),
        image=rest[0],
        name=arguments.name,
        command=tuple(rest[1:]),
        entrypoint=arguments.entrypoint,
        env=env,
        labels=parse_pairs(arguments.label, "--label", need_value=False),
        workdir=arguments.workdir,
        user=arguments.user,
        network=cast(Network, arguments.network),
        hostname=arguments.hostname,
        options=with_limits(RunOptions(add_hosts=parse_hosts(arguments.add_host)), arguments),
        mounts=_mounts(arguments),
        isolation=arguments.isolation,
        platform=arguments.platform,
        init=arguments.init,
        remove=arguments.rm,
        large_layers=arguments.allow_large_layers,
    )


def container_parser(verb: str, description: str) -> argparse.ArgumentParser:
    """Return the parser of the options before the image."""
    parser = new_store_parser(verb, description, epilog=_EPILOG)
    parser.usage = f"pybuild {verb} [OPTIONS] IMAGE [COMMAND [ARGUMENT...]]"
    add = parser.add_argument
    add("--name", default="", metavar="NAME", help="what to call the container (default: a random name)")
    add("--rm", action="store_true", help="remove the container when the command has ended")
    add("-i", "--interactive", action="store_true", help="accepted; stdin is always connected")
    add("-t", "--tty", action="store_true", help="accepted; whoever is at a terminal gets one")
    add("-e", "--env", action="append", default=[], metavar="NAME[=VALUE]", help="set a variable")
    add("--env-file", action="append", default=[], metavar="FILE", help="set variables, one in a line")
    add("-l", "--label", action="append", default=[], metavar="KEY[=VALUE]", help="a label for the container")
    add("-v", "--volume", action="append", default=[], metavar="HOST:DIR[:ro]", help="show a folder of this machine")
    add(
        "--mount",
        action="append",
        default=[],
        metavar="type=bind|tmpfs,…",
        help="the same in words: type=bind,source=HOST,target=DIR[,readonly] or type=tmpfs,target=DIR[,tmpfs-size=N]",
    )
    add("--tmpfs", action="append", default=[], metavar="DIR", help="an empty folder in memory, gone afterwards")
    add("-w", "--workdir", default="", metavar="DIR", help="working directory in the container")
    add("-u", "--user", default=None, metavar="USER[:GROUP]", help="who runs it")
    add("--entrypoint", default=None, metavar="PROGRAM", help="instead of the image's entrypoint")
    add("--network", "--net", default="default", metavar="MODE", help="default, host or none")
    add("--hostname", default="", metavar="NAME", help="default: the beginning of the container's ID")
    add("--add-host", action="append", default=[], metavar="HOST:IP", help="a line for /etc/hosts")
    add_limits(parser)
    add("--init", action="store_true", help="a process 1 above the command, which otherwise is that itself")
    add("--isolation", default=None, metavar="MODE", help="native, oci (crun or runc) or chroot")
    add("--platform", default="", metavar="OS/ARCH", help="which image of an index")
    add_large_layers(parser)
    return parser


_EPILOG = """\
The command runs in the foreground. Without --rm the container stays, with its
writable layer: see 'pybuild ps -a', start, diff, commit, cp, export and rm.
A VOLUME of the image is a folder of that layer.

exit codes:
  the command's own; 128 + N when signal N killed it
  125 pybuild itself failed   126 the command cannot be run   127 no such command
"""


def _split(argv: Sequence[str], parser: argparse.ArgumentParser) -> tuple[list[str], list[str]]:
    """Split at the image: what follows it belongs to the command, dashes and all. Raises UsageError."""
    known = parser._option_string_actions
    options: list[str] = []
    position = 0
    while position < len(argv) and argv[position].startswith("-"):
        word = argv[position]
        if word == "--":
            return options, list(argv[position + 1 :])
        position += 1
        for part in _parts(word, known):
            name, equals, value = part.partition("=") if part.startswith("--") else (part[:2], "", part[2:])
            _refuse(name)
            action = known.get(name)
            if action is not None and action.nargs == 0:
                if not equals or is_true(value, name):
                    options.append(name)
                continue
            options.append(part)
            if action is not None and not equals and not value and position < len(argv):
                options.append(argv[position])
                position += 1
    return options, list(argv[position:])


def _parts(word: str, known: Mapping[str, argparse.Action]) -> list[str]:
    """Take short flags in one word apart: -it is -i -t, -itv HOST:DIR ends with one that takes a value."""
    if word.startswith("--") or len(word) <= 2:
        return [word]
    parts, letters = list[str](), word[1:]
    for position, letter in enumerate(letters):
        action = known.get(f"-{letter}")
        if (action is None and f"-{letter}" not in _REFUSED) or (action is not None and action.nargs != 0):
            return [*parts, f"-{letters[position:]}"]
        parts.append(f"-{letter}")
    return parts


def _refuse(name: str) -> None:
    if name in _REFUSED:
        raise UsageError(f"{name} is not supported: this is no container manager", hint=_REFUSED[name][1])


def _env_files(paths: Sequence[str]) -> dict[str, str]:
    lines: list[str] = []
    for path in paths:
        try:
            with open(path, encoding="utf-8") as file:
                lines += [line.lstrip().rstrip("\r\n") for line in file]
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
            raise UsageError(f"--env-file {path}: {(reason or str(error)).lower()}") from error
    return parse_build_args([line for line in lines if line and not line.startswith("#")], os.environ, "--env-file")


def _mounts(arguments: argparse.Namespace) -> tuple[ContainerMount, ...]:
    found = [_volume(word) for word in arguments.volume]
    found += [_mount(word) for word in arguments.mount]
    found += [_tmpfs(word) for word in arguments.tmpfs]
    targets = [os.path.normpath(mount.target) for mount in found]
    for target in targets:
        if targets.count(target) > 1:
            raise UsageError(f"Duplicate mount point: {target}")
    return tuple(found)


def _volume(word: str) -> ContainerMount:
    source, colon, rest = word.partition(":")
    target, _, mode = rest.partition(":")
    if not colon or not source or not target:
        raise UsageError(
            f"-v {word!r} is not HOST:DIR[:ro]", hint="There are no volumes without a folder of this machine here."
        )
    if not source.startswith(("/", ".", "~")):
        raise UsageError(
            f"-v {word!r}: {source!r} is no path, and there are no named volumes here",
            hint=f"Write ./{source}:{target}.",
        )
    flags = set(mode.split(",")) if mode else set()
    if flags - {"ro", "rw", "z", "Z"}:
        raise UsageError(f"-v {word!r}: invalid mode: {mode}", hint="ro or rw.")
    source = os.path.abspath(os.path.expanduser(source))
    if not os.path.exists(source):
        raise UsageError(f"-v {word!r}: {source} does not exist", hint="Make the folder first.")
    return ContainerMount(kind=_BIND, source=source, target=_target(target, word), readonly="ro" in flags)


def _mount(word: str) -> ContainerMount:
    flags = [cell if "=" in cell else f"{cell}=true" for cell in word.split(",")]
    fields = parse_fields(",".join(flags), "--mount")
    kind = fields.pop("type", "volume")
    target = next((fields.pop(name) for name in _TARGETS if name in fields), "")
    source = next((fields.pop(name) for name in _SOURCES if name in fields), "")
    readonly = is_true(
        next((fields.pop(name) for name in ("readonly", "ro") if name in fields), "false"), "--mount readonly"
    )
    size = fields.pop("tmpfs-size", "")
    fields.pop("bind-propagation", "")
    if kind not in (_BIND, _TMPFS):
        raise UsageError(f"--mount {word!r}: type {kind!r} is not supported", hint="type=bind or type=tmpfs.")
    if fields:
        raise UsageError(f"--mount {word!r}: unknown key {next(iter(fields))!r}")
    if kind == _TMPFS:
        if source:
            raise UsageError(f"--mount {word!r}: a tmpfs has no source")
        return ContainerMount(
            kind=_TMPFS, target=_target(target, word), size=parse_memory_size(size, "tmpfs-size") if size else None
        )
    if not source:
        raise UsageError(f"--mount {word!r}: source is missing")
    source = os.path.abspath(os.path.expanduser(source))
    if not os.path.exists(source):
        raise UsageError(f"--mount {word!r}: bind source path does not exist: {source}")
    return ContainerMount(kind=_BIND, source=source, target=_target(target, word), readonly=readonly)


def _tmpfs(word: str) -> ContainerMount:
    target, _, options = word.partition(":")
    sizes = [option[5:] for option in options.split(",") if option.startswith("size=")]
    return ContainerMount(
        kind=_TMPFS, target=_target(target, word), size=parse_memory_size(sizes[0], "--tmpfs size") if sizes else None
    )


def _target(path: str, word: str) -> str:
    if not path.startswith("/") or os.path.normpath(path).strip("/") == "":
        raise UsageError(f"{word!r}: {path or 'nothing'!r} is no absolute path in the container, and not its root")
    return path
