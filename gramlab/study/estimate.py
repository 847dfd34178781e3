"""What a study would take: cells, time and memory, before anything is computed."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from gramlab.features import Features
from gramlab.study.cells import CellStore
from gramlab.study.plan import Plan

__all__ = ["Estimate", "estimate_study"]


@dataclass(frozen=True)
class Estimate:
    """What a study would take on one device; times are good to a factor of about three.

    Of ``cells`` so many are ``kept`` already; ``heads`` are exact ones still to be fitted. Passes
    per head are assumed, or ``measured`` on the kept cells; the seconds of a pass, two products
    with the features, are timed here and now in float32. ``memory_bytes`` are held at a time.
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
    missing = [cell for cell, results in zip(plan.cells, found, strict=True) if results is None]
    heads, fitted = sum(cell.heads for cell in missing), sum(work["heads"] for work in kept)
    per_head = sum(work["passes"] for work in kept) / fitted if fitted else 80.0
    per_pass = _seconds_per_pass(plan.features) if heads else 0.0
    seconds = 4.0 if missing else 0.0  # compiling
    for cell in missing:
        # Passes, with the vector work around each that takes as long as its two products.
        passes = 2.0 * per_head
        if cell.kind == "published":
            passes = 8.0 * cell.options["epochs"]  # in batches, at four times the price
        # Comparing and certifying a head in float64 is worth 24 passes more.
        seconds += cell.heads * (0.02 + (passes + 48.0) * per_pass)
    n, d, k = plan.features.n_samples, plan.features.n_features, plan.features.n_classes
    together = max((cell.heads for cell in plan.cells), default=0)
    # Features in float64 on the host, as Gram coordinates, and in each precision on the device;
    # what a solve holds beside them; logits and weights of the heads of a cell.
    memory = 36 * n * d + 80 * n * k + (24 * n * k + 8 * d * k) * together
    counts = (len(plan.cells), len(kept), heads)
    return Estimate(*counts, per_head, fitted > 0, per_pass, seconds, memory)


def _seconds_per_pass(features: Features) -> float:
    """The best of three."""
    weights = np.zeros((features.n_features, features.n_classes), np.float32)
    totals = []
    for _ in range(3):
        total = 0.0
        for _, block in features.blocks(dtype=np.float32):
            began = time.perf_counter()
            np.matmul(block.T, block @ weights)
            total += time.perf_counter() - began
        totals.append(total)
    return min(totals)
