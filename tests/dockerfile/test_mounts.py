"""RUN --mount (M-*, X5)."""

from __future__ import annotations

import pytest

from builder.dockerfile.mount_fields import split_csv
from builder.dockerfile.mounts import (
    BindOptions,
    CacheOptions,
    MountOptions,
    SecretOptions,
    SshOptions,
    TmpfsOptions,
    parse_mount,
)
from builder.errors import DockerfileSyntaxError
from tests.dockerfile.reading import errors, message, statement


def mount(text: str) -> MountOptions:
    return parse_mount(text, lambda value: value.replace("$x", "y"))


@pytest.mark.rule("M-1", "M-2", "M-3")
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("target=/a", BindOptions(target="/a")),
        ("type=bind,dst=/a,src=b,from=c,rw", BindOptions(target="/a", source="b", origin="c", readonly=False)),
        ("type=bind,destination=/a,readwrite=false", BindOptions(target="/a")),
        ("target=/a,ro=0", BindOptions(target="/a", readonly=False)),
        ("TYPE=BIND,Target=$x", BindOptions(target="y")),
        ("type=cache,target=/a", CacheOptions(target="/a")),
        (
            "type=cache,target=/a,id=i,sharing=LOCKED,source=s,from=f,ro,mode=755,uid=1,gid=2",
            CacheOptions(
                target="/a", identifier="i", sharing="locked", source="s", origin="f", readonly=True,
                mode=0o755, uid=1, gid=2,
            ),
        ),
        ("type=tmpfs,target=/a", TmpfsOptions(target="/a")),
        ("type=tmpfs,target=/a,size=1.5g", TmpfsOptions(target="/a", size=3 << 29)),
        ("size=10k,type=tmpfs,target=/a", TmpfsOptions(target="/a", size=10 << 10)),
        ("type=secret,id=a/b", SecretOptions(identifier="a/b", target="/run/secrets/b")),
        ("type=secret,target=/x/y", SecretOptions(identifier="y", target="/x/y")),
        ("type=secret,src=s,required", SecretOptions(identifier="s", target="/run/secrets/s", required=True)),
        ("type=secret,id=a,env=V", SecretOptions(identifier="a", variable="V")),
        ("type=secret,id=a,env=V,target=/t", SecretOptions(identifier="a", variable="V", target="/t")),
        (
            "type=secret,id=a,mode=0440,uid=1,gid=2",
            SecretOptions(identifier="a", target="/run/secrets/a", mode=0o440, uid=1, gid=2),
        ),
        ("type=ssh", SshOptions()),
        (
            "type=ssh,id=k,target=/s,required=true,mode=0666",
            SshOptions(identifier="k", target="/s", required=True, mode=0o666),
        ),
        ("target=/a,z", BindOptions(target="/a")),
        ("type=cache,target=/a,Z,relabel=shared", CacheOptions(target="/a")),
    ],
)  # fmt: skip
def test_a_mount_has_typed_options_with_their_defaults(text: str, expected: MountOptions) -> None:
    assert mount(text) == expected


@pytest.mark.rule("X5", "M-6", "M-7")
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("typ=tmpfs", "unexpected key 'typ' in 'typ=tmpfs' (did you mean type?)"),
        ("xyzzy=1", "unexpected key 'xyzzy' in 'xyzzy=1'"),
        ("type=tmp,target=/a", 'unsupported mount type "tmp" (did you mean tmpfs?)'),
        ("type=volume,target=/a", 'unsupported mount type "volume"'),
        ("foo", "invalid field 'foo' must be a key=value pair"),
        ("target", "invalid field 'target' must be a key=value pair"),
        ("", "invalid field '' must be a key=value pair"),
        ("type=cache,target=/a,sharing=lock", 'unsupported sharing value "lock" (did you mean locked?)'),
        ("type=cache,target=/a,mode=9", "invalid value 9 for mode"),
        ("type=cache,target=/a,uid=-1", "invalid value -1 for uid"),
        ("type=cache,target=/a,gid=4294967296", "invalid value 4294967296 for gid"),
        ("target=/a,ro=perhaps", "invalid value for ro: perhaps"),
        ("type=tmpfs,target=/a,size=big", "invalid value for size: big"),
        ("target=/a,size=1", "unexpected key 'size' for mount type 'bind'"),
        ("target=/a,required", "unexpected key 'required' for mount type 'bind'"),
        ("target=/a,mode=0700", 'mode not allowed for "bind" type mounts'),
        ("type=tmpfs,target=/a,uid=0", 'uid not allowed for "tmpfs" type mounts'),
        ("type=ssh,sharing=locked", "invalid cache sharing set for ssh mount"),
        ("type=secret", "invalid secret mount. one of source, target required"),
        ("type=secret,id=a,source=b", "both source and id can't be set"),
        ("type=secret,id=a,from=b", "secret mount should not have a from"),
        ("type=secret,id=a,sharing=shared", "secret mount should not define sharing"),
        ("type=ssh,source=/a", "ssh does not support source"),
        ("from=$x,target=/a", "'from' doesn't support variable expansion, define alias stage instead"),
    ],
)
def test_a_wrong_mount_is_refused_in_buildkits_words(text: str, expected: str) -> None:
    with pytest.raises(DockerfileSyntaxError) as caught:
        mount(text)
    assert caught.value.message == expected
    assert message(f"RUN --mount='{text}' true") == expected


@pytest.mark.rule("M-1")
@pytest.mark.parametrize(
    "text",
    ["type=$t,size=1", "type=cache,target=/a,mode=$m", "type=secret,id=$i", "target=$t,ro=$r", "type=secret,src=${s}"],
)
def test_values_with_variables_are_taken_on_trust_when_the_file_is_parsed(text: str) -> None:
    assert [word.text for word in statement(f"RUN --mount={text} true").mounts] == [text]


@pytest.mark.rule("M-1")
@pytest.mark.parametrize("text", ["typ=$t", "type=cache,mode=9,target=$t", "target=$t,foo", "type=bnd,target=$t"])
def test_what_no_variable_could_mend_is_refused_when_the_file_is_parsed(text: str) -> None:
    assert len(errors(f"FROM scratch\nRUN --mount={text} true\n")) == 1


def test_the_offending_field_is_underlined() -> None:
    (error,) = errors("FROM scratch\nRUN --mount=type=cache,target=/a,sharing=lock true\n")
    assert error.location is not None
    assert error.location[1:] == (2, 34, 2, 46)


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("a,b", ["a", "b"]), ("", [""]), ("a,", ["a", ""]), (",", ["", ""]), ('"a,b",c', ["a,b", "c"]),
        ('"a""b"', ['a"b']), ('a,"b c"', ["a", "b c"]),
    ],
)  # fmt: skip
def test_fields_are_a_csv_record(text: str, fields: list[str]) -> None:
    assert split_csv(text) == fields


@pytest.mark.parametrize("text", ['"a', 'a"b', '"a"b', '"a,b'])
def test_broken_csv_is_refused(text: str) -> None:
    with pytest.raises(DockerfileSyntaxError, match="failed to parse csv mounts"):
        split_csv(text)
