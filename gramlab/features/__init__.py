"""Features: a frozen feature matrix with its labels, its optional test split and its history."""

from gramlab.features.matrix import Features

__all__ = ["Features"]
