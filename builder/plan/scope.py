"""Variables: which ones a stage has, where each was set, and the expansion of words with them.

A `Scope` is what `$name` sees: ENV and ARG in one table, the later one wins (A-5). An `Expander` belongs to one file:
it expands words, turns a failure into a PlanError that shows the value and where it was set, and keeps the warnings.
Variables that nobody set are the build checks' business (dockerfile/lint), not the planner's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from builder.dockerfile.instructions import Word
from builder.dockerfile.words import Expansion, Quotes, WordError, expand, expand_words
from builder.errors import Location, PlanError
from builder.plan.plan import Warning
from builder.suggest import nearest

MAX_PLAN_SIZE = 32 << 20
"""Most that a plan may cost, in characters produced and entries copied: `ENV a=$a$a` doubles with every line."""


@dataclass(frozen=True, slots=True)
class Binding:
    """A variable's value, and who gave it: "ENV", "ARG", "--build-arg", "the base image" …"""

    value: str
    origin: str
    location: Location | None = None


class Scope:
    """The variables of a stage, in the order a process gets them. `size` counts their characters."""

    def __init__(self) -> None:
        self._bindings: dict[str, Binding] = {}
        self._environment: tuple[str, ...] | None = None
        self.size = 0
        self.declared: dict[str, Location] = {}
        """Names that an ARG declares, with or without a value."""

    def copy(self) -> Scope:
        other = Scope()
        other._bindings = dict(self._bindings)
        other.declared = dict(self.declared)
        other.size = self.size
        return other

    def set(self, name: str, value: str, origin: str, location: Location | None = None) -> None:
        """Give `name` a value; it moves to the end, as in BuildKit's environment lists."""
        self._environment = None
        old = self._bindings.pop(name, None)
        self._bindings[name] = Binding(value, origin, location)
        self.size += len(name) + len(value) if old is None else len(value) - len(old.value)

    def unset(self, name: str) -> None:
        """Take `name` away, if it is there."""
        self._environment = None
        old = self._bindings.pop(name, None)
        if old is not None:
            self.size -= len(name) + len(old.value)

    def find(self, name: str) -> Binding | None:
        return self._bindings.get(name)

    def lookup(self, name: str) -> str | None:
        binding = self._bindings.get(name)
        return None if binding is None else binding.value

    def names(self) -> tuple[str, ...]:
        return tuple(self._bindings)

    def environment(self) -> tuple[str, ...]:
        """Return NAME=value of all variables; the same tuple until one is set."""
        if self._environment is None:
            self._environment = tuple(f"{name}={binding.value}" for name, binding in self._bindings.items())
        return self._environment


class Expander:
    """Expands the words of one Dockerfile. `warnings` grows with what is found on the way."""

    def __init__(self, escape: str = "\\", outside: Scope | None = None) -> None:
        self._warnings: dict[Warning, None] = {}
        self._escape = escape
        self._outside = outside
        self._size = 0

    @property
    def warnings(self) -> tuple[Warning, ...]:
        return tuple(self._warnings)

    def warn(self, rule: str, message: str, location: Location | None) -> None:
        self._warnings[Warning(rule, message, location)] = None

    def spend(self, size: int, location: Location) -> None:
        """Count what an instruction costs. Raises PlanError when the plan grows out of all proportion."""
        self._size += size
        if self._size > MAX_PLAN_SIZE:
            raise PlanError(
                f"this Dockerfile expands to more than {MAX_PLAN_SIZE >> 20} MiB", location,
                hint="A variable that doubles itself with every line grows very fast.",
            )  # fmt: skip

    def word(self, word: Word, scope: Scope) -> str:
        """Return the word expanded. Raises PlanError at the place of the fault."""
        return self.expansion(word, scope).text

    def expansion(self, word: Word, scope: Scope) -> Expansion:
        """Return the word expanded, with the names it used and missed. Raises PlanError."""
        return self._counted(lambda: expand(word.text, scope.lookup, escape=self._escape), word, scope)

    def origins(self, word: Word, scope: Scope) -> str:
        """Say what the variables in a word that can be expanded hold, and who set them; "" when it has none."""
        if "$" not in word.text:
            return ""
        expansion = expand(word.text, scope.lookup, escape=self._escape)
        said = [
            f"{name} is {shorten(found.value)!r}, set by {found.origin}{at(found.location)}."
            for name in dict.fromkeys(expansion.used)
            if (found := scope.find(name))
        ]
        return " ".join([*said, *(f"{name} is not set here." for name in dict.fromkeys(expansion.missing))])

    def used(self, field: str, word: Word | None, scope: Scope) -> tuple[tuple[str, str, str], ...]:
        """Return (field, name, value) of the variables in a word that can be expanded."""
        if word is None or "$" not in word.text:
            return ()
        # Not counted: the word has been expanded, and paid for, already.
        names = dict.fromkeys(expand(word.text, scope.lookup, escape=self._escape).used)
        return tuple((field, name, shorten(found.value)) for name in names if (found := scope.find(name)))

    def words(self, word: Word, scope: Scope) -> tuple[str, ...]:
        """Return the word expanded and split at blanks (EXPOSE)."""
        self.word(word, scope)  # for its errors, located, and for what it costs
        return expand_words(word.text, scope.lookup, escape=self._escape)

    def body(self, content: str, location: Location, scope: Scope) -> str:
        """Return a heredoc's body expanded: quotes mean nothing, and the escape is a backslash always (H-7, H-9)."""
        word = Word(content, location)
        return self._counted(lambda: expand(content, scope.lookup, quotes="literal"), word, scope).text

    def display(self, text: str, lookup: Callable[[str], str | None], *, quotes: Quotes, keep_unset: bool) -> str:
        """Return `text` for people to read: expanded where that works."""
        try:
            return expand(text, lookup, escape=self._escape, quotes=quotes, keep_unset=keep_unset).text
        except WordError:
            return text

    def _counted(self, act: Callable[[], Expansion], word: Word, scope: Scope) -> Expansion:
        try:
            expansion = act()
        except WordError as error:
            hint = error.hint or self._explain(error, scope)
            raise PlanError(error.message, fault_location(word, error.offset), hint=hint) from error
        # Only what has grown: an ordinary file of any length costs nothing.
        self.spend(max(0, len(expansion.text) - len(word.text)), word.location)
        return expansion

    def _explain(self, error: WordError, scope: Scope) -> str:
        """Say what the variable of a failed expansion holds, and where that comes from."""
        name = error.variable
        if not name:
            return ""
        if binding := scope.find(name):
            held = "is empty" if not binding.value else f"is {shorten(binding.value)!r}"
            return f"{name} {held}; it was set by {binding.origin}{at(binding.location)}."
        if name in scope.declared:
            return f"ARG {name}{at(scope.declared[name])} has no value: pass --build-arg {name}=… or give it a default."
        if self._outside is not None and scope is not self._outside and self._outside.find(name):
            return f"{name} is set outside the stages only: write 'ARG {name}' in this stage to use it."
        suggestion = nearest(name, scope.names())
        return f"{name} is not set here." + (f" Did you mean {suggestion}?" if suggestion else "")


def fault_location(word: Word, offset: int) -> Location:
    """Return where in the file the character `offset` of `word` stands, when the word is on one line."""
    location = word.location
    # With continuation lines the character's column is not what counting from the start gives.
    if not location.column or location.end_line not in (0, location.line) or not 0 < offset < len(word.text):
        return location
    return location._replace(column=location.column + offset)


def at(location: Location | None) -> str:
    return "" if location is None or not location.line else f" in line {location.line}"


def shorten(text: str, limit: int = 60) -> str:
    return text if len(text) <= limit else text[:limit] + "…"
