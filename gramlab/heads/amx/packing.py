"""Features rounded and laid out as the tile registers take them."""

# What Numba compiles is called with fewer arguments than is written.
# pyright: reportCallIssue=false, reportPrivateImportUsage=false

from __future__ import annotations

import numpy as np
from numba import carray, cfunc, types

from gramlab.heads.amx.instructions import peek, pointer
from gramlab.heads.amx.jobs import ROWS, finish, operand_at, result_at
from gramlab.heads.amx.vectors import rounded

__all__ = ["pack"]


@cfunc(types.void(types.int64))
def pack(job):
    """Rows of Z (N, d), rounded, as tiles of rows and, turned, of columns."""
    n, d, first, last = peek(job + 8), peek(job + 16), peek(job + 40), peek(job + 48)
    pairs, steps = -(-n // ROWS), -(-d // 32)
    z = carray(pointer(operand_at(job, 0)), (n, d), np.uint32)
    by_rows = carray(pointer(result_at(job, 0)), (pairs, steps, 32, 32), np.uint16)
    by_columns = carray(pointer(result_at(job, 1)), (steps, pairs, 32, 32), np.uint16)
    for i in range(first, last):
        known = min(ROWS, n - ROWS * i)
        for s in range(steps):
            here = by_rows[i, s]
            width = min(32, d - 32 * s)
            for r in range(32):
                for c in range(32):
                    here[r, c] = np.uint16(0)
                if r < known:
                    for c in range(width):
                        here[r, c] = np.uint16(
                            rounded(z[ROWS * i + r, 32 * s + c]) >> np.uint32(16)
                        )
            there = by_columns[s, i]
            for c in range(32):
                for r in range(32):
                    there[c, r] = here[r, c]
    finish(job)
