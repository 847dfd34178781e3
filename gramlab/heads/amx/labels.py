"""Sums of rows by label, in float64: what one-hot targets make of features."""

# What Numba compiles is called with fewer arguments than is written.
# pyright: reportCallIssue=false, reportPrivateImportUsage=false

from __future__ import annotations

import numpy as np
from numba import carray, cfunc, njit, types

from gramlab.heads.amx.instructions import peek, pointer
from gramlab.heads.amx.jobs import ROWS, finish, operand_at, result_at

__all__ = ["by_label"]


@njit
def _add_row(to, row):
    for i in range(len(to)):
        to[i] += np.float64(row[i])


@cfunc(types.void(types.int64))
def by_label(job):
    """Of rows Z (N, d) with labels (N,), for each part of the rows: sums (K, d)."""
    n, d, k = peek(job + 8), peek(job + 16), peek(job + 24)
    first, last, part = peek(job + 40), peek(job + 48), peek(job + 56)
    labels = carray(pointer(operand_at(job, 1)), (n,), np.int32)
    to = result_at(job, 0) + 8 * k * d * part
    carray(pointer(to), (k * d,), np.float64)[:] = 0.0
    for i in range(ROWS * first, min(ROWS * last, n)):
        row = carray(pointer(operand_at(job, 0) + 4 * d * i), (d,), np.float32)
        _add_row(carray(pointer(to + 8 * d * labels[i]), (d,), np.float64), row)
    finish(job)
