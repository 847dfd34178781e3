"""What lies between two products of conjugate gradients, in rows of features, in place."""

# What Numba compiles is called with fewer arguments than is written.
# pyright: reportCallIssue=false, reportPrivateImportUsage=false

from __future__ import annotations

import numpy as np
from numba import carray, cfunc, njit, types

from gramlab.heads.amx.instructions import peek, pointer
from gramlab.heads.amx.jobs import SPACE, finish, operand_at, result_at, set_sums
from gramlab.heads.amx.vectors import add, add_multiple

__all__ = ["update"]

_BAND = 8  # rows of weights that are worked on at once


@njit(fastmath={"contract"})
def _reduce(r, product, along, numbers):
    """R −= α (product/N + λ D)."""
    of_product, of_along = numbers[0] * numbers[3], numbers[0] * numbers[2]
    for i in range(len(r)):
        r[i] -= of_product * product[i] + of_along * along[i]


@njit(fastmath={"reassoc", "contract"})
def _precondition(r, y, scale, k):
    """Of one feature: r less its mean, y = M⁻¹r less what does not sum to zero; ⟨r, y⟩, ⟨r, r⟩."""
    total = np.float32(0.0)
    for c in range(k):
        total += r[c]
    mean = total / np.float32(k)
    scaled, scales = np.float32(0.0), np.float32(0.0)
    for c in range(k):
        r[c] -= mean
        scaled += scale[c] * r[c]
        scales += scale[c]
    share = scaled / scales if scales > np.float32(0.0) else np.float32(0.0)
    product, squares = np.float32(0.0), np.float32(0.0)
    for c in range(k):
        y[c] = scale[c] * (r[c] - share)
        product += r[c] * y[c]
        squares += r[c] * r[c]
    return product, squares


@cfunc(types.void(types.int64))
def update(job):
    """One step of conjugate gradients along D = Y + β D, in rows of features, where they are.

    X += α D, R −= α H D and less its mean over classes, Y = M⁻¹R on what sums to zero over them.
    """
    d, k, parts = peek(job + 8), peek(job + 24), peek(job + 32)
    first, last, part = peek(job + 40), peek(job + 48), peek(job + 56)
    wide, steps = -(-k // 16), -(-d // 32)
    width, all_rows = 16 * wide, 32 * steps
    numbers = carray(pointer(operand_at(job, 6)), (4,), np.float32)
    space = carray(pointer(job + SPACE), (_BAND * width,), np.float32)
    product = squares = 0.0
    for begin in range(32 * first, 32 * last, _BAND):
        shape, at = (_BAND * width,), 4 * begin * width
        space[:] = np.float32(0.0)
        for i in range(parts):
            some = operand_at(job, 0) + 4 * i * all_rows * width + at
            add(space, carray(pointer(some), shape, np.float32))
        x = carray(pointer(result_at(job, 0) + at), shape, np.float32)
        r = carray(pointer(result_at(job, 1) + at), shape, np.float32)
        y = carray(pointer(result_at(job, 2) + at), shape, np.float32)
        along = carray(pointer(result_at(job, 3) + at), shape, np.float32)
        scale = carray(pointer(operand_at(job, 5) + at), shape, np.float32)
        add_multiple(along, y, along, numbers[1])
        add_multiple(x, x, along, numbers[0])
        _reduce(r, space, along, numbers)
        for j in range(0, _BAND * width, width):
            some = _precondition(r[j : j + width], y[j : j + width], scale[j : j + width], k)
            product += some[0]
            squares += some[1]
    set_sums(job, part, product, squares)
    finish(job)
