"""What a study shows while it runs: cells, heads per second, time left; drawn on stderr."""

from __future__ import annotations

import threading
import time

from gramlab.cli import terminal
from gramlab.cli.stopping import raise_if_asked

__all__ = ["Progress", "duration_words"]

_LINE_SECONDS = 30.0  # between two lines where stderr is no terminal


class Progress:
    """Draws on a terminal; writes a line now and then where stderr is something else.

    Parameters
    ----------
    quiet
        Neither.
    """

    def __init__(self, *, quiet: bool) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, SpinnerColumn, TextColumn
        from rich.progress import Progress as Bars

        console = Console(stderr=True)
        drawn = not quiet and console.is_terminal and not console.is_dumb_terminal
        self._lines = not quiet and not drawn
        self._bars = Bars(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=10),
            TextColumn("{task.fields[note]}", markup=False),
            console=console,
            transient=True,
            disable=not drawn,
        )
        self._task = self._bars.add_task("", total=None, note="")
        self._lock = threading.Lock()
        self._cells = self._heads = self._cells_done = self._heads_done = 0
        self._began = self._said = time.monotonic()

    def __enter__(self) -> Progress:
        """Begin to draw."""
        self._bars.start()
        return self

    def __exit__(self, *error: object) -> None:
        """Take the drawing away."""
        self._bars.stop()

    def stage(self, name: str) -> None:
        """Begin a stage without a measure."""
        self._bars.remove_task(self._task)
        self._task = self._bars.add_task(name, total=None, note="")

    def begin(self, cells: int, heads: int, kept: int) -> None:
        """Tell how many cells and heads are to be computed, and how many cells are kept."""
        self._cells, self._heads = cells, heads
        self._began = self._said = time.monotonic()
        self._bars.remove_task(self._task)
        self._task = self._bars.add_task("", total=max(heads, 1), note="")
        if self._lines and cells:
            words = f"{cells} cells to compute, {heads} heads"
            terminal.say(f"{words}; {kept} cells kept from before" if kept else words)

    def damaged(self, reason: str) -> None:
        """Tell of a kept cell that has to be computed again."""
        terminal.say(f"warning: a kept cell is damaged and will be computed again: {reason}")

    def cell(self, words: str) -> None:
        """Begin a cell."""
        raise_if_asked()
        self._bars.update(self._task, description=words)

    def head(self) -> None:
        """Count a head."""
        with self._lock:
            self._heads_done += 1
            self._bars.update(self._task, completed=self._heads_done, note=self._note())

    def cell_done(self) -> None:
        """Count a cell."""
        with self._lock:
            self._cells_done += 1
            now = time.monotonic()
            last = self._cells_done == self._cells
            if self._lines and (now - self._said >= _LINE_SECONDS or last):
                self._said = now
                terminal.say(self._note())

    def _note(self) -> str:
        seconds = time.monotonic() - self._began
        note = f"cell {min(self._cells_done + 1, self._cells)} of {self._cells}"
        if seconds <= 0.0 or not self._heads_done:
            return note
        rate = self._heads_done / seconds
        left = max(0, self._heads - self._heads_done) / rate
        return f"{note}, {rate:.2g} heads/s, {duration_words(left)} left"


def duration_words(seconds: float) -> str:
    """Seconds in the unit that suits them."""
    if seconds < 90.0:
        return f"{seconds:.0f} s"
    if seconds < 5400.0:
        return f"{seconds / 60.0:.0f} min"
    return f"{seconds / 3600.0:.1f} h"
