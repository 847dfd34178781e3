"""Small matrices of numbers from files: a corruption matrix that somebody measured."""

from __future__ import annotations

import io
import os

import numpy as np

from gramlab.errors import InvalidSetting, UnreadableSource
from gramlab.files.sources import place_of, read_npy
from gramlab.files.whole import read_bytes, reading

__all__ = ["read_matrix"]

_FORMS = "give a .csv file of numbers, one row a line, or an .npy file"


def read_matrix(path: str | os.PathLike[str]) -> np.ndarray:
    """Read a matrix of real numbers from a .csv file without header, or an .npy file.

    Raises
    ------
    UnreadableSource
        If there is no such file, or it is neither.
    InvalidSetting
        If an .npy file holds anything but a matrix of real numbers.
    """
    place, kind = place_of(path, "matrix", _FORMS)
    suffix = place.suffix.lower()
    if kind != "a file" or suffix not in (".csv", ".npy"):
        found = f"is {kind or 'not there'}" if kind != "a file" else f"has the suffix {suffix!r}"
        raise UnreadableSource(f"matrix {os.fspath(path)!r} {found}; {_FORMS}")
    if suffix == ".npy":
        matrix = read_npy(place)
        if matrix.ndim != 2 or matrix.dtype.kind not in "fiub":
            raise InvalidSetting(
                f"{place.name!r} must hold a matrix of real numbers, got {matrix.dtype} of shape "
                f"{matrix.shape}; {_FORMS}"
            )
        return matrix.astype(np.float64)
    with reading(f"matrix {place.name!r}", form="no table of numbers", fix=_FORMS):
        text = read_bytes(place).decode("utf-8-sig")
        if not text.strip():
            raise ValueError("it is empty")
        return np.loadtxt(io.StringIO(text), delimiter=",", ndmin=2, comments=None)
