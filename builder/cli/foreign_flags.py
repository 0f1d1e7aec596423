"""The flags of docker build, podman build and buildah that do nothing here, or are refused: one table.

    ignored   what it asks for is so anyway               warned   the build goes on, and says that it does nothing
    refused   the build would not be what was asked for

Each row names values that ask for nothing; those pass without a word, as an empty value does. What the parser itself
knows (arguments.py) is not here. Read only when a command line holds a flag that the parser does not know.
docs/flags.md is written from this table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple

from builder.errors import UsageError
from builder.truth import FALSE_WORDS as _FALSE
from builder.truth import TRUE_WORDS as _TRUE
from builder.truth import truth_of

Outcome = Literal["ignored", "warned", "refused"]


class ForeignFlag(NamedTuple):
    """One flag, by all its names. `why` follows the name in messages and in the documentation."""

    names: tuple[str, ...]
    outcome: Outcome
    why: str
    hint: str = ""
    nothing: tuple[str, ...] = ()
    """Values, in lower case, that ask for nothing."""
    is_switch: bool = False
    """It takes no word after it; alone it means true."""


def _value(names: str, outcome: Outcome, why: str, hint: str = "", nothing: str = "") -> ForeignFlag:
    return ForeignFlag(tuple(names.split()), outcome, why, hint, tuple(nothing.split()))


def _switch(names: str, outcome: Outcome, why: str, hint: str = "", *, quiet: tuple[str, ...] = _FALSE) -> ForeignFlag:
    return ForeignFlag(tuple(names.split()), outcome, why, hint, quiet, is_switch=True)


_REGISTRY = "is not supported: registries are reached over TLS (plain HTTP on loopback), with docker's credentials"
_LOGIN = "'pybuild login' or DOCKER_CONFIG say who you are."
_NO_CHANGE = "is not supported: the Dockerfile alone says what is in the image"
_OWN_SPACE = "is not supported: the namespaces of RUN are its own; --network says which network it has"
_SCAN = "is not supported: no SBOM is made"
_CAPABILITIES = "is not supported: RUN has docker's default capabilities"
_INSECURE = "RUN --security=insecure with --allow security.insecure has all of them."
_PLATFORM = "Write --platform OS/ARCH[/VARIANT]."

TABLE: tuple[ForeignFlag, ...] = (
    _switch("--rm", "ignored", "asks for nothing: no container is left behind", quiet=(*_TRUE, *_FALSE)),
    _switch("--force-rm", "ignored", "asks for nothing: no container is left behind", quiet=(*_TRUE, *_FALSE)),
    _switch("--compress", "ignored", "asks for nothing: a context is not sent anywhere", quiet=(*_TRUE, *_FALSE)),
    _switch("--stream", "ignored", "asks for nothing: a context is not sent anywhere", quiet=(*_TRUE, *_FALSE)),
    _switch("--disable-content-trust", "refused", "=false is not supported: signatures are not checked", quiet=_TRUE),
    _switch("--layers", "warned", "=false does nothing: steps are always cached", "--no-cache runs all.", quiet=_TRUE),
    _switch("--disable-compression", "warned", "=false does nothing: layers are compressed on their way out",
            "-o type=oci,compression=gzip|zstd|uncompressed says how.", quiet=_TRUE),
    _switch("--skip-unused-stages", "warned", "=false does nothing: stages that nothing needs are not built",
            quiet=_TRUE),
    _switch("--no-hosts", "warned", "does nothing: RUN has an /etc/hosts of its own"),
    _switch("--no-hostname", "warned", "does nothing: RUN has a host name of its own"),
    _switch("--rewrite-timestamp", "ignored", "asks for nothing: with --timestamp all new files have that time",
            quiet=(*_TRUE, *_FALSE)),
    _switch("--created-annotation", "warned", "does nothing: only --annotation makes annotations"),
    _switch("--identity-label", "warned", "does nothing: only --label and LABEL make labels"),
    _switch("--inherit-labels", "refused", "=false is not supported: labels of the base stay", quiet=_TRUE),
    _switch("--inherit-annotations", "warned", "does nothing: annotations of the base are not those of the image"),
    _switch("--http-proxy", "warned", "does nothing: proxies of the environment do not reach RUN",
            "Give them with --build-arg HTTP_PROXY."),
    _switch("--compat-volumes", "warned", "does nothing: what RUN writes into a VOLUME stays"),
    _switch("--squash --squash-all", "warned", "does nothing: every step keeps its layer",
            "A last stage with COPY --from has one layer."),
    _switch("--omit-history", "refused", "is not supported: an image has its history"),
    _switch("--stdin", "refused", "is not supported: RUN reads from /dev/null"),
    _switch("--logsplit", "refused", "is not supported: the output goes to standard error"),
    _value("--logfile", "refused", "is not supported: the output goes to standard error", "Write 2>FILE."),
    _value("--log-level", "warned", "does nothing: --debug says more of mistakes in pybuild"),
    _value("--resource", "refused", "is not supported: each limit of RUN has a flag of its own",
           "Write --memory, --memory-swap, --cpu-quota, --cpuset-cpus and the like."),
    _value("--security-opt", "warned", "does nothing: RUN has docker's default profile",
           "RUN --security=insecure with --allow security.insecure has none."),
    _value("--cap-add", "refused", _CAPABILITIES, _INSECURE),
    _value("--cap-drop", "refused", _CAPABILITIES),
    _value("--device", "refused", "is not supported: RUN sees no devices of the machine"),
    _value("-v --volume", "refused", "is not supported: RUN sees no folders of the machine",
           "RUN --mount=type=bind shows the context, and --build-context makes any folder one."),
    _value("--transient-mount", "refused", "is not supported: RUN sees no folders of the machine"),
    _value("--group-add", "refused", "is not supported: USER says who runs", nothing="keep-groups"),
    _value("--hooks-dir", "refused", "is not supported: no hooks are run"),
    _value("--runtime", "refused", "is not supported: --isolation oci takes crun or runc from PATH"),
    _value("--runtime-flag", "refused", "is not supported: --isolation oci takes crun or runc as they are"),
    _value("--dns", "refused", "is not supported: RUN has the name servers of the machine"),
    _value("--dns-option --dns-opt", "refused", "is not supported: RUN has the name servers of the machine"),
    _value("--dns-search", "refused", "is not supported: RUN has the name servers of the machine"),
    _value("--cgroupns", "refused", _OWN_SPACE, nothing="private"),
    _value("--ipc", "refused", _OWN_SPACE, nothing="private container"),
    _value("--pid", "refused", _OWN_SPACE, nothing="private container"),
    _value("--uts", "refused", _OWN_SPACE, nothing="private container"),
    _value("--userns", "refused", _OWN_SPACE, nothing="private container auto"),
    _value("--userns-uid-map", "refused", _OWN_SPACE),
    _value("--userns-gid-map", "refused", _OWN_SPACE),
    _value("--userns-uid-map-user", "refused", _OWN_SPACE),
    _value("--userns-gid-map-group", "refused", _OWN_SPACE),
    _value("--cache-from", "refused", "is not supported: the cache is in the store alone", "Leave it out."),
    _value("--cache-to", "refused", "is not supported: the cache is in the store alone", "Leave it out."),
    _value("--cache-ttl", "refused", "is not supported: 'pybuild prune' forgets old steps"),
    _value("--blob-cache", "refused", "is not supported: the store keeps blobs"),
    _switch("--load", "ignored", "asks for nothing: the image is in the store, where docker's would be",
            quiet=(*_TRUE, *_FALSE)),
    _value("--builder", "refused", "is not supported: there are no other builders", nothing="default"),
    _value("--attest", "refused", "is not supported: no attestations are made",
           nothing="type=provenance,disabled=true type=sbom,disabled=true"),
    _value("--provenance", "refused", "is not supported: no provenance is made", nothing="false 0 f disabled=true"),
    _value("--sbom", "refused", _SCAN, nothing="false 0 f disabled=true"),
    _value("--sbom-image-output", "refused", _SCAN),
    _value("--sbom-image-purl-output", "refused", _SCAN),
    _value("--sbom-merge-strategy", "refused", _SCAN),
    _value("--sbom-output", "refused", _SCAN),
    _value("--sbom-purl-output", "refused", _SCAN),
    _value("--sbom-scanner-command", "refused", _SCAN),
    _value("--sbom-scanner-image", "refused", _SCAN),
    _value("--policy", "refused", "is not supported: no policies are checked"),
    _value("--signature-policy", "refused", "is not supported: signatures are not checked"),
    _value("--sign-by", "refused", "is not supported: nothing is signed"),
    _value("--decryption-key", "refused", "is not supported: encrypted images cannot be read"),
    _value("--cw", "refused", "is not supported: no disk images are made"),
    _value("--authfile", "refused", _REGISTRY, _LOGIN),
    _value("--creds", "refused", _REGISTRY, _LOGIN),
    _value("--cert-dir", "refused", _REGISTRY),
    _switch("--tls-verify", "refused", "=false is not supported: certificates are always checked", quiet=_TRUE),
    _value("--retry", "warned", "does nothing: how often is asked again is fixed"),
    _value("--retry-delay", "warned", "does nothing: how often is asked again is fixed"),
    _switch("--pull-always", "refused", "is not supported: it is called --pull", "Write --pull."),
    _switch("--pull-never", "refused", "is not supported: a base that is not here is fetched"),
    _switch("--all-platforms", "refused", "is not supported: platforms are named one by one", _PLATFORM),
    _value("--arch", "refused", "is not supported: platforms are named whole", _PLATFORM),
    _value("--os", "refused", "is not supported: platforms are named whole", _PLATFORM, nothing="linux"),
    _value("--variant", "refused", "is not supported: platforms are named whole", _PLATFORM),
    _value("--os-version", "refused", _NO_CHANGE),
    _value("--os-feature", "refused", _NO_CHANGE),
    _value("--env", "refused", _NO_CHANGE, "Write ENV."),
    _value("--unsetenv", "refused", _NO_CHANGE),
    _value("--unsetlabel", "refused", _NO_CHANGE),
    _value("--unsetannotation", "warned", "does nothing: annotations of the base are not those of the image"),
    _value("--layer-label", "refused", "is not supported: steps make layers, not images"),
    _value("--from", "refused", "is not supported: FROM says what the base is",
           "--build-context IMAGE=docker-image://OTHER puts another image in its place."),
    _value("--manifest", "refused", "is not supported: a build for several platforms makes its index itself",
           "Write --platform A,B and -t NAME."),
    _value("--ignorefile", "refused", "is not supported: the ignore file is found by its name",
           "<Dockerfile>.dockerignore beside the Dockerfile goes before .dockerignore."),
    _value("--build-arg-file", "refused", "is not supported: build arguments are given one by one",
           "Write --build-arg NAME=VALUE."),
    _value("--cpp-flag", "refused", "is not supported: a Dockerfile is not preprocessed"),
    _switch("--detach", "refused", "is not supported: the build is this process"),
    _value("--invoke", "refused", "is not supported: 'pybuild run IMAGE' opens a shell"),
    _value("--on", "refused", "is not supported: a failed RUN says how to open a shell at that point"),
    _value("--server-config", "refused", "is not supported: there is no server"),
)  # fmt: skip

BY_NAME: Mapping[str, ForeignFlag] = {name: flag for flag in TABLE for name in flag.names}


def take_foreign(argv: list[str], takes_value: Callable[[str], bool | None]) -> tuple[list[str], list[str]]:
    """Take the flags of the table out of a command line; return the other words, and the warnings to give.

    `takes_value` says of a flag that the parser knows whether a word follows it, and None of others. Raises UsageError
    for a flag that is refused.
    """
    rest: list[str] = []
    warnings: list[str] = []
    words = iter(argv)
    for word in words:
        if word == "--":
            return [*rest, word, *words], warnings
        name, value = _parts(word)
        known = takes_value(name)
        flag = BY_NAME.get(name) if known is None else None
        if flag is None:
            rest.append(word)
            # The word after a flag that takes one is its value, and no flag of the table, however it looks.
            if known and value is None:
                rest += [following for following in (next(words, None),) if following is not None]
            continue
        if value is None:
            value = "true" if flag.is_switch else next(words, None)
        if value is None:
            raise UsageError(f"argument {name}: expected one argument")
        warnings += _judged(flag, name, value)
    return rest, warnings


def _parts(word: str) -> tuple[str, str | None]:
    """Split `--name=value` and `-nvalue`; None is a flag without a value in the same word."""
    if word.startswith("--"):
        name, equals, value = word.partition("=")
        return name, value if equals else None
    if word.startswith("-") and len(word) > 2:
        # `-v=x` is what Go's flags take as well as `-vx`.
        return word[:2], word[2:].removeprefix("=")
    return word, None


def _judged(flag: ForeignFlag, name: str, value: str) -> list[str]:
    """Return the warning that a flag with this value deserves, if any. Raises UsageError."""
    if flag.is_switch and truth_of(value.lower()) is None:
        raise UsageError(f"{name} takes true or false, not {value!r}")
    if value.lower() in ("", *flag.nothing) or flag.outcome == "ignored":
        return []
    message = f"{name}{'' if flag.why.startswith('=') else ' '}{flag.why}"
    if flag.outcome == "refused":
        raise UsageError(message, hint=flag.hint or "Leave it out.")
    return [f"{message}. {flag.hint}" if flag.hint else message]
