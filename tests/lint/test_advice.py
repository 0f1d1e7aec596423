"""Our own checks, and that they are silent until they are asked for."""

from __future__ import annotations

import pytest

from tests.lint.checking import names

ADVICE = frozenset({"advice"})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("RUN apt-get install -y curl", ["AptInstallWithoutUpdate"]),
        ("RUN apt-get update && apt-get install -y curl && rm -rf /var/lib/apt/lists/*", []),
        ("RUN apt-get update && apt-get -q -y install curl", ["AptListsLeft"]),
        ("RUN --mount=type=cache,target=/var/lib/apt apt update && apt install -y curl", []),
        ("RUN <<E\napt-get update\napt-get install -y curl\nE", ["AptListsLeft"]),
        ("COPY .env app/ /x/", ["SecretFileCopied"]),
        ("COPY keys/id_rsa server.pem /x/", ["SecretFileCopied", "SecretFileCopied"]),
        ("COPY .environment id_rsa.pub /x/", []),
        ("COPY --from=s .env /x", []),
        ("COPY a /b\nRUN rm -f /b", ["DeletedInLaterLayer"]),
        ("COPY a /b\nRUN rm -f /c && rmdir /b", []),
        ("COPY . .\nRUN npm ci", ["CopyBeforeInstall"]),
        ("COPY package.json .\nRUN npm ci\nCOPY . .\nRUN npm run build", []),
        ("COPY . .\nRUN go build", []),
        ("STOPSIGNAL --x 9\nARG --y z\nHEALTHCHECK --i NONE", ["IgnoredFlags", "IgnoredFlags", "IgnoredFlags"]),
    ],
)
def test_a_habit_that_costs_is_found_when_asked_for(text: str, expected: list[str]) -> None:
    whole = f"FROM scratch AS s\nFROM scratch\n{text}\n"
    assert [rule for _, rule in names(whole, enable=ADVICE)] == expected
    assert names(whole) == []


@pytest.mark.parametrize(
    ("base", "unpinned"),
    [
        ("debian", True),
        ("debian:bookworm", True),
        ("scratch", False),
        ("debian@sha256:" + "a" * 64, False),
        ("$image", False),
    ],
)
def test_a_base_image_without_a_digest_is_found(base: str, unpinned: bool) -> None:
    results = names(f"ARG image=x\nFROM {base} AS a\nFROM a\n", enable=frozenset({"UnpinnedFrom"}))
    assert results == ([(2, "UnpinnedFrom")] if unpinned else [])


def test_one_check_of_ours_can_be_asked_for_in_the_file() -> None:
    text = "# check=experimental=AptListsLeft\nFROM debian\nRUN apt-get update && apt-get install -y x\n"
    assert names(text) == [(3, "AptListsLeft")]
