"""What looks up and executes one kind of op, bound to the step and the file system below it.

The kinds are in copy/executor.py and run/executor.py.

    read_inputs()  ─▶  Inputs      for the cache key, before anything runs
    execute()      ─▶  Executed    the layer, and the inputs as they were when it was made
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from builder.linux.cancel import Cancel
    from builder.solve.events import Warned
    from builder.store.layers import LayerRecord

Emit = Callable[[bytes], None]
"""Takes a line of output, without its end."""


class Seen(NamedTuple):
    """One thing that a step read. `lines` are empty where `layers` and `path` tell where to look them up."""

    label: str
    """What the Dockerfile calls it; the target of a mount."""
    root: str = ""
    """The path in its tree that the lines' paths stand below."""
    is_directory: bool = True
    context: str | None = None
    """The context it is from."""
    layers: tuple[str, ...] = ()
    """Diff IDs of the stage it is from, base first."""
    lines: bytes = b""

    def path_of(self, path: str) -> str:
        """Return the path in the tree of a line."""
        if not self.is_directory:
            return self.root
        return f"{self.root}/{path}" if self.root and path else path or self.root


def _nothing_seen() -> tuple[Seen, ...]:
    return ()


class Inputs(NamedTuple):
    """What a step read, or will read."""

    document: Any
    """The inputs member of the preimage of its key (cache_key.py)."""
    seen: Callable[[], tuple[Seen, ...]] = _nothing_seen
    """Gives the files behind the digests of the document; called when a miss is explained, not by cached builds."""
    warnings: tuple[Warned, ...] = ()
    """Given whether the step is cached or not."""


class Executed(NamedTuple):
    layer: LayerRecord
    inputs: Inputs
    warnings: tuple[Warned, ...] = ()
    """Given whenever the layer is used, also when a later build takes it from the cache."""


class Executor(Protocol):
    """What looks up and executes a step, bound to what the step reads. An executor is used by one thread."""

    def read_inputs(self) -> Inputs:
        """Return what the step will read. Raises PybuildError."""
        ...

    def execute(self, emit: Emit, cancel: Cancel) -> Executed:
        """Make the layer and write it to the store. Raises PybuildError, Cancelled."""
        ...
