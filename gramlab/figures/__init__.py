"""Figures: a Display is made from results and drawn by ``plot``, without pyplot.

It draws in the house style, or on axes of the caller. ``figure_png`` and ``save_figure`` turn one
into bytes and files that are equal for equal results.
"""

from __future__ import annotations

from gramlab.figures._matplotlib import Figure
from gramlab.figures.averaging import (
    AveragingDisplay,
    DynamicsDisplay,
    LabelAveragingDisplay,
    crossing_round,
    label_averaging,
)
from gramlab.figures.by_round import (
    AccuracyDisplay,
    ErrorDisplay,
    accuracy_by_round,
    check_displays,
    check_figures,
    error_by_round,
)
from gramlab.figures.diagnosis import diagnosis_figures, settings_figure, suspects_figure
from gramlab.figures.display import Display, figure_png, save_figure
from gramlab.figures.eigenvalues import (
    AnglesDisplay,
    EigenvalueDisplay,
    class_angles,
    eigenvalue_gap,
)
from gramlab.figures.heatmaps import (
    CorrelationDisplay,
    GramDisplay,
    correlation_heatmap,
    gram_heatmap,
    transition_figure,
)
from gramlab.figures.phase import phase_figure
from gramlab.figures.study import (
    accuracy_by_rounds,
    coverage_by_rate,
    error_by_logits,
    gain_over_teacher,
)

__all__ = [
    "AccuracyDisplay",
    "AnglesDisplay",
    "AveragingDisplay",
    "CorrelationDisplay",
    "Display",
    "DynamicsDisplay",
    "EigenvalueDisplay",
    "ErrorDisplay",
    "Figure",
    "GramDisplay",
    "LabelAveragingDisplay",
    "accuracy_by_round",
    "accuracy_by_rounds",
    "check_displays",
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
