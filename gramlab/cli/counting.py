"""A bar that counts: how many of how many, the rate, the time left. On stderr, gone at the end."""

from __future__ import annotations

__all__ = ["Counting"]


class Counting:
    """Progress over stages of known length; nothing is drawn where stderr is no terminal.

    Parameters
    ----------
    unit
        What is counted, in the plural.
    quiet
        Draw nothing.
    """

    def __init__(self, unit: str, *, quiet: bool) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            ProgressColumn,
            SpinnerColumn,
            Task,
            TextColumn,
            TimeRemainingColumn,
        )
        from rich.progress import Progress as Bars
        from rich.text import Text

        class Rate(ProgressColumn):
            def render(self, task: Task) -> Text:
                speed = task.finished_speed or task.speed
                return Text("" if speed is None else f"{speed:.1f} {unit}/s")

        console = Console(stderr=True)
        self._bars = Bars(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            Rate(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=quiet or not console.is_terminal or console.is_dumb_terminal,
            speed_estimate_period=120.0,  # a batch at a time makes short windows jump
        )
        self._task = self._bars.add_task("", total=None, visible=False)

    def __enter__(self) -> Counting:
        """Begin to draw."""
        self._bars.start()
        return self

    def __exit__(self, *error: object) -> None:
        """Take the drawing away."""
        self._bars.stop()

    def stage(self, name: str, total: int | None = None) -> None:
        """Begin a stage of ``total`` steps."""
        self._bars.remove_task(self._task)
        self._task = self._bars.add_task(name, total=total)

    def advance(self, count: int = 1) -> None:
        """Tell that ``count`` more are done."""
        self._bars.advance(self._task, count)
