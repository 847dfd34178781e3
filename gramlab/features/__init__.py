"""Features: a frozen feature matrix with its labels, its optional test split and its history.

``matrix`` holds the class, ``description`` checks what is said beside the numbers (which classes
there are, where the features come from), ``preparation`` computes centring and unit norm.
"""

from gramlab.features.matrix import Features

__all__ = ["Features"]
