"""`pybuild explain -i`. Apart from the verb, as only this needs textual, which is an extra."""

from __future__ import annotations

from builder.cli.display.explained_tui import ExplainScreen
from builder.engine.explaining import Explained
from builder.explain.model import ExplainedStep


def explain_screen_command(explained: Explained, step: ExplainedStep | None) -> None:
    """Show an image on the terminal until its user has seen enough."""
    ExplainScreen(explained, step).run()
