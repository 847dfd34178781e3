"""What a run is doing, on stderr: a bar on a terminal, elsewhere a line now and then."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Sequence
from typing import Any, ClassVar

from gramlab.cli.stopping import raise_if_asked
from gramlab.cli.text import counted, format_duration, say, shown


class Plan:
    """The share of a whole that is done, from what its ``stages`` are and which one has begun.

    Each is what its name begins with, how many steps it takes, about, and what it costs. A name
    that begins no later stage is one more step of the stage at hand.
    """

    def __init__(self, stages: Sequence[tuple[str, int, float]]) -> None:
        self._stages, self._at, self._steps = list(stages), -1, 0

    def begin(self, name: str) -> float:
        """The share that is done when something of this name begins."""
        later = range(self._at + 1, len(self._stages))
        found = next((at for at in later if name.startswith(self._stages[at][0])), None)
        if found is not None:
            self._at, self._steps = found, 0
        elif self._at >= 0:
            self._steps += 1
        if self._at < 0:
            return 0.0
        _, steps, cost = self._stages[self._at]
        before = sum(cost for _, _, cost in self._stages[: self._at])
        done = before + cost * min(self._steps, steps) / steps
        return done / sum(cost for _, _, cost in self._stages)


class Progress:
    """The stage a run is in, the share of it that is done, the rate and the time.

    On a terminal this is a bar that is gone at the end. Elsewhere a line is written whenever
    something happens and the last line is ``interval`` seconds old, so that a log tells where a
    long run is and short runs write nothing, and where a stage of counted steps begins and ends;
    ``quiet`` runs never do. An exact head is done at the relative duality gap ``tolerance``,
    (‖g‖/‖g(0)‖)², and ``advance`` counts ``unit``.
    """

    interval: ClassVar[float] = 30.0

    def __init__(self, *, quiet: bool, tolerance: float = 1.0, unit: str = "steps") -> None:
        from rich.console import Console
        from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as Bars

        console = Console(stderr=True)
        drawn = not quiet and console.is_terminal and not console.is_dumb_terminal
        self._lines = not quiet and not drawn
        self._tolerance, self._unit = tolerance, unit
        self._bars = Bars(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=10),
            TextColumn("{task.fields[note]}", markup=False),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=not drawn,
        )
        self._lock = threading.RLock()  # a study counts from several threads
        self._began = self._said = time.monotonic()
        self._cells = self._cells_done = 0
        self._plan: Plan | None = None
        self._task = self._bars.add_task("", total=None, note="")
        self.stage("")

    def __enter__(self) -> Progress:
        """Begin to draw."""
        self._bars.start()
        return self

    def __exit__(self, *error: object) -> None:
        """Take the drawing away."""
        self._bars.stop()

    def plan(self, stages: Sequence[tuple[str, int, float]]) -> None:
        """Know the whole: what begins the names of its stages, their steps, and their costs."""
        self._plan = Plan(stages)

    def stage(self, name: str, total: int | None = None) -> None:
        """Begin a stage, of ``total`` steps where they are known."""
        with self._lock:
            self._name, self._total, self._done = shown(name), total, 0
            self._stage_began, self._best = time.monotonic(), 1.0
            self._bars.remove_task(self._task)  # a task once given a total cannot lose it
            self._task = self._bars.add_task(self._name, total=total, note="")
            share = None if self._plan is None else self._plan.begin(name)
            if total:
                self.advance(0)
            else:
                self._tell(share)

    def solving(self, passes: float, ratio: float) -> None:
        """Tell how far the current head is: passes, ‖g‖/‖g(0)‖.

        The share is that of log(‖g‖/‖g(0)‖), which falls about evenly with the passes.
        """
        self._best = min(self._best, ratio)
        gap = self._best**2
        done = gap <= self._tolerance
        share = 1.0 if done else math.log(gap) / math.log(self._tolerance)
        polishing = ["polishing"] if done else []
        rate = self._rate(passes, "passes")
        self._tell(share, f"gap {gap:.0e}", f"{passes:.0f} passes", *polishing, *rate)

    def advance(self, count: int = 1) -> None:
        """Tell that ``count`` more steps of the stage are done."""
        with self._lock:
            self._done += count
            if self._name and self._done in (0, self._total):  # beginning and end are always told
                self._said = -math.inf
            self._count(f"{self._done}/{self._total}")

    # ---- What a study tells (``gramlab.study.engine.StudyProgress``) --------------------------

    def begin(self, cells: int, heads: int, kept: int) -> None:
        """Tell how many cells and heads are to be computed, and how many cells are kept."""
        self._cells, self._unit = cells, "heads"
        self.stage("", total=heads or None)  # a study without heads has no share that is done
        if self._lines and cells:
            words = f"{counted(cells, 'cell')} to compute, {counted(heads, 'head')}"
            say(f"{words}; {counted(kept, 'cell')} kept from before" if kept else words)

    def damaged(self, reason: str) -> None:
        """Tell of a kept cell that has to be computed again."""
        say(f"warning: a kept cell is damaged and will be computed again: {reason}")

    def cell(self, words: str) -> None:
        """Begin a cell."""
        raise_if_asked()
        self._name = shown(words)
        self._bars.update(self._task, description=self._name)

    def head(self, heads: int = 1, cells: int = 0) -> None:
        """Count a head, or what else is done."""
        with self._lock:
            self._done += heads
            self._cells_done += cells
            if cells and self._cells_done == self._cells:
                self._said = -math.inf
            self._count(f"cell {min(self._cells_done + 1, self._cells)} of {self._cells}")

    def cell_done(self) -> None:
        """Count a cell; the last one is always told."""
        self.head(0, 1)

    # ---- How it is told -----------------------------------------------------------------------

    def _rate(self, count: float, unit: str) -> list[str]:
        seconds = time.monotonic() - self._stage_began
        if not count or seconds <= 0.0:
            return []
        rate = count / seconds
        return [f"{rate:.1f} {unit}/s" if rate >= 1.0 else f"{rate:.2g} {unit}/s"]

    def _count(self, note: str) -> None:
        """Tell how many steps are done, the time that the others take, and the rate."""
        share = self._done / self._total if self._total else None
        left = []
        if share:
            seconds = (time.monotonic() - self._stage_began) * max(0.0, 1.0 / share - 1.0)
            left = [f"{format_duration(seconds)} left"]
        self._tell(share, note, *left, *self._rate(self._done, self._unit))

    def _tell(self, share: float | None, *note: str) -> None:
        """Bring the bar, or the log, up to date."""
        shown: dict[str, Any] = {} if share is None else {"total": 1.0, "completed": share}
        text = ", ".join(note)
        self._bars.update(self._task, description=self._name, note=text, **shown)
        now = time.monotonic()
        if self._lines and self._name and now - self._said >= self.interval:
            self._said = now
            done = [] if share is None else [f"{100.0 * share:.0f} % done"]
            say(f"{self._name}: {', '.join([*done, *note, format_duration(now - self._began)])}")
