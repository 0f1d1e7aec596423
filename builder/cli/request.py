"""The parsed arguments of a build → what is asked of the engine. Anything wrong raises UsageError (exit code 2)."""

from __future__ import annotations

import argparse
import os

from builder.cli import options
from builder.cli.limit_flags import LIMITS
from builder.engine.location import store_root
from builder.engine.request import BuildRequest
from builder.errors import UsageError

_RARE = ("secret", "ssh", "add_host", "shm_size", "ulimit", "annotation", *LIMITS)
_ISOLATIONS = ("", "native", "oci", "chroot")


def request_from(arguments: argparse.Namespace) -> BuildRequest:
    """Turn parsed arguments into a request. Raises UsageError for whatever has the wrong form."""
    environment = os.environ
    if arguments.network not in {"", "default", "host", "none"}:
        raise UsageError(f"invalid network mode {arguments.network!r}", hint="It is default, host or none.")
    if arguments.jobs < 0:
        raise UsageError(f"--jobs {arguments.jobs} is negative")
    # buildah's and docker's word for whatever there is.
    isolation = "" if arguments.isolation == "default" else arguments.isolation
    if isolation not in _ISOLATIONS:
        raise UsageError(f"invalid isolation {arguments.isolation!r}", hint="It is native, oci or chroot.")
    _check_format(arguments)
    request = BuildRequest(
        root=store_root(arguments.root, environment),
        context=arguments.path,
        dockerfile=arguments.file or None,
        tags=tuple(dict.fromkeys(arguments.tag)),
        target=arguments.target,
        build_args=_build_args(arguments),
        build_contexts=options.parse_pairs(arguments.build_context, "--build-context"),
        labels=options.parse_pairs(arguments.label, "--label", need_value=False),
        platforms=options.parse_platforms(arguments.platform),
        timestamp=_timestamp(arguments),
        no_cache=arguments.no_cache,
        no_cache_filter=tuple(name for value in arguments.no_cache_filter for name in value.split(",") if name),
        pull=arguments.pull,
        jobs=arguments.jobs,
        network=arguments.network or "default",
        allow=options.parse_entitlements(arguments.allow),
        isolation=isolation or None,
        outputs=(*(text for text in arguments.output if text), *(("type=registry",) if arguments.push else ())),
        large_layers=arguments.allow_large_layers,
    )
    return _with_rare_options(request, arguments) if any(getattr(arguments, name) for name in _RARE) else request


def _with_rare_options(request: BuildRequest, arguments: argparse.Namespace) -> BuildRequest:
    from builder.cli.rare_options import with_rare_options  # gate: rare. CSV, addresses of IP, annotations

    return with_rare_options(request, arguments)


def _check_format(arguments: argparse.Namespace) -> None:
    """Refuse a --format without --check, unless it is podman's name for what is made anyway."""
    if arguments.check_format == "docker":
        raise UsageError(
            "--format docker is not supported: images are OCI's, with HEALTHCHECK and SHELL in their config",
            hint="Leave it out; -o type=docker,dest=FILE writes an archive for 'docker load'.",
        )
    if arguments.check_format not in ("", "oci") and not arguments.check:
        raise UsageError("--format goes with --check")


def _build_args(arguments: argparse.Namespace) -> dict[str, str]:
    """Return the build arguments; SOURCE_DATE_EPOCH of the environment is one, unless it is given otherwise."""
    build_args = options.parse_build_args(arguments.build_arg, os.environ)
    if value := os.environ.get("SOURCE_DATE_EPOCH", ""):
        # buildx does so as well: the variable is how tools hand on a time (reproducible-builds.org), and a
        # flag goes before it.
        build_args.setdefault("SOURCE_DATE_EPOCH", value)
    return build_args


def _timestamp(arguments: argparse.Namespace) -> str | None:
    """Return what --timestamp says: `git`, or digits."""
    text: str | None = arguments.timestamp
    if text is not None and text != "git":
        options.parse_epoch(text, "--timestamp")
    return text
