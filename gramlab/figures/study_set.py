"""All figures of a study, each with the cells it shows."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from matplotlib.figure import Figure

from gramlab.figures import (
    accuracy_by_rounds,
    coverage_by_rate,
    eigenvalue_gap,
    error_by_logits,
    gain_over_teacher,
)
from gramlab.spectrum import Spectrum
from gramlab.study.summary import PREMISES, measure_of

if TYPE_CHECKING:
    from gramlab.study.engine import StudyResult

__all__ = ["study_figures"]


def study_figures(result: StudyResult) -> dict[str, tuple[Figure, list[str]]]:
    """The figures of ``gramlab study`` by file name, each with the keys of the cells it shows."""
    rows, out = result.rows, {}
    plain = [row for row in rows if row["method"] not in (*PREMISES, "ablation", "published")]
    measure = measure_of(plain)

    def keys(kinds: Sequence[str], noise: str | None = None, *names: str) -> list[str]:
        """Of cells of these kinds, this noise (None: any) and these weight decays (none: any)."""
        return [
            key
            for key, cell in zip(result.keys, result.plan.cells, strict=True)
            if cell.kind in kinds
            and noise in (None, cell.noise)
            and (not names or cell.name in names)
        ]

    settings = dict.fromkeys((row["noise"], row["weight_decay_name"]) for row in plain)
    sizes = dict.fromkeys(size for _, size in settings if size != "tuned")
    for noise, size in settings:
        if size == "tuned":
            continue
        own = [row for row in plain if row["noise"] == noise]
        own = [row for row in own if row["weight_decay_name"] in (size, "tuned")]
        stem = _slug(f"{noise}-{size}")
        if any(row["method"] == "distill" and row["round"] == 2 for row in own):
            drawn = gain_over_teacher(own, measure=measure)
            out[f"gain-{stem}.png"] = (drawn, keys(("grid", "tuned"), noise, size, "tuned"))
        heads = [row for row in own if row["method"] != "tuned"]
        drawn = accuracy_by_rounds(heads, measure=measure)
        out[f"rounds-{stem}.png"] = (drawn, keys(("grid",), noise, size))
    for size in sizes:
        own = [row for row in plain if row["weight_decay_name"] == size]
        teachers = [row for row in own if row["method"] == "distill"]
        drawn = coverage_by_rate(teachers)
        out[f"coverage-{_slug(size)}.png"] = (drawn, keys(("grid",), None, size))
    for noise in dict.fromkeys(row["noise"] for row in rows if row["method"] == "approximation"):
        drawn = error_by_logits([row for row in rows if row["noise"] == noise])
        stem = f"error-by-logits-{_slug(noise)}"
        out[f"{stem}.png"] = (drawn, keys(("approximation",), noise))
    if any(row["method"] == "structure" for row in rows):
        features = result.plan.features
        drawn = eigenvalue_gap(Spectrum.of(features), features.n_classes)
        out["eigenvalue-gap.png"] = (drawn, keys(("structure",)))
    return out


def _slug(text: str) -> str:
    return re.sub(r"[^\w.-]+", "-", text)
