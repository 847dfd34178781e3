"""What a study would take: cells, time and memory, before anything is computed."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from gramlab.study.cells import Cell
from gramlab.study.plan import Plan
from gramlab.study.store import CellStore

__all__ = ["Estimate", "estimate_study"]

_PASSES = 80.0  # per head, where no cell is kept from which to read it
_CERTIFYING = 24.0  # passes worth of comparing and certifying a head, which is done in float64
_VECTOR_WORK = 2.0  # a pass with the vector work around it, in units of its two products
_BATCH_WORK = 4.0  # an epoch in batches, in units of one pass over all rows at once
_SECONDS_PER_HEAD = 0.02  # whatever its size
_SECONDS_TO_START = 4.0  # compiling
_BYTES_PER_FEATURE = 36  # float64 on the host, Gram coordinates, and each precision on the device
_BYTES_PER_LOGIT = 80  # what a solve holds beside them ...
_BYTES_PER_HEAD = 24  # ... and what is kept of each head of a cell, per logit


@dataclass(frozen=True)
class Estimate:
    """What a study would take; the times are estimates, good to a factor of about three.

    Attributes
    ----------
    cells, kept
        Cells of the plan, and how many of them are there already.
    heads
        Exact heads still to be fitted.
    passes_per_head
        Assumed; measured on the kept cells where there are any.
    measured
        Whether it was.
    seconds_per_pass
        Two products with the features, timed here and now in float32.
    seconds
        Of the whole study, on one device.
    memory_bytes
        That it will hold at a time.
    """

    cells: int
    kept: int
    heads: int
    passes_per_head: float
    measured: bool
    seconds_per_pass: float
    seconds: float
    memory_bytes: int

    def as_dict(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)


def estimate_study(plan: Plan, store: CellStore | None) -> Estimate:
    """Estimate what a plan would take, given what a store holds."""
    found = [None if store is None else store.read(cell)[0] for cell in plan.cells]
    kept = [results["work"] for results in found if results is not None]
    missing = [cell for cell, r in zip(plan.cells, found, strict=True) if r is None]
    heads = sum(cell.heads for cell in missing)
    done = sum(work["heads"] for work in kept)
    per_head = sum(work["passes"] for work in kept) / done if done else _PASSES
    seconds = _seconds_per_pass(plan) if heads else 0.0
    n, d, k = plan.features.n_samples, plan.features.n_features, plan.features.n_classes
    per_cell = max((cell.heads for cell in plan.cells), default=0)
    return Estimate(
        cells=len(plan.cells),
        kept=len(kept),
        heads=heads,
        passes_per_head=per_head,
        measured=done > 0,
        seconds_per_pass=seconds,
        seconds=_seconds(missing, per_head, seconds),
        memory_bytes=_BYTES_PER_FEATURE * n * d
        + (_BYTES_PER_LOGIT + _BYTES_PER_HEAD * per_cell) * n * k
        + 8 * d * k * per_cell,
    )


def _seconds(missing: list[Cell], per_head: float, per_pass: float) -> float:
    total = _SECONDS_TO_START if missing else 0.0
    for cell in missing:
        in_batches = _BATCH_WORK * _VECTOR_WORK * cell.options.get("epochs", 0)
        own = in_batches if cell.kind == "published" else per_head * _VECTOR_WORK
        total += cell.heads * (_SECONDS_PER_HEAD + (own + _CERTIFYING * _VECTOR_WORK) * per_pass)
    return total


def _seconds_per_pass(plan: Plan) -> float:
    """The best of three."""
    features = plan.features
    weights = np.zeros((features.n_features, features.n_classes), np.float32)
    best = np.inf
    for _ in range(3):
        total = 0.0
        for _, block in features.blocks(dtype=np.float32):
            began = time.perf_counter()
            np.matmul(block.T, block @ weights)
            total += time.perf_counter() - began
        best = min(best, total)
    return float(best)
