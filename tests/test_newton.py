"""Newton's method in products of bfloat16 numbers: what is rounded, what is not, and who decides.

These tests ask for the rough products whatever the processor: they are slow on most, and the same.
"""

from __future__ import annotations

import warnings

import jax.numpy as jnp
import numpy as np
import pytest
from conftest import examples, problem, with_spectrum
from hypothesis import given
from hypothesis import strategies as st

import gramlab
from gramlab import device
from gramlab.batches import in_batches
from gramlab.heads import (
    bfloat16,
    coordinates,
    corrections,
    leading,
    metrics,
    newton,
    points,
    solver,
    tiles,
)
from gramlab.heads.objective import SoftmaxObjective
from gramlab.heads.softmax import keeps_cores_busy
from gramlab.spectrum import Spectrum

U = 2.0**-8  # half the spacing of bfloat16 numbers, relative to the smallest of a binade


@pytest.fixture(scope="module", params=["XLA", "tiles"], autouse=True)
def products(request):
    """Whose products: each test is run with either."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "XLA":
            patch.setattr(tiles, "available", lambda: False)
        elif not tiles.available():
            pytest.skip("no AMX here, or no Numba")
        yield request.param


@pytest.fixture
def rough(monkeypatch):
    """Rough products for problems of any size."""
    monkeypatch.setattr(device, "multiplies_bfloat16", lambda: True)
    monkeypatch.setattr(corrections, "_NEWTON_WORK", 0.0)


def nearest(a: np.ndarray) -> np.ndarray:
    """To bfloat16 and back, by NumPy: bit patterns cut to sixteen, ties to even."""
    bits = np.ascontiguousarray(a, dtype=np.float32).view(np.uint32).astype(np.uint64)
    kept = (bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000
    return kept.astype(np.uint32).view(np.float32)


# ---- Products ---------------------------------------------------------------------------------


@examples(30)
@given(
    # Each shape is compiled anew.
    shape=st.sampled_from([(1, 1, 2), (1, 20, 7), (40, 1, 3), (17, 9, 5), (40, 20, 7), (8, 16, 2)]),
    seed=st.integers(0, 2**32 - 1),
)
def test_products_are_those_of_rounded_operands(shape, seed):
    """Sums of at most 40 exact products of 8 by 8 bits, in float32."""
    n, r, k = shape
    rng = np.random.default_rng(seed)
    z, w, v = (rng.standard_normal(s).astype(np.float32) for s in ((n, r), (k, r), (n, k)))
    low = bfloat16.rounded(jnp.asarray(z))
    roundoff = 64 * np.finfo(np.float32).eps
    zr, wr, vr = (nearest(a).astype(np.float64) for a in (z, w, v))
    found = np.asarray(bfloat16.times_rows(low, jnp.asarray(w)))
    assert (np.abs(found - zr @ wr.T) <= roundoff * (np.abs(zr) @ np.abs(wr.T))).all()
    found = np.asarray(bfloat16.times_columns(low, jnp.asarray(v)))
    assert (np.abs(found - vr.T @ zr) <= roundoff * (np.abs(vr.T) @ np.abs(zr))).all()


def test_float32_operands_would_be_seen():
    """Planted: products that are not rounded fail the oracle above."""
    rng = np.random.default_rng(0)
    z, w = rng.standard_normal((50, 20)), rng.standard_normal((3, 20))
    error = np.abs(z @ w.T - nearest(z).astype(np.float64) @ nearest(w).astype(np.float64).T)
    bound = 64 * np.finfo(np.float32).eps * (np.abs(z) @ np.abs(w.T))
    assert not (error <= bound).all()
    assert (error <= 2.1 * U * (np.abs(z) @ np.abs(w.T))).all()


def test_rounding_in_the_eigenbasis_spares_small_eigenvalues():
    """Z = QΣ, rounded Q' = Q + E, |E| ≤ u|Q|: ‖E‖ ≤ u√r, and Q'ᵀQ' − I is within 2‖E‖ + ‖E‖²."""
    rng = np.random.default_rng(0)
    x = with_spectrum(np.logspace(0, -4, 40), 400, 60, rng)
    left, scales, right = np.linalg.svd(x, full_matrices=False)
    left, scales, right = left[:, :40], scales[:40], right[:40]
    allowed = U * np.sqrt(40)

    def deviation(rounded_rows: np.ndarray) -> float:
        q = rounded_rows.astype(np.float64) / scales
        return float(np.abs(np.linalg.eigvalsh(q.T @ q) - 1.0).max())

    assert deviation(nearest(left * scales)) <= 2 * allowed + allowed**2
    assert deviation(nearest(x) @ right.T) > 1.0  # planted: rounded in the features as they came


# ---- One direction ----------------------------------------------------------------------------


def base_point(n=40, d=6, k=3, weight_decay=0.02, seed=5):
    """A base point at W = 0 in the Gram eigenbasis, in float32, and the problem it belongs to."""
    features, targets = problem(n, d, k, seed)
    spectrum = Spectrum.of(features)
    z = jnp.asarray(spectrum.coordinates)
    with device.float64():
        gradient, _, predictions = points.evaluate(
            z, float(n), jnp.asarray(targets - 1 / k), weight_decay, jnp.zeros((k, d))
        )
    values = (z, spectrum.eigenvalues, weight_decay, n, gradient, np.asarray(predictions) + 1 / k)
    base = solver.Base(*(jnp.asarray(np.asarray(v), dtype=jnp.float32) for v in values))
    return features, targets, spectrum, base


def dense_hessian(z: np.ndarray, p: np.ndarray, weight_decay: float) -> np.ndarray:
    """(K·r, K·r) of weights (K, r), from its definition."""
    n, k = p.shape
    curvature = p[:, :, None] * np.eye(k) - p[:, :, None] * p[:, None, :]
    blocks = np.einsum("nab,ni,nj->aibj", curvature, z, z) / n
    size = k * z.shape[1]
    return blocks.reshape(size, size) + weight_decay * np.eye(size)


@pytest.mark.parametrize("kind", ["scalar", "class", "by class", "leading"])
def test_direction_solves_the_newton_equation_of_the_rounded_features(kind):
    *_, base = base_point()
    low = bfloat16.rounded(base.z)
    state = solver.start(base, 0)
    z, k = nearest(np.asarray(base.z)).astype(np.float64), 3
    lam = float(base.weight_decay)
    known = leading.from_products(low, 6, float((z * z).sum()))
    metric = {
        "scalar": lambda: metrics.scalar(base, state),
        "class": lambda: solver.class_metric(base, state, 8),
        "by class": lambda: metrics.by_class(base, state),
        "leading": lambda: metrics.leading_by_class(base, state, known),
    }[kind]()
    norm = float(jnp.linalg.norm(base.gradient))
    found, count, residual = newton._direction(
        base, low, metric, state, jnp.float32(0.05 * norm), jnp.asarray(60)
    )
    assert float(residual) <= 0.05 * norm
    assert 1 <= int(count) < 60
    hessian = dense_hessian(z, np.full((40, k), 1 / k), lam)
    d, g = np.asarray(found, np.float64).ravel(), np.asarray(base.gradient, np.float64).ravel()
    # What comes back from the softmax's curvature is rounded, and so is each direction.
    true = np.linalg.norm(hessian @ d + g)
    assert true <= 0.05 * norm + 4 * U * np.linalg.norm(hessian, 2) * np.linalg.norm(d)
    assert np.linalg.norm(hessian @ -d + g) > norm  # planted: the other way
    assert np.abs(np.asarray(found).sum(axis=0)).max() <= 1e-5 * np.abs(d).max()


# ---- A descent --------------------------------------------------------------------------------


def norm_at(features, targets, spectrum, weight_decay, step) -> float:
    """‖∇L‖ at a step from W = 0, by the referee."""
    k = targets.shape[1]
    weights = spectrum.basis @ np.asarray(step, np.float64).T
    return float(
        np.linalg.norm(SoftmaxObjective(features, targets - 1 / k, weight_decay).gradient(weights))
    )


@pytest.mark.parametrize("fall", [1e-1, 1e-3, 1e-5])
def test_descent_reaches_its_goal_in_the_features_themselves(fall):
    features, targets, spectrum, base = base_point()
    start = float(jnp.linalg.norm(base.gradient))
    seen = []
    found = newton.descend(
        base,
        bfloat16.rounded(base.z),
        fall * start,
        0.02 * start,
        1000,
        lambda *now: seen.append(now),
    )
    assert found.reached
    assert seen[-1][0] == found.passes
    assert len(seen) == found.iterations
    assert 0 < found.rough <= found.passes
    reached = norm_at(features, targets, spectrum, 0.02, found.step)
    assert seen[-1][1] <= fall * start
    # Refreshed in float32, or from so close that the rounded products' error is a part of it.
    assert reached <= 1.3 * fall * start
    far = norm_at(features, targets, spectrum, 0.02, 0.9 * np.asarray(found.step))
    assert far > 1.3 * fall * start  # planted: nine tenths of the step


def test_gradients_are_made_anew_as_often_as_their_error_asks():
    """Features rounded more coarsely than to bfloat16: more refreshments, and the same goal."""
    features, targets, spectrum, base = base_point()
    start = float(jnp.linalg.norm(base.gradient))
    noise = 1.0 + 0.02 * np.random.default_rng(0).standard_normal(base.z.shape)
    refreshed = []
    for z in (base.z, base.z * jnp.asarray(noise, dtype=jnp.float32)):
        low = bfloat16.rounded(z)
        found = newton.descend(base, low, 1e-5 * start, 0.0, 1000, lambda *_: None)
        assert found.reached
        refreshed.append(found.passes - found.rough)
        reached = norm_at(features, targets, spectrum, 0.02, found.step)
        assert reached <= 1.3e-5 * start
    assert refreshed[0] <= 3.0
    assert refreshed[1] > refreshed[0]


def test_a_goal_within_the_gradients_error_is_not_taken_for_reached():
    """One step to a goal that the rounded gradient meets: refreshed, unless its error is known."""
    *_, base = base_point()
    low, start = bfloat16.rounded(base.z), float(jnp.linalg.norm(base.gradient))
    state = solver.start(base, 0)
    took = {}
    for error in (0.0, 10.0):
        limits = newton._Limits(0.02, 60, 0.5 * start, 0.0, error * start)
        _, numbers = newton._take(base, low, None, state, limits)
        _, _, rounded, norm, anew, apart = (float(number) for number in numbers)
        assert rounded <= 0.5 * start
        took[error] = bool(anew)
        assert (apart > 0.0) == bool(anew)
        assert abs(norm - rounded) <= apart * (1.0 + 1e-5)
    assert took == {0.0: False, 10.0: True}


def test_descent_keeps_to_its_passes_and_says_that_it_did_not_arrive():
    *_, base = base_point(weight_decay=1e-4)
    start = float(jnp.linalg.norm(base.gradient))
    for most in (1.0, 2.5, 9.0):
        found = newton.descend(
            base, bfloat16.rounded(base.z), 1e-6 * start, 0.0, most, lambda *_: None
        )
        assert not found.reached
        assert found.passes <= most + 1.0


def test_descent_gives_up_where_the_products_are_wrong():
    """Planted: products of other features; refreshed gradients tell, and the last step is kept."""
    *_, base = base_point()
    start = float(jnp.linalg.norm(base.gradient))
    noise = np.random.default_rng(0).standard_normal(base.z.shape)
    wrong = bfloat16.rounded(jnp.asarray(noise, dtype=jnp.float32))
    found = newton.descend(base, wrong, 1e-5 * start, 0.0, 5000, lambda *_: None)
    assert not found.reached
    assert np.isfinite(np.asarray(found.step)).all()
    right = newton.descend(base, bfloat16.rounded(base.z), 1e-5 * start, 0.0, 5000, lambda *_: None)
    assert right.reached


def test_numbers_out_of_range_leave_what_was_good():
    *_, base = base_point()
    base = base._replace(z=base.z * jnp.float32(1e30), eigenvalues=base.eigenvalues)
    found = newton.descend(base, bfloat16.rounded(base.z), 1e-9, 0.0, 500, lambda *_: None)
    assert not found.reached
    assert np.isfinite(np.asarray(found.step)).all()


@given(forcing=st.floats(*newton._FORCING), error=st.floats(0.0, 10.0))
def test_forcing_stays_in_its_range_and_falls_no_faster_than_its_safeguard(forcing, error):
    least, largest = newton._FORCING
    following = newton._next_forcing(forcing, error)
    assert least <= following <= largest
    if forcing**newton._GOLDEN > 0.1:
        assert following >= forcing**newton._GOLDEN
    if least <= error <= largest:
        assert following >= error


# ---- The head ---------------------------------------------------------------------------------

HARD = ("separable", "soft", "start", "leading", "narrow", "class metric", "wide", "direct")


def asked(kind: str, monkeypatch) -> tuple[gramlab.Features, np.ndarray, float, np.ndarray | None]:
    """Features, targets, weight decay and start of a problem that takes a certain way."""
    rng = np.random.default_rng(3)
    features, targets = problem(90, 12, 5, seed=2, scale=3.0, soft=kind == "soft")
    if kind == "separable":
        x = with_spectrum(1000.0 * np.logspace(0, -3, 20), 200, 30, rng)
        labels = (x @ rng.standard_normal((30, 5))).argmax(axis=1)
        features = gramlab.Features(x, labels, n_classes=5)
        return features, gramlab.one_hot(labels, 5), 0.05, None
    if kind == "wide":
        features, targets = problem(20, 35, 4, seed=2)
    if kind in ("leading", "direct"):
        monkeypatch.setattr(coordinates, "_NARROW", 0)
        monkeypatch.setattr(coordinates, "_EASY_ROUGHLY", 0.0 if kind == "leading" else 1e9)
        monkeypatch.setattr(coordinates, "_NOT_HARD", 1e9)
    if kind == "narrow":
        monkeypatch.setattr(coordinates, "_NOT_HARD_NARROW", 1e9)
    if kind == "class metric":
        monkeypatch.setattr(newton, "_CLASS_SOLVE", 1)
        Spectrum.of(features)
    start = 3.0 * rng.standard_normal((12, 5)) if kind == "start" else None
    return features, targets, 1e-3, start


@pytest.mark.parametrize("kind", HARD)
@pytest.mark.parametrize("tolerance", [1e-6, 1e-10, 1e-18])
def test_rough_products_find_the_same_optimum(kind, tolerance, monkeypatch, rough):
    """Both within their certified distance of the one optimum, whatever the way there."""
    features, targets, lam, start = asked(kind, monkeypatch)
    fit = gramlab.SoftmaxHead(lam, tolerance=tolerance).fit(features, targets, start=start)
    monkeypatch.setattr(device, "multiplies_bfloat16", lambda: False)
    again = gramlab.Features(features.x, features.labels, n_classes=features.n_classes)
    other = gramlab.SoftmaxHead(lam, tolerance=tolerance).fit(again, targets, start=start)
    assert fit.certificate.relative_gap <= tolerance
    assert other.certificate.relative_gap <= tolerance
    distance = np.linalg.norm(fit.weights - other.weights)
    allowed = fit.certificate.weights_bound + other.certificate.weights_bound
    assert distance <= allowed
    assert fit.stats.bfloat16_passes > 0
    assert "bfloat16" in fit.stats.method
    assert fit.stats.passes >= fit.stats.bfloat16_passes
    assert other.stats.bfloat16_passes == 0
    assert "bfloat16" not in other.stats.method
    if tolerance > 1e-7:
        return  # so large a distance is allowed that nothing is far away
    # Planted: another weight decay has another optimum, further away than certificates allow.
    far = gramlab.SoftmaxHead(3 * lam, tolerance=tolerance).fit(again, targets)
    assert np.linalg.norm(fit.weights - far.weights) > allowed


def test_the_ways_are_taken(monkeypatch, rough, products):
    """The kinds above do what their names say; tiles are too fast for a class metric."""
    made = []
    ways = {"class metric": "class_metric", "leading": "from_products", "narrow": "from_some_rows"}
    for name in ways.values():
        room = solver if name == "class_metric" else coordinates
        true = getattr(room, name)
        monkeypatch.setattr(
            room, name, lambda *a, _true=true, _name=name: made.append(_name) or _true(*a)
        )
    for kind, expected in ways.items():
        with monkeypatch.context() as here:
            features, targets, lam, _ = asked(kind, here)
            gramlab.SoftmaxHead(lam, tolerance=1e-10).fit(features, targets)
        assert (expected in made) == (kind != "class metric" or products == "XLA")
        assert set(made) <= {expected}
        made.clear()
    features, targets, lam, _ = asked("soft", monkeypatch)
    gramlab.SoftmaxHead(lam, tolerance=1e-10).fit(features, targets)
    assert made == []


@pytest.mark.parametrize("kind", ["soft", "leading", "narrow"])
def test_a_descent_that_gives_up_is_finished_by_the_solver(kind, monkeypatch, rough):
    monkeypatch.setattr(newton, "_FAILURES", 0)
    features, targets, lam, _ = asked(kind, monkeypatch)
    fit = gramlab.SoftmaxHead(lam, tolerance=1e-12).fit(features, targets)
    assert fit.stats.converged
    assert fit.certificate.relative_gap <= 1e-12
    assert fit.stats.bfloat16_passes == 0  # not one step


def test_a_pass_limit_is_kept(rough):
    features, targets = problem(60, 8, 3, seed=1, scale=200.0)
    for most in (1, 3, 10):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", gramlab.NotConvergedWarning)
            fit = gramlab.SoftmaxHead(1e-4, tolerance=1e-20, max_passes=most).fit(features, targets)
        assert fit.stats.passes <= most + 1.5
        assert fit.stats.result == "pass limit"


def test_two_fits_are_the_same_to_the_last_bit(rough):
    features, targets = problem(90, 12, 5, seed=2)
    one, two = (gramlab.SoftmaxHead(1e-4, tolerance=1e-12).fit(features, targets) for _ in "ab")
    assert np.array_equal(one.weights, two.weights)


# ---- Leading eigenvectors ---------------------------------------------------------------------


@pytest.mark.parametrize("narrow", [False, True])
def test_leading_eigenvectors_are_those_of_the_gram_matrix(narrow):
    """Of a spectrum that falls fast, where subspace iteration has nothing to mix up."""
    rng = np.random.default_rng(1)
    spectrum = 10.0 * 0.7 ** np.arange(24)
    x = with_spectrum(spectrum, 300, 24, rng).astype(np.float32)
    trace = float((x.astype(np.float64) ** 2).sum())
    low = bfloat16.rounded(jnp.asarray(x))
    if narrow:
        found = leading.from_some_rows(jnp.asarray(x), trace)
    else:
        found = leading.from_products(low, 24, trace)
    vectors, values, rest = (np.asarray(a, np.float64) for a in found)
    assert vectors.shape == (6, 24)
    assert np.abs(vectors @ vectors.T - np.eye(6)).max() <= 1e-5
    true = np.linalg.eigvalsh(x.T.astype(np.float64) @ x)[::-1]
    # Largest first or last; of the first four the gap is wide enough for two powers.
    found_values = np.sort(values)[::-1]
    assert np.abs(found_values[:4] / true[:4] - 1.0).max() <= 0.05
    assert (found_values <= true[:6] * (1.0 + 4 * U)).all()  # Rayleigh quotients
    assert abs(rest * 18 + values.sum() - trace) <= 1e-5 * trace
    quotients = np.einsum("md,nd->mn", vectors, x.astype(np.float64))
    apart = np.abs((quotients**2).sum(axis=1) / values - 1.0)
    assert apart.max() <= 4 * U
    assert np.abs((quotients[::-1] ** 2).sum(axis=1) / values - 1.0).max() > 4 * U  # planted


def test_very_many_rows_of_few_features_are_looked_at_in_part():
    rng = np.random.default_rng(0)
    x = (rng.standard_normal((3000, 4)) * [4.0, 2.0, 1.0, 0.5]).astype(np.float32)
    some = np.asarray(leading.gram_of_some_rows(jnp.asarray(x)), np.float64)
    part = x[::7].astype(np.float64)
    assert np.abs(some - part.T @ part).max() <= 1e-4 * np.abs(some).max()
    found = leading.from_some_rows(jnp.asarray(x), float((x.astype(np.float64) ** 2).sum()))
    largest = np.linalg.eigvalsh(x.T.astype(np.float64) @ x)[-1]
    assert abs(float(found.eigenvalues[0]) / largest - 1.0) <= 0.2  # of all rows, not of a seventh
    x[::7] = 0.0  # planted: just the rows that are looked at
    trace = float((x.astype(np.float64) ** 2).sum())
    found = leading.from_some_rows(jnp.asarray(x), trace)
    assert all(np.isfinite(np.asarray(part)).all() for part in found)
    assert abs(3.0 * float(found.rest) / trace - 1.0) <= 1e-6


@pytest.mark.parametrize("size", [1e-9, 1e9, np.inf, np.nan])
def test_features_out_of_range_have_no_leading_eigenvectors(size):
    x = np.full((30, 8), size, np.float32)
    with np.errstate(all="ignore"):
        trace = float((x.astype(np.float64) ** 2).sum())
    assert leading.from_some_rows(jnp.asarray(x), trace) is None
    assert leading.from_products(bfloat16.rounded(jnp.asarray(x)), 8, trace) is None


@pytest.mark.parametrize("kind", ["leading", "narrow"])
@pytest.mark.parametrize("scale", [1e-10, 1e10])
def test_heads_of_such_features_find_another_way(kind, scale, monkeypatch, rough):
    features, targets, lam, _ = asked(kind, monkeypatch)
    scaled = gramlab.Features(scale * features.x, features.labels, n_classes=5)
    fit = gramlab.SoftmaxHead(scale**2 * lam, tolerance=1e-10).fit(scaled, targets)
    assert fit.certificate.relative_gap <= 1e-10


def test_leading_eigenvectors_are_found_once_for_all_weight_decays(monkeypatch, rough):
    features, targets, lam, _ = asked("leading", monkeypatch)
    found = []
    true = coordinates.from_products
    monkeypatch.setattr(coordinates, "from_products", lambda *a: found.append(1) or true(*a))
    for factor in (1.0, 3.0):
        gramlab.SoftmaxHead(factor * lam, tolerance=1e-8).fit(features, targets)
    assert len(found) == 1


# ---- Metrics ----------------------------------------------------------------------------------


@examples(20)
@given(
    # Each shape is compiled anew.
    shape=st.sampled_from([(2, 4, 1), (2, 9, 3), (6, 4, 3), (6, 9, 1), (4, 6, 2)]),
    seed=st.integers(0, 2**32 - 1),
)
def test_metrics_are_inverted_on_what_sums_to_zero(shape, seed):
    """M y = b + a share of all classes alike, and Σ y = 0: the dense twin of either metric."""
    k, r, m = shape
    rng = np.random.default_rng(seed)
    vectors = np.linalg.qr(rng.standard_normal((r, m)))[0].T
    within, beyond = 0.1 + rng.random((k, m)), 0.1 + rng.random((k, 1))
    b = rng.standard_normal((k, r))
    b -= b.mean(axis=0)
    values = 0.1 + rng.random((k, r))
    low_rank = metrics.LowRank(*(jnp.asarray(a, jnp.float32) for a in (vectors, within, beyond)))
    diagonal = metrics.Diagonal(jnp.asarray(values, jnp.float32))
    beside = np.eye(r) - vectors.T @ vectors
    of_low_rank = [
        vectors.T @ np.diag(w) @ vectors + float(s[0]) * beside
        for w, s in zip(within, beyond, strict=True)
    ]
    of_diagonal = [np.diag(row) for row in values]
    bound = 1e-4 * (1.0 + np.abs(b).max())
    for metric, matrices in ((low_rank, of_low_rank), (diagonal, of_diagonal)):
        y = np.asarray(metric.inverted(jnp.asarray(b, jnp.float32)), np.float64)
        assert np.abs(y.sum(axis=0)).max() <= bound
        # Planted: half of it.
        for part, right in ((y, True), (0.5 * y, False)):
            apart = np.stack([a @ row for a, row in zip(matrices, part, strict=True)]) - b
            assert (np.abs(apart - apart.mean(axis=0)).max() <= bound) == right


def test_the_leading_metric_is_of_the_classes_own_curvature():
    """With all rows, and between the mean curvature and their own as the diagonal by class is."""
    z = problem(200, 6, 4, 0)[0].x.astype(np.float32)
    p = np.random.default_rng(0).dirichlet(np.full(4, 0.3), 200).astype(np.float32)
    numbers = (jnp.float32(0.01), jnp.float32(200.0), jnp.zeros((4, 6), jnp.float32))
    base = solver.Base(jnp.asarray(z), jnp.full(6, (z * z).sum() / 6), *numbers, jnp.asarray(p))
    values, vectors = np.linalg.eigh(z.T @ z)
    known = leading.Leading(
        jnp.asarray(vectors[:, -2:].T), jnp.asarray(values[-2:]), jnp.asarray(values[:4].mean())
    )
    found = metrics.leading_by_class(base, solver.start(base, 0), known)
    weights, mean = p * (1 - p) / 200 * 4 / 3, (1 - (p * p).sum() / 200) / 3 / 200
    squares = (z @ vectors) ** 2
    within = weights.T @ squares[:, -2:] + 0.01
    beyond = (weights.T @ squares[:, :4]).mean(axis=1, keepdims=True) + 0.01
    for one, own, scalar in (
        (found.within, within, mean * values[-2:] + 0.01),
        (found.beyond, beyond, mean * values[:4].mean() + 0.01),
    ):
        np.testing.assert_allclose(np.asarray(one), own**0.3 * scalar**0.7, rtol=1e-3)
        assert np.abs(np.asarray(one) / own - 1.0).max() > 1e-2  # planted: not their own alone


# ---- Which processors -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("facts", "expected"),
    [("flags\t: fpu avx512_bf16 amx_bf16 amx_tile", True), ("flags\t: fpu avx512_bf16", False)],
)
def test_matrix_units_are_read_off_the_processor(facts, expected, monkeypatch, tmp_path):
    listing = tmp_path / "cpuinfo"
    listing.write_text(facts, encoding="utf-8")
    monkeypatch.setattr(device, "_CPU_FACTS", listing)
    device.multiplies_bfloat16.cache_clear()
    try:
        assert device.multiplies_bfloat16() is expected
        listing.unlink()
        device.multiplies_bfloat16.cache_clear()
        assert device.multiplies_bfloat16() is False  # not Linux
    finally:
        device.multiplies_bfloat16.cache_clear()


def test_small_problems_are_left_alone(monkeypatch):
    monkeypatch.setattr(device, "multiplies_bfloat16", lambda: True)
    assert not corrections.rough_products_help(200, 20, 5)
    assert corrections.rough_products_help(7000, 1280, 101)
    monkeypatch.setattr(device, "multiplies_bfloat16", lambda: False)
    assert not corrections.rough_products_help(7000, 1280, 101)


def test_a_head_does_not_depend_on_what_else_is_in_hand(rough):
    features, targets = problem(90, 12, 5, seed=2)
    head = gramlab.SoftmaxHead(1e-4, tolerance=1e-12)
    alone = head.fit(features, targets).weights
    others = [targets, targets[::-1].copy(), targets]
    found = in_batches(lambda t, _: head.fit(features, t).weights, others)
    assert np.array_equal(found[0], alone)
    assert np.array_equal(found[2], alone)
    assert not np.array_equal(found[1], alone)


def test_the_diagonal_by_class_is_the_hessians_own():
    """With all rows: between (1/N) Σ p(1 − p) z² K/(K − 1) + λ and the scalar metric."""
    z = problem(200, 6, 4, 0)[0].x.astype(np.float32)
    p = np.random.default_rng(0).dirichlet(np.full(4, 0.3), 200).astype(np.float32)
    eigenvalues = (z * z).sum(axis=0)
    numbers = (jnp.float32(0.01), jnp.float32(200.0), jnp.zeros((4, 6), jnp.float32))
    base = solver.Base(jnp.asarray(z), jnp.asarray(eigenvalues), *numbers, jnp.asarray(p))
    found = np.asarray(metrics.by_class(base, solver.start(base, 0)).values)
    own = (p * (1 - p)).T @ (z * z) / 200 * 4 / 3 + 0.01
    mean = (1 - (p * p).sum() / 200) / 3
    scalar = mean * eigenvalues / 200 + 0.01
    np.testing.assert_allclose(found, own**0.3 * scalar**0.7, rtol=1e-4)
    assert np.abs(found - own).max() > 1e-2  # planted: not the diagonal alone
    uniform = base._replace(probabilities=jnp.full((200, 4), 0.25))
    plain = np.asarray(metrics.by_class(uniform, solver.start(uniform, 0)).values)
    np.testing.assert_allclose(plain, np.tile(eigenvalues / 800 + 0.01, (4, 1)), rtol=1e-4)


def test_one_head_at_a_time_only_where_products_in_tiles_are_large(monkeypatch, products):
    monkeypatch.setattr(device, "multiplies_bfloat16", lambda: True)
    assert keeps_cores_busy(7000, 1280, 101) == (products == "tiles")
    assert not keeps_cores_busy(2936, 1280, 81)
    monkeypatch.setattr(device, "multiplies_bfloat16", lambda: False)
    assert not keeps_cores_busy(7000, 1280, 101)
