"""`pybuild completion bash | zsh | fish`, and `pybuild __complete`, which the scripts that this prints ask.

pybuild __complete bash LINE BREAKS     the line up to the cursor, and the characters that bash ends words at
pybuild __complete zsh|fish WORD...     the words after the program's name; the last is completed

files|folders|- space|nospace           what the shell is to add; whether a space may follow
WORD<Tab>what it means                  one line a word
"""

from __future__ import annotations

import argparse
import re
import shlex
import sys
from pathlib import Path

from builder.cli.arguments import new_parser
from builder.cli.completion import Completion, complete
from builder.cli.display.text import clean

_SCRIPTS = Path(__file__).parents[1] / "shells"
_SHELLS = ("bash", "zsh", "fish")
_EPILOG = """\
For this shell:    source <(pybuild completion bash)      of zsh too, after compinit
                   pybuild completion fish | source
For all to come:   pybuild completion bash > ~/.local/share/bash-completion/completions/pybuild
                   pybuild completion zsh > "${fpath[1]}/_pybuild"
                   pybuild completion fish > ~/.config/fish/completions/pybuild.fish
"""
_SPECIAL = re.compile(r"""[][\s'"\\$`&|;<>()*?{}!#~]""")


def completion_parser() -> argparse.ArgumentParser:
    """Return the parser of `pybuild completion`."""
    parser = new_parser(
        "pybuild completion",
        "Print what makes a shell complete commands, flags, images, containers, stages and build arguments.",
        epilog=_EPILOG,
    )
    parser.add_argument("shell", choices=_SHELLS, help="whose script to print")
    return parser


def completion_command(argv: list[str]) -> int:
    """Print the script of a shell."""
    shell = completion_parser().parse_args(argv).shell
    sys.stdout.write((_SCRIPTS / f"pybuild.{shell}").read_text("utf-8"))
    return 0


def complete_parser() -> argparse.ArgumentParser:
    """Return the parser of `pybuild __complete`, which takes its words as they are."""
    parser = new_parser("pybuild __complete", "Say what a word may become, to the scripts of 'pybuild completion'.")
    parser.add_argument("shell", choices=_SHELLS, help="who asks")
    parser.add_argument("word", nargs="*", metavar="WORD", help="the command line")
    return parser


def complete_command(argv: list[str]) -> int:
    """Say what a word may become. A mistake completes nothing: there is nobody who could be told."""
    shell, words = argv[:1], argv[1:]
    try:
        found = _complete_line(*words) if shell == ["bash"] else complete(words[:-1], words[-1] if words else "")
    except Exception:
        # Half a command line may be wrong in any way, and a message would stand in the middle of it.
        found = Completion()
    print(found.adds or "-", "nospace" if found.is_unended else "space")
    for word, meaning in found.words:
        print(f"{word}\t{clean(meaning)}" if meaning else word)
    return 0


def _complete_line(line: str, breaks: str = "") -> Completion:
    """Complete the last word of a line for bash: without what it takes for words of their own, and quoted."""
    words, quote = _split(line)
    current = words.pop() if words else ""
    found = complete(words[1:], current)
    end = 0 if quote else max((current.rfind(mark) + 1 for mark in "=:" if mark in breaks), default=0)
    return found._replace(
        words=tuple((word[end:] if quote else _quoted(word[end:]), meaning) for word, meaning in found.words)
    )


def _split(line: str) -> tuple[list[str], str]:
    """Split as a shell does; return the quote that is still open, too. A space begins an empty word."""
    for quote in ("", "'", '"'):
        try:
            words = shlex.split(line + quote)
        except ValueError:
            continue
        is_new = not quote and (not line or (line[-1].isspace() and not line.endswith("\\ ")))
        return [*words, ""] if is_new else words, quote
    return [], ""


def _quoted(word: str) -> str:
    return re.sub(_SPECIAL, r"\\\g<0>", word)
