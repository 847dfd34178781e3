"""Products in AMX tiles: what they compute, in how many parts, and that nothing else notices."""

from __future__ import annotations

import subprocess
import sys
import threading
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import examples, problem
from hypothesis import given
from hypothesis import strategies as st

import gramlab
from gramlab import device
from gramlab.heads import bfloat16, corrections, solver, tiles
from gramlab.heads.objective import softmax

EPS = float(np.finfo(np.float32).eps)
U = 2.0**-8  # half the spacing of bfloat16 numbers, relative to the smallest of a binade

have_tiles = pytest.mark.skipif(not tiles.available(), reason="no AMX here, or no Numba")


def nearest(a: np.ndarray) -> np.ndarray:
    """To bfloat16 and back, by JAX, in float64."""
    return np.asarray(jnp.asarray(a, jnp.float32).astype(jnp.bfloat16), dtype=np.float64)


def drawn(n: int, d: int, k: int, seed: int = 0, scale: float = 1.0):
    """Z (n, d), W (k, d), V (n, k) and P (n, k) in float32."""
    rng = np.random.default_rng(seed)
    z, w, v = (rng.standard_normal(s) for s in ((n, d), (k, d), (n, k)))
    p = softmax(rng.standard_normal((n, k)))
    return tuple(a.astype(np.float32) for a in (scale * z, w, v, p))


def weighed(p: np.ndarray, v: np.ndarray) -> np.ndarray:
    return p * (v - (p * v).sum(axis=1, keepdims=True))


def curvature(low: tiles.Packed, p: jax.Array, weights: jax.Array) -> jax.Array:
    """Z̃ᵀ S Z̃ Wᵀ (K, d) of weights (K, d)."""
    k, there = len(weights), tiles.enter(low, weights)
    parts, *_ = tiles.along(low, tiles.padded(p), k, there, 0.0 * there, jnp.float32(0.0))
    return tiles.leave(low, k, parts.sum(axis=0))


# ---- Products ---------------------------------------------------------------------------------

SIZES = st.tuples(st.integers(1, 150), st.integers(1, 100), st.integers(2, 50))


@have_tiles
@examples(40)
@given(size=SIZES, seed=st.integers(0, 2**32 - 1))
def test_products_are_those_of_rounded_operands(size, seed):
    """Sums of exact products of 8 by 8 bits, in float32, whatever does not fill a tile."""
    z, w, v, _ = drawn(*size, seed)
    low = tiles.pack(jnp.asarray(z))
    zr, wr, vr = nearest(z), nearest(w), nearest(v)
    found = np.asarray(tiles.times_rows(low, jnp.asarray(w)))
    assert found.shape == (size[0], size[2])
    assert (np.abs(found - zr @ wr.T) <= size[1] * EPS * (np.abs(zr) @ np.abs(wr.T))).all()
    found = np.asarray(tiles.times_columns(low, jnp.asarray(v)))
    assert found.shape == (size[2], size[1])
    assert (np.abs(found - vr.T @ zr) <= size[0] * EPS * (np.abs(vr.T) @ np.abs(zr))).all()


def curvature_error(z, w, p, found) -> tuple[np.ndarray, np.ndarray]:
    """How far it is from Z̃ᵀ S Z̃ W̃ᵀ, and how far rounding S Z̃ W̃ᵀ to eight bits may take it."""
    zr, wr = nearest(z), nearest(w)
    p = p.astype(np.float64)
    logits, size = zr @ wr.T, np.abs(zr) @ np.abs(wr.T)
    values = weighed(p, logits)
    sums = p * (size + (p * size).sum(axis=1, keepdims=True))
    digits = z.shape[1] + 2 * w.shape[0] + z.shape[0]
    allowed = U * np.abs(values) + digits * EPS * sums
    return np.abs(found - values.T @ zr), allowed.T @ np.abs(zr)


@have_tiles
@examples(40)
@given(size=SIZES, seed=st.integers(0, 2**32 - 1))
def test_curvature_is_that_of_the_softmax(size, seed):
    z, w, _, p = drawn(*size, seed)
    low = tiles.pack(jnp.asarray(z))
    found = np.asarray(curvature(low, jnp.asarray(p), jnp.asarray(w)))
    error, allowed = curvature_error(z, w, p, found)
    assert found.shape == w.shape
    assert (error <= allowed).all()


@have_tiles
def test_other_products_would_be_seen():
    """Planted: logits that are not centred, a diagonal for S, and a tile left out."""
    z, w, _, p = drawn(150, 40, 7)
    logits = nearest(z) @ nearest(w).T
    for wrong in (
        (p * logits).T @ nearest(z),
        (p * (1 - p) * logits).T @ nearest(z),
        weighed(p, logits)[16:].T @ nearest(z)[16:],
    ):
        error, allowed = curvature_error(z, w, p, wrong)
        assert not (error <= allowed).all()


@have_tiles
def test_weights_come_back_from_tiles_as_they_went_in():
    z, w, _, p = (jnp.asarray(a) for a in drawn(300, 70, 19))
    low = tiles.pack(z)
    there = tiles.enter(low, w)
    assert there.shape == (96, 32)
    assert np.array_equal(tiles.leave(low, 19, there), w)
    parts, *_ = tiles.along(low, tiles.padded(p), 19, there, there, jnp.float32(0.5))
    for held in (there, *parts):
        assert not np.asarray(held)[70:].any()  # what fills up tiles
        assert not np.asarray(held)[:, 19:].any()


def one_step(low, p, scale, state, numbers):
    """``tiles.along`` and ``tiles.updated`` on (K, d) arrays: their sums, X, R, M⁻¹R and D."""
    alpha, beta, decay, share = numbers
    k = p.shape[1]
    step = tiles.Step(*(tiles.enter(low, jnp.asarray(a)) for a in state))
    parts, curved, squares = tiles.along(
        low, tiles.padded(p), k, step.preconditioned, step.direction, jnp.float32(beta)
    )
    given = jnp.asarray([alpha, beta, decay, share], dtype=jnp.float32)
    step, product, residual = tiles.updated(low, k, step, parts, tiles.enter(low, scale), given)
    for held in step:
        assert not np.asarray(held)[low.d :].any()  # what fills up tiles
        assert not np.asarray(held)[:, k:].any()
    sums = np.asarray([curved, squares, product, residual], dtype=np.float64)
    return sums, [np.asarray(tiles.leave(low, k, held), dtype=np.float64) for held in step]


@have_tiles
@examples(30)
@given(size=SIZES, seed=st.integers(0, 2**32 - 1))
def test_a_step_of_conjugate_gradients_is_what_numpy_makes_of_the_product(size, seed):
    z, w, _, p = drawn(*size, seed)
    n, d, k = size
    rng = np.random.default_rng(seed)
    x, r, y = (rng.standard_normal((k, d)).astype(np.float32) for _ in range(3))
    scale = (0.1 + rng.random((k, d))).astype(np.float32)
    low = tiles.pack(jnp.asarray(z))
    alpha, beta, decay, share = numbers = 0.7, 0.3, 0.2, 1.0 / n
    sums, found = one_step(low, jnp.asarray(p), jnp.asarray(scale), (x, r, y, w), numbers)
    along = (y + np.float32(beta) * w).astype(np.float64)
    # The product itself is compared elsewhere; here only what is made of it.
    product = np.asarray(curvature(low, jnp.asarray(p), jnp.asarray(along)), dtype=np.float64)
    residual = r - alpha * (share * product + decay * along)
    residual -= residual.mean(axis=0)
    scaled = scale * residual
    scaled -= scale * scaled.sum(axis=0) / scale.sum(axis=0, dtype=np.float64)
    expected = [x + alpha * along, residual, scaled, along]
    # Where Y + βD is rounded to bfloat16, its last bit in float32 may decide which way.
    size_of = 1.0 + np.abs(along).max() + np.abs(product).max() * share
    for one, other in zip(found, expected, strict=True):
        assert np.abs(one - other).max() <= 4 * U * size_of
    exact = [found[3], found[1]]
    logits = nearest(z) @ nearest(along).T
    curved = (logits * weighed(p.astype(np.float64), logits)).sum()
    spread = (p * logits**2).sum()
    wanted = [curved, (exact[0] ** 2).sum(), (found[1] * found[2]).sum(), (exact[1] ** 2).sum()]
    roundoff = 40 * (n * k + d * k) * EPS
    allowed = [4 * U * spread, *(roundoff * np.abs(value) + 1e-30 for value in wanted[1:])]
    allowed[2] = roundoff * np.abs(found[1] * found[2]).sum() + 1e-30
    assert (np.abs(sums - wanted) <= allowed).all()


@have_tiles
def test_other_steps_would_be_seen():
    """Planted: a step that forgets weight decay, the mean over classes, or the metric."""
    z, w, _, p = drawn(100, 40, 7)
    ones = np.ones_like(w)
    low, scale = tiles.pack(jnp.asarray(z)), jnp.asarray(np.abs(w) + 0.1)
    state = ones, w, w, w
    numbers = 0.7, 0.3, 0.2, 0.01
    _, found = one_step(low, jnp.asarray(p), scale, state, numbers)
    _, without = one_step(low, jnp.asarray(p), scale, state, (0.7, 0.3, 0.0, 0.01))
    assert np.abs(found[1] - without[1]).max() > 0.1
    assert np.abs(found[2].sum(axis=0)).max() <= 40 * 7 * EPS * np.abs(found[2]).max()
    assert np.abs((np.asarray(scale) * found[1]).sum(axis=0)).max() > 0.1
    assert np.abs(found[1].sum(axis=0)).max() <= 40 * 7 * EPS * np.abs(found[1]).max()


# ---- Sums by label ------------------------------------------------------------------------------


@have_tiles
@examples(30)
@given(size=SIZES, seed=st.integers(0, 2**32 - 1))
def test_sums_by_label_are_float64s(size, seed):
    n, d, k = size
    rng = np.random.default_rng(seed)
    z = rng.standard_normal((n, d)).astype(np.float32)
    labels = rng.integers(0, k, n)
    with device.float64():
        found = np.asarray(tiles.by_label(jnp.asarray(z), jnp.asarray(labels), k))
    expected = np.zeros((k, d))
    np.add.at(expected, labels, z.astype(float))
    assert found.dtype == np.float64
    bound = n * np.finfo(float).eps * np.abs(z).sum(axis=0, dtype=float)
    assert (np.abs(found - expected) <= bound).all()
    expected[0, 0] += 1e-9 * (1.0 + abs(expected[0, 0]))  # planted
    assert not (np.abs(found - expected) <= bound).all()


@have_tiles
@pytest.mark.parametrize("soft", [False, True])
def test_the_first_gradient_comes_from_labels_or_from_targets(soft, monkeypatch):
    """Whatever it comes from, heads are the same within their certificates."""
    features, targets = problem(900, 40, 6, 0)
    if not soft:
        targets = gramlab.one_hot(targets.argmax(axis=1), 6)
    head = gramlab.SoftmaxHead(1e-2, tolerance=1e-12)
    expected, asked = head.fit(features, targets), []
    by_label = tiles.by_label
    monkeypatch.setattr(corrections, "_LABELS_WORK", 0.0)
    monkeypatch.setattr(corrections, "_NEWTON_WORK", 0.0)
    monkeypatch.setattr(tiles, "by_label", lambda *a: asked.append(1) or by_label(*a))
    found = head.fit(gramlab.Features(features.x, features.labels), targets)
    assert bool(asked) is not soft
    assert found.certificate.relative_gap <= 1e-12
    apart = np.linalg.norm(found.weights - expected.weights)
    assert apart <= found.certificate.weights_bound + expected.certificate.weights_bound


# ---- Line searches ----------------------------------------------------------------------------


def looked(p, logits, moved, before, tau):
    """``tiles.slope`` of float32 arrays, and the same by NumPy in float64 (change, Σ, Σ')."""
    given = (jnp.asarray(a, dtype=jnp.float32) for a in (p, logits, moved, before, tau))
    found = [np.asarray(a, dtype=np.float64) for a in jax.jit(tiles.slope)(*given)]
    p, logits, moved, before = (
        np.asarray(a, np.float32).astype(float) for a in (p, logits, moved, before)
    )
    u = logits + float(np.float32(tau)) * moved
    u -= u.max(axis=1, keepdims=True)
    mean, whole = ((p * f(u)).sum(axis=1, keepdims=True) for f in (np.expm1, np.exp))
    change = p * (np.expm1(u) - mean) / whole
    weighted = (p + change) * moved
    spread = (weighted * moved).sum() - (weighted.sum(axis=1) ** 2).sum()
    return found, (change, ((change - before) * moved).sum(), spread)


def look_errors(found, expected, logits, moved) -> list[float]:
    """Each over what rounding may do, generously: 1 is allowed.

    Arguments of exponentials are off by a rounding of logits; what is summed is off by that.
    """
    size = float(np.abs(logits).max() + np.abs(moved).max())
    rounding = (8.0 + 4.0 * size) * EPS
    change, slope, spread = expected
    largest = np.abs(moved).max()
    n = len(change)
    return [
        np.abs(found[0] - change).max() / (rounding * min(1.0, size)),
        abs(found[1] - slope) / (n * rounding * min(1.0, size) * largest),
        abs(found[2] - spread) / (n * rounding * largest**2),
    ]


@have_tiles
@examples(60)
@given(
    n=st.integers(1, 150),
    k=st.integers(2, 50),
    seed=st.integers(0, 2**32 - 1),
    scale=st.sampled_from([1e-6, 1e-3, 1.0, 20.0, 300.0]),
    tau=st.floats(0.0, 2.0),
)
def test_a_look_along_the_line_is_that_of_softmax(n, k, seed, scale, tau):
    """However small the change is, and where exponentials leave float32's range."""
    rng = np.random.default_rng(seed)
    p = softmax(rng.standard_normal((n, k)))
    logits, moved = (scale * rng.standard_normal((n, k)) for _ in range(2))
    found, expected = looked(p, logits, moved, 0.01 * scale * rng.standard_normal((n, k)), tau)
    assert max(look_errors(found, expected, logits, 2.0 * moved)) <= 1.0


@have_tiles
def test_other_looks_would_be_seen():
    """Planted: at another τ, without what was there before, with p instead of p + ΔP."""
    rng = np.random.default_rng(0)
    p = softmax(rng.standard_normal((90, 7)))
    logits, moved, before = (rng.standard_normal((90, 7)) for _ in range(3))
    found, expected = looked(p, logits, moved, before, 0.5)

    def wrong(other) -> float:
        return max(look_errors(other, expected, logits, moved))

    assert wrong(found) <= 1.0
    assert wrong(looked(p, logits, moved, before, 0.5001)[0]) > 1.0
    assert wrong(looked(p, logits, moved, 0.0 * before, 0.5)[0]) > 1.0
    static = ((p * moved**2).sum(axis=1) - (p * moved).sum(axis=1) ** 2).sum()
    assert wrong([found[0], found[1], static]) > 1.0


@have_tiles
@pytest.mark.parametrize("number", [np.nan, np.inf])
@pytest.mark.parametrize("where", [0, 3])
def test_looks_at_what_is_not_finite_say_so(number, where):
    """A search must not go on as if products that left float32's range had been well."""
    rng = np.random.default_rng(0)
    p = softmax(rng.standard_normal((40, 7)))
    logits, moved = (rng.standard_normal((40, 7)) for _ in range(2))
    for spoilt in (logits, moved):
        spoilt[5, where] = number
        given = (p, logits, moved, 0.0 * p, 0.5)
        change, along, _ = tiles.slope(*(jnp.asarray(a, jnp.float32) for a in given))
        assert np.isnan(np.asarray(change)[5]).all()
        assert not np.isfinite(float(along))
        spoilt[5, where] = 0.0
        assert np.isfinite(np.asarray(change)[[4, 6]]).all()


@have_tiles
def test_line_searches_find_the_same_length():
    rng = np.random.default_rng(0)
    p = softmax(rng.standard_normal((300, 6)))
    z = rng.standard_normal((300, 8))
    direction = rng.standard_normal((6, 8))
    moved = z @ (direction - direction.mean(axis=0)).T
    gradient = -0.1 * direction
    values = (z, np.ones(8), 1e-2, 300.0, gradient, p)
    base = solver.Base(*(jnp.asarray(v, dtype=jnp.float32) for v in values))
    ways = [
        solver.line_search(
            base,
            solver.start(base, 0),
            jnp.asarray(direction, jnp.float32),
            jnp.asarray(moved, jnp.float32),
            1e-3,
            look=look,
        )
        for look in (None, tiles.slope)
    ]
    assert ways[0][0] == pytest.approx(float(ways[1][0]), rel=1e-3)
    assert float(ways[0][0]) != 1.0  # it was looked for
    assert np.abs(np.asarray(ways[0][1]) - np.asarray(ways[1][1])).max() <= 1e-3


@have_tiles
@pytest.mark.parametrize("parts", [1, 2, 3, 7, 100])
def test_parts_change_nothing_but_the_order_of_sums(parts, monkeypatch):
    z, w, v, p = (jnp.asarray(a) for a in drawn(333, 45, 20))
    alone = tiles.pack(z)
    monkeypatch.setattr(device, "cores", lambda: parts)
    jax.clear_caches()
    try:
        low = tiles.pack(z)
        assert np.array_equal(np.asarray(low.rows), np.asarray(alone.rows))
        assert np.array_equal(np.asarray(low.columns), np.asarray(alone.columns))
        found = np.asarray(tiles.times_rows(low, w))
        assert (np.abs(found - nearest(z) @ nearest(w).T) <= 45 * EPS * 45 * 9).all()
        found = np.asarray(tiles.times_columns(low, v), dtype=np.float64)
        expected = nearest(v).T @ nearest(z)
        assert np.abs(found - expected).max() <= 333 * EPS * np.abs(expected).max() * 20
        error, allowed = curvature_error(
            np.asarray(z), np.asarray(w), np.asarray(p), curvature(low, p, w)
        )
        assert (error <= allowed).all()
    finally:
        jax.clear_caches()


@have_tiles
@pytest.mark.parametrize("parts", [1, 2, 5])
def test_parts_are_counted_down_by_those_who_do_them(parts):
    """A job in parts is done by XLA's threads; alone, its first part would not count."""
    z, w, *_ = (jnp.asarray(a) for a in drawn(333, 45, 20))
    low = tiles.pack(z)
    result = (((333, 20), jnp.float32),)
    operands = low.rows, None, None, tiles.enter(low, w)
    found = tiles._call(tiles._amx().LOGITS, result, (333, 45, 20), operands, parts)
    space = np.asarray(found[tiles._amx().RESULTS])
    begin = -space.ctypes.data % 64
    left = int(space[begin : begin + 8].view(np.int64)[0])
    assert left == (1 if parts == 1 else 0)
    assert np.array_equal(np.asarray(found[0]), np.asarray(tiles.times_rows(low, w)))


@have_tiles
def test_logits_that_do_not_stay_in_the_cache_are_used_block_by_block(monkeypatch):
    z, w, v, p = drawn(500, 33, 5)
    for cached in (1, 3000, 700_000):
        monkeypatch.setattr(tiles, "_CACHED", cached)
        low = tiles.pack(jnp.asarray(z))
        found = np.asarray(curvature(low, jnp.asarray(p), jnp.asarray(w)))
        error, allowed = curvature_error(z, w, p, found)
        assert (error <= allowed).all()
        found = np.asarray(tiles.times_columns(low, jnp.asarray(v)))
        size = np.abs(nearest(v).T) @ np.abs(nearest(z))
        assert (np.abs(found - nearest(v).T @ nearest(z)) <= 500 * EPS * size).all()


@have_tiles
def test_what_is_not_finite_stays_so():
    z, w, _, p = drawn(40, 10, 3)
    z[7, 2], w[1, 4] = np.inf, np.nan
    low = tiles.pack(jnp.asarray(z))
    logits = np.asarray(tiles.times_rows(low, jnp.asarray(w)))
    assert np.isnan(logits[:, 1]).all()
    assert not np.isfinite(logits[7]).any()
    assert np.isfinite(np.delete(logits, 1, axis=1)[:7]).all()
    found = np.asarray(curvature(low, jnp.asarray(p), jnp.asarray(w)))
    assert not np.isfinite(found).all()


# ---- Beside others ----------------------------------------------------------------------------


@have_tiles
def test_many_at_once_are_each_what_they_are_alone():
    """Threads share XLA's, and the registers of a core: results are the same to the last bit."""
    tasks = []
    for seed, size in enumerate([(700, 64, 30), (90, 200, 5), (2000, 16, 100)]):
        z, w, _, p = (jnp.asarray(a) for a in drawn(*size, seed))
        low = tiles.pack(z)
        step = jax.jit(
            lambda w, low, p: jax.lax.fori_loop(
                0, 20, lambda _, w: w + 1e-3 * curvature(low, p, w), w
            )
        )
        tasks.append((step, (w, low, p)))
    alone = [np.asarray(step(*given)) for step, given in tasks]
    found: dict[tuple[int, int], np.ndarray] = {}

    def work(i: int) -> None:
        for again in range(5):
            step, given = tasks[i]
            found[i, again] = np.asarray(step(*given))

    threads = [threading.Thread(target=work, args=(i,)) for i in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 15
    assert all(np.array_equal(result, alone[i]) for (i, _), result in found.items())


@have_tiles
def test_products_of_xla_beside_them_are_undisturbed():
    """XLA may keep its own configuration of the registers from one product to the next."""
    z, w, _, p = (jnp.asarray(a) for a in drawn(512, 256, 48))
    low = tiles.pack(z)
    a, b = z.astype(jnp.bfloat16), w.astype(jnp.bfloat16)
    plain = jax.jit(lambda a, b: jnp.matmul(a, b.T, preferred_element_type=jnp.float32))
    before = np.asarray(plain(a, b))
    for _ in range(20):
        curvature(low, p, w)
        assert np.array_equal(np.asarray(plain(a, b)), before)


@have_tiles
@pytest.mark.parametrize("soft", [False, True])
def test_heads_agree_with_those_of_plain_products(soft, monkeypatch):
    monkeypatch.setattr(corrections, "_NEWTON_WORK", 0.0)
    monkeypatch.setattr(device, "multiplies_bfloat16", lambda: True)
    features, targets = problem(90, 12, 5, seed=2, soft=soft)
    made = []
    true = tiles.pack
    monkeypatch.setattr(tiles, "pack", lambda z: made.append(z.shape) or true(z))
    head = gramlab.SoftmaxHead(1e-3, tolerance=1e-14)
    fit = head.fit(features, targets)
    assert made == [(90, 12)]
    monkeypatch.setattr(tiles, "available", lambda: False)
    again = gramlab.Features(features.x, features.labels, n_classes=5)
    other = head.fit(again, targets)
    assert made == [(90, 12)]
    allowed = fit.certificate.weights_bound + other.certificate.weights_bound
    assert np.linalg.norm(fit.weights - other.weights) <= allowed
    far = gramlab.SoftmaxHead(2e-3, tolerance=1e-14).fit(again, targets)
    assert np.linalg.norm(fit.weights - far.weights) > allowed  # planted


# ---- Whether they can be had ------------------------------------------------------------------


@pytest.fixture
def asked_anew():
    tiles._compiled.cache_clear()
    yield
    tiles._compiled.cache_clear()


@pytest.mark.parametrize("lack", ["registers", "Numba", "system", "permission", "host"])
def test_where_something_lacks_xla_does_it(lack, monkeypatch, asked_anew):
    if lack == "registers":
        monkeypatch.setattr(device, "has_tiles", lambda: False)
    if lack == "Numba":
        monkeypatch.setattr(tiles, "find_spec", lambda name: None)
    if lack == "system":
        monkeypatch.setattr(sys, "platform", "win32")
    if lack == "permission":
        monkeypatch.setattr(tiles, "_PERMISSION", (158, 0x1023, 63))  # of a state there is not
    if lack == "host":
        monkeypatch.setattr(device, "accelerated", lambda: True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not tiles.available()


@have_tiles
@pytest.mark.parametrize("fault", ["wrong", "failing"])
def test_where_they_fail_xla_does_it_and_a_warning_says_so(fault, monkeypatch, asked_anew):
    if fault == "wrong":
        monkeypatch.setattr(tiles, "times_columns", lambda low, v: jnp.zeros((v.shape[1], low.d)))
        words = "results are wrong"
    else:
        monkeypatch.setattr(tiles, "_amx", lambda: 1 / 0)
        words = "ZeroDivisionError"
    with pytest.warns(RuntimeWarning, match=words):
        assert not tiles.available()
    z = jnp.asarray(drawn(40, 10, 3)[0])
    assert not isinstance(bfloat16.rounded(z), bfloat16.Packed)


def test_without_numba_nothing_asks_for_it():
    """In a process that cannot import it: a head of a size for rough products is solved."""
    code = """
import sys
sys.modules["numba"] = None
import numpy as np, gramlab
from gramlab.heads import tiles
assert not tiles.available()
rng = np.random.default_rng(0)
x, labels = rng.standard_normal((2000, 64)), np.arange(2000) % 30
fit = gramlab.SoftmaxHead(1e-3).fit(gramlab.Features(x, labels), gramlab.one_hot(labels, 30))
assert fit.certificate.relative_gap <= 1e-8
assert "gramlab.heads.amx" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
