"""What a line search sees at one length: the softmax's change, its slope and its curvature."""

# What Numba compiles is called with fewer arguments than is written.
# pyright: reportCallIssue=false, reportPrivateImportUsage=false

from __future__ import annotations

import numpy as np
from numba import carray, cfunc, njit, types

from gramlab.heads.amx.instructions import bits, number, peek, pointer
from gramlab.heads.amx.jobs import ROWS, SPACE, finish, operand_at, result_at, set_sums
from gramlab.heads.amx.vectors import add_multiple

__all__ = ["look"]

# exp(u) = 2ⁿ exp(r), |r| ≤ ln 2/2. Adding 1.5 · 2²³ rounds to whole numbers, in the lowest bits.
_LOG2E, _WHOLE = np.float32(1.44269504), np.float32(12582912.0)
_LN2, _LN2_REST = np.float32(0.693359375), np.float32(-2.12194440e-4)
_MOST = np.float32(60.0)  # size of logits up to which no sum of exponentials leaves the range
_LEAST = np.float32(-80.0)  # where exponentials are taken for as good as 0
_ONE, _HALF = np.float32(1.0), np.float32(0.5)
_TAYLOR = tuple(np.float32(1.0 / f) for f in (2.0, 6.0, 24.0, 120.0, 720.0, 5040.0))


@njit(fastmath={"contract"})
def _exponentials(u, e, f):
    """expm1(u) and exp(u), for u up to 60, both of small relative error."""
    a, b, c, d, g, h = _TAYLOR
    for i in range(len(u)):
        v = _LEAST if u[i] < _LEAST else u[i]  # in this order what is not a number stays so
        whole = v * _LOG2E + _WHOLE
        n = whole - _WHOLE
        r = (v - n * _LN2) - n * _LN2_REST
        part = r + r * r * (a + r * (b + r * (c + r * (d + r * (g + r * h)))))
        power = number((bits(whole) << np.uint32(23)) + np.uint32(0x3F800000))
        e[i] = power * part + (power - _ONE)
        f[i] = power * part + power


@njit
def _count_large(u):
    found = 0
    for i in range(len(u)):
        found += (u[i] > _MOST) | (u[i] < -_MOST)
    return found


@njit
def _shift(u):
    """Less its maximum, which changes no softmax."""
    largest = u[0]
    for i in range(len(u)):
        largest = max(largest, u[i])
    for i in range(len(u)):
        u[i] -= largest


@njit(fastmath={"reassoc", "contract"})
def _partition(p, e, f):
    """⟨p, e⟩ and ⟨p, f⟩."""
    mean, whole = np.float32(0.0), np.float32(0.0)
    for k in range(len(p)):
        mean += p[k] * e[k]
        whole += p[k] * f[k]
    return mean, whole


@njit(fastmath={"reassoc", "contract"})
def _change(p, e, f, moved, before, after, mean, whole):
    """Of one row, as in ``heads.solver``, to ``after``; its part of the slope and of its slope."""
    small, share = whole > _HALF, _ONE / whole
    slope = first = second = np.float32(0.0)
    for k in range(len(p)):
        change = p[k] * (e[k] - mean if small else f[k] - whole) * share
        after[k] = change
        slope += (change - before[k]) * moved[k]
        weighted = (p[k] + change) * moved[k]
        first += weighted
        second += weighted * moved[k]
    return slope, second - first * first


@cfunc(types.void(types.int64))
def look(job):
    """ΔP at U + τ M, Σ ⟨ΔP − ΔP at U, M⟩ and its derivative by τ, all in one reading."""
    n, k, first, last = peek(job + 8), peek(job + 24), peek(job + 40), peek(job + 48)
    part, area = peek(job + 56), ROWS * 64 * -(-k // 16)
    tau = carray(pointer(operand_at(job, 4)), (1,), np.float32)[0]
    slope = curvature = 0.0
    for i in range(first, last):
        known = min(ROWS, n - ROWS * i)
        at, size = 4 * ROWS * i * k, known * k
        p = carray(pointer(operand_at(job, 0) + at), (size,), np.float32)
        logits = carray(pointer(operand_at(job, 1) + at), (size,), np.float32)
        moved = carray(pointer(operand_at(job, 2) + at), (size,), np.float32)
        before = carray(pointer(operand_at(job, 3) + at), (size,), np.float32)
        after = carray(pointer(result_at(job, 0) + at), (size,), np.float32)
        u = carray(pointer(job + SPACE), (size,), np.float32)
        e = carray(pointer(job + SPACE + area), (size,), np.float32)
        f = carray(pointer(job + SPACE + 2 * area), (size,), np.float32)
        add_multiple(u, logits, moved, tau)
        if _count_large(u):
            for j in range(0, size, k):
                _shift(u[j : j + k])
        _exponentials(u, e, f)
        for j in range(0, size, k):
            end = j + k
            mean, whole = _partition(p[j:end], e[j:end], f[j:end])
            some = _change(
                p[j:end], e[j:end], f[j:end], moved[j:end], before[j:end], after[j:end], mean, whole
            )
            slope += some[0]
            curvature += some[1]
    set_sums(job, part, slope, curvature)
    finish(job)
