"""Figures: results in, matplotlib ``Figure`` out, pure and without pyplot.

``figure_png`` and ``save_figure`` turn a figure into bytes and files that are equal for equal
results.
"""

from __future__ import annotations

from gramlab.figures._matplotlib import Figure
from gramlab.figures.by_round import (
    accuracy_by_round,
    check_figures,
    crossing_round,
    error_by_round,
    label_averaging,
)
from gramlab.figures.diagnosis import diagnosis_figures, settings_figure, suspects_figure
from gramlab.figures.eigenvalues import class_angles, eigenvalue_gap
from gramlab.figures.heatmaps import correlation_heatmap, gram_heatmap
from gramlab.figures.phase import phase_figure
from gramlab.figures.study import (
    accuracy_by_rounds,
    coverage_by_rate,
    error_by_logits,
    gain_over_teacher,
)
from gramlab.figures.style import figure_png, save_figure
from gramlab.figures.transition import transition_figure

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
