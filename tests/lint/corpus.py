"""Counts what the notes say of Dockerfiles that people wrote: `python -m tests.lint.corpus FOLDER [RULE]`.

Every file below FOLDER is read as one Dockerfile. Without RULE it prints, for each note, in how many files it is made
and how often; with one, each place where that note is made, to be looked at by eye. docs/checks.md has the outcome.

Of base images nothing is fetched: an official image is taken to have the variables and the CMD that stand below, any
other image is unknown, as in a check without network. There is no context either, so `ParentLandsOnOtherFile` is judged
as if the context held whatever is asked for, with the Dockerfile at its root: the most that it could ever say.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

from builder.dockerfile.instructions import Dockerfile
from builder.dockerfile.parser import parse_dockerfile
from builder.errors import DockerfileSyntaxError
from builder.lint.finding import BaseImage, Finding, LintInputs
from builder.lint.linter import lint
from builder.lint.options import NOTES
from builder.lint.rules import RULES
from builder.lint.scope import global_scope

_OFFICIAL = re.compile(r"(?:docker\.io/)?(?:library/)?(?P<name>[a-z0-9_-]+)(?:[:@].*)?")
_LANGUAGES = {
    "python": ("python3",), "node": ("node",), "golang": ("bash",), "ruby": ("irb",), "php": ("php", "-a"),
    "openjdk": ("jshell",), "eclipse-temurin": ("jshell",), "amazoncorretto": ("bash",), "maven": ("mvn",),
    "gradle": ("gradle",), "rust": ("bash",), "haskell": ("ghci",), "java": ("bash",), "composer": ("composer",),
}  # fmt: skip
_SYSTEMS = {
    **dict.fromkeys(("debian", "ubuntu", "fedora", "centos", "amazonlinux"), ("/bin/bash",)),
    **dict.fromkeys(("alpine", "busybox"), ("/bin/sh",)),
}
_SERVERS = {
    "nginx": ("nginx", "-g", "daemon off;"), "httpd": ("httpd-foreground",), "tomcat": ("catalina.sh", "run"),
    "redis": ("redis-server",), "postgres": ("postgres",), "mysql": ("mysqld",), "mariadb": ("mariadbd",),
    "mongo": ("mongod",), "rabbitmq": ("rabbitmq-server",),
}  # fmt: skip
_VARIABLES = {
    "python": ("PYTHON_VERSION", "LANG"), "node": ("NODE_VERSION", "YARN_VERSION"),
    "golang": ("GOLANG_VERSION", "GOPATH"),
    "ruby": ("RUBY_VERSION", "GEM_HOME", "BUNDLE_APP_CONFIG"), "php": ("PHP_VERSION", "PHP_INI_DIR", "PHPIZE_DEPS"),
    "openjdk": ("JAVA_HOME", "JAVA_VERSION"), "eclipse-temurin": ("JAVA_HOME", "JAVA_VERSION"),
    "maven": ("MAVEN_HOME", "JAVA_HOME"), "rust": ("RUST_VERSION", "CARGO_HOME"), "nginx": ("NGINX_VERSION",),
    "redis": ("REDIS_VERSION",), "postgres": ("PG_MAJOR", "PG_VERSION", "PGDATA"), "tomcat": ("CATALINA_HOME",),
}  # fmt: skip


class _Everything:
    def kind(self, path: str) -> Literal["file", "directory", ""]:
        return "file" if "." in path.rpartition("/")[2] else "directory"


def notes_of(text: str) -> tuple[Finding, ...]:
    """Return the notes on a Dockerfile. Raises DockerfileSyntaxError."""
    dockerfile = parse_dockerfile(text)
    inputs = LintInputs(base_images=_bases(dockerfile), context=_Everything(), enable=frozenset({NOTES}))
    return tuple(finding for finding in lint(dockerfile, inputs) if finding.level == "note")


def _bases(dockerfile: Dockerfile) -> Mapping[int, BaseImage]:
    scope = global_scope(dockerfile, LintInputs(), {})
    found: dict[int, BaseImage] = {}
    for stage in dockerfile.stages:
        expansion = scope.expand(stage.base.image.text, dockerfile.escape)
        match = _OFFICIAL.fullmatch(expansion.text) if expansion else None
        name = match["name"] if match else ""
        cmd = (_LANGUAGES | _SYSTEMS | _SERVERS).get(name)
        if cmd is not None:
            found[stage.index] = BaseImage(environment=dict.fromkeys(_VARIABLES.get(name, ()), "x"), cmd=cmd)
    return found


def _walk(folder: Path) -> Iterator[tuple[Path, tuple[Finding, ...] | None]]:
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        try:
            yield path, notes_of(path.read_text(errors="surrogateescape"))
        except DockerfileSyntaxError:
            yield path, None


def main(folder: str, rule: str = "") -> int:
    """Print the table, or the places of one rule."""
    files: Counter[str] = Counter()
    places: Counter[str] = Counter()
    read = broken = 0
    for path, found in _walk(Path(folder)):
        read += 1
        broken += found is None
        files.update({finding.rule.name for finding in found or ()})
        places.update(finding.rule.name for finding in found or ())
        for finding in found or ():
            if finding.rule.name == rule:
                print(f"{path.name}:{finding.location.line}: {finding.message}")
    if rule:
        return 0
    print(f"{read} files, of which {broken} are no Dockerfile that can be read")
    print("| check | places | files | of all |\n|---|---|---|---|")
    for name in (name for name, each in RULES.items() if each.note):
        print(f"| {name} | {places[name]} | {files[name]} | {files[name] / max(read - broken, 1):.1%} |")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
