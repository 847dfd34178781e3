"""All figures of a study, each with the cells it shows."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from matplotlib.figure import Figure

from gramlab.figures.display import Display, deprecated
from gramlab.figures.eigenvalues import EigenvalueDisplay
from gramlab.figures.study import GainDisplay, RoundsDisplay
from gramlab.figures.study_teacher import ApproximationDisplay, CoverageDisplay
from gramlab.spectrum import Spectrum
from gramlab.study.summary import PREMISES, measure_of

if TYPE_CHECKING:
    from gramlab.study.engine import StudyResult

__all__ = ["study_displays", "study_figures"]


def study_figures(result: StudyResult) -> dict[str, tuple[Figure, list[str]]]:
    """Deprecated: the figures of ``study_displays``, by the names of PNG files."""
    displays = study_displays(result)
    return {f"{s}.png": (deprecated("study_figures", d), k) for s, (d, k) in displays.items()}


def study_displays(result: StudyResult) -> dict[str, tuple[Display, list[str]]]:
    """The figures of ``gramlab study`` by the stem of their file, with keys of the cells shown."""
    rows, out = result.rows, {}
    plain = [row for row in rows if row["method"] not in (*PREMISES, "ablation", "published")]
    measure = measure_of(plain)

    def add(
        stem: str, display: Display, *kinds: str, noise: str | None = None, names: tuple = ()
    ) -> None:
        """With cells of these kinds, this noise (None: any) and these weight decays (none: any)."""
        out[re.sub(r"[^\w.-]+", "-", stem)] = (
            display,
            [
                key
                for key, cell in zip(result.keys, result.plan.cells, strict=True)
                if cell.kind in kinds
                and noise in (None, cell.noise)
                and (not names or cell.name in names)
            ],
        )

    found = dict.fromkeys((row["noise"], row["weight_decay_name"]) for row in plain)
    settings = [(noise, size) for noise, size in found if size != "tuned"]
    for noise, size in settings:
        own = [row for row in plain if row["noise"] == noise]
        own = [row for row in own if row["weight_decay_name"] in (size, "tuned")]
        if any(row["method"] == "distill" and row["round"] == 2 for row in own):
            gains, names = GainDisplay.from_rows(own, measure=measure), (size, "tuned")
            add(f"gain-{noise}-{size}", gains, "grid", "tuned", noise=noise, names=names)
        plain_own = [row for row in own if row["method"] != "tuned"]
        curves = RoundsDisplay.from_rows(plain_own, measure=measure)
        add(f"rounds-{noise}-{size}", curves, "grid", noise=noise, names=(size,))
    for size in dict.fromkeys(size for _, size in settings):
        own = [row for row in plain if row["weight_decay_name"] == size]
        teachers = CoverageDisplay.from_rows([r for r in own if r["method"] == "distill"])
        add(f"coverage-{size}", teachers, "grid", names=(size,))
    for noise in dict.fromkeys(row["noise"] for row in rows if row["method"] == "approximation"):
        errors = ApproximationDisplay.from_rows([row for row in rows if row["noise"] == noise])
        add(f"error-by-logits-{noise}", errors, "approximation", noise=noise)
    if any(row["method"] == "structure" for row in rows):
        features = result.plan.features
        gap = EigenvalueDisplay.from_spectrum(Spectrum.of(features), features.n_classes)
        add("eigenvalue-gap", gap, "structure")
    return out
