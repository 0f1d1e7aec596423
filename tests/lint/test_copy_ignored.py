"""CopyIgnoredFile (B-19), with the real ignore file reader."""

from __future__ import annotations

import pytest

from builder.context.ignore import IgnorePatterns, parse_ignore
from tests.lint.checking import found


class Rules:
    """What the checks ask of an ignore file, answered by the context room."""

    def __init__(self, text: str) -> None:
        self._rules: IgnorePatterns = parse_ignore(text, ".dockerignore")

    @property
    def patterns(self) -> tuple[str, ...]:
        return tuple(rule.pattern for rule in self._rules.rules if not rule.is_exception)

    @property
    def has_exceptions(self) -> bool:
        return self._rules.has_exceptions

    def excludes(self, path: str) -> bool:
        return self._rules.decide(path).excluded


@pytest.mark.rule("B-19")
@pytest.mark.parametrize(
    ("ignore", "text", "hidden"),
    [
        ("Dockerfile\n", "COPY Dockerfile .", ['Copy file "Dockerfile"']),
        ("Dockerfile\n", "ADD Dockerfile /x", ['Add file "Dockerfile"']),
        ("a\n", "COPY ./a/ b /c/a /x", ['Copy file "a"']),
        ("a\n", "COPY a/b/c /x", ['Copy file "a/b/c"']),
        ("other\n", "COPY Dockerfile /other", []),
        ("a\n", "COPY --from=s a /x", []),
        ("a\n", "ADD http://x/a /x", []),
        ("a\n", "ADD git@github.com:a/a.git /x", []),
        ("a\n*:*\n", "ADD deploy@example.org:a/a.git /x", []),
        ("a\n", "COPY /a /x", ['Copy file "/a"']),
        ("a\n", "COPY <<a /x\nb\na", []),
        ("**\n!Dockerfile\n", "COPY ./Dockerfile .", []),
        ("**\n!Dockerfile\n", "COPY . .", []),
        (".*\n", "COPY . .", []),
        ("*\n", "COPY . .", ['Copy file "."']),
        ("**\n", "COPY . /x", ['Copy file "."']),
        ("/*\n", "COPY / /x", ['Copy file "/"']),
        ("**/*\n", "COPY sub/.. /x", ['Copy file "."']),
        ("?*\n", "COPY . /x", []),
        ("*.log\n", "COPY *.log /x", ['Copy file "*.log"']),
        ("*.log\n", "COPY *.lo? /x", []),
        ("sub\n!sub/b.txt\n", "COPY sub/a.txt /", []),
        ("sub\n!other.txt\n", "COPY sub/a.txt /", []),
        ("!sub/b.txt\nsub\n", "COPY sub/a.txt /", []),
        ("sub\n!sub/a.txt\n", "COPY sub /sub", []),
        ("sub\n!sub/a.txt\n", "COPY . /x", []),
        ("sub\n!sub/a.txt\n", "COPY sub/a.txt /", []),
        ("sub\n!sub/a.txt\n", "COPY sub/*.txt /", []),
        ("$a\n", "COPY $a /x", []),
    ],
)
def test_a_source_that_the_ignore_file_hides_is_found(ignore: str, text: str, hidden: list[str]) -> None:
    expected = [f"Attempting to {name} that is excluded by .dockerignore" for name in hidden]
    results = found(f"FROM scratch AS s\nFROM scratch\n{text}\n", ignore=Rules(ignore))
    assert [message for _, rule, message in results if rule == "CopyIgnoredFile"] == expected
