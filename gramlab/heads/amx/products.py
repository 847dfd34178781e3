"""Products of the features in tiles: logits, moments, and curvatures in one reading of each.

C += A·B takes A as 16 rows × 32 and B as 16 pairs of rows × 16 columns × 2. S is applied to logits
while they are in the nearest cache, so that Z̃ᵀ S Z̃ d is one call.
"""

# What Numba compiles is called with fewer arguments than is written.
# pyright: reportCallIssue=false, reportPrivateImportUsage=false

from __future__ import annotations

import numpy as np
from numba import carray, cfunc, njit, types

from gramlab.heads.amx.instructions import (
    bits,
    configuration,
    configure,
    fetch,
    load0,
    load1,
    load2,
    load3,
    load4,
    load5,
    load6,
    load7,
    peek,
    pointer,
    store0,
    store1,
    store2,
    store3,
    times046,
    times147,
    times256,
    times357,
    zero0,
    zero1,
    zero2,
    zero3,
)
from gramlab.heads.amx.jobs import (
    ALONG,
    JOB,
    LOGITS,
    MOMENTS,
    ROWS,
    SPACE,
    TILE,
    finish,
    operand_at,
    result_at,
    set_sums,
)
from gramlab.heads.amx.vectors import add_multiple, rounded, sum_of_squares

__all__ = ["multiply"]

# Two tiles of rows stay in the nearest cache for so many steps. Then sums are stored; after more
# than twenty the unit that stores tiles has fallen asleep and takes long.
_STEPS = 10
_FETCHED = 6  # lines a step of the next such tiles


@njit
def _sums(a, b, steps, two, ahead, lines):
    """Sums 0 to 3 += two tiles of rows times two tiles of columns (or one), over ``steps``.

    Meanwhile so many cache lines a step are fetched from ``ahead``.
    """
    if two:
        for _step in range(steps):
            for _ in range(lines):
                fetch(ahead)
                ahead += 64
            load4(a, 64)
            load6(b, 64)
            times046()
            load5(a + TILE, 64)
            times256()
            load7(b + TILE, 64)
            times147()
            times357()
            a += 2 * TILE
            b += 2 * TILE
    else:
        for _step in range(steps):
            for _ in range(lines):
                fetch(ahead)
                ahead += 64
            load4(a, 64)
            load6(b, 64)
            times046()
            load5(a + TILE, 64)
            times256()
            a += 2 * TILE
            b += TILE


@njit
def _product(a, b, steps, wide, to, known):
    """A·B of two tiles of rows and ``wide`` of columns, to or onto what is ``known`` there."""
    row = 64 * wide
    for first in range(0, steps, _STEPS):
        count = min(_STEPS, steps - first)
        for j in range(0, wide, 2):
            two = j + 1 < wide
            here = to + 64 * j
            if known or first:
                _from_memory(here, row, two)
            else:
                zero0()
                zero1()
                zero2()
                zero3()
            at = (j // 2) * steps * 2 * TILE + first * (2 * TILE if two else TILE)
            ahead = a + (first + _STEPS) * 2 * TILE + (j // 2) * count * 64 * _FETCHED
            _sums(a + first * 2 * TILE, b + at, count, two, ahead, _FETCHED if j else 0)
            _to_memory(here, row, two)


@njit
def _from_memory(to, row, two):
    load0(to, row)
    load2(to + 16 * row, row)
    if two:
        load1(to + 64, row)
        load3(to + 16 * row + 64, row)


@njit
def _to_memory(to, row, two):
    store0(to, row)
    store2(to + 16 * row, row)
    if two:
        store1(to + 64, row)
        store3(to + 16 * row + 64, row)


@njit
def _column_tile(j, wide, steps):
    """Where the tiles of columns 16 j begin, in bytes, and how far apart they are."""
    begin = (j // 2) * steps * 2 * TILE
    if j == wide - 1 and wide % 2:
        return begin, TILE
    return begin + (j % 2) * TILE, 2 * TILE


@njit
def _pack_columns(values, wide, packed, i, steps):
    """Rows (32, 16 wide) of B, in pairs: step i of ``steps``."""
    for j in range(wide):
        begin, apart = _column_tile(j, wide, steps)
        at = (begin + i * apart) // 4
        for q in range(16):
            for c in range(16):
                low = rounded(values[2 * q, 16 * j + c])
                high = rounded(values[2 * q + 1, 16 * j + c])
                packed[at + 16 * q + c] = (low >> np.uint32(16)) | high


@njit(fastmath={"reassoc", "contract"})
def _mean(p, v):
    found = np.float32(0.0)
    for k in range(len(v)):
        found += p[k] * v[k]
    return found


@njit(fastmath={"reassoc", "contract"})
def _variance(p, v, mean):
    found = np.float32(0.0)
    for k in range(len(v)):
        found += p[k] * v[k] * (v[k] - mean)
    return found


@njit(fastmath={"contract"})
def _weigh(values, weights, known, wide, packed, i, steps):
    """S V by rows, p ∘ (v − ⟨p, v⟩), as columns like V in ``_pack_columns``; Σ ⟨v, S v⟩."""
    curved = np.float32(0.0)
    for q in range(16):
        first, second = 2 * q, 2 * q + 1
        v, w = values[first], values[second]
        # Rows that only fill the tile take any weights; they become 0.
        p, r = weights[min(first, known - 1)], weights[min(second, known - 1)]
        of_v, of_w = _mean(p, v), _mean(r, w)
        there, too = np.float32(first < known), np.float32(second < known)
        curved += there * _variance(p, v, of_v) + too * _variance(r, w, of_w)
        for j in range(wide):
            begin, apart = _column_tile(j, wide, steps)
            at = (begin + i * apart) // 4 + 16 * q
            for c in range(16):
                k = 16 * j + c
                low = rounded(bits(there * p[k] * (v[k] - of_v)))
                high = rounded(bits(too * r[k] * (w[k] - of_w)))
                packed[at + c] = (low >> np.uint32(16)) | high
    return curved


@njit
def _combine(values, first, job, at):
    """Rows (32, K') of Y + β D; their sum of squares."""
    size = values.size
    flat = values.reshape(size)
    y = carray(pointer(first), (size,), np.float32)
    d = carray(pointer(operand_at(job, 4) + ROWS * at), (size,), np.float32)
    add_multiple(flat, y, d, carray(pointer(operand_at(job, 5)), (1,), np.float32)[0])
    return sum_of_squares(flat)


@njit
def _configure_tiles(settings):
    """Eight tiles of 16 rows of 64 bytes."""
    numbers = carray(pointer(settings), (64,), np.uint8)
    numbers[:] = 0
    numbers[0] = 1
    for i in range(8):
        numbers[16 + 2 * i] = 64
        numbers[48 + i] = 16
    configure(settings)


@cfunc(types.void(types.int64))
def multiply(job):
    """Logits, moments or curvatures of the pairs of row tiles from ``first`` to ``last``."""
    # Who else uses the registers on this thread may count on finding its own configuration.
    configuration(job + JOB)
    _configure_tiles(job + JOB + 64)
    kind, n, d, k = peek(job), peek(job + 8), peek(job + 16), peek(job + 24)
    most, first, last, part = peek(job + 32), peek(job + 40), peek(job + 48), peek(job + 56)
    rows, columns, weights = operand_at(job, 0), operand_at(job, 1), operand_at(job, 2)
    given, found = operand_at(job, 3), result_at(job, 0)
    pairs, steps, wide = -(-n // ROWS), -(-d // 32), -(-k // 16)
    row = 64 * wide
    space = job + SPACE
    logits = carray(pointer(space), (ROWS, 16 * wide), np.float32)
    as_bits = carray(pointer(space), (ROWS, 16 * wide), np.uint32)
    operand = space + ROWS * row
    turned = operand + wide * steps * TILE
    found += part * 32 * steps * row if kind != LOGITS else 0
    squares = curved = 0.0
    if kind != MOMENTS:
        of_weights = carray(pointer(operand), (wide * steps * 256,), np.uint32)
        for i in range(steps):
            if kind == ALONG:  # logits are not yet there
                squares += _combine(logits, given + ROWS * i * row, job, i * row)
                _pack_columns(as_bits, wide, of_weights, i, steps)
            else:
                some = carray(pointer(given + ROWS * i * row), (ROWS, 16 * wide), np.uint32)
                _pack_columns(some, wide, of_weights, i, steps)
    most = most if most else last - first
    for begin in range(first, last, most):
        count = min(most, last - begin)
        packed = carray(pointer(turned), (wide * count * 256,), np.uint32)
        for i in range(count):
            at = ROWS * (begin + i)
            known = min(ROWS, n - at)
            if kind == MOMENTS:
                values = carray(pointer(given + 4 * k * at), (known, k), np.float32)
                logits[:] = np.float32(0.0)
                for r in range(known):
                    for c in range(k):
                        logits[r, c] = values[r, c]
            else:
                a = rows + (begin + i) * steps * 2 * TILE
                _product(a, operand, steps, wide, space, False)
            if kind == LOGITS:
                out = carray(pointer(found + 4 * k * at), (known, k), np.float32)
                for r in range(known):
                    for c in range(k):
                        out[r, c] = logits[r, c]
                continue
            if kind == ALONG:
                p = carray(pointer(weights + row * at), (known, 16 * wide), np.float32)
                curved += _weigh(logits, p, known, wide, packed, i, count)
            else:
                _pack_columns(as_bits, wide, packed, i, count)
        if kind == LOGITS:
            continue
        for i in range(steps):
            a = columns + (i * pairs + begin) * 2 * TILE
            _product(a, turned, count, wide, found + 32 * i * row, begin > first)
    if kind == ALONG:
        set_sums(job, part, curved, squares)
    configure(job + JOB)
    finish(job)
