"""Addresses on other machines: the text of a URL → what is asked of whom, or why that can't be told (RFC 3986).

    https://user:password@bücher.example:8443/a b?q#part
            └─ credentials  └─ xn--bcher-kva.example   └─ target: /a%20b?q

Host names beyond ASCII become punycode as UTS 46 maps them (non-transitional, like Go's idna.Lookup), without its rules
for bidirectional text.
"""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from base64 import b64encode
from dataclasses import dataclass, field
from urllib.parse import unquote_to_bytes

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/?#]*)([^?#]*)(\?[^#]*)?(?:#.*)?", re.S)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_USER = re.compile(r"(?:[A-Za-z0-9._:~!$&'()*+,;=@-]|%[0-9A-Fa-f]{2})*")
"""What may stand before a host (RFC 3986 §3.2.1; "@" as in Go's net/url)."""
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?")
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_PLAIN = re.compile(rb"[^A-Za-z0-9._~!$&'()*+,;=:@/?%\[\]-]")
"""Bytes that have to be escaped in a path or query."""
_CREDENTIALS = re.compile(r'(?<=://)[^\s/?#"]*@')
_MAX_LABEL, _MAX_HOST = 63, 253
"""Octets of one label and of a whole name (RFC 1035 §2.3.4)."""
_MAX_PORT = 65535


class AddressError(ValueError):
    """A text that is no address. Its message names the text, without credentials."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """`host` is ASCII, IPv6 in brackets; `port` None means the scheme's own; `target` is an escaped path and query."""

    scheme: str
    credentials: str = field(default="", repr=False)
    host: str
    port: int | None = None
    target: str = "/"

    @property
    def netloc(self) -> str:
        return self.host if self.port is None else f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        """The address as it is asked for, without credentials."""
        return f"{self.scheme}://{self.netloc}{self.target}"

    @property
    def authorization(self) -> str:
        """What HTTP's Authorization says of user and password; empty when there are none."""
        if not self.credentials:
            return ""
        user, _, password = self.credentials.partition(":")
        return f"Basic {b64encode(unquote_to_bytes(user) + b':' + unquote_to_bytes(password)).decode('ascii')}"


def parse_address(text: str, schemes: tuple[str, ...] = ("http", "https")) -> Address:
    """Read a URL of one of `schemes`. Raises AddressError."""
    match = _URL.fullmatch(text)
    if match is None:
        raise _refused(text, "it is no URL")
    if _CONTROL.search(text):
        raise _refused(text, "it holds a control character")
    scheme, authority, path, query = match[1].lower(), match[2], match[3], match[4] or ""
    if scheme not in schemes:
        raise _refused(text, f"{scheme} is not one of {', '.join(schemes)}")
    credentials, _, place = authority.rpartition("@")
    if not _USER.fullmatch(credentials):
        raise _refused(text, "its user or password holds a character that must be escaped with %")
    if bad := _BAD_ESCAPE.search(path):
        raise _refused(text, f"{path[bad.start() : bad.start() + 3]!r} is no escape; a percent sign is written %25")
    name, port = _split_port(text, place)
    try:
        host = _bracketed(name) if name.startswith("[") else ascii_host(name)
        target = _escaped((path or "/") + query)
    except AddressError as error:
        raise _refused(text, str(error)) from error
    except UnicodeEncodeError as error:
        raise _refused(text, "it holds half of a surrogate pair") from error
    return Address(scheme=scheme, credentials=credentials, host=host, port=port, target=target)


def with_ascii_host(text: str, schemes: tuple[str, ...]) -> str:
    """Return a URL as it is written, but for its host, which is as `ascii_host` gives it. Raises AddressError."""
    address = parse_address(text, schemes)
    start = text.index("://") + 3
    authority = re.split(r"[/?#]", text[start:], maxsplit=1)[0]
    login, at, _ = authority.rpartition("@")
    return text[:start] + login + at + address.netloc + text[start + len(authority) :]


def ascii_host(name: str) -> str:
    """Return a host name in lower case and in ASCII: bücher.example is xn--bcher-kva.example. Raises AddressError."""
    if "%" in name:
        name = _unescaped(name)
    if not name.isascii():
        name = re.sub("[。．｡]", ".", unicodedata.normalize("NFKC", name.lower()))
    if not name.strip("."):
        raise AddressError("it names no host")
    labels = [_ascii_label(label) for label in name.lower().removesuffix(".").split(".")]
    host = ".".join(labels)
    if len(host) > _MAX_HOST:
        raise AddressError(f"its host name is longer than {_MAX_HOST} characters")
    return host


def is_loopback(host: str) -> bool:
    """Say whether a host name, with or without port, can only be this machine: localhost, 127.0.0.0/8, ::1."""
    port = host.rpartition(":")[2]
    name = host.rpartition(":")[0] if port.isascii() and port.isdigit() and not host.endswith("]") else host
    name = name.strip("[]").lower()
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def without_credentials(text: str) -> str:
    """Return any text without the users and passwords of the URLs in it."""
    return _CREDENTIALS.sub("", text)


def with_masked_credentials(text: str) -> str:
    """Return a text of the same length, stars for the users and passwords of the URLs in it."""
    return _CREDENTIALS.sub(lambda match: "*" * (len(match[0]) - 1) + "@", text)


def _refused(text: str, reason: str) -> AddressError:
    """Name an address that follows no rule: nobody can say where its password ends, so none of it is shown."""
    scheme, _, rest = text.partition("://")
    shown = f"{scheme}://{rest.rpartition('@')[2]}" if rest else text.rpartition("@")[2]
    return AddressError(f"{shown[:200]!r} cannot be used as an address: {reason}")


def _split_port(text: str, place: str) -> tuple[str, int | None]:
    if place.startswith("["):
        name, bracket, rest = place.partition("]")
        if not bracket:
            raise _refused(text, "a ] is missing in its host")
        name += bracket
        colon, port = rest[:1], rest[1:]
        if colon not in ("", ":"):
            raise _refused(text, "its host ends in ] and yet goes on")
    else:
        name, colon, port = place.partition(":")
    if not port:
        return name, None
    if not port.isascii() or not port.isdigit() or len(port) > 5 or int(port) > _MAX_PORT:
        raise _refused(text, f"its port is not a number up to {_MAX_PORT}")
    return name, int(port)


def _bracketed(name: str) -> str:
    address, percent, zone = name[1:-1].partition("%25")
    try:
        shown = str(ipaddress.IPv6Address(address))
    except ValueError as error:
        raise AddressError(f"{name!r} is no IPv6 address") from error
    if percent and not re.fullmatch(r"[A-Za-z0-9._~-]+", zone):
        raise AddressError(f"{zone!r} is no network interface")
    return f"[{shown}{percent}{zone}]"


def _ascii_label(label: str) -> str:
    if not label:
        raise AddressError("a part of its host name is empty")
    if any(unicodedata.category(character)[0] in "CZ" for character in label):
        raise AddressError(f"{label[:80]!r} holds a character that no host name has")
    if not _LABEL.fullmatch(re.sub(r"[^\x00-\x7f]", "x", label)):
        raise AddressError(f"{label[:80]!r} is no part of a host name")
    found = label if label.isascii() else f"xn--{label.encode('punycode').decode('ascii')}"
    if len(found) > _MAX_LABEL:
        raise AddressError(f"{label[:20]!r}… is longer than {_MAX_LABEL} characters, the most between two dots")
    return found


def _unescaped(name: str) -> str:
    """Return a host name whose characters beyond ASCII were escaped; others may not be (RFC 3986 §3.2.2)."""
    if _BAD_ESCAPE.search(name) or re.search("%[0-7]", name):
        raise AddressError(f"{name[:80]!r} holds an escape that no host name has")
    try:
        return unquote_to_bytes(name).decode("utf-8")
    except UnicodeError as error:
        raise AddressError(f"{name[:80]!r} is not UTF-8") from error


def _escaped(target: str) -> str:
    data = target.encode("utf-8", "surrogateescape")
    return _PLAIN.sub(lambda match: b"%%%02X" % match[0][0], data).decode("ascii")
