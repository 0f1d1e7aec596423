"""Strategies that write Dockerfiles: valid ones, nearly valid ones, and noise made of the language's own pieces."""

from __future__ import annotations

from hypothesis import strategies as st

KEYWORDS = (
    "FROM", "RUN", "COPY", "ADD", "ENV", "LABEL", "ARG", "CMD", "ENTRYPOINT", "SHELL", "USER", "WORKDIR", "EXPOSE",
    "VOLUME", "STOPSIGNAL", "HEALTHCHECK", "ONBUILD", "MAINTAINER",
)  # fmt: skip
WORDS = (
    "a",
    "b",
    "c1",
    "/x",
    "./y",
    "a=b",
    "a=",
    "=b",
    '"a b"=c',
    "x='y z'",
    "=",
    "==",
    "80/tcp",
    "NONE",
    "CMD",
    "AS",
    "as",
)
MARKS = (
    '"',
    "'",
    "\\",
    "`",
    "\\\\",
    '\\"',
    "#",
    "#x",
    "&&",
    ";",
    "|",
    "$(x)",
    "$$",
    "$v",
    "${v}",
    "${v:-w}",
    "${v:+x y}",
)
ARRAYS = ("[", "]", ",", '["a"]', '["a","b"]', '["a"', "[1]", "[]", "{}")
HEREDOCS = ("<<A", "<<-B", "<<'C'", '<<"D"', "<<", "<<<", "3<<E", "A", "B", "C")
FLAGS = (
    "--x",
    "--",
    "--link",
    "--from=s",
    "--mount=type=tmpfs,target=/t",
    "--mount=",
    "--chown='a b'",
    "--interval=1s",
)
ODDITIES = ("\u00e9", "\u65e5", "\u00a0", "\u2003", "\x85", "\x00", "\x0b", "\x0c", "\r", "\udc80")
PIECES = WORDS + MARKS + ARRAYS + HEREDOCS + FLAGS + ODDITIES
BLANKS = st.sampled_from([" ", "  ", "\t", " \t", ""])
ENDS = st.sampled_from(
    ["\n", "\n", "\n", "\r\n", "\\\n", " \\\n", "\\\\\n", "\\\n# c\n", "\\\n\n", "`\n", "\n\n", "\r", ""]
)
NAMES = st.text("abcXYZ_09", min_size=1, max_size=4)


MISSPELT = ("FRM", "RN", "", "#")
HEADS = ("", "", "# escape=`\n", "# syntax=x\n#escape = \\\n", "\ufeff", "# check=skip=all\n", "FROM a\n")
BODIES = ("A\n", "B\n", "\tB\n", "C\n", "D\n", "E\n", "text\n", "# comment\n", "  # c\n", "\n", " \n", "\\\n")


@st.composite
def instructions(draw: st.DrawFn) -> str:
    """Write one line or so: a keyword, possibly misspelt, and pieces of the language."""
    keyword = draw(st.sampled_from(KEYWORDS) | st.sampled_from(KEYWORDS).map(str.lower) | st.sampled_from(MISSPELT))
    parts = draw(st.lists(st.tuples(BLANKS, st.sampled_from(PIECES)), max_size=6))
    return keyword + " " + "".join(blank + piece for blank, piece in parts) + draw(ENDS)


@st.composite
def soups(draw: st.DrawFn) -> str:
    """Write a file of such lines, with directives and heredoc ends between them."""
    lines = draw(st.lists(instructions() | st.sampled_from(BODIES), max_size=8))
    return draw(st.sampled_from(HEADS)) + "".join(lines)


@st.composite
def valid_files(draw: st.DrawFn) -> str:
    """Write a Dockerfile that BuildKit accepts."""
    word = NAMES
    pair = st.builds("{}={}".format, word, word | word.map('"{} x"'.format) | word.map("'{}'".format))
    command = st.text('ab ="x\\$<#[', min_size=1, max_size=9).map(lambda text: f"x {text}x".replace("<<", "<"))
    line = st.one_of(
        st.builds("RUN {}".format, command),
        st.builds("ENV {}".format, st.lists(pair, min_size=1, max_size=3).map(" ".join)),
        st.builds("LABEL {} {}".format, word, word),
        st.builds("COPY {} {}".format, word, word),
        st.builds('COPY ["{}", "{}"]'.format, word, word),
        st.builds("ARG {}".format, st.lists(word | pair, min_size=1, max_size=3).map(" ".join)),
        st.builds("RUN <<EOF\n{}\nEOF".format, word),
        st.builds("COPY <<-'EOF' /x\n\t{}\n\tEOF".format, word),
        st.builds("RUN a \\\n# {}\n  {}".format, word, word),
        st.builds("CMD [{}]".format, st.lists(word.map('"{}"'.format), max_size=3).map(", ".join)),
        st.builds("HEALTHCHECK --retries=3 CMD {}".format, word),
        st.builds("ONBUILD RUN {}".format, word),
    )
    lines = ["FROM scratch AS base", *draw(st.lists(line, max_size=8))]
    return "\n".join(lines) + draw(st.sampled_from(["\n", "", "\r\n"]))


anything = st.one_of(soups(), valid_files(), st.text(max_size=60), st.binary(max_size=60))
