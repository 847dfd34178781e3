"""Figures: results in, matplotlib ``Figure`` out, pure and without pyplot.

``figure_png`` and ``save_figure`` turn a figure into bytes and files that are equal for equal
results.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.figure import Figure

from gramlab.figures.accuracy import accuracy_by_round
from gramlab.figures.approximation import error_by_logits
from gramlab.figures.averaging import crossing_round, label_averaging
from gramlab.figures.correlations import class_angles, correlation_heatmap
from gramlab.figures.coverage import coverage_by_rate
from gramlab.figures.diagnosis import settings_figure, suspects_figure
from gramlab.figures.eigenvalues import eigenvalue_gap
from gramlab.figures.errors import error_by_round
from gramlab.figures.gain import gain_over_teacher
from gramlab.figures.heatmap import gram_heatmap
from gramlab.figures.phase import phase_figure
from gramlab.figures.rounds import accuracy_by_rounds
from gramlab.figures.style import figure_png, save_figure
from gramlab.figures.transition import transition_figure

if TYPE_CHECKING:
    from gramlab.check import CheckResult
    from gramlab.diagnosis import Diagnosis

__all__ = [
    "Figure",
    "accuracy_by_round",
    "accuracy_by_rounds",
    "check_figures",
    "class_angles",
    "correlation_heatmap",
    "coverage_by_rate",
    "crossing_round",
    "diagnosis_figures",
    "eigenvalue_gap",
    "error_by_logits",
    "error_by_round",
    "figure_png",
    "gain_over_teacher",
    "gram_heatmap",
    "label_averaging",
    "phase_figure",
    "save_figure",
    "settings_figure",
    "suspects_figure",
    "transition_figure",
]


def check_figures(result: CheckResult) -> dict[str, Figure]:
    """All figures of ``gramlab check``, by the stem of their file name."""
    features = result.features
    return {
        "eigenvalue_gap": eigenvalue_gap(
            result.spectrum,
            features.n_classes,
            weight_decay=result.settings.weight_decay,
            rounds=result.settings.rounds,
        ),
        "gram_heatmap": gram_heatmap(features, result.given.true_labels),
        "label_averaging": label_averaging(
            result.dynamics("linearized"),
            result.dynamics("exact"),
            n_classes=features.n_classes,
            weights=result.averaging_weights(),
        ),
        "error_by_round": error_by_round(result.comparison, features.n_samples),
        "accuracy_by_round": accuracy_by_round(result),
    }


def diagnosis_figures(diagnosis: Diagnosis) -> dict[str, Figure]:
    """All figures of ``gramlab diagnose``, by the stem of their file name."""
    features, chosen = diagnosis.features, diagnosis.advice.chosen.setting
    truth = None if diagnosis.planted is None else diagnosis.planted.matrix
    return {
        "settings": settings_figure(diagnosis),
        "suspects": suspects_figure(diagnosis),
        "transition": transition_figure(diagnosis.estimate, features.class_names, truth),
        "eigenvalue_gap": eigenvalue_gap(
            diagnosis.spectrum,
            features.n_classes,
            weight_decay=chosen.weight_decay,
            rounds=chosen.rounds,
        ),
    }
