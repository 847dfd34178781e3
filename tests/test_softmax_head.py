"""The exact head: oracles, invariances, limits, and results that say when they failed."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest
import twins
from conftest import examples, matrices, problem, problems
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from gramlab import device
from gramlab.errors import InvalidSetting, InvalidTargets, NotConvergedWarning
from gramlab.features import Features
from gramlab.heads import coordinates, leading, points, solver
from gramlab.heads.fit import Targets
from gramlab.heads.linearized import LinearizedHead
from gramlab.heads.objective import SoftmaxObjective, softmax
from gramlab.heads.softmax import SoftmaxHead
from gramlab.labels import corrupt_labels, corruption_matrix
from gramlab.sources import load_features
from gramlab.spectrum import Spectrum
from gramlab.targets import one_hot, partial_labels

seeds = st.integers(0, 10**6)
decays = st.floats(-4, 1).map(lambda e: 10.0**e)
few = examples(12)
# Where the optimum is 0 but for rounding, no gap relative to that is reached.
solvable = problems(24, 6, 3).filter(
    lambda made: np.abs(made[0].x.T @ (made[1] - 1 / 3)).max() > 1e-9
)


def fit(features, targets, weight_decay, **options):
    return SoftmaxHead(weight_decay, **options).fit(features, targets)


def assert_same_optimum(first, second, rotate=lambda w: w, factor=1.0):
    """Equal within what the two certificates allow, and not by their being loose."""
    allowed = first.certificate.weights_bound + factor * second.certificate.weights_bound
    assert np.linalg.norm(first.weights - rotate(second.weights)) <= allowed
    assert allowed <= 1e-3 * (1 + np.linalg.norm(first.weights))


@pytest.mark.parametrize(("n", "d", "k"), [(40, 5, 4), (6, 25, 3), (30, 4, 2)])
@pytest.mark.parametrize("weight_decay", [1e-3, 1e-1])
@pytest.mark.parametrize("tolerance", [1e-8, 1e-20])
def test_optimum_equals_the_dense_newton_twin(n, d, k, weight_decay, tolerance):
    features, targets = problem(n, d, k, seed=n)
    found = fit(features, targets, weight_decay, tolerance=tolerance)
    assert found.stats.converged
    assert found.certificate.relative_gap <= tolerance
    best = twins.exact_head(features.x, targets, weight_decay)
    distance = np.linalg.norm(found.weights - best)
    assert distance <= found.certificate.weights_bound + 1e-12
    assert found.certificate.weights_bound <= 20 * distance + 1e-9
    expected = SoftmaxObjective(features, targets - 1 / k, weight_decay)
    assert np.linalg.norm(expected.gradient(found.weights)) == found.certificate.gradient_norm
    assert np.abs(found.probabilities.sum(axis=1) - 1).max() < 1e-14 * k
    # Planted: weights off by ten bounds are refused by the certificate.
    off = found.weights + 10 * (found.certificate.weights_bound + 1e-9)
    assert found.certify(off).weights_bound > found.certificate.weights_bound


@few
@given(made=solvable, weight_decay=decays)
def test_fixed_point_of_the_stationarity_equation(made, weight_decay):
    """W = Xᵀ(T − P)/(Nλ), up to g/λ."""
    features, targets = made
    found = fit(features, targets, weight_decay)
    residual = targets - found.probabilities
    fixed = features.x.T @ residual / (24 * weight_decay)
    slack = found.certificate.global_bound * (1 + 1e-6)
    assert np.linalg.norm(found.weights - fixed) <= slack
    assert np.abs(found.weights.sum(axis=1)).max() <= slack  # logits sum to 0 over classes


@few
@given(made=solvable, weight_decay=decays, turn=matrices(6, 6))
def test_rotating_the_features_rotates_the_weights(made, weight_decay, turn):
    features, targets = made
    q = np.linalg.qr(turn)[0]
    turned = Features(features.x @ q, features.labels, n_classes=3)
    assert_same_optimum(
        fit(features, targets, weight_decay, tolerance=1e-14),
        fit(turned, targets, weight_decay, tolerance=1e-14),
        rotate=lambda w: q @ w,
    )


@few
@given(
    made=solvable,
    weight_decay=decays,
    classes=st.permutations(range(3)),
    rows=st.permutations(range(24)),
)
def test_permuting_classes_and_rows(made, weight_decay, classes, rows):
    features, targets = made
    inverse = np.argsort(classes)
    shuffled = Features(features.x[rows], features.labels[rows], n_classes=3)
    assert_same_optimum(
        fit(features, targets, weight_decay, tolerance=1e-14),
        fit(shuffled, targets[rows][:, classes], weight_decay, tolerance=1e-14),
        rotate=lambda w: w[:, inverse],
    )


@few
@given(made=solvable, weight_decay=decays)
def test_repeating_every_row_changes_nothing(made, weight_decay):
    features, targets = made
    twice = Features(np.repeat(features.x, 2, axis=0), np.repeat(features.labels, 2), n_classes=3)
    assert_same_optimum(
        fit(features, targets, weight_decay, tolerance=1e-14),
        fit(twice, np.repeat(targets, 2, axis=0), weight_decay, tolerance=1e-14),
    )


@few
@given(made=solvable, weight_decay=decays, scale=st.floats(0.1, 10))
def test_scaling_features_by_a_and_weight_decay_by_a_squared(made, weight_decay, scale):
    features, targets = made
    scaled = Features(scale * features.x, features.labels, n_classes=3)
    assert_same_optimum(
        fit(features, targets, weight_decay, tolerance=1e-14),
        fit(scaled, targets, weight_decay * scale**2, tolerance=1e-14),
        rotate=lambda w: scale * w,
        factor=scale,
    )


@few
@given(seed=seeds, weight_decay=decays)
def test_splitting_a_soft_row_into_weighted_hard_rows_scikit_learn(seed, weight_decay):
    """scikit-learn takes no soft labels: K copies of each row with weights T_ik are its form."""
    features, targets = problem(24, 6, 3, seed=seed)
    found = fit(features, targets, weight_decay, tolerance=1e-14)
    oracle = LogisticRegression(
        C=1 / (24 * weight_decay), fit_intercept=False, tol=1e-12, max_iter=2000, solver="newton-cg"
    ).fit(
        np.repeat(features.x, 3, axis=0), np.tile(np.arange(3), 24), sample_weight=targets.ravel()
    )
    other = found.certify(oracle.coef_.T)
    allowed = found.certificate.weights_bound + other.weights_bound
    assert np.linalg.norm(found.weights - oracle.coef_.T) <= allowed
    assert allowed <= 1e-3 * (1 + np.linalg.norm(found.weights))


@few
@given(made=solvable, weight_decay=decays, start=matrices(6, 3, 10.0))
def test_the_optimum_does_not_depend_on_the_start(made, weight_decay, start):
    features, targets = made
    head = SoftmaxHead(weight_decay, tolerance=1e-14)
    assert_same_optimum(head.fit(features, targets), head.fit(features, targets, start=start))


@few
@given(made=solvable)
def test_large_weight_decay_is_the_closed_form(made):
    """λ → ∞: the logits vanish and the linearization becomes exact."""
    features, targets = made
    exact = fit(features, targets, 1e4, tolerance=1e-20)
    linear = LinearizedHead(1e4).fit(features, targets)
    osc = np.ptp(features.x @ exact.weights, axis=1).max()
    difference = np.linalg.norm(exact.weights - linear.weights)
    # One round's error identity: ‖P − P_lin‖ ≤ ‖R‖ ≤ √N osc²/4, and W = Xᵀα with α ~ 1/(Nλ).
    scale = np.linalg.norm(features.x, 2) / (24 * 1e4) * np.sqrt(24)
    assert difference <= scale * osc**2 / 4 * 3 + exact.certificate.weights_bound
    assert np.abs(exact.deviations).max() < 1e-3


def test_small_weight_decay_fits_separable_labels():
    features, _ = problem(12, 30, 3, seed=3)
    found = fit(features, np.eye(3)[features.labels], 1e-9)
    assert found.certificate.relative_gap <= 1e-8
    assert np.abs(found.probabilities - np.eye(3)[features.labels]).max() < 1e-3


def test_uniform_targets_give_zero_weights():
    features, _ = problem(24, 6, 3, seed=0)
    found = fit(features, np.full((24, 3), 1 / 3), 0.1)
    assert np.array_equal(found.weights, np.zeros((6, 3)))
    assert found.certificate.relative_gap == 0.0


def settled(weight_decay=0.01, iterations=0, dtype=np.float64, n=24, k=3):
    """A small problem in the solver's own terms, some iterations on."""
    import jax.numpy as jnp

    features, targets = problem(n, 6, k, seed=5)
    spectrum = Spectrum.of(features)
    z = jnp.asarray(spectrum.coordinates)
    deviations, a = jnp.asarray(targets - 1 / k), jnp.zeros((k, 6))
    gradient, _, predictions = points.evaluate(z, float(n), deviations, weight_decay, a)
    values = (z, spectrum.eigenvalues, weight_decay, n, gradient, predictions + 1 / k)
    base = solver.Base(*(jnp.asarray(v, dtype=dtype) for v in values))
    state = solver.start(base, 5)
    state = solver.advance(base, solver.scalar_metric(base, state), state, 0.0, iterations)
    return features, targets, spectrum, base, state


def test_first_step_of_the_solver_is_the_closed_form():
    """The metric at W = 0 is the linearized Hessian: one unit step is the linearized head."""
    with device.float64():
        features, targets, spectrum, base, state = settled()
        step = np.asarray(solver._direction(base, solver.scalar_metric(base, state), state))
    linear = LinearizedHead(0.01).fit(features, targets)
    assert np.abs(spectrum.basis @ step.T - linear.weights).max() < 1e-12 * np.abs(step).max()


@pytest.mark.parametrize("kept", [1, 5, 23])
def test_class_metric_inverts_the_class_blocks(kept):
    """Woodbury: M⁻¹ − BᵀSB times the dense block it stands for is the identity."""
    with device.float64():
        _, _, _, base, state = settled(iterations=6)
        metric = solver.class_metric(base, state, kept)
        p = np.asarray(base.probabilities + state.change)
        z, lam, n = np.asarray(base.z), float(base.weight_decay), len(p)
        for c in range(3):
            weights = p[:, c] * (1 - p[:, c])
            order = np.argsort(-weights)
            rest = weights[order[kept:]].mean()
            heavy, extra = z[order[:kept]], weights[order[:kept]] - rest
            # The rows not kept enter through their mean curvature, over all of ZᵀZ.
            block = rest * z.T @ z / n + heavy.T @ (extra[:, None] * heavy) / n + lam * np.eye(6)
            factors, inner = np.asarray(metric.factors[c]), np.asarray(metric.inner[c])
            inverse = np.diag(1 / (rest * np.asarray(base.eigenvalues) / n + lam))
            inverse -= factors.T @ inner @ factors
            error = np.linalg.norm(inverse @ block - np.eye(6))
            assert error < 1e-12 * np.linalg.cond(block)
            wrong = inverse + factors.T @ inner @ factors  # planted: without the kept rows
            assert np.linalg.norm(wrong @ block - np.eye(6)) > 1e-3


def test_corrections_are_accurate_relative_to_the_change():
    """ΔP of a tiny step keeps its digits in float32, where a difference of softmaxes has none."""
    import jax.numpy as jnp

    with device.float64():
        _, _, _, base, _ = settled(iterations=0)
        _, _, _, single, _ = settled(iterations=0, dtype=np.float32)
        tiny = 1e-9 * np.random.default_rng(0).standard_normal(base.probabilities.shape)
        exact = np.asarray(solver._prediction_change(base, jnp.asarray(tiny)))
        found = np.asarray(solver._prediction_change(single, jnp.asarray(tiny, dtype=np.float32)))
        plain = softmax(tiny.astype(np.float32)) - np.float32(1 / 3)
    size = np.abs(exact).max()
    assert np.abs(found - exact).max() < 1e-6 * size
    assert np.abs(plain - exact).max() > 0.1 * size


def test_float32_corrections_reach_the_float64_optimum(monkeypatch):
    from gramlab.heads import corrections as room

    features, targets = problem(60, 8, 4, seed=6)
    found = fit(features, targets, 1e-3, tolerance=1e-20)
    assert found.certificate.relative_gap <= 1e-20
    monkeypatch.setattr(room, "_FLOAT32_CONDITION", 0.0)
    assert_same_optimum(found, fit(features, targets, 1e-3, tolerance=1e-20))


def test_a_class_that_was_impossible_can_take_over():
    """ΔP in float32 where the base gives a class 1e-9 and the step makes it certain."""
    import jax.numpy as jnp

    old, new = np.array([[20.0, 0.0, -1.0]]), np.array([[0.0, 1.0, 20.0]])
    exact = softmax(new) - softmax(old)
    with device.float64():
        values = (np.zeros((1, 2)), np.zeros(2), 1.0, 1, np.zeros((3, 2)), softmax(old))
        base = solver.Base(*(jnp.asarray(v, dtype=np.float32) for v in values))
        found = solver._prediction_change(base, jnp.asarray(new - old, dtype=np.float32))
    assert np.abs(np.asarray(found) - exact).max() < 1e-5


@pytest.mark.parametrize("rate", [0.0, 0.1])
def test_students_on_partial_labels_start_from_a_confident_teacher(rate, monkeypatch):
    """Targets that overturn the start's near certainties: as few passes as from scratch, or so."""
    from gramlab.heads import corrections as room

    monkeypatch.setattr(room, "_CLASS_WORK", 0.0)  # the class metric too, though digits are small
    features = load_features("digits")
    k = features.n_classes
    given = corrupt_labels(features.labels, corruption_matrix("symmetric", k, rate), seed=0).labels
    head = SoftmaxHead(5e-4, tolerance=1e-16)
    teacher = head.fit(features, one_hot(given, k))
    targets = partial_labels(teacher.probabilities, seed=0)
    student, fresh = head.fit(features, targets, teacher.weights), head.fit(features, targets)
    assert student.certificate.relative_gap <= 1e-16
    assert student.stats.passes <= 2 * fresh.stats.passes
    assert_same_optimum(student, fresh)


def test_features_themselves_and_the_eigenbasis_give_the_same_head(monkeypatch):
    """Large weight decay is solved without a factorization, unless that is cheap or at hand."""
    from gramlab.heads import coordinates

    monkeypatch.setattr(coordinates, "_NARROW", 2)
    features, targets = problem(60, 8, 4, seed=8)
    assert "spectrum" not in features._memo
    plain = fit(features, targets, 1.0, tolerance=1e-20)
    assert "spectrum" not in features._memo
    Spectrum.of(features)
    assert_same_optimum(plain, fit(features, targets, 1.0, tolerance=1e-20))
    fresh = Features(features.x, features.labels)
    quick = fit(fresh, targets, 1e-3, tolerance=1e-20)
    assert "spectrum" not in fresh._memo
    assert fresh._memo["quick basis"] is not None
    assert_same_optimum(quick, fit(features, targets, 1e-3, tolerance=1e-20))


def test_the_quick_eigenbasis_is_orthonormal_and_diagonal_to_float32():
    from gramlab.heads import coordinates

    features, _ = problem(60, 8, 4, seed=8)
    with device.float64():
        found = coordinates.Coordinates.of(features, 1e-5, 4)
        z = np.asarray(found.resident(np.float32), dtype=np.float64)
    assert found.quick
    unit = 60 * 2.0**-23
    assert np.linalg.norm(found.basis.T @ found.basis - np.eye(8)) < unit
    error = z.T @ z - np.diag(found.eigenvalues)
    assert np.linalg.norm(error) < unit * found.eigenvalues[0]
    assert np.linalg.norm(z - features.x @ found.basis) < unit * np.linalg.norm(z)
    turned = features.x @ np.roll(found.basis, 1, axis=0)  # planted: no eigenbasis
    assert np.linalg.norm(turned.T @ turned - np.diag(found.eigenvalues)) > 0.1


@pytest.mark.parametrize("scale", [0.0, 1e25])
def test_features_outside_of_float32s_range_get_the_float64_basis(scale):
    from gramlab.heads import coordinates

    features, _ = problem(60, 8, 4, seed=8)
    features = Features(scale * features.x, features.labels, n_classes=4)
    with device.float64():
        assert not coordinates.Coordinates.of(features, 1e-5, 4).quick


def test_a_basis_of_float32_is_not_used_for_float64_corrections(monkeypatch):
    """Where float32 brings no progress, the solver asks for the other one."""
    from gramlab.heads import corrections as room

    features, targets = problem(60, 8, 4, seed=8)
    monkeypatch.setattr(room, "_FLOAT32_CONDITION", 0.0)
    found = fit(features, targets, 1e-3, tolerance=1e-20)
    assert "spectrum" in features._memo
    assert found.certificate.relative_gap <= 1e-20


@pytest.mark.parametrize("confidence", [0.3, 1.0, 6.0])
def test_the_best_multiple_of_a_start(confidence):
    """Newton on the ray against a bounded scalar search."""
    from scipy.optimize import minimize_scalar

    features, targets = problem(60, 8, 4, seed=9)
    weights = confidence * fit(features, targets, 1e-2).weights
    objective = SoftmaxObjective(features, targets - 1 / 4, 1e-2)
    with device.float64():
        logits = features.x @ weights
        arguments = (targets - 1 / 4, 60.0, 1e-2 * float(np.vdot(weights, weights)))
        found = float(points.best_multiple(logits, *arguments))
        wrong = float(points.best_multiple(logits, -arguments[0], *arguments[1:]))
    best = minimize_scalar(lambda s: objective.value(s * weights), bounds=(0, 10), method="bounded")
    assert objective.value(found * weights) - best.fun <= 1e-6 * (np.log(4) - best.fun)
    assert objective.value(wrong * weights) > objective.value(found * weights)  # planted


def test_not_converged_is_a_result_with_a_reason_and_a_remedy():
    features, targets = problem(40, 5, 4, seed=1, scale=20)
    head = SoftmaxHead(1e-6, tolerance=1e-12, max_passes=5)
    with pytest.warns(NotConvergedWarning, match=r"max_passes=5.*raise"):
        found = head.fit(features, targets)
    assert found.stats.result == "pass limit"
    assert not found.stats.converged
    assert "raise max_passes" in found.stats.message
    assert found.stats.passes <= 6
    # Its certificate tells the truth all the same.
    assert found.certificate.relative_gap > 1e-12


def test_the_float64_floor_is_named():
    features, targets = problem(40, 5, 4, seed=2)
    with pytest.warns(NotConvergedWarning, match="rounding floor of float64"):
        found = fit(features, targets, 1e-3, tolerance=1e-60)
    assert found.stats.result == "float64 floor"
    assert found.certificate.at_rounding_floor
    assert found.certificate.relative_gap < 1e-26


@pytest.mark.parametrize("share", [0.5, 0.99, 1.0])
def test_certified_share_is_reached(share):
    features, targets = problem(60, 5, 3, seed=3, scale=10)
    found = fit(features, targets, 1e-4, certified_share=share)
    assert found.stats.polish == "share reached"
    logits = np.sort(features.x @ found.weights, axis=1)
    decided = logits[:, -1] - logits[:, -2] > found.certificate.logit_bound(features.x)
    assert decided.mean() >= share
    best = twins.exact_head(features.x, targets, 1e-4)
    assert np.array_equal((features.x @ best).argmax(axis=1)[decided], found.labels[decided])


def test_exact_ties_cannot_be_certified_and_end_all_the_same():
    """Two rows, mirrored: the class of a zero row is a tie that no accuracy decides."""
    x = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 0.0]])
    features = Features(x, [0, 1, 0])
    found = fit(features, np.array([[1, 0], [0, 1], [0.5, 0.5]]), 0.1, certified_share=1.0)
    assert found.stats.converged
    assert found.stats.polish == "float64 floor"
    assert found.certificate.relative_gap <= 1e-20
    assert fit(features, np.eye(2)[[0, 1, 0]], 0.1).stats.polish == ""


def test_progress_is_reported():
    features, targets = problem(40, 5, 4, seed=1)
    seen = []
    head = SoftmaxHead(1e-4, progress=lambda passes, ratio: seen.append((passes, ratio)))
    head.fit(features, targets)
    assert seen[-1][1] <= 1e-4
    assert [p for p, _ in seen] == sorted(p for p, _ in seen)


def test_bad_input():
    features, targets = problem(10, 3, 2, seed=0)
    for bad in (0.0, -1.0, float("nan"), float("inf"), "x"):
        with pytest.raises(InvalidSetting, match="weight_decay"):
            SoftmaxHead(bad)
    with pytest.raises(InvalidSetting, match="tolerance"):
        SoftmaxHead(1.0, tolerance=0.0)
    with pytest.raises(InvalidSetting, match="certified_share"):
        SoftmaxHead(1.0, certified_share=1.5)
    with pytest.raises(InvalidSetting, match="max_passes"):
        SoftmaxHead(1.0, max_passes=0)
    head = SoftmaxHead(1.0)
    off = targets.copy()
    off[4] *= 1.5
    with pytest.raises(InvalidTargets, match=r"1\.5.*row 4"):
        head.fit(features, off)
    negative = targets.copy()
    negative[2] = [1.5, -0.5]
    with pytest.raises(InvalidTargets, match="row 2"):
        head.fit(features, negative)
    with pytest.raises(InvalidSetting, match=r"\(3, 2\)"):
        head.fit(features, targets, start=np.zeros((2, 2)))
    with pytest.raises(InvalidTargets, match="one_hot"):
        head.fit(features.x, features.labels)


def test_global_precision_is_left_alone():
    import jax.numpy as jnp

    features, targets = problem(24, 6, 3, seed=0)
    fit(features, targets, 0.1)
    assert jnp.asarray(1.0).dtype == jnp.float32


def test_vanishing_probabilities_make_valid_targets_for_the_next_round():
    """P − 1/K + 1/K can round to −6e-17; the next round must not refuse its own teacher."""
    from gramlab.distillation import distill

    features, _ = problem(30, 6, 3, seed=0, scale=50)
    rounds = distill(SoftmaxHead(1e-8), features, np.eye(3)[features.labels], 3)
    assert rounds[0].deviations.min() + 1 / 3 < 0
    assert np.asarray(rounds.targets[1]).min() >= 0
    assert all(found.probabilities.min() > 0 for found in rounds)
    # Planted: what is negative beyond rounding is still refused.
    with pytest.raises(InvalidTargets, match="nonnegative"):
        SoftmaxHead(1.0).fit(features, Targets(rounds[0].deviations - 1e-3))


@pytest.mark.parametrize("start", [None, np.ones((6, 2))])
def test_uniform_targets_are_solved_at_once(start):
    """Two-hot targets of two classes are uniform: W = 0, no passes, nothing to warn about."""
    features, _ = problem(24, 6, 2, seed=1)
    found = SoftmaxHead(0.1).fit(features, np.full((24, 2), 0.5), start=start)
    assert found.stats.converged
    assert np.array_equal(found.weights, np.zeros((6, 2)))
    assert found.certificate.relative_gap == 0.0


def test_weight_decay_beyond_the_range_of_certificates_is_refused():
    for bad in (1e-300, 1e300):
        with pytest.raises(InvalidSetting, match="weight_decay must be between"):
            SoftmaxHead(bad)
        with pytest.raises(InvalidSetting, match="weight_decay must be between"):
            LinearizedHead(bad)


def test_what_does_not_fit_the_device_is_read_in_blocks_and_says_so(monkeypatch):
    """Loaded once and kept; where there is no room, the streamed path, named with its reason."""
    features, targets = problem(60, 8, 4, seed=3)
    head = SoftmaxHead(1e-3, tolerance=1e-14)
    expected = head.fit(features, targets)
    held = {key: array for key, array in features._memo.items() if key[0] == "device"}
    assert held  # ... and the next head uses what is there
    head.fit(features, targets)
    assert all(features._memo[key] is array for key, array in held.items())
    monkeypatch.setattr(device, "bytes_free", lambda: 1_000)
    again, _ = problem(60, 8, 4, seed=3)
    found = head.fit(again, targets)
    assert found.stats.method.startswith("streamed")
    assert "32.6 kB needed" in found.stats.method
    assert "1.0 kB free" in found.stats.method
    assert not any(key[0] == "device" for key in again._memo if isinstance(key, tuple))
    assert_same_optimum(found, expected)
    # Asked for certified predictions, it goes on there as it does on the device.
    sure = SoftmaxHead(1e-3, certified_share=0.95)
    found = sure.fit(again, targets)
    assert found.stats.polish == "share reached"
    moved = found.certificate.logit_bound(again.x)
    top = np.sort(again.x @ found.weights, axis=1)
    assert (top[:, -1] - top[:, -2] > moved).mean() >= 0.95
    monkeypatch.undo()
    assert_same_optimum(found, sure.fit(features, targets))


def test_features_are_freed_when_nobody_uses_them():
    """What is kept with features must not know them: a circle would hold their arrays for long."""
    rng = np.random.default_rng(0)
    features = Features(rng.standard_normal((600, 300)), np.arange(600) % 3)
    fit = SoftmaxHead(1e-4, tolerance=1e-4).fit(features, one_hot(features.labels, 3))
    assert "quick basis" in features._memo
    gone = weakref.ref(features)
    gc.disable()
    try:
        del features, fit
        assert gone() is None
    finally:
        gc.enable()


def test_a_basis_from_some_rows_may_know_nothing_of_the_others():
    """Planted: just the rows that it is found from are 0; the optimum is the same."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((20_000, 8)) * np.logspace(0, -2, 8)
    every = len(x) // (leading._ROWS * 8)
    assert every > 1
    x[::every] = 0.0
    labels = rng.integers(0, 4, len(x))
    features = Features(x, labels)
    targets = one_hot(labels, 4)
    found = SoftmaxHead(1e-3, tolerance=1e-12).fit(features, targets)
    assert found.certificate.relative_gap <= 1e-12
    known = coordinates.Coordinates.of(features, 1e-3, 4)
    assert known.quick
    z = np.asarray(known.resident(np.float32))
    assert np.allclose(known.eigenvalues, (z * z).sum(axis=0), rtol=1e-4)  # of all rows
    assert np.allclose(known.basis.T @ known.basis, np.eye(8), atol=1e-5)
