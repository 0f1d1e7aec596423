"""What is fuzzed: each target takes bytes, and lets through nothing but the errors that its room promises.

A finding is any other exception, a location outside the text, a value that does not survive being written and read
again, or (the fuzzer's own watch) an input that takes more than a few seconds.
"""

from __future__ import annotations

import contextlib
import io
import os
import tempfile
from collections.abc import Callable

from builder.cli.arguments import split_boolean_values
from builder.cli.options import (
    parse_build_args,
    parse_disk_size,
    parse_entitlements,
    parse_epoch,
    parse_memory_size,
    parse_pairs,
    parse_platforms,
)
from builder.cli.rare_options import parse_fields, parse_hosts, parse_secrets, parse_ssh, parse_ulimits
from builder.context.elsewhere import parse_repository
from builder.context.glob import PatternError, match_glob, parse_glob
from builder.context.http import file_name
from builder.context.ignore import IgnorePatterns, parse_ignore
from builder.dockerfile.git_url import GitReferenceError, parse_git_ref
from builder.dockerfile.instructions import Dockerfile, Word
from builder.dockerfile.lines import decode
from builder.dockerfile.mounts import check_mount, parse_mount
from builder.dockerfile.parser import parse_dockerfile, parse_partially
from builder.dockerfile.ports import parse_port
from builder.dockerfile.syntax import to_json
from builder.dockerfile.values import parse_duration
from builder.dockerfile.words import WordError, expand, expand_words
from builder.errors import (
    DockerfileSyntaxError,
    ImageError,
    LayerError,
    Location,
    PlanError,
    ReferenceFormatError,
    SourceError,
    TransportError,
    UsageError,
)
from builder.layer.compression import open_decompressed
from builder.layer.index import open_index
from builder.layer.index_layer import build_index
from builder.layer.limits import Limits
from builder.lint.finding import LintInputs
from builder.lint.linter import lint
from builder.oci.config import parse_config
from builder.oci.digest import parse_digest
from builder.oci.manifest import parse_manifest
from builder.oci.media_type import OCI_MANIFEST
from builder.oci.platform import parse_platform
from builder.oci.reference import parse_layout_reference, parse_reference
from builder.registry.challenge import parse_challenges
from builder.transport.output import parse_output
from builder.web.address import (
    Address,
    AddressError,
    ascii_host,
    parse_address,
    with_masked_credentials,
    without_credentials,
)
from builder.web.answers import parse_number, redirected

Target = Callable[[bytes], None]

ENVIRONMENT = {"v": "banana/split.tar.gz", "empty": "", "lines": "a\nb*?\\", "한": "\\}", "PATH": "/bin:/usr/bin"}
PLACE = Location("Dockerfile", 1, 1, 1, 2)
SMALL_LIMITS = Limits(entries=2000, total_bytes=1 << 24, ratio_free_bytes=1 << 20)
"""Small, so that a bomb is an error soon."""


def fuzz_parser(data: bytes) -> None:
    text = decode(data)
    try:
        dockerfile = parse_dockerfile(data)
    except DockerfileSyntaxError as error:
        for each in (error, *error.others):
            assert_line(each.message)
            assert_inside(each.location, text)
    else:
        assert isinstance(dockerfile, Dockerfile)
        to_json(dockerfile)
    with contextlib.suppress(DockerfileSyntaxError):
        for finding in lint(parse_partially(data)[0], LintInputs(enable=frozenset({"all", "advice"}))):
            assert_inside(finding.location, text)


def assert_line(message: str) -> None:
    assert message
    assert "\n" not in message, message


def assert_within(offset: int, word: str) -> None:
    assert 0 <= offset <= len(word), (offset, word)


def assert_numbered(location: Location | None) -> None:
    assert location is not None
    assert location.line >= 1


def assert_inside(location: Location | None, text: str) -> None:
    assert location is not None
    lines = text.split("\n")
    assert 1 <= location.line <= location.end_line <= len(lines), location
    assert 1 <= location.column <= len(lines[location.line - 1]) + 1, location
    assert 1 <= location.end_column <= len(lines[location.end_line - 1]) + 1, location
    assert (location.line, location.column) <= (location.end_line, location.end_column), location


def fuzz_words(data: bytes) -> None:
    """The first byte chooses the escape character and what happens to quotes and unset variables."""
    if not data:
        return
    choice, word = data[0], decode(data[1:])
    escape = "`" if choice & 1 else "\\"
    quotes = ("remove", "keep", "literal", "remove")[choice >> 1 & 3]
    try:
        result = expand(word, ENVIRONMENT.get, escape=escape, quotes=quotes, keep_unset=bool(choice & 8))  # type: ignore[arg-type]
    except WordError as error:
        assert_line(error.message)
        assert_within(error.offset, word)
    else:
        assert set(result.used) <= set(ENVIRONMENT)
        assert not set(result.missing) & set(ENVIRONMENT)
    with contextlib.suppress(WordError):
        assert "" not in expand_words(word, ENVIRONMENT.get, escape=escape)


def fuzz_ignore(data: bytes) -> None:
    """An ignore file, and behind a NUL the paths that it is asked about."""
    rules, _, rest = data.partition(b"\0")
    paths = [path.strip("/") for path in decode(rest).split("\0")[:20]] or ["a/b"]
    try:
        patterns = parse_ignore(decode(rules), ".dockerignore")
    except SourceError as error:
        assert_line(error.message)
        assert_numbered(error.location)
        return
    for path in paths:
        if path and all(part not in ("", ".", "..") for part in path.split("/")):
            _ask(patterns, path)


def _ask(patterns: IgnorePatterns, path: str) -> None:
    state = patterns.state_of(path)
    decision = patterns.decide(path)
    assert decision.excluded is state.excluded, (path, decision)
    assert (decision.rule is not None) or not state.excluded
    if state.excluded and not patterns.state_of(f"{path}/below").excluded:
        assert patterns.may_reinclude_below(path, state), path


def fuzz_globs(data: bytes) -> None:
    pattern, _, name = decode(data).partition("\0")
    with contextlib.suppress(PatternError):
        match_glob(parse_glob(pattern.replace("/", "")), name.replace("/", ""))


def fuzz_mounts(data: bytes) -> None:
    text = decode(data)
    with contextlib.suppress(DockerfileSyntaxError, WordError):
        parse_mount(text, lambda value: expand(value, ENVIRONMENT.get).text, PLACE)
    with contextlib.suppress(DockerfileSyntaxError):
        check_mount(Word(text, PLACE))


def fuzz_reference(data: bytes) -> None:
    """Names of images, repositories, platforms and digests; ports and durations beside them."""
    text = data.decode("utf-8", "replace")
    with contextlib.suppress(ReferenceFormatError):
        reference = parse_reference(text)
        assert parse_reference(str(reference)) == reference, text
    with contextlib.suppress(ReferenceFormatError):
        platform = parse_platform(text)
        assert parse_platform(str(platform)) == platform, text
    with contextlib.suppress(ReferenceFormatError):
        assert parse_digest(text) == text
    with contextlib.suppress(GitReferenceError):
        parse_git_ref(text)
        parse_git_ref(text, context=True)
    with contextlib.suppress(ValueError):
        parse_duration(text)
    with contextlib.suppress(PlanError):
        ports = parse_port(text)
        assert len(ports.ports()) <= 65536


def fuzz_addresses(data: bytes) -> None:
    """URLs as users and servers write them: what is asked for is ASCII, and a password is shown in no case."""
    text = decode(data)
    try:
        address = parse_address(text)
    except AddressError as error:
        assert_line(str(error).replace("\n", "\\n"))
    else:
        assert address.url.isascii()
        assert address.url.isprintable()
        assert parse_address(address.url).url == address.url
        assert (address.authorization == "") == (address.credentials == "")
        redirected_to(address, text)
        file_name(text)
    assert without_credentials(without_credentials(text)) == without_credentials(text)
    assert len(with_masked_credentials(text)) == len(text)
    with contextlib.suppress(AddressError):
        assert ascii_host(text).isascii()
    with contextlib.suppress(UsageError):
        parse_repository(text)
    with contextlib.suppress(ReferenceFormatError):
        parse_layout_reference(text)
    parse_challenges([text])
    parse_number(text)


def redirected_to(address: Address, location: str) -> None:
    with contextlib.suppress(AddressError):
        new, headers = redirected(address, location, {"Authorization": "x"})
        assert new.scheme in ("http", "https")
        assert not headers or new.netloc == address.netloc


def fuzz_options(data: bytes) -> None:
    """Values of flags: the first byte chooses which. Files and the environment are those of nobody."""
    if data:
        with contextlib.suppress(UsageError, ReferenceFormatError, TransportError):
            OPTIONS[data[0] % len(OPTIONS)](data[1:].decode("utf-8", "surrogateescape").replace("\0", ""))


OPTIONS: tuple[Callable[[str], object], ...] = (
    lambda text: parse_memory_size(text, "--shm-size"),
    lambda text: parse_disk_size(text, "--free"),
    lambda text: parse_ulimits([text]),
    lambda text: parse_hosts([text]),
    lambda text: parse_pairs([text], "--label"),
    lambda text: parse_build_args([text], {}),
    lambda text: parse_fields(text, "--secret"),
    lambda text: parse_secrets([text], {"id": "value"}),
    lambda text: parse_platforms([text]),
    lambda text: parse_entitlements([text]),
    lambda text: parse_epoch(text, "--timestamp"),
    lambda text: parse_ssh([text], {}),
    lambda text: parse_output(text),
    lambda text: split_boolean_values([text]),
)


def fuzz_documents(data: bytes) -> None:
    """Manifests, indexes and configs as a registry may send them."""
    with contextlib.suppress(ImageError, ReferenceFormatError):
        parse_manifest(data, "", "x")
    with contextlib.suppress(ImageError, ReferenceFormatError):
        parse_manifest(data, OCI_MANIFEST, "x")
    with contextlib.suppress(ImageError, ReferenceFormatError):
        parse_config(data, "x")


def fuzz_tar(data: bytes) -> None:
    """A layer, compressed or not: its index can be read back, and holds no path that leads out."""
    with tempfile.TemporaryDirectory(prefix="pybuild-fuzz-", dir=_memory()) as folder:
        path = os.path.join(folder, "index")
        try:
            build_index(open_decompressed(io.BytesIO(data), SMALL_LIMITS), path, SMALL_LIMITS)
        except LayerError as error:
            assert_line(error.message)
            return
        with open_index(path) as index:
            for found in index.walk():
                parts = (found.entry.path or "root").split("/")
                assert not {"", ".", ".."} & set(parts), found.entry.path
                assert "\0" not in found.entry.path


def _memory() -> str | None:
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


TARGETS: dict[str, Target] = {
    "parser": fuzz_parser,
    "words": fuzz_words,
    "ignore": fuzz_ignore,
    "globs": fuzz_globs,
    "mounts": fuzz_mounts,
    "reference": fuzz_reference,
    "addresses": fuzz_addresses,
    "options": fuzz_options,
    "documents": fuzz_documents,
    "tar": fuzz_tar,
}
