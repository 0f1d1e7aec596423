"""What a file is when its server codes it, dates it, or answers with a success that is not 200: as BuildKit takes it.

The values were had from BuildKit by the same answers, but for what a comment says.
"""

from __future__ import annotations

import gzip
import zlib

import pytest

from builder.context.gunzip import Gunzip
from builder.context.http import Fetched, fetch
from builder.errors import ContextError
from tests.web.hostile import HURRY, HostileServer, answer

PLAIN = b"hello plain\n" * 50


def coded(data: bytes) -> bytes:
    """Return the gzip of `data`, the same at any time: pytest names tests after it."""
    return gzip.compress(data, mtime=0)


CODED = coded(PLAIN)
ZEROS = coded(bytes(8 << 20))


def fetched(*headers: str, body: bytes = PLAIN, status: str = "200 OK", limit: int = 1 << 30) -> bytes:
    return asked(answer(status, f"Content-Length: {len(body)}", *headers, body=body), limit)[0]


def asked(whole: bytes, limit: int = 1 << 30, known: Fetched | None = None) -> tuple[bytes, Fetched | None]:
    found = bytearray()
    with HostileServer({"": lambda: [whole]}) as server:
        said = fetch(f"http://{server.host}/f", found.extend, limit=limit, known=known, patience=HURRY)
    return bytes(found), said


@pytest.mark.parametrize(
    ("coding", "body", "wanted"),
    [
        ("gzip", CODED, PLAIN),
        ("GZip", CODED, PLAIN),
        ("gzip", CODED + CODED, PLAIN + PLAIN),
        ("gzip", coded(CODED), CODED),
        ("gzip", coded(b""), b""),
        ("gzip", b"", b""),
        ("gzip", ZEROS, bytes(8 << 20)),
        ("identity", CODED, CODED),
        ("", CODED, CODED),
        ("x-gzip", CODED, CODED),
        ("gzip, identity", CODED, CODED),
        ("gzip, gzip", coded(CODED), coded(CODED)),
        ("deflate", zlib.compress(PLAIN), zlib.compress(PLAIN)),
        ("br", b"\x0b\x05\x80x", b"\x0b\x05\x80x"),
        ("zstd", b"\x28\xb5\x2f\xfdxx", b"\x28\xb5\x2f\xfdxx"),
        ("nonsense", PLAIN, PLAIN),
    ],
)
def test_gzip_alone_is_decoded(coding: str, body: bytes, wanted: bytes) -> None:
    assert fetched(f"Content-Encoding: {coding}", body=body) == wanted


def test_gzip_is_decoded_in_chunks_of_any_size() -> None:
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in CODED) + b"0\r\n\r\n"
    assert asked(answer("200 OK", "Transfer-Encoding: chunked", "Content-Encoding: gzip", body=chunks))[0] == PLAIN


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (PLAIN, "is not the gzip that its Content-Encoding says"),
        (CODED[:-6], "its gzip has no end"),
        (CODED[:5], "its gzip has no end"),
        (CODED[:-8] + bytes(8), "is not the gzip"),
        (CODED + b"garbage", "gzip"),
        (CODED + bytes(512), "gzip"),
        (ZEROS, "is longer than 1000000 bytes"),
    ],
)
def test_what_is_no_whole_gzip_is_refused(body: bytes, message: str) -> None:
    with pytest.raises(ContextError, match=message):
        fetched("Content-Encoding: gzip", body=body, limit=1_000_000)


def test_attack_a_bomb_is_refused_before_it_is_written() -> None:
    written = bytearray()
    bomb = Gunzip(written.extend, 1 << 40, "http://h/f", ratio=200, ratio_free_bytes=1 << 20)
    with pytest.raises(ContextError, match=r"became \d+ bytes out of \d+ that were sent, more than 200 for one"):
        bomb.write(ZEROS)
    assert len(written) <= 2 << 20


@pytest.mark.parametrize("status", [200, 201, 202, 203, 205, 206, 207, 226, 299])
def test_every_success_gives_its_body(status: int) -> None:
    assert fetched(status=f"{status} X") == PLAIN


def test_no_content_is_an_empty_file() -> None:
    assert fetched(status="204 No Content", body=b"") == b""


@pytest.mark.parametrize(
    "span", ["bytes 0-599/600", "bytes 0-599/*", "bytes 0-9/600", "bytes 1-599/600", "bytes */600"]
)
def test_a_part_in_place_of_the_whole_is_refused(span: str) -> None:
    """BuildKit takes the part for the file."""
    headers = f"Content-Range: {span}"
    if span == "bytes 0-599/600":
        assert fetched(headers, status="206 Partial Content") == PLAIN
        return
    with pytest.raises(ContextError, match="nobody asked for a part"):
        fetched(headers, status="206 Partial Content")


@pytest.mark.parametrize("status", ["300 X", "302 X", "304 X", "400 X", "404 X", "418 X", "500 X", "999 X"])
def test_everything_else_is_refused(status: str) -> None:
    """BuildKit takes 300 to 399 without a Location for the file."""
    with pytest.raises(ContextError, match=f"the server answered {status}"):
        fetched(status=status, body=b"")


@pytest.mark.parametrize(
    ("date", "seconds"),
    [
        ("Sun, 06 Nov 1994 08:49:37 GMT", 784111777),
        ("Sunday, 06-Nov-94 08:49:37 GMT", 784111777),
        ("Sun Nov  6 08:49:37 1994", 784111777),
        ("Fri, 31 Dec 1901 23:59:59 GMT", -2145916801),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 253402300799),
        ("Fri, 31 Dec 10000 23:59:59 GMT", 0),
        ("Fri, 31 Dec 99999 23:59:59 GMT", 0),
        (f"Fri, 31 Dec {'9' * 400} 23:59:59 GMT", 0),
        (f"Fri, {'9' * 5000} Dec 1999 23:59:59 GMT", 0),
        ("Sun, 06 Nov 1994 08:49:37 +0200", 0),
        ("Sun, 99 Nov 1994 08:49:37 GMT", 0),
        ("Sun, \xb2 Nov 1994 08:49:37 GMT", 0),
        ("garbage", 0),
        ("", 0),
    ],
)
@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo"])
def test_a_date_is_read_wherever_we_are(date: str, seconds: int, zone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", zone)
    said = asked(answer("200 OK", f"Last-Modified: {date}", "Content-Length: 0"))[1]
    assert said is not None
    assert said.modified == seconds


def test_what_a_server_said_is_sent_back_only_when_it_can_be() -> None:
    said = asked(answer("200 OK", f"ETag: {'e' * 5000}", "Last-Modified: a\tb", "Content-Length: 0"))[1]
    assert said == Fetched("", "", 0)
    with pytest.raises(ContextError, match="304"):
        asked(answer("304 Not Modified"))
    assert asked(answer("304 Not Modified"), known=Fetched('"\xfc"', "", 0)) == (b"", None)
