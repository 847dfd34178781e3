"""Rounds of self-distillation, for every head alike, and what they do to labels."""

from gramlab.distillation.averaging import Dynamics, dynamics, label_averaging
from gramlab.distillation.recursion import Head, Rounds, distill, largest_classes

__all__ = [
    "Dynamics",
    "Head",
    "Rounds",
    "distill",
    "dynamics",
    "label_averaging",
    "largest_classes",
]
