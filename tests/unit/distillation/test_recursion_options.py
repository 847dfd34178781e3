"""Temperature, mixing, ridge and margins: other ways through the same recursion."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
from conftest import examples, problem
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import Ridge

import gramlab
from gramlab import testing
from gramlab.distillation import distill
from gramlab.errors import InvalidSetting
from gramlab.features import Features
from gramlab.heads.closed_form import LinearizedHead, RidgeHead
from gramlab.heads.fit import SolveStats
from gramlab.heads.referee import softmax_deviations
from gramlab.heads.softmax import SoftmaxHead
from gramlab.labels import corrupt_labels, corruption_matrix
from gramlab.numerics.rounding import gamma
from gramlab.population import ClassBlockModel
from gramlab.targets import one_hot, partial_labels

seeds = st.integers(0, 10**6)


@examples(15)
@given(seed=seeds, log_decay=st.floats(-3, 1), t=st.integers(1, 5))
def test_ridge_rounds_are_scikit_learn_ridge_on_its_own_predictions(seed, log_decay, t):
    features, targets = problem(20, 5, 3, seed=seed)
    lam = 10**log_decay
    current = targets - 1 / 3
    for _ in range(t):
        model = Ridge(alpha=20 * lam, fit_intercept=False, solver="svd").fit(features.x, current)
        current = model.predict(features.x)
    found = distill(RidgeHead(lam), features, targets, t)[-1]
    assert np.abs(found.deviations - current).max() < 1e-11
    assert np.abs(found.weights - model.coef_.T).max() < 1e-10
    assert found.certificate.gradient_norm <= found.certificate.gradient_rounding
    off = found.weights + 1e-6
    assert found.certify(off).global_bound >= np.linalg.norm(off - model.coef_.T) * (1 - 1e-6)
    # Planted: the constant of the softmax theory (with K) is another filter.
    filtered = testing.dense_filter(features.x @ features.x.T, 60 * lam, t) @ (targets - 1 / 3)
    assert np.abs(found.deviations - filtered).max() > 1e-6


@examples(10)
@pytest.mark.filterwarnings("ignore::gramlab.NotConvergedWarning")  # at an optimum of 0
@given(made=testing.problems(20, 5, 3), tau=st.floats(0.5, 4))
def test_temperature_reads_softened_predictions(made, tau):
    features, targets = made
    exact = distill(SoftmaxHead(0.05, tolerance=1e-14), features, targets, 2, temperature=tau)
    logits = features.x @ exact[0].weights
    expected = np.exp(logits / tau)
    expected /= expected.sum(axis=1, keepdims=True)
    assert np.abs(np.asarray(exact.targets[1]) - expected).max() < 1e-13
    linear = distill(LinearizedHead(0.05), features, targets, 3, temperature=tau)
    plain = distill(LinearizedHead(0.05), features, targets, 3)
    assert np.abs(tau**2 * linear[2].deviations - plain[2].deviations).max() < 1e-13 * tau**2
    top = np.sort(plain[2].deviations, axis=1)
    decided = top[:, 2] - top[:, 1] > 4e-12  # by more than the two may differ by
    assert np.array_equal(linear[2].labels[decided], plain[2].labels[decided])


def saturated(kind):
    """Features with rows so long that their logits are thousands apart."""
    x = np.random.default_rng(0).standard_normal((12, 4))
    x[:3] += 3.0 * np.eye(3, 4)
    x[0] *= 300.0
    x[1] *= 30.0
    return x.astype(kind), np.arange(12) % 3


def saved(x, labels, folder):
    np.save(folder / "x.npy", x)
    return Features(np.load(folder / "x.npy", mmap_mode="r"), labels)


FITS = {
    "small": lambda x, y, _: SoftmaxHead(1e-6).fit(x, one_hot(y, 3)),
    "in memory": lambda x, y, _: SoftmaxHead(1e-6, tolerance=1e-14).fit(x, one_hot(y, 3)),
    "mapped": lambda x, y, to: SoftmaxHead(1e-6).fit(saved(x, y, to), one_hot(y, 3)),
    "sharded": lambda x, y, _: SoftmaxHead(1e-6).fit(gramlab.shard_features(x), one_hot(y, 3)),
    "weighted": lambda x, y, _: SoftmaxHead(1e-6, sample_weight=1.0 + np.arange(12)).fit(
        x, one_hot(y, 3)
    ),
    "descent": lambda x, y, _: gramlab.PublishedSgdHead(1e-6, epochs=3).fit(x, one_hot(y, 3)),
    "generalized": lambda x, y, _: gramlab.GeneralizedCrossEntropyHead(1e-3, max_passes=400).fit(
        x, one_hot(y, 3)
    ),
}


@pytest.mark.filterwarnings("ignore::gramlab.NotConvergedWarning")
@pytest.mark.parametrize("kind", FITS)
def test_any_temperature_reads_the_logits(kind, tmp_path):
    """Against 50 digits, within the rounding of logits, where probabilities have vanished."""
    x, labels = saturated(np.float32 if kind == "sharded" else np.float64)
    fit = FITS[kind](x, labels, tmp_path)
    wide = x.astype(np.float64)
    lengths = np.linalg.norm(wide, axis=1) * np.linalg.norm(fit.weights, axis=0).max()
    for tau in (0.3, 40.0, 1000.0):
        found = fit.as_targets(tau).deviations
        with mpmath.workdps(50):
            for row, length, given_row in zip(wide, lengths, found, strict=True):
                logits = (mpmath.matrix([list(row)]) * mpmath.matrix(fit.weights.tolist())) / tau
                weights = [mpmath.exp(v - max(logits)) for v in logits]
                exact = [float(w / mpmath.fsum(weights) - mpmath.mpf(1) / 3) for w in weights]
                # |δp| ≤ |δv|/2 in each class, for |δv| ≤ 2 γ_d ‖x‖ ‖w‖ / τ.
                allowed = gamma(4) * length / tau + 8 * np.finfo(np.float64).eps
                assert np.abs(given_row - exact).max() <= allowed
    # Planted: probabilities that have vanished all alike.
    logs = np.log(np.maximum(fit.probabilities, np.finfo(np.float64).tiny)) / 1000.0
    assert np.abs(softmax_deviations(logs) - fit.as_targets(1000.0).deviations).max() > 1e-2


@pytest.mark.parametrize("head", [SoftmaxHead(0.05), LinearizedHead(0.05), RidgeHead(0.05)])
@pytest.mark.parametrize("tau", [1e-310, 5e-324])
def test_a_temperature_so_small_that_readings_overflow_is_refused(head, tau):
    features, targets = problem(20, 5, 3, seed=0)
    fit = head.fit(features, targets)
    with pytest.raises(InvalidSetting, match=r"^temperature must be large enough .*raise it$"):
        fit.as_targets(tau)
    with pytest.raises(InvalidSetting, match="temperature must be large enough"):
        distill(head, features, targets, 2, temperature=tau)
    assert np.isfinite(fit.as_targets(1e-300).deviations).all()


def test_a_fit_of_ones_own_needs_logits_for_temperatures_alone():
    weights = np.array([[1.0, -1.0]])
    x = np.array([[2.0], [-1.0]])
    p = np.exp(x @ weights) / np.exp(x @ weights).sum(axis=1, keepdims=True)
    made = {"weights": weights, "deviations": p - 0.5, "probabilities": p, "link": None}
    made |= {"weight_decay": 1.0, "stats": SolveStats("by hand"), "certify": None}
    assert np.array_equal(gramlab.Fit(**made).as_targets().deviations, p - 0.5)
    with pytest.raises(InvalidSetting, match="training_logits must be given"):
        gramlab.Fit(**made).as_targets(2.0)
    read = np.asarray(gramlab.Fit(**made, training_logits=lambda: x @ weights).as_targets(2.0))
    assert read[0, 0] == pytest.approx(1 / (1 + np.exp(-2)), rel=1e-14)


def test_a_small_temperature_takes_the_largest_class():
    features, targets = problem(20, 5, 3, seed=0)
    fit = SoftmaxHead(0.05).fit(features, targets)
    assert np.array_equal(np.asarray(fit.as_targets(1e-300)), one_hot(fit.labels, 3))


def test_a_refinement_sees_predictions_at_the_temperature():
    features, targets = problem(20, 5, 3, seed=0)
    seen = []

    def refine(predictions):
        seen.append(predictions)
        return predictions

    head = SoftmaxHead(0.05)
    warm = distill(head, features, targets, 2, temperature=3.0)
    refined = distill(head, features, targets, 2, temperature=3.0, refine=refine)
    assert np.array_equal(seen[0], np.asarray(refined[0].as_targets(3.0)))
    assert np.abs(seen[0] - refined[0].probabilities).max() > 0.1  # planted: read at 1
    assert np.abs(refined[1].weights - warm[1].weights).max() <= (
        refined[1].certificate.weights_bound + warm[1].certificate.weights_bound
    )


def test_ties_of_top_two_go_by_the_seed():
    """Rows of zeros tie all classes: their targets are the draws of the seed that was given."""
    features = Features(np.zeros((30, 2)), np.arange(30) % 5)
    head, targets = LinearizedHead(0.05), one_hot(features.labels, 5)
    drawn = {}
    for seed in (0, 1):
        rounds = distill(head, features, targets, 2, refine="top2", seed=seed)
        drawn[seed] = np.asarray(rounds.targets[1])
        expected = partial_labels(np.full((30, 5), 0.2), 2, seed=seed)
        assert np.abs(drawn[seed] - expected).max() <= np.finfo(np.float64).eps
    assert (drawn[0] != drawn[1]).any(axis=1).sum() > 15


def test_scaled_loss_at_a_temperature_is_the_same_head():
    """τ²·CE(T, softmax(z/τ)): substituting z = τv gives the objective at τ = 1, W scaled by τ."""
    features, targets = problem(20, 5, 3, seed=1)
    tau, lam = 2.5, 0.05
    plain = SoftmaxHead(lam, tolerance=1e-20).fit(features, targets)
    w = tau * plain.weights
    p = np.exp(features.x @ w / tau)
    p /= p.sum(axis=1, keepdims=True)
    scaled = tau**2 * features.x.T @ (p - targets) / (20 * tau) + lam * w
    assert np.abs(scaled).max() < 1e-9
    # Without τ²: the head at weight decay λτ².
    weak = SoftmaxHead(lam * tau**2, tolerance=1e-20).fit(features, targets)
    w = tau * weak.weights
    p = np.exp(features.x @ w / tau)
    p /= p.sum(axis=1, keepdims=True)
    unscaled = features.x.T @ (p - targets) / (20 * tau) + lam * w
    assert np.abs(unscaled).max() < 1e-9
    assert np.abs(weak.probabilities - plain.probabilities).max() > 1e-3


def test_mixing_removes_the_own_label_in_the_block_model():
    """ξ = 1/(1 − p_A): one linear student is perfect although the teacher is not."""
    model, lam = ClassBlockModel(4, 50, 0.4, 0.1), 1e-4
    x = model.sample_features()
    true = np.repeat(np.arange(4), 50)
    matrix = corruption_matrix("symmetric", 4, 0.6)
    labels = corrupt_labels(true, matrix, seed=0, exact_counts=True).labels
    targets = one_hot(labels, 4)
    own = float(model.population(matrix, lam).factors()[0])
    mixed = distill(LinearizedHead(lam), x, targets, 2, mixing=1 / (1 - own))
    assert np.mean(mixed[0].labels == true) < 0.5
    assert np.array_equal(mixed[1].labels, true)
    assert mixed[1].margins(true).min() > 0
    assert mixed[0].margins(true).min() < 0
    # The own label is gone: rows of one class all have one prediction.
    for k in range(4):
        assert np.ptp(mixed[1].deviations[true == k], axis=0).max() < 1e-12
    plain = distill(LinearizedHead(lam), x, targets, 2)
    assert np.mean(plain[1].labels == true) < 1


def test_margins_are_the_accuracy_condition():
    features, targets = problem(30, 5, 3, seed=4)
    fit = SoftmaxHead(0.01).fit(features, targets)
    margins = fit.margins(features.labels)
    p = fit.probabilities
    for i in range(30):
        rest = np.delete(p[i], features.labels[i]).max()
        assert margins[i] == pytest.approx(p[i, features.labels[i]] - rest, abs=1e-15)
    assert np.array_equal(margins > 0, fit.labels == features.labels)


@pytest.mark.parametrize("change", [{"temperature": 0.0}, {"mixing": float("nan")}])
def test_bad_options(change):
    features, targets = problem(10, 3, 2, seed=0)
    with pytest.raises(InvalidSetting, match=next(iter(change))):
        distill(LinearizedHead(1.0), features, targets, 2, **change)
