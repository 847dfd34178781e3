"""Other people's feature files as Features: nothing is unpickled, and nothing guessed.

Each column or array is a feature, the labels, or was dropped by name; what is left over is named.
"""

from gramlab.importing.features import SourceRows, import_features, read_source

__all__ = ["SourceRows", "import_features", "read_source"]
