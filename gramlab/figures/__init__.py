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
from gramlab.figures.diagnosis import (
    SettingsDisplay,
    SuspectsDisplay,
    diagnosis_displays,
    diagnosis_figures,
    settings_figure,
    suspects_figure,
)
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
)
from gramlab.figures.path import PathDisplay
from gramlab.figures.phase import PhaseDisplay, phase_figure
from gramlab.figures.study import (
    GainDisplay,
    RoundsDisplay,
    accuracy_by_rounds,
    gain_over_teacher,
)
from gramlab.figures.study_teacher import (
    ApproximationDisplay,
    CoverageDisplay,
    coverage_by_rate,
    error_by_logits,
)
from gramlab.figures.total_decay import TotalDecayDisplay
from gramlab.figures.transition import TransitionDisplay, transition_figure

__all__ = [
    "AccuracyDisplay",
    "AnglesDisplay",
    "AveragingDisplay",
    "CorrelationDisplay",
    "ApproximationDisplay",
    "CoverageDisplay",
    "Display",
    "DynamicsDisplay",
    "EigenvalueDisplay",
    "ErrorDisplay",
    "Figure",
    "GramDisplay",
    "LabelAveragingDisplay",
    "GainDisplay",
    "PathDisplay",
    "PhaseDisplay",
    "RoundsDisplay",
    "SettingsDisplay",
    "SuspectsDisplay",
    "TotalDecayDisplay",
    "TransitionDisplay",
    "accuracy_by_round",
    "accuracy_by_rounds",
    "check_displays",
    "check_figures",
    "class_angles",
    "correlation_heatmap",
    "coverage_by_rate",
    "crossing_round",
    "diagnosis_displays",
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
