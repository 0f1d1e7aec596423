"""The build arguments that speak to the builder: no ARG declares them, and each does something or is warned of (A-8).

    --build-arg BUILDKIT_MULTI_PLATFORM=1      the result is an index, also of one platform

Those without an effect ask for what does not exist here; they say so, unless their value asks for nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from builder.errors import UsageError
from builder.truth import truth_of

_NOTHING = ("", "disabled=true")
ATTESTATIONS = "BUILDKIT_ATTEST_"
CACHE_MOUNT_NS = "BUILDKIT_CACHE_MOUNT_NS"
HOSTNAME = "BUILDKIT_SANDBOX_HOSTNAME"
KEEP_GIT_DIR = "BUILDKIT_CONTEXT_KEEP_GIT_DIR"
MULTI_PLATFORM = "BUILDKIT_MULTI_PLATFORM"
SYNTAX = "BUILDKIT_SYNTAX"
RULE = "BuildArgWithoutEffect"


class Predefined(NamedTuple):
    """What an argument does, or ("") what there is not that it asks for."""

    effect: str
    missing: str = ""


PREDEFINED: Mapping[str, Predefined] = {
    "BUILDKIT_BUILD_NAME": Predefined("", "builds have no names here"),
    CACHE_MOUNT_NS: Predefined("parts the caches of RUN from those of other namespaces"),
    KEEP_GIT_DIR: Predefined("a context from a git repository keeps its .git"),
    "BUILDKIT_DISABLE_FILEOP": Predefined("", "BuildKit has removed it as well"),
    "BUILDKIT_DOCKERFILE_CHECK": Predefined("takes the place of the check directive"),
    "BUILDKIT_HISTORY_PROVENANCE_V1": Predefined("", "no history of builds with provenance is kept"),
    "BUILDKIT_INLINE_CACHE": Predefined("", "images carry no cache; it is in the store"),
    MULTI_PLATFORM: Predefined("the result is an index, and outputs of files have a folder for each platform"),
    HOSTNAME: Predefined("is the host name of RUN"),
    "BUILDKIT_SBOM_SCAN_CONTEXT": Predefined("", "no SBOM is made"),
    "BUILDKIT_SBOM_SCAN_STAGE": Predefined("", "no SBOM is made"),
    SYNTAX: Predefined("takes the place of the syntax directive; a frontend that is not Dockerfile's is warned of"),
    "SOURCE_DATE_EPOCH": Predefined("is the time of everything in the image"),
}
"""By name; those that begin with BUILDKIT_ATTEST_ are one more."""
_ATTESTATION = Predefined("", "no attestations are made")


def find_predefined(name: str) -> Predefined | None:
    """Return what `name` means to the builder, None for an ordinary argument."""
    return PREDEFINED.get(name) or (_ATTESTATION if name.startswith(ATTESTATIONS) else None)


def without_effect(build_args: Mapping[str, str]) -> Iterator[str]:
    """Yield a sentence for each argument that asks the builder for what is not done."""
    for name, value in build_args.items():
        found = find_predefined(name)
        if found is not None and not found.effect and value not in _NOTHING and truth_of(value) is not False:
            yield f"--build-arg {name} does nothing: {found.missing}"
    if build_args.get(KEEP_GIT_DIR) and truth_of(build_args[KEEP_GIT_DIR]) is None:
        yield f"--build-arg {KEEP_GIT_DIR} does nothing: it is true or false, not {build_args[KEEP_GIT_DIR]!r}"


def makes_index(build_args: Mapping[str, str], platforms: int) -> bool:
    """Say whether a build is to end in an index: for several platforms always, for one when it is asked for.

    Raises UsageError.
    """
    text = build_args.get(MULTI_PLATFORM, "")
    wanted, several = truth_of(text), platforms > 1
    if text and wanted is None:
        raise UsageError(f"--build-arg {MULTI_PLATFORM}={text}: it is true or false")
    if wanted is False and several:
        raise UsageError(f"--build-arg {MULTI_PLATFORM}={text}: several platforms have no result but an index")
    return several or wanted is True
