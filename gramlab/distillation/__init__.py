"""Rounds of self-distillation, for every head alike, and what they do to labels."""

from gramlab.distillation.averaging import Dynamics, dynamics, label_averaging
from gramlab.distillation.classes import largest_classes
from gramlab.distillation.cross_validation import (
    OptimalMixing,
    RiskByRound,
    optimal_mixing,
    risk_by_round,
)
from gramlab.distillation.proximal import Ball, BallCheck, Entropy, WeightNorm
from gramlab.distillation.recursion import Head, distill
from gramlab.distillation.rounds import Rounds, same_features

__all__ = [
    "Ball",
    "BallCheck",
    "Dynamics",
    "Entropy",
    "Head",
    "OptimalMixing",
    "RiskByRound",
    "Rounds",
    "WeightNorm",
    "distill",
    "dynamics",
    "label_averaging",
    "largest_classes",
    "optimal_mixing",
    "risk_by_round",
    "same_features",
]
