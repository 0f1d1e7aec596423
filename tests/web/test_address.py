"""Addresses: what is asked of whom, what cannot be, and that no password is shown either way."""

from __future__ import annotations

import pytest

from builder.web.address import AddressError, parse_address, with_ascii_host, without_credentials


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("http://h", "http://h/"),
        ("HTTP://Host:80/A?b#c", "http://host:80/A?b"),
        ("http://h:/x", "http://h/x"),
        ("http://h./x", "http://h/x"),
        ("http://h?q", "http://h/?q"),
        ("http://[::1]:8/x", "http://[::1]:8/x"),
        ("http://[fe80:0::1%25lo]/x", "http://[fe80::1%25lo]/x"),
        ("http://h/a b/ü%20?q=ö r", "http://h/a%20b/%C3%BC%20?q=%C3%B6%20r"),
        ("http://h/\udcff", "http://h/%FF"),
        ("http://bücher.example/", "http://xn--bcher-kva.example/"),
        ("http://BÜCHER.example/", "http://xn--bcher-kva.example/"),
        ("http://b%C3%BCcher.example/", "http://xn--bcher-kva.example/"),
        ("http://straße.example/", "http://xn--strae-oqa.example/"),
        ("http://日本語。jp/", "http://xn--wgv71a119e.jp/"),
        ("http://☃.example/", "http://xn--n3h.example/"),
        ("http://ＧＯ.example/", "http://go.example/"),
        ("http://u:p@bücher.example:1/", "http://xn--bcher-kva.example:1/"),
    ],
)
def test_an_address_is_asked_for_in_ascii(text: str, url: str) -> None:
    assert parse_address(text).url == url


@pytest.mark.parametrize(
    "text",
    [
        "", "x", "h/x", "//h/x", "ftp://h/", "file:///etc/passwd", "http:/h", "http://", "http:///x", "http://:80/",
        "http://.", "https://[::1", "http://[::1]x/", "http://[x]/", "http://[]/", "http://[::1%25]/",
        "http://[1.2.3.4]/", "http://h:port/", "http://h:1:2/", "http://h:99999/", "http://h:-1/", "http://h:8０/",
        f"http://h:{'9' * 400}/", f"http://h:{'9' * 5000}/", "http://a..b/", "http://-a/", "http://a-/", "http://ü-/",
        "http://a b/", "http://a\\b/", "http://a<b/", "http://%41/", "http://%zz/", "http://h%00/", "http://%ff/",
        "http://\udcff/", "http://h/\ud800", "http://\u200d/", "http://℀/", f"http://{'a' * 64}/",
        f"http://{'ü' * 60}/", f"http://{'a.' * 200}/", "http://h/%", "http://h/%zz", "http://h/\n", "http://h\r/",
        "http://h/\0", "http://u:p w@h/", "http://u:p%zz@h/", "http://ü@h/",
    ],
)  # fmt: skip
def test_what_is_no_address_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(AddressError) as caught:
        parse_address(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "http://user:hunter2@[::1", "http://user:hunter2@h:port/", "http://user:hunter2/@h/", "http://user:hunter2?@h/",
        "http://user:hunter2#@h/", "http://user:hunter2 @h/", "ftp://user:hunter2@h/", "http://user:hunter2@@[/",
        "http://hunter2@:80/", "user:hunter2@h",
    ],
)  # fmt: skip
def test_a_refusal_shows_no_password(text: str) -> None:
    with pytest.raises(AddressError) as caught:
        parse_address(text)
    assert "hunter2" not in str(caught.value)


def test_user_and_password_are_said_as_http_says_them() -> None:
    assert parse_address("http://a%40b:p%C3%BC:q@h/").authorization == "Basic YUBiOnDDvDpx"
    assert parse_address("http://token@h/").authorization == "Basic dG9rZW46"
    assert parse_address("http://h/").authorization == ""
    assert "hunter2" not in repr(parse_address("http://u:hunter2@h/"))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("ADD http://u:p@h/a /b", "ADD http://h/a /b"),
        ("http://u:p@h/@scope/x?a@b#c@d", "http://h/@scope/x?a@b#c@d"),
        ("https://u@h ssh://u:p@h/x git://h http://u:p@q@h", "https://h ssh://h/x git://h http://h"),
        ('["http://u:p@h/x", "a@b"]', '["http://h/x", "a@b"]'),
        ("git@h:o/r", "git@h:o/r"),
        ("http://[::1", "http://[::1"),
    ],
)
def test_credentials_leave_any_text(text: str, shown: str) -> None:
    assert without_credentials(text) == shown


def test_a_host_is_replaced_and_nothing_else() -> None:
    assert with_ascii_host("ssh://git@bücher.example:22/~ü/x y.git?a#b", ("ssh",)) == (
        "ssh://git@xn--bcher-kva.example:22/~ü/x y.git?a#b"
    )
    with pytest.raises(AddressError):
        with_ascii_host("ssh://git@[::1/x", ("ssh",))
