"""`pybuild [OPTIONS] PATH`: arguments → request, events → screen, result → files and the last lines."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from builder.cli import options as forms
from builder.cli.arguments import build_parser, parse_build_arguments
from builder.cli.files import write_file
from builder.engine.build import build
from builder.engine.request import BuildRequest
from builder.engine.result import BuildResult
from builder.errors import PybuildError, UsageError
from builder.solve.events import Event, Warned
from builder.store.location import store_root

if TYPE_CHECKING:
    from builder.oci.annotations import Annotation

_PROGRESS = ("auto", "tty", "plain", "rawjson", "quiet", "none")
_ISOLATIONS = ("", "native", "oci", "chroot")


def build_command(argv: list[str]) -> int:
    """Build an image; return the exit code."""
    arguments = parse_build_arguments(build_parser(), argv)
    if arguments.debug:
        os.environ["PYBUILD_DEBUG"] = "1"
    if arguments.path is None:
        raise UsageError(
            "'pybuild' needs a context: PATH, URL or -", hint="To build the current folder: pybuild -t name ."
        )
    if arguments.check or arguments.call.partition(",")[0] not in ("", "build"):
        from builder.cli.check import check_command

        return check_command(arguments, request_from(arguments))
    request = request_from(arguments)
    for path in (arguments.iidfile, arguments.metadata_file):
        _check_writable(path)
    warnings: list[Warned] = []
    with display_for(arguments) as display:
        sink = _keeping(warnings, display)
        for message in arguments.flag_warnings:
            sink(Warned("FlagWithoutEffect", message))
        result = build_reported(request, sink, arguments, warnings)
    _write_results(arguments, result, warnings)
    return 0


def _keeping(warnings: list[Warned], sink: Callable[[Event], None]) -> Callable[[Event], None]:
    """Return a sink that passes everything on and keeps the warnings for the metadata file."""

    def keep(event: Event) -> None:
        if isinstance(event, Warned):
            warnings.append(event)
        sink(event)

    return keep


def build_reported(
    request: BuildRequest, sink: Callable[[Event], None], arguments: argparse.Namespace, warnings: list[Warned]
) -> BuildResult:
    """Build; when it fails the metadata file carries the error and the warnings before it, as data."""
    try:
        return build(request, sink)
    except PybuildError as error:
        if arguments.metadata_file:
            from builder.cli.diagnostics import error_to_json

            _write_json(arguments.metadata_file, {"error": error_to_json(error)} | _warnings_to_json(warnings))
        if _progress(arguments) == "rawjson":
            import json

            from builder.cli.diagnostics import error_to_json

            print(json.dumps({"event": "build-failed", "error": error_to_json(error)}), file=sys.stderr)
        raise


def request_from(arguments: argparse.Namespace) -> BuildRequest:
    """Turn parsed arguments into a request. Raises UsageError for whatever has the wrong form."""
    environment = os.environ
    if arguments.network not in {"", "default", "host", "none"}:
        raise UsageError(f"invalid network mode {arguments.network!r}", hint="It is default, host or none.")
    if arguments.jobs < 0:
        raise UsageError(f"--jobs {arguments.jobs} is negative")
    isolation = "" if arguments.isolation == "default" else arguments.isolation
    if isolation not in _ISOLATIONS:
        raise UsageError(f"invalid isolation {arguments.isolation!r}", hint="It is native, oci or chroot.")
    _check_format(arguments)
    return BuildRequest(
        root=store_root(arguments.root, environment),
        context=arguments.path,
        dockerfile=arguments.file or None,
        tags=_tags(arguments),
        target=arguments.target,
        build_args=_build_args(arguments),
        build_contexts=forms.parse_pairs(arguments.build_context, "--build-context"),
        labels=forms.parse_pairs(arguments.label, "--label", need_value=False),
        platforms=forms.parse_platforms(arguments.platform),
        timestamp=_timestamp(arguments),
        no_cache=arguments.no_cache,
        no_cache_filter=tuple(name for value in arguments.no_cache_filter for name in value.split(",") if name),
        pull=arguments.pull,
        jobs=arguments.jobs,
        network=arguments.network or "default",
        secrets=forms.parse_secrets(filter(None, arguments.secret), environment),
        ssh=forms.parse_ssh(filter(None, arguments.ssh), environment),
        hosts=forms.parse_hosts(arguments.add_host),
        shm_size=forms.parse_size(arguments.shm_size, "--shm-size") if arguments.shm_size else None,
        ulimits=forms.parse_ulimits(arguments.ulimit),
        allow=forms.parse_entitlements(arguments.allow),
        isolation=isolation or None,
        outputs=_outputs(arguments),
        large_layers=arguments.allow_large_layers,
        annotations=_annotations(arguments),
    )


def _check_format(arguments: argparse.Namespace) -> None:
    """Refuse a --format without --check, unless it is podman's name for what is made anyway."""
    if arguments.check_format == "docker":
        raise UsageError(
            "--format docker is not supported: images are OCI's, with HEALTHCHECK and SHELL in their config",
            hint="Leave it out; -o type=docker,dest=FILE writes an archive for 'docker load'.",
        )
    if arguments.check_format not in ("", "oci") and not arguments.check:
        raise UsageError("--format goes with --check")


def _tags(arguments: argparse.Namespace) -> tuple[str, ...]:
    return tuple(dict.fromkeys(arguments.tag))


def _annotations(arguments: argparse.Namespace) -> tuple[Annotation, ...]:
    if not arguments.annotation:
        return ()
    from builder.oci.annotations import parse_annotation  # only who asks needs it

    return tuple(annotation for text in arguments.annotation for annotation in parse_annotation(text))


def _outputs(arguments: argparse.Namespace) -> tuple[str, ...]:
    return tuple(text for text in arguments.output if text)


def _build_args(arguments: argparse.Namespace) -> dict[str, str]:
    """Return the build arguments; SOURCE_DATE_EPOCH of the environment is one, unless it is given otherwise."""
    build_args = forms.parse_build_args(arguments.build_arg, os.environ)
    if value := os.environ.get("SOURCE_DATE_EPOCH", ""):
        build_args.setdefault("SOURCE_DATE_EPOCH", value)
    return build_args


def _timestamp(arguments: argparse.Namespace) -> str | None:
    """Return what --timestamp says: `git`, or digits."""
    text: str | None = arguments.timestamp
    if text is not None and text != "git":
        forms.parse_epoch(text, "--timestamp")
    return text


def _progress(arguments: argparse.Namespace) -> str:
    if arguments.quiet:
        return "quiet"
    if arguments.progress not in ("", *_PROGRESS):
        raise UsageError(f"--progress {arguments.progress!r} is none of {', '.join(_PROGRESS[:-1])}")
    if arguments.progress in ("", "auto"):
        return "tty" if sys.stderr.isatty() and os.environ.get("TERM", "dumb") != "dumb" else "plain"
    return "quiet" if arguments.progress == "none" else str(arguments.progress)


@contextmanager
def display_for(arguments: argparse.Namespace) -> Iterator[Callable[[Event], None]]:
    """Give the event sink that --progress asks for, and close it whatever happens."""
    mode = _progress(arguments)
    if mode == "tty":
        from builder.cli.tty import TtyDisplay  # rich: only for a terminal

        display = TtyDisplay(sys.stderr)
        try:
            yield display
        finally:
            display.close()
        return
    from builder.cli.plain import new_plain_display

    yield new_plain_display(mode, sys.stderr)


def _warnings_to_json(warnings: list[Warned]) -> dict[str, object]:
    if not warnings:
        return {}
    from builder.cli.diagnostics import warning_to_json

    return {"pybuild.warnings": [warning_to_json(warning) for warning in warnings]}


def _write_results(arguments: argparse.Namespace, result: BuildResult, warnings: list[Warned]) -> None:
    if arguments.iidfile:
        write_file(arguments.iidfile, result.image_id.encode())
    if arguments.metadata_file:
        _write_json(arguments.metadata_file, result.metadata() | _warnings_to_json(warnings))
    mode = _progress(arguments)
    if mode == "quiet":
        print(result.image_id)
    elif mode != "rawjson":
        from builder.cli.summary import summary_lines
        from builder.cli.text import clean

        for line in summary_lines(result):
            print(clean(line), file=sys.stderr)


def _write_json(path: str, document: object) -> None:
    import json

    write_file(path, json.dumps(document, indent=2, sort_keys=True).encode() + b"\n")


def _check_writable(path: str | None) -> None:
    """Raise PybuildError now when a result could not be written at the end."""
    if path and not os.path.exists(path) and not os.access(os.path.dirname(path) or ".", os.W_OK | os.X_OK):
        there = os.path.isdir(os.path.dirname(path) or ".")
        raise PybuildError(f"cannot write {path}: {'permission denied' if there else 'no such directory'}")
