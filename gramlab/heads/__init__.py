"""Heads: theory and truth, two ways from features and targets to a ``Fit``."""
