"""The engine: a recipe on features, cell by cell, each computed once and kept.

Independent cells are computed in batches, one cell for each worker: on a CPU the heads of one fill
the cores wherever those of the other leave them idle. A study that was stopped, by Ctrl-C or by
force, goes on where it was: at most the batch in hand is lost. Nothing in its results depends on
the order or the time in which cells were computed.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any, Protocol

from gramlab.errors import NotConvergedWarning
from gramlab.features import Features
from gramlab.runner import parallel_map
from gramlab.spectrum import Spectrum
from gramlab.study.cells import Cell
from gramlab.study.draws import Draw, Work
from gramlab.study.kinds import KINDS
from gramlab.study.plan import Plan
from gramlab.study.store import CellStore, claim_folder

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


@dataclass(frozen=True, eq=False)
class StudyResult:
    """Everything a study found.

    Attributes
    ----------
    plan
        What was asked.
    rows
        One mapping per head, in the order of the plan's cells.
    keys
        Key of each of the plan's cells.
    computed, kept
        Cells computed by this run, and found in the folder.
    damaged
        Why kept cells were computed again.
    heads, passes, missed
        Exact heads of all cells, their passes over the features, and how many of them missed
        their tolerance.
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


def compute_cell(features: Features, cell: Cell, work: Work | None = None) -> dict[str, Any]:
    """Compute one cell: its rows, and what its heads took.

    Parameters
    ----------
    features
        Prepared features with true labels.
    cell
        What to compute.
    work
        Counts heads; told about each.

    Returns
    -------
    dict
        ``rows`` and ``work``.
    """
    work = Work() if work is None else work
    return {"rows": KINDS[cell.kind](Draw(features, cell, work)), "work": work.as_dict()}


def run_study(
    plan: Plan,
    folder: Path,
    *,
    cells_folder: Path | None = None,
    progress: StudyProgress | None = None,
) -> StudyResult:
    """Compute what the folder does not hold yet, and collect all rows.

    Parameters
    ----------
    plan
        Features and cells.
    folder
        Output folder; claimed for the plan's settings.
    cells_folder
        Where cells are kept; default ``folder/cells``. Studies may share one: a cell belongs to
        its content, not to a recipe.
    progress
        Told about cells and heads.

    Raises
    ------
    OutputError
        If the folder is of other settings, or cannot be written.
    GramlabError
        If a cell cannot be computed; those before it are kept.
    """
    claim_folder(folder, plan.identity() | {"versions": versions()})
    store = open_store(plan, folder / "cells" if cells_folder is None else cells_folder)
    results, damaged = {}, []
    for index, cell in enumerate(plan.cells):
        found, reason = store.read(cell)
        if found is not None:
            results[index] = found
        if reason:
            damaged.append(reason)
            if progress is not None:
                progress.damaged(reason)
    missing = [index for index in range(len(plan.cells)) if index not in results]
    if progress is not None:
        heads = sum(plan.cells[index].heads for index in missing)
        progress.begin(len(missing), heads, len(results))
    results |= _compute(plan, missing, store, progress)
    whole = [results[index] for index in range(len(plan.cells))]
    work = [found["work"] for found in whole]
    return StudyResult(
        plan=plan,
        rows=_rows(plan, whole),
        keys=tuple(store.key(cell) for cell in plan.cells),
        computed=len(missing),
        kept=len(plan.cells) - len(missing),
        damaged=tuple(damaged),
        heads=sum(took["heads"] for took in work),
        passes=sum(took["passes"] for took in work),
        missed=sum(took["missed"] for took in work),
    )


def _compute(
    plan: Plan, missing: Sequence[int], store: CellStore, progress: StudyProgress | None
) -> dict[int, dict[str, Any]]:
    """Compute the missing cells, several at once, and keep each as it is done."""
    from gramlab.machine import device

    stop = threading.Event()

    def head() -> None:
        if stop.is_set():
            raise _Stopping
        if progress is not None:
            progress.head()

    def one(index: int, place: int) -> dict[str, Any]:
        cell = plan.cells[index]
        if progress is not None:
            progress.cell(cell.words)
        found = store.write(cell, compute_cell(own[place], cell, Work(head)))
        if progress is not None:
            progress.cell_done()
        return found

    # What is memoized on features lives on one device, so each device has its own. The spectrum is
    # made before its workers share the cores.
    own = {0: plan.features}
    for place in set(device.workers()[: len(missing)]):
        own.setdefault(place, plan.features.replaced())
        with device.on_device(place):
            Spectrum.of(own[place])
    with warnings.catch_warnings():
        # A miss is counted, and told in its row. Filters are of the process, not of a thread.
        warnings.simplefilter("ignore", NotConvergedWarning)
        return dict(zip(missing, parallel_map(one, missing, stop=stop), strict=True))


class _Stopping(Exception):
    """Leaves a cell whose study has been stopped from another thread."""


def _rows(plan: Plan, results: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
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
