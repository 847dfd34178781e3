"""Products of bfloat16 numbers in the tile registers of AMX, compiled by Numba when first needed.

A tile register holds 16 rows of 32 bfloat16 numbers, or 16 × 16 float32 sums. C += A·B takes A as
16 rows × 32 and B as 16 pairs of rows × 16 columns × 2. Features lie in memory as the registers
take them, two tiles beside each other, so that four products follow four loads. S is applied to
logits while they are in the nearest cache, so that Z̃ᵀ S Z̃ d is one call.

This file is imported by ``heads.tiles`` alone, which knows whether it can be, and what is to be
computed. Addresses are plain integers, offsets those of XLA's C interface (xla/ffi/api/c_api.h).
A part of a job is described in memory that XLA gave for it: eight numbers (kind, N, d, K, most
pairs of row tiles whose logits are held, first and last pair, part), the addresses of up to seven
operands and five results, and of what all parts share.
"""

# What Numba compiles is called with fewer arguments than is written.
# pyright: reportCallIssue=false, reportPrivateImportUsage=false

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from llvmlite import ir
from numba import carray, cfunc, njit, types
from numba.core import cgutils
from numba.extending import intrinsic

__all__ = [
    "ALONG",
    "CURVATURE",
    "HANDLER",
    "LOGITS",
    "MOMENTS",
    "OPERANDS",
    "PACK",
    "RESULTS",
    "SLOPE",
    "SPACE",
    "SUMS",
    "TILE",
    "UPDATE",
]

LOGITS, MOMENTS, CURVATURE, ALONG, PACK, UPDATE, SLOPE = range(7)  # kinds of jobs
OPERANDS, RESULTS = 7, 5  # of a job, at most
SUMS = 16  # float32 numbers that each part has for its sums: a cache line
TILE = 1024  # bytes
_GIVEN, _FOUND, _SHARED, _CALL = 64, 120, 160, 168  # where in a part's description these begin
_JOB = 256  # bytes of it
SPACE = _JOB + 64 + 64  # ... with two configurations of the registers
_ROWS = 32  # of features, in two tiles beside each other
# Two tiles of rows stay in the nearest cache for so many steps. Then sums are stored; after more
# than twenty the unit that stores tiles has fallen asleep and takes long.
_STEPS = 10
_FETCHED = 6  # lines a step of the next such tiles
_BAND = 8  # rows of weights that a step of conjugate gradients works on at once

_I8, _I32, _I64 = ir.IntType(8), ir.IntType(32), ir.IntType(64)
_POINTER = ir.PointerType(_I8)


# ---- Instructions -----------------------------------------------------------------------------


def _operation(result, operands: tuple, build: Callable) -> Callable:
    """What Numba calls with up to two operands and ``build`` writes in LLVM's language."""
    signature = result(*operands)

    def lowered(context, builder, _, arguments):
        found = build(builder, *arguments)
        return context.get_dummy_value() if result == types.void else found

    if not operands:
        return intrinsic(lambda typing: (signature, lowered))
    if len(operands) == 1:
        return intrinsic(lambda typing, first: (signature, lowered))
    return intrinsic(lambda typing, first, second: (signature, lowered))


def _called(builder, name: str, kinds: list, values: list) -> None:
    function = ir.FunctionType(ir.VoidType(), kinds)
    builder.call(cgutils.get_or_insert_function(builder.module, function, name), values)


def _instruction(name: str, tiles: tuple[int, ...], operands: str) -> Callable:
    """An instruction on those tile registers, of operands "p" (an address) and "i" (a number)."""
    kinds = [_I8] * len(tiles) + [_POINTER if kind == "p" else _I64 for kind in operands]

    def build(builder, *arguments):
        values = [ir.Constant(_I8, tile) for tile in tiles]
        for kind, value in zip(operands, arguments, strict=True):
            values.append(builder.inttoptr(value, _POINTER) if kind == "p" else value)
        _called(builder, f"llvm.x86.{name}", kinds, values)

    return _operation(types.void, (types.int64,) * len(operands), build)


_configure = _instruction("ldtilecfg", (), "p")
_configuration = _instruction("sttilecfg", (), "p")
_zero0, _zero1, _zero2, _zero3 = (_instruction("tilezero", (i,), "") for i in range(4))
_load0, _load1, _load2, _load3, _load4, _load5, _load6, _load7 = (
    _instruction("tileloadd64", (i,), "pi") for i in range(8)
)
_store0, _store1, _store2, _store3 = (_instruction("tilestored64", (i,), "pi") for i in range(4))
# Sums 0 and 1 are of rows 4, sums 2 and 3 of rows 5; sums 0 and 2 of columns 6, 1 and 3 of 7.
_times046 = _instruction("tdpbf16ps", (0, 4, 6), "")
_times147 = _instruction("tdpbf16ps", (1, 4, 7), "")
_times256 = _instruction("tdpbf16ps", (2, 5, 6), "")
_times357 = _instruction("tdpbf16ps", (3, 5, 7), "")


def _at(builder, address, kind: ir.Type):
    return builder.inttoptr(address, ir.PointerType(kind))


def _prefetch(builder, address) -> None:
    hints = [ir.Constant(_I32, hint) for hint in (0, 3, 1)]  # to read, nearest, of data
    kinds = [_POINTER, _I32, _I32, _I32]
    _called(builder, "llvm.prefetch.p0", kinds, [_at(builder, address, _I8), *hints])


def _call_of(builder, function, argument):
    return builder.call(_at(builder, function, ir.FunctionType(_I64, [_I64])), [argument])


def _less(builder, address):
    one = ir.Constant(_I64, 1)
    return builder.atomic_rmw("sub", _at(builder, address, _I64), one, "acq_rel")


_ADDRESS = types.int64
_pointer = _operation(types.voidptr, (_ADDRESS,), lambda b, at: _at(b, at, _I8))
# The eight bytes at an address; eight or four written there.
_peek = _operation(types.int64, (_ADDRESS,), lambda b, at: b.load(_at(b, at, _I64)))
_poke = _operation(
    types.void, (_ADDRESS, types.int64), lambda b, at, value: b.store(value, _at(b, at, _I64))
)
_poke32 = _operation(
    types.void, (_ADDRESS, types.int32), lambda b, at, value: b.store(value, _at(b, at, _I32))
)
_bits = _operation(types.uint32, (types.float32,), lambda b, number: b.bitcast(number, _I32))
_number = _operation(
    types.float32, (types.uint32,), lambda b, bits: b.bitcast(bits, ir.FloatType())
)
# A C function of one pointer that returns one.
_call = _operation(types.int64, (_ADDRESS, _ADDRESS), _call_of)
# Begin to bring a cache line near; any address will do.
_fetch = _operation(types.void, (_ADDRESS,), _prefetch)
# Subtract one from the number there, at once for all threads; what it was.
_less_one = _operation(types.int64, (_ADDRESS,), _less)


# ---- Products ---------------------------------------------------------------------------------


@njit(inline="always")
def _rounded(bits):
    """The nearest bfloat16 number to that of float32 bits, in the upper half; ties to even."""
    return (bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) & np.uint32(
        0xFFFF0000
    )


@njit
def _sums(a, b, steps, two, ahead, lines):
    """Sums 0 to 3 += two tiles of rows times two tiles of columns (or one), over ``steps``.

    Meanwhile so many cache lines a step are fetched from ``ahead``.
    """
    if two:
        for _step in range(steps):
            for _ in range(lines):
                _fetch(ahead)
                ahead += 64
            _load4(a, 64)
            _load6(b, 64)
            _times046()
            _load5(a + TILE, 64)
            _times256()
            _load7(b + TILE, 64)
            _times147()
            _times357()
            a += 2 * TILE
            b += 2 * TILE
    else:
        for _step in range(steps):
            for _ in range(lines):
                _fetch(ahead)
                ahead += 64
            _load4(a, 64)
            _load6(b, 64)
            _times046()
            _load5(a + TILE, 64)
            _times256()
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
                _zero0()
                _zero1()
                _zero2()
                _zero3()
            at = (j // 2) * steps * 2 * TILE + first * (2 * TILE if two else TILE)
            ahead = a + (first + _STEPS) * 2 * TILE + (j // 2) * count * 64 * _FETCHED
            _sums(a + first * 2 * TILE, b + at, count, two, ahead, _FETCHED if j else 0)
            _to_memory(here, row, two)


@njit
def _from_memory(to, row, two):
    _load0(to, row)
    _load2(to + 16 * row, row)
    if two:
        _load1(to + 64, row)
        _load3(to + 16 * row + 64, row)


@njit
def _to_memory(to, row, two):
    _store0(to, row)
    _store2(to + 16 * row, row)
    if two:
        _store1(to + 64, row)
        _store3(to + 16 * row + 64, row)


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
                low = _rounded(values[2 * q, 16 * j + c])
                high = _rounded(values[2 * q + 1, 16 * j + c])
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
                low = _rounded(_bits(there * p[k] * (v[k] - of_v)))
                high = _rounded(_bits(too * r[k] * (w[k] - of_w)))
                packed[at + c] = (low >> np.uint32(16)) | high
    return curved


@njit
def _given(job, i):
    return _peek(job + _GIVEN + 8 * i)


@njit
def _found(job, i):
    return _peek(job + _FOUND + 8 * i)


@njit
def _set_sums(job, part, one, other):
    """The sums of this part, in the second result of products and the last of steps."""
    last = RESULTS - 1 if _peek(job) == UPDATE else 1
    numbers = carray(_pointer(_found(job, last) + 4 * SUMS * part), (2,), np.float32)
    numbers[0], numbers[1] = np.float32(one), np.float32(other)


@njit(fastmath={"reassoc", "contract"})
def _sum_of_squares(values):
    found = np.float32(0.0)
    for i in range(len(values)):
        found += values[i] * values[i]
    return found


@njit
def _add(to, values):
    for i in range(len(to)):
        to[i] += values[i]


@njit(fastmath={"contract"})
def _add_multiple(to, values, others, factor):
    for i in range(len(to)):
        to[i] = values[i] + factor * others[i]


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


@njit
def _combine(values, first, job, at):
    """Rows (32, K') of Y + β D; their sum of squares."""
    size = values.size
    flat = values.reshape(size)
    y = carray(_pointer(first), (size,), np.float32)
    d = carray(_pointer(_given(job, 4) + _ROWS * at), (size,), np.float32)
    _add_multiple(flat, y, d, carray(_pointer(_given(job, 5)), (1,), np.float32)[0])
    return _sum_of_squares(flat)


@njit
def _configure_tiles(settings):
    """Eight tiles of 16 rows of 64 bytes."""
    numbers = carray(_pointer(settings), (64,), np.uint8)
    numbers[:] = 0
    numbers[0] = 1
    for i in range(8):
        numbers[16 + 2 * i] = 64
        numbers[48 + i] = 16
    _configure(settings)


@njit
def _finish(job):
    """Say that this part is done, and if it is the last one that the results are there."""
    shared = _peek(job + _SHARED)
    if shared and _less_one(shared) == 1:
        _call(_peek(shared + 8), shared + 16)


@cfunc(types.void(types.int64))
def _multiply(job):
    """Logits, moments or curvatures of the pairs of row tiles from ``first`` to ``last``."""
    # Who else uses the registers on this thread may count on finding its own configuration.
    _configuration(job + _JOB)
    _configure_tiles(job + _JOB + 64)
    kind, n, d, k = _peek(job), _peek(job + 8), _peek(job + 16), _peek(job + 24)
    most, first, last, part = _peek(job + 32), _peek(job + 40), _peek(job + 48), _peek(job + 56)
    rows, columns, weights = _given(job, 0), _given(job, 1), _given(job, 2)
    given, found = _given(job, 3), _found(job, 0)
    pairs, steps, wide = -(-n // _ROWS), -(-d // 32), -(-k // 16)
    row = 64 * wide
    space = job + SPACE
    logits = carray(_pointer(space), (_ROWS, 16 * wide), np.float32)
    bits = carray(_pointer(space), (_ROWS, 16 * wide), np.uint32)
    operand = space + _ROWS * row
    turned = operand + wide * steps * TILE
    found += part * 32 * steps * row if kind != LOGITS else 0
    squares = curved = 0.0
    if kind != MOMENTS:
        of_weights = carray(_pointer(operand), (wide * steps * 256,), np.uint32)
        for i in range(steps):
            if kind == ALONG:  # logits are not yet there
                squares += _combine(logits, given + _ROWS * i * row, job, i * row)
                _pack_columns(bits, wide, of_weights, i, steps)
            else:
                some = carray(_pointer(given + _ROWS * i * row), (_ROWS, 16 * wide), np.uint32)
                _pack_columns(some, wide, of_weights, i, steps)
    most = most if most else last - first
    for begin in range(first, last, most):
        count = min(most, last - begin)
        packed = carray(_pointer(turned), (wide * count * 256,), np.uint32)
        for i in range(count):
            at = _ROWS * (begin + i)
            known = min(_ROWS, n - at)
            if kind == MOMENTS:
                values = carray(_pointer(given + 4 * k * at), (known, k), np.float32)
                logits[:] = np.float32(0.0)
                for r in range(known):
                    for c in range(k):
                        logits[r, c] = values[r, c]
            else:
                a = rows + (begin + i) * steps * 2 * TILE
                _product(a, operand, steps, wide, space, False)
            if kind == LOGITS:
                out = carray(_pointer(found + 4 * k * at), (known, k), np.float32)
                for r in range(known):
                    for c in range(k):
                        out[r, c] = logits[r, c]
                continue
            if kind == CURVATURE or kind == ALONG:
                p = carray(_pointer(weights + row * at), (known, 16 * wide), np.float32)
                curved += _weigh(logits, p, known, wide, packed, i, count)
            else:
                _pack_columns(bits, wide, packed, i, count)
        if kind == LOGITS:
            continue
        for i in range(steps):
            a = columns + (i * pairs + begin) * 2 * TILE
            _product(a, turned, count, wide, found + 32 * i * row, begin > first)
    if kind == ALONG:
        _set_sums(job, part, curved, squares)
    _configure(job + _JOB)
    _finish(job)


@cfunc(types.void(types.int64))
def _update(job):
    """One step of conjugate gradients along D = Y + β D, in rows of features, where they are.

    X += α D, R −= α H D and less its mean over classes, Y = M⁻¹R on what sums to zero over them.
    """
    d, k, parts = _peek(job + 8), _peek(job + 24), _peek(job + 32)
    first, last, part = _peek(job + 40), _peek(job + 48), _peek(job + 56)
    wide, steps = -(-k // 16), -(-d // 32)
    width, all_rows = 16 * wide, 32 * steps
    numbers = carray(_pointer(_given(job, 6)), (4,), np.float32)
    space = carray(_pointer(job + SPACE), (_BAND * width,), np.float32)
    product = squares = 0.0
    for begin in range(32 * first, 32 * last, _BAND):
        shape, at = (_BAND * width,), 4 * begin * width
        space[:] = np.float32(0.0)
        for i in range(parts):
            _add(
                space,
                carray(_pointer(_given(job, 0) + 4 * i * all_rows * width + at), shape, np.float32),
            )
        x = carray(_pointer(_found(job, 0) + at), shape, np.float32)
        r = carray(_pointer(_found(job, 1) + at), shape, np.float32)
        y = carray(_pointer(_found(job, 2) + at), shape, np.float32)
        along = carray(_pointer(_found(job, 3) + at), shape, np.float32)
        scale = carray(_pointer(_given(job, 5) + at), shape, np.float32)
        _add_multiple(along, y, along, numbers[1])
        _add_multiple(x, x, along, numbers[0])
        _reduce(r, space, along, numbers)
        for j in range(0, _BAND * width, width):
            some = _precondition(r[j : j + width], y[j : j + width], scale[j : j + width], k)
            product += some[0]
            squares += some[1]
    _set_sums(job, part, product, squares)
    _finish(job)


# ---- Line searches ----------------------------------------------------------------------------

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
        v = u[i] if u[i] > _LEAST else _LEAST
        whole = v * _LOG2E + _WHOLE
        n = whole - _WHOLE
        r = (v - n * _LN2) - n * _LN2_REST
        part = r + r * r * (a + r * (b + r * (c + r * (d + r * (g + r * h)))))
        power = _number((_bits(whole) << np.uint32(23)) + np.uint32(0x3F800000))
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
def _look(job):
    """ΔP at U + τ M, Σ ⟨ΔP − ΔP at U, M⟩ and its derivative by τ, all in one reading."""
    n, k, first, last = _peek(job + 8), _peek(job + 24), _peek(job + 40), _peek(job + 48)
    part, area = _peek(job + 56), _ROWS * 64 * -(-k // 16)
    tau = carray(_pointer(_given(job, 4)), (1,), np.float32)[0]
    slope = curvature = 0.0
    for i in range(first, last):
        known = min(_ROWS, n - _ROWS * i)
        at, size = 4 * _ROWS * i * k, known * k
        p = carray(_pointer(_given(job, 0) + at), (size,), np.float32)
        logits = carray(_pointer(_given(job, 1) + at), (size,), np.float32)
        moved = carray(_pointer(_given(job, 2) + at), (size,), np.float32)
        before = carray(_pointer(_given(job, 3) + at), (size,), np.float32)
        after = carray(_pointer(_found(job, 0) + at), (size,), np.float32)
        u = carray(_pointer(job + SPACE), (size,), np.float32)
        e = carray(_pointer(job + SPACE + area), (size,), np.float32)
        f = carray(_pointer(job + SPACE + 2 * area), (size,), np.float32)
        _add_multiple(u, logits, moved, tau)
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
    _set_sums(job, part, slope, curvature)
    _finish(job)


# ---- Packing ----------------------------------------------------------------------------------


@cfunc(types.void(types.int64))
def _pack(job):
    """Rows of Z (N, d), rounded, as tiles of rows and, turned, of columns."""
    n, d, first, last = _peek(job + 8), _peek(job + 16), _peek(job + 40), _peek(job + 48)
    pairs, steps = -(-n // _ROWS), -(-d // 32)
    z = carray(_pointer(_given(job, 0)), (n, d), np.uint32)
    by_rows = carray(_pointer(_found(job, 0)), (pairs, steps, 32, 32), np.uint16)
    by_columns = carray(_pointer(_found(job, 1)), (steps, pairs, 32, 32), np.uint16)
    for i in range(first, last):
        known = min(_ROWS, n - _ROWS * i)
        for s in range(steps):
            here = by_rows[i, s]
            width = min(32, d - 32 * s)
            for r in range(32):
                for c in range(32):
                    here[r, c] = np.uint16(0)
                if r < known:
                    for c in range(width):
                        here[r, c] = np.uint16(
                            _rounded(z[_ROWS * i + r, 32 * s + c]) >> np.uint32(16)
                        )
            there = by_columns[s, i]
            for c in range(32):
                for r in range(32):
                    there[c, r] = here[r, c]
    _finish(job)


# ---- Calls from XLA ---------------------------------------------------------------------------

_MAJOR, _MINOR = np.int32(0), np.int32(3)  # of the interface whose offsets are used here
_FRAME, _API = 168, 168  # bytes of a call and of the functions that have futures

_MULTIPLY, _PACK, _UPDATE = _multiply.address, _pack.address, _update.address
_LOOK = _look.address


@njit
def _data(operands, i):
    return _peek(_peek(operands + 8 * i) + 24)


@cfunc(types.int64(types.int64))
def _handle(frame):
    api, extension = _peek(frame + 16), _peek(frame + 8)
    if extension:  # XLA asks which version of its interface this is for
        version, found = _peek(api + 32), _peek(extension + 24) + 24
        known = version & 0xFFFFFFFF == _MAJOR  # later minor versions add, and change nothing
        _poke32(found, _MAJOR)
        _poke32(found + 4, np.int32(version >> 32) if known else _MINOR)
        return 0
    given, results = _peek(frame + 72), _peek(frame + 112)
    # kind, n, d, k, most, parts, bytes of a part
    numbers = carray(_pointer(_data(given, 0)), (7,), np.int64)
    n, parts, size = numbers[1], numbers[5], numbers[6]
    pairs, task = -(-n // _ROWS), _MULTIPLY
    if numbers[0] == PACK:
        task = _PACK
    elif numbers[0] == UPDATE:
        task = _UPDATE
    elif numbers[0] == SLOPE:
        task = _LOOK
    shared = (_data(results, RESULTS) + 63) & ~63
    # Results are there when a future says so; parts but the first are done by XLA's threads.
    create, available, schedule = _peek(api + 152), _peek(api + 160), _peek(api + 136)
    _poke(shared, parts)
    _poke(shared + 8, available)
    _poke(shared + 16, 24)
    _poke(shared + 24, 0)
    _poke(shared + 32, 0)
    old = _peek(frame) < _FRAME or _peek(api) < _API  # than futures
    alone = parts == 1 or old or _call(create, shared + 16) != 0
    for part in range(parts):
        job = shared + 64 + part * size
        for i in range(5):
            _poke(job + 8 * i, numbers[i])
        _poke(job + 40, pairs * part // parts)
        _poke(job + 48, pairs * (part + 1) // parts)
        _poke(job + 56, part)
        for i in range(OPERANDS):
            _poke(job + _GIVEN + 8 * i, _data(given, 1 + i))
        for i in range(RESULTS):
            _poke(job + _FOUND + 8 * i, _data(results, i))
        _poke(job + _SHARED, 0 if alone else shared)
    if not alone:
        _poke(frame + 168, _peek(shared + 32))
    for part in range(parts - 1, -1, -1):
        job = shared + 64 + part * size
        failed = np.int64(1)
        if part and not alone:
            _poke(job + _CALL, 40)
            _poke(job + _CALL + 8, 0)
            _poke(job + _CALL + 16, _peek(frame + 24))
            _poke(job + _CALL + 24, task)
            _poke(job + _CALL + 32, job)
            failed = _call(schedule, job + _CALL)
        if failed:  # the first part, or no threads to be had
            _call(task, job)
    return 0


HANDLER = _handle.address
