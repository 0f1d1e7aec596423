"""Where the fuzzer begins: what the fixtures hold, and the words of each language as a dictionary."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures"
CHECKOUT = FIXTURES.parent

_MOUNTS = (
    "type=bind,source=a,target=/b,from=stage,rw",
    "type=cache,id=x,target=/c,sharing=locked,mode=0755,uid=1,gid=2,ro=false",
    "type=tmpfs,target=/t,size=1.5g",
    'type=secret,id=k,"target=/a,b",required,env=K,mode=0400',
    "type=ssh,id=default,target=/agent,required=true",
)
_REFERENCES = (
    "busybox",
    "localhost:5000/a/b:tag@sha256:" + "0" * 64,
    "sha256:" + "f" * 64,
    "linux/arm64/v8",
    "https://example.org/r.git?branch=main&subdir=x#ref:sub",
    "git@example.org:o/r.git#v1:dir",
    "127.0.0.1:8000-8010:80-90/udp",
    "1h1m1.5s",
)
_ADDRESSES = (
    "http://user:p%40ss@bücher.example:8080/a b/%C3%BC?q=1#part",
    "https://[fe80::1%25lo]:443/x",
    "HTTP://日本語。jp",
    "https://[::1",
    "ssh://git@h:22/~u/r.git?branch=b#c:d",
    "git@h:o/r.git#%00",
    "oci-layout://./dir:tag@sha256:" + "0" * 64,
    'Bearer realm="https://h/token",service="a, b",scope=x',
)
_OPTIONS = (
    "64m", "nofile=1024:2048", "host:[::1]", "key=value", "NAME=value", 'id=x,"src=a,b"', "id=id,env=id",
    "linux/arm64/v8", "network.host,security.insecure", "1700000000", "default=/nowhere",
    "type=oci,dest=x,compression=zstd", "--pull=true",
)  # fmt: skip
_DIGEST = "sha256:" + "a" * 64
_DESCRIPTOR = {"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": _DIGEST, "size": 3}
_DOCUMENTS = (
    {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": _DIGEST, "size": 2},
        "layers": [_DESCRIPTOR],
        "annotations": {"a": "b"},
    },
    {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [_DESCRIPTOR | {"platform": {"os": "linux", "architecture": "arm", "variant": "v7"}}],
    },
    {
        "architecture": "amd64",
        "os": "linux",
        "created": "2020-01-01T00:00:00Z",
        "rootfs": {"type": "layers", "diff_ids": [_DIGEST]},
        "history": [{"created_by": "x", "empty_layer": True}],
        "config": {
            "Env": ["A=b"],
            "Cmd": ["x"],
            "ExposedPorts": {"80/tcp": {}},
            "Healthcheck": {"Test": ["NONE"], "Interval": 1},
            "Labels": {"a": "b"},
        },
    },
)


def seeds_of(target: str) -> Iterator[bytes]:
    """Yield the inputs that the fuzzer of `target` begins with, and those that once failed."""
    match target:
        case "parser":
            yield from (path.read_bytes() for path in sorted(FIXTURES.glob("*/**/Dockerfile")))
        case "words":
            rows = (FIXTURES / "words" / "cases.txt").read_bytes().split(b"\n")
            words = [row.split(b"\t")[1] for row in rows if row.startswith((b"word\t", b"error\t"))]
            yield from (bytes([number % 16]) + word for number, word in enumerate(words))
        case "ignore" | "globs":
            for case in json.loads((CHECKOUT / "tests" / "context" / "ignore_cases.json").read_text("utf-8")):
                yield json.dumps(case, ensure_ascii=False).encode()
            yield b"*\n!a/**\n# c\n[a-c]?x\n\\#\n\0a/b\0x/y/z\0bqx"
            yield b"a*[^b-c]?\\*\0axyz*"
        case "mounts":
            yield from (mount.encode() for mount in _MOUNTS)
        case "reference":
            yield from (reference.encode() for reference in _REFERENCES)
        case "addresses":
            yield from (address.encode() for address in _ADDRESSES)
        case "options":
            yield from (bytes([number]) + option.encode() for number, option in enumerate(_OPTIONS))
        case "documents":
            yield from (json.dumps(document).encode() for document in _DOCUMENTS)
        case "tar":
            yield from _tars()
    yield from regressions_of(target)


def regressions_of(target: str) -> list[bytes]:
    """Return the inputs that were findings once: fixtures/fuzz/<target>/*."""
    return [path.read_bytes() for path in sorted((FIXTURES / "fuzz" / target).glob("*"))]


def _tars() -> Iterator[bytes]:
    for kind in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        for mode in ("w", "w:gz"):
            buffer = io.BytesIO()
            with tarfile.open(fileobj=buffer, mode=mode, format=kind) as archive:
                for name, entry_type in (("d", tarfile.DIRTYPE), ("d/l", tarfile.SYMTYPE), ("d/h", tarfile.LNKTYPE)):
                    member = tarfile.TarInfo(name)
                    member.type, member.linkname = entry_type, "d/f" if entry_type != tarfile.DIRTYPE else ""
                    archive.addfile(member)
                member = tarfile.TarInfo("d/" + "n" * 90)
                member.size = 3
                if kind == tarfile.PAX_FORMAT:
                    member.pax_headers = {"SCHILY.xattr.user.a": "b", "mtime": "1.5"}
                archive.addfile(member, io.BytesIO(b"abc"))
            yield buffer.getvalue()


DICTIONARIES: dict[str, tuple[str, ...]] = {
    "parser": (
        "FROM ", "RUN ", "COPY ", "ADD ", "ENV ", "ARG ", "LABEL ", "ONBUILD ", "HEALTHCHECK ", "SHELL ", "EXPOSE ",
        "--mount=type=", "--from=", "<<EOF", "EOF\n", "<<-", "# escape=`\n", "# check=skip=all\n", " AS ",
        "\\\n", "`\n", '["', '"]', "${a:-", "\r\n",
    ),
    "words": ("${", "}", ":-", ":+", ":?", "#", "##", "%", "%%", "/", "//", "\\", "'", '"', "`", "$v", "*", "?"),
    "ignore": ("**", "*", "?", "[", "]", "!", "#", "\\", "/", "../", "\n", "[^", "-"),
    "globs": ("*", "?", "[", "]", "\\", "[^", "-"),
    "mounts": ("type=", "bind", "cache", "tmpfs", "secret", "ssh", "target=", "source=", "from=", "id=", "sharing=",
               "mode=", "uid=", "size=", "required", "ro", "rw", "env=", '"', ",", "$v"),
    "reference": ("docker.io/", "@sha256:", "://", ".git", "#", "?", "linux/", "-", ":", "tag="),
    "addresses": ("http://", "https://", "@", "[", "]", ":", "%", "xn--", "ü", "。", "/", "?", "#", "..", "\u2100",
                  "9" * 400),
    "options": ("=", ",", ":", '"', "id=", "src=", "env=", "type=", "dest=", "-1", "9" * 400, "²", "[::1]",
                "nofile", "linux/"),
    "documents": ('"schemaVersion"', '"layers"', '"digest"', '"size"', '"config"', '"rootfs"', '"diff_ids"', "null"),
    "tar": ("ustar\0" "00", "ustar  \0", "././@LongLink", "././@PaxHeader", "SCHILY.xattr.", "path=", "size=", ".wh."),
}  # fmt: skip
