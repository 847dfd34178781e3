"""Features packed for the tile registers of AMX, and the products with them as XLA operations.

Where the processor has such registers and Numba is installed (``pip install "gramlab[amx]"``),
``heads.bfloat16`` keeps features in this form, and its products take less time than XLA's.
``heads.amx`` is what is compiled for them.
"""

from __future__ import annotations

import ctypes
import platform
import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, partial
from importlib.util import find_spec
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike, DTypeLike

from gramlab import device

__all__ = [
    "Packed",
    "Step",
    "along",
    "available",
    "by_label",
    "enter",
    "leave",
    "pack",
    "padded",
    "slope",
    "times_columns",
    "times_rows",
    "updated",
]

_NAME = "gramlab_amx"
_ROWS = 32  # of features, that lie beside each other in two tiles
_CACHED = 400_000  # bytes of weighted logits made before they are used: they stay in the cache
_PERMISSION = 158, 0x1023, 18  # arch_prctl, ARCH_REQ_XCOMP_PERM, the state of the tiles


@partial(jax.tree_util.register_dataclass, data_fields=["rows", "columns"], meta_fields=["n", "d"])
@dataclass(frozen=True)
class Packed:
    """Features (N, d) rounded to bfloat16, in pairs of tiles of rows and of tiles of columns."""

    rows: jax.Array  # (⌈N/32⌉, ⌈d/32⌉, 2, 16, 32)
    columns: jax.Array  # (⌈d/32⌉, ⌈N/32⌉, 2, 16, 32), turned
    n: int
    d: int


def available() -> bool:
    """Whether these products can be had here. The first call compiles them, which takes seconds.

    Warns
    -----
    RuntimeWarning
        Once, where they should be had and fail; XLA's products are used instead.
    """
    return not device.accelerated() and _compiled()


@cache
def _compiled() -> bool:
    if not device.has_tiles() or find_spec("numba") is None:
        return False
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return False
    if ctypes.CDLL(None).syscall(*_PERMISSION) != 0:  # the system keeps the registers to itself
        return False
    try:
        capsule = ctypes.pythonapi.PyCapsule_New
        capsule.restype, capsule.argtypes = ctypes.py_object, (ctypes.c_void_p,) * 3
        jax.ffi.register_ffi_target(_NAME, capsule(_amx().HANDLER, None, None), platform="cpu")
        fault = "" if _right() else "their results are wrong"
    except Exception as failed:  # whatever it is, there is another way
        fault = f"{type(failed).__name__}: {failed}"
    if fault:
        warnings.warn(
            f"products in AMX tiles cannot be used here, XLA's are slower: {fault}; "
            "update numba and jax, or uninstall numba to silence this",
            RuntimeWarning,
            stacklevel=3,
        )
    return not fault


def _right() -> bool:
    """Whether products of small whole numbers, which nothing rounds, are what NumPy says."""
    rng = np.random.default_rng(0)
    z, w, p = (rng.integers(-1, 2, shape) for shape in ((75, 41), (19, 41), (75, 19)))
    low, weights, values = pack(_float(z)), _float(w), _float(p)
    logits = z @ w.T
    alone = np.zeros_like(p)
    alone[np.arange(75), np.arange(75) % 19] = 1
    # p = 2 for one class, which no probability is: p ∘ (v − ⟨p, v⟩) = −2 v there.
    there = enter(low, weights)
    curved, *_ = along(low, padded(_float(2 * alone)), 19, 0.0 * there, there, _float(1.0))
    pairs = (
        (times_rows(low, weights), logits),
        (times_columns(low, values), p.T @ z),
        (leave(low, 19, curved.sum(axis=0)), (-2 * alone * logits).T @ z),
    )
    # Softmax knows no whole numbers: float32's errors, many times.
    p = np.full((75, 4), 0.25)
    moved, u = z[:, :4] / 2.0, z[:, 4:8]
    after = np.exp(u + 0.5 * moved)
    after = after / after.sum(axis=1, keepdims=True) - p
    given = _float(p), _float(u), _float(moved), _float(0.0 * p), _float(0.5)
    change, along_line, _ = slope(*given)
    near = np.allclose(change, after, atol=1e-5)
    near = near and np.isclose(along_line, (after * moved).sum(), rtol=1e-4)
    return bool(near) and all(np.array_equal(found, expected) for found, expected in pairs)


def _float(numbers: ArrayLike) -> jax.Array:
    return jnp.asarray(numbers, dtype=np.float32)


def _amx():
    from gramlab.heads import amx  # needs Numba

    return amx


def _single(a: jax.Array) -> jax.Array:
    """What a job is given: it would take other numbers' bits for float32's."""
    return a.astype(jnp.float32)


def _wide(k: int) -> int:
    """Tiles of 16 classes."""
    return -(-k // 16)


def padded(p: jax.Array) -> jax.Array:
    """P (N, K) with classes added that nothing belongs to, as ``along`` takes it."""
    return jnp.pad(p, ((0, 0), (0, 16 * _wide(p.shape[1]) - p.shape[1])))


def _call(
    kind: int,
    results: tuple[tuple[tuple[int, ...], DTypeLike], ...],
    sizes: tuple[int, int, int],
    operands: tuple[jax.Array | None, ...],
    parts: int,
    in_place: dict[int, int] | None = None,
    most: int = 0,
) -> Sequence[jax.Array]:
    """One job of ``heads.amx`` with N, d and K, in parts that are done at the same time.

    Operands ``in_place`` become the results of those numbers. ``most`` is of products how many
    tiles' logits are held; steps are told how many parts their product has.
    """
    n, d, k = sizes
    wide, steps = _wide(k), -(-d // 32)
    if kind in (_amx().MOMENTS, _amx().ALONG):
        pairs = -(-n // (_ROWS * parts)) + 1
        most = max(1, min(pairs, _CACHED // (_ROWS * 2 * 16 * wide)))
    held = {_amx().UPDATE: 0, _amx().SLOPE: 4, _amx().BY_LABEL: 0}.get(kind, steps + most)
    space = _amx().SPACE + _ROWS * 64 * wide + held * wide * _amx().TILE
    numbers = np.array([kind, n, d, k, most, parts, space], dtype=np.int64)
    shapes = [jax.ShapeDtypeStruct(shape, dtype) for shape, dtype in results]
    shapes += [jax.ShapeDtypeStruct((0,), jnp.uint8)] * (_amx().RESULTS - len(shapes))
    shapes.append(jax.ShapeDtypeStruct((128 + parts * space,), jnp.uint8))
    nothing = jnp.zeros((0,), jnp.uint8)
    given = [nothing if operand is None else operand for operand in operands]
    given += [nothing] * (_amx().OPERANDS - len(given))
    same = {1 + operand: result for operand, result in (in_place or {}).items()}
    call = jax.ffi.ffi_call(_NAME, shapes, input_output_aliases=same)
    return call(jnp.asarray(numbers.view(np.int32)), *given)


@jax.jit
def pack(z: jax.Array) -> Packed:
    """Z (N, d), rounded."""
    n, d = z.shape
    pairs, steps = -(-n // _ROWS), -(-d // 32)
    shapes = (pairs, steps, 2, 16, 32), (steps, pairs, 2, 16, 32)
    results = tuple((shape, jnp.bfloat16) for shape in shapes)
    rows, columns, *_ = _call(_amx().PACK, results, (n, d, 1), (_single(z),), _parts(n))
    return Packed(rows, columns, n, d)


def _parts(n: int) -> int:
    return min(device.cores(), -(-n // _ROWS))


def times_rows(low: Packed, weights: jax.Array) -> jax.Array:
    """Z̃·Wᵀ (N, K) of weights (K, d), which are rounded."""
    k = len(weights)
    result = (((low.n, k), jnp.float32),)
    operands = low.rows, None, None, _single(enter(low, weights))
    return _call(_amx().LOGITS, result, (low.n, low.d, k), operands, _parts(low.n))[0]


def times_columns(low: Packed, values: jax.Array) -> jax.Array:
    """Valuesᵀ·Z̃ (K, d) of values (N, K), which are rounded."""
    k = values.shape[1]
    parts = _parts(low.n)
    result = (((parts, 32 * -(-low.d // 32), 16 * _wide(k)), jnp.float32),)
    given = None, low.columns, None, _single(values)
    found = _call(_amx().MOMENTS, result, (low.n, low.d, k), given, parts)[0]
    # One by one: XLA's sum over the first axis takes ten times as long.
    return leave(low, k, sum((found[i] for i in range(1, parts)), found[0]))


def enter(low: Packed, weights: jax.Array) -> jax.Array:
    """W (K, d) by features, filled up to whole tiles with zeros (d', K')."""
    k, d = weights.shape
    return jnp.pad(weights.T, ((0, -d % 32), (0, -k % 16)))


def leave(low: Packed, k: int, held: jax.Array) -> jax.Array:
    """W (K, d) of what ``enter`` makes of it."""
    return held[: low.d, :k].T


def along(
    low: Packed, p: jax.Array, k: int, held: jax.Array, before: jax.Array, beta: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Z̃ᵀ S Z̃ D (d', K') of D = held + β before, as parts of its sum; ⟨D, Z̃ᵀ S Z̃ D⟩ and ⟨D, D⟩.

    S v = p ∘ (v − ⟨p, v⟩) by rows of P, ``padded``. D and S Z̃ D are rounded.
    """
    parts = _parts(low.n)
    shape = (parts, 32 * -(-low.d // 32), 16 * _wide(k))
    results = ((shape, jnp.float32), ((parts, _amx().SUMS), jnp.float32))
    given = low.rows, low.columns, _single(p), *map(_single, (held, before, beta.reshape(1)))
    found, sums, *_ = _call(_amx().ALONG, results, (low.n, low.d, k), given, parts)
    return found, sums[:, 0].sum(), sums[0, 1]  # of the squares every part has all


class Step(NamedTuple):
    """Where conjugate gradients stand, in whole tiles (d', K')."""

    x: jax.Array
    residual: jax.Array
    preconditioned: jax.Array  # M⁻¹ of it
    direction: jax.Array


def updated(
    low: Packed, k: int, step: Step, parts: jax.Array, scale: jax.Array, numbers: jax.Array
) -> tuple[Step, jax.Array, jax.Array]:
    """The next step: with α, β, λ and 1/N, and ``parts`` from ``along`` of D = M⁻¹R + β D.

    X + α D; R − α (Z̃ᵀ S Z̃ D/N + λ D), less its mean over classes; M⁻¹ of that by ``scale``
    (d', K'), on what sums to zero over classes; D. And ⟨R, M⁻¹R⟩ and ⟨R, R⟩.
    """
    count = min(device.cores(), -(-low.d // 32))
    shape = (step.x.shape, jnp.float32)
    results = (shape,) * 4 + (((count, _amx().SUMS), jnp.float32),)
    sizes = (low.d, low.d, k)
    given = tuple(map(_single, (parts, *step, scale, numbers)))
    in_place = {1: 0, 2: 1, 3: 2, 4: 3}
    *found, sums, _ = _call(_amx().UPDATE, results, sizes, given, count, in_place, len(parts))
    return Step(*found), sums[:, 0].sum(), sums[:, 1].sum()


@partial(jax.jit, static_argnames="k")
def by_label(z: jax.Array, labels: jax.Array, k: int) -> jax.Array:
    """Sums (K, d) in float64 of the rows of Z (N, d) with each label; float64 must be on."""
    n, d = z.shape
    parts = _parts(n)
    result = (((parts, k, d), jnp.float64),)
    given = _single(z), labels.astype(jnp.int32)
    found = _call(_amx().BY_LABEL, result, (n, d, k), given, parts)[0]
    return sum((found[i] for i in range(1, parts)), found[0])


def slope(
    p: jax.Array, logits: jax.Array, moved: jax.Array, before: jax.Array, tau: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """ΔP = softmax(V + U + τ M) − P (N, K) of P = softmax(V), logits U and their change M.

    And Σ ⟨ΔP − before, M⟩, the slope along M but for what does not come from predictions, and its
    derivative by τ.
    """
    n, k = p.shape
    parts = _parts(n)
    results = ((p.shape, jnp.float32), ((parts, _amx().SUMS), jnp.float32))
    given = tuple(map(_single, (p, logits, moved, before, tau.reshape(1))))
    change, sums, *_ = _call(_amx().SLOPE, results, (n, 1, k), given, parts)
    return change, sums[:, 0].sum(), sums[:, 1].sum()
