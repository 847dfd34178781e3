"""The engine: a recipe on features, cell by cell, each computed once and kept.

Independent cells are computed in batches, one cell for each worker: on a CPU the heads of one fill
the cores wherever those of the other leave them idle. A study that was stopped, by Ctrl-C or by
force, goes on where it was: at most the batch in hand is lost. Nothing in its results depends on
the order or the time in which cells were computed.
"""

from __future__ import annotations

import threading
import warnings
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any, Protocol

from gramlab.errors import NotConvergedWarning
from gramlab.features import Features
from gramlab.labels import CorruptedLabels
from gramlab.runner import parallel_map
from gramlab.spectrum import Spectrum
from gramlab.study.cells import Cell, CellStore, claim_folder
from gramlab.study.draws import Draw, Work
from gramlab.study.kinds import KINDS
from gramlab.study.plan import Plan

__all__ = ["StudyProgress", "StudyResult", "compute_cell", "open_store", "run_study", "versions"]


class StudyProgress(Protocol):
    """How a study tells what it is doing; the CLI draws it. May be called from several threads."""

    def begin(self, cells: int, heads: int, kept: int) -> None:
        """Tell how many cells and heads are to be computed, and how many cells are kept."""

    def damaged(self, reason: str) -> None:
        """Tell of a kept cell that has to be computed again."""

    def cell(self, words: str) -> None:
        """Begin a cell."""

    def head(self) -> None:
        """Tell that a head is fitted."""

    def cell_done(self) -> None:
        """Tell that a cell is computed and kept."""


class _Silent(StudyProgress):
    """Tells nobody."""


@dataclass(frozen=True, eq=False)
class StudyResult:
    """Everything a study found.

    ``rows`` are one mapping per head, in the order of the plan's cells, of which ``keys`` are the
    keys. So many cells were ``computed`` by this run or ``kept`` in the folder; ``damaged`` says
    why kept ones were computed again. ``heads`` are the exact ones of all cells, ``passes`` theirs
    over the features, and so many ``missed`` their tolerance.
    """

    plan: Plan
    rows: list[dict[str, Any]] = field(repr=False)
    keys: tuple[str, ...] = field(repr=False)
    computed: int
    kept: int
    damaged: tuple[str, ...]
    heads: int
    passes: float
    missed: int


def versions() -> dict[str, str]:
    """What the numbers of a cell depend on besides its settings: packages, kind of device."""
    from gramlab.machine import device

    names = ("gramlab", "numpy", "scipy", "jax")
    found = {name: metadata.version(name) for name in names}
    return found | {"platform": device.describe()["platform"]}


def open_store(plan: Plan, folder: Path) -> CellStore:
    """The kept cells of a folder, for the plan's features and the versions at hand."""
    return CellStore(folder, plan.features.fingerprint, versions())


def compute_cell(
    features: Features,
    cell: Cell,
    work: Work | None = None,
    observed: CorruptedLabels | None = None,
) -> dict[str, Any]:
    """Compute one cell of prepared features with true labels: its rows, and what its heads took.

    ``work`` counts heads and is told about each; ``observed`` are those of the plan.
    """
    work = Work() if work is None else work
    draw = Draw(features, cell, work, observed)
    return {"rows": KINDS[cell.kind](draw), "work": work.as_dict()}


def run_study(
    plan: Plan,
    folder: Path,
    *,
    cells_folder: Path | None = None,
    progress: StudyProgress | None = None,
) -> StudyResult:
    """Compute what the folder does not hold yet, and collect all rows.

    The output folder is claimed for the plan's settings. Cells are kept in ``cells_folder``, by
    default ``folder/cells``; studies may share one, as a cell belongs to its content, not to a
    recipe. ``progress`` is told about cells and heads.

    Raises
    ------
    OutputError
        If the folder is of other settings, or cannot be written.
    GramlabError
        If a cell cannot be computed; those before it are kept.
    """
    progress = _Silent() if progress is None else progress
    claim_folder(folder, plan.identity() | {"versions": versions()})
    store = open_store(plan, folder / "cells" if cells_folder is None else cells_folder)
    read = [store.read(cell) for cell in plan.cells]
    damaged = tuple(reason for _, reason in read if reason)
    for reason in damaged:
        progress.damaged(reason)
    missing = [cell for cell, (found, _) in zip(plan.cells, read, strict=True) if found is None]
    kept = len(read) - len(missing)
    progress.begin(len(missing), sum(cell.heads for cell in missing), kept)
    computed = iter(_computed(plan, missing, store, progress))
    results = [next(computed) if found is None else found for found, _ in read]
    work = [found["work"] for found in results]
    return StudyResult(
        plan=plan,
        rows=_rows(plan, results),
        keys=tuple(map(store.key, plan.cells)),
        computed=len(missing),
        kept=kept,
        damaged=damaged,
        heads=sum(took["heads"] for took in work),
        passes=sum(took["passes"] for took in work),
        missed=sum(took["missed"] for took in work),
    )


def _computed(
    plan: Plan, cells: list[Cell], store: CellStore, progress: StudyProgress
) -> list[dict[str, Any]]:
    """Compute cells, several at once, and keep each as it is done."""
    from gramlab.machine import device

    stop = threading.Event()

    def head() -> None:
        if stop.is_set():
            raise _Stopping
        progress.head()

    def one(cell: Cell, place: int) -> dict[str, Any]:
        progress.cell(cell.words)
        computed = compute_cell(own[place], cell, Work(head), plan.observed)
        found = store.write(cell, computed)
        progress.cell_done()
        return found

    # What is memoized on features lives on one device, so each device has its own. The spectrum is
    # made before its workers share the cores.
    own = {0: plan.features}
    for place in set(device.workers()[: len(cells)]):
        own.setdefault(place, plan.features.replaced())
        with device.on_device(place):
            Spectrum.of(own[place])
    with warnings.catch_warnings():
        # A miss is counted, and told in its row. Filters are of the process, not of a thread.
        warnings.simplefilter("ignore", NotConvergedWarning)
        return parallel_map(one, cells, stop=stop)


class _Stopping(Exception):
    """Leaves a cell whose study has been stopped from another thread."""


def _rows(plan: Plan, results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """All rows with equal columns, and what the study calls its features and weight decays."""
    rows: list[dict[str, Any]] = []
    for cell, found in zip(plan.cells, results, strict=True):
        for values in found["rows"]:
            named = {"features": plan.name, "preparation": plan.preparation}
            for column, value in values.items():
                if column == "weight_decay":
                    named["weight_decay_name"] = cell.name
                named[column] = value
            rows.append(named)
    columns = dict.fromkeys(column for row in rows for column in row)
    return [{column: row.get(column) for column in columns} for row in rows]
