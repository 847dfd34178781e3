"""Where an accelerator is at hand: float64 in blocks, predictions that stay, memory that is short.

These tests take the accelerator's way on whatever there is; on a CPU it is slower, and the same.
"""

from __future__ import annotations

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import examples, problem
from hypothesis import given
from hypothesis import strategies as st

import gramlab
from gramlab import device, errors
from gramlab.heads import bfloat16, coordinates, corrections, points, resident, tiles
from gramlab.heads.objective import SoftmaxObjective, softmax
from gramlab.heads.resident import ResidentFit, ResidentTargets

EPS = np.finfo(np.float64).eps


@pytest.fixture
def accelerator(monkeypatch):
    """The default device taken for an accelerator with bfloat16 products."""
    monkeypatch.setattr(device, "accelerated", lambda: True)
    monkeypatch.setattr(device, "multiplies_bfloat16", lambda: True)
    monkeypatch.setattr(corrections, "_NEWTON_WORK", 0.0)
    jax.clear_caches()  # what is compiled is compiled for one kind of device
    yield
    jax.clear_caches()


def counted(monkeypatch, module, name: str) -> list[int]:
    """The calls of a function, counted in a list of one number."""
    calls, inner = [0], getattr(module, name)

    def outer(*args, **keywords):
        calls[0] += 1
        return inner(*args, **keywords)

    monkeypatch.setattr(module, name, outer)
    return calls


# ---- Float64 in blocks ------------------------------------------------------------------------


def blockwise(x, targets, weight_decay, weights, rows):
    """Gradient (d, K) and P (N, K) of ``points.evaluate_blocks`` in float64."""
    with device.float64():
        gradient, found = points.evaluate_blocks(
            jnp.asarray(x), jnp.asarray(targets), weight_decay, jnp.asarray(weights.T), rows, "f8"
        )
        return np.asarray(gradient).T, np.asarray(found)


@examples(25)
@given(
    n=st.integers(3, 40),
    d=st.integers(1, 6),
    k=st.integers(2, 5),
    rows=st.integers(1, 50),
    seed=st.integers(0, 2**32 - 1),
    soft=st.booleans(),
)
def test_blocks_of_any_size_add_up_to_the_referees_gradient(n, d, k, rows, seed, soft):
    rng = np.random.default_rng(seed)
    features, targets = problem(max(n, k), d, k, seed % 1000, soft=soft)
    x = features.x.astype(np.float32)
    features = gramlab.Features(x, features.labels, n_classes=k)
    weights = rng.standard_normal((d, k))
    objective = SoftmaxObjective(features, targets - 1 / k, 0.1)
    given_targets = targets - 1 / k if soft else np.asarray(features.labels)
    gradient, found = blockwise(x, given_targets, 0.1, weights, rows)
    allowed = 2 * objective.gradient_rounding(weights)
    assert np.linalg.norm(gradient - objective.gradient(weights)) <= allowed
    expected = softmax(x.astype(np.float64) @ weights)
    assert np.abs(found - expected).max() <= 64 * (d + k) * EPS * (1 + np.abs(x @ weights).max())


def test_rows_that_count_twice_would_be_seen(monkeypatch):
    """Planted: the last block begins in the one before it, and its mask is not looked at."""
    features, targets = problem(11, 3, 3, 0)
    objective = SoftmaxObjective(features, targets - 1 / 3, 0.1)
    weights = np.random.default_rng(1).standard_normal((3, 3))
    allowed = 2 * objective.gradient_rounding(weights)
    exact = objective.gradient(weights)
    assert (
        np.linalg.norm(blockwise(features.x, targets - 1 / 3, 0.1, weights, 4)[0] - exact)
        <= allowed
    )
    jax.clear_caches()
    monkeypatch.setattr(jnp, "where", lambda condition, yes, no: yes)
    assert np.linalg.norm(blockwise(features.x, targets - 1 / 3, 0.1, weights, 4)[0] - exact) > 1e-3
    monkeypatch.undo()
    jax.clear_caches()


# ---- Heads ------------------------------------------------------------------------------------


@pytest.mark.parametrize("weight_decay", [1e-9, 1e-4, 1e-2])  # float64 corrections, and float32
@pytest.mark.parametrize("block_bytes", [1, 2_000_000_000])
def test_heads_reach_the_same_optimum(weight_decay, block_bytes, accelerator, monkeypatch):
    monkeypatch.setattr(resident, "_BLOCK_BYTES", 4096 if block_bytes == 1 else block_bytes)
    features, targets = problem(120, 8, 4, 3)
    head = gramlab.SoftmaxHead(weight_decay, tolerance=1e-12)
    found = head.fit(features, targets)
    assert isinstance(found, ResidentFit)
    assert found.certificate.relative_gap <= 1e-12
    np.testing.assert_allclose(found.probabilities, softmax(features.x @ found.weights), atol=1e-12)
    np.testing.assert_allclose(found.deviations + 0.25, found.probabilities, atol=1e-12)
    assert (found.labels == found.probabilities.argmax(axis=1)).all()
    monkeypatch.setattr(device, "accelerated", lambda: False)
    monkeypatch.setattr(tiles, "available", lambda: False)  # the device may be a card all the same
    jax.clear_caches()
    host = head.fit(gramlab.Features(features.x, features.labels), targets)
    apart = np.linalg.norm(host.weights - found.weights)
    assert apart <= host.certificate.weights_bound + found.certificate.weights_bound


def test_a_wide_problem_is_solved_there_too(accelerator):
    features, targets = problem(20, 50, 3, 1)
    found = gramlab.SoftmaxHead(1e-3, tolerance=1e-10).fit(features, targets)
    assert found.certificate.relative_gap <= 1e-10


def test_a_share_is_certified_there_too(accelerator):
    features, targets = problem(200, 5, 3, 2)
    head = gramlab.SoftmaxHead(1e-2, certified_share=0.95)
    found = head.fit(features, targets)
    assert found.stats.polish == "share reached"
    top = np.sort(features.x @ found.weights, axis=1)[:, -2:]
    bounds = found.certificate.logit_bound(features.x)  # of a difference of logits
    assert (top[:, 1] - top[:, 0] > bounds).mean() >= 0.95


def test_one_hot_rows_stay_labels(accelerator, monkeypatch):
    features, _ = problem(120, 8, 4, 3)
    head = gramlab.SoftmaxHead(1e-3, tolerance=1e-12)
    expected = head.fit(features, gramlab.one_hot(features.labels, 4))
    made = counted(monkeypatch, gramlab.OneHotRows, "__getitem__")
    found = head.fit(features, gramlab.OneHotRows(features.labels, 4))
    assert made == [0]
    assert found.certificate.relative_gap <= 1e-12
    assert made[0] > 0
    apart = np.linalg.norm(found.weights - expected.weights)
    assert apart <= found.certificate.weights_bound + expected.certificate.weights_bound


def test_uniform_targets_have_the_zero_head(accelerator):
    features, _ = problem(30, 4, 3, 0)
    found = gramlab.SoftmaxHead(1e-3).fit(features, np.full((30, 3), 1 / 3))
    assert not found.weights.any()
    assert (found.deviations == 0.0).all()


# ---- Students ---------------------------------------------------------------------------------


def test_a_student_takes_its_teachers_predictions_on_the_device(accelerator):
    features, targets = problem(120, 8, 4, 3)
    head = gramlab.SoftmaxHead(1e-3, tolerance=1e-12)
    rounds = gramlab.distill(head, features, targets, 3)
    for teacher in rounds[:2]:
        assert "deviations" not in teacher.__dict__  # not yet brought to the host
    expected = softmax(features.x @ rounds[0].weights)
    assert np.abs(np.asarray(rounds[0].as_targets()) - expected).max() <= 1e-12
    assert [fit.certificate.relative_gap <= 1e-12 for fit in rounds] == [True] * 3
    assert "deviations" in rounds[0].__dict__  # the certificate is the host's
    # The same students from targets on the host.
    student = head.fit(features, np.asarray(rounds[0].as_targets()))
    bound = student.certificate.weights_bound + rounds[1].certificate.weights_bound
    assert np.linalg.norm(student.weights - rounds[1].weights) <= bound


def test_predictions_that_do_not_fit_there_are_made_on_the_host(accelerator, monkeypatch):
    features, targets = problem(40, 3, 3, 0)
    found, other = (gramlab.SoftmaxHead(1e-2).fit(features, targets) for _ in range(2))
    expected = found.probabilities, found.deviations
    asked: list[int] = []
    monkeypatch.setattr(device, "shortage", lambda needed: asked.append(needed) or "planted")
    monkeypatch.setattr(ResidentFit, "on_device", None)  # planted: nothing can be made there
    made = other.probabilities, other.deviations
    assert min(asked) >= 2 * expected[0].nbytes
    for one, same in zip(made, expected, strict=True):
        assert np.abs(one - same).max() <= 1e-14


def test_targets_of_other_rows_are_refused(accelerator):
    features, targets = problem(40, 3, 3, 0)
    head = gramlab.SoftmaxHead(1e-2)
    made = head.fit(features, targets).as_targets()
    assert isinstance(made, ResidentTargets)
    assert made.shape == (40, 3)
    assert (made[3:7] == made.deviations[3:7]).all()
    fewer = gramlab.Features(features.x[:30], features.labels[:30])
    with pytest.raises(errors.InvalidTargets, match=r"\(30, K\), got \(40, 3\)"):
        head.fit(fewer, made)


def test_other_temperatures_are_read_as_on_the_host(accelerator):
    features, targets = problem(40, 3, 3, 0)
    found = gramlab.SoftmaxHead(1e-2).fit(features, targets)
    warm = found.as_targets(temperature=2.0)
    assert not isinstance(warm, ResidentTargets)
    expected = softmax(features.x @ found.weights / 2.0)
    np.testing.assert_allclose(np.asarray(warm), expected, atol=1e-12)


def test_a_fit_can_be_certified_in_another_way(accelerator):
    features, targets = problem(40, 3, 3, 0)
    found = gramlab.SoftmaxHead(1e-2).fit(features, targets)
    own = found.certificate
    other = found.certified_by(lambda weights: "planted")
    assert other.certificate == "planted"
    assert found.certificate is own
    assert (other.probabilities == found.probabilities).all()


# ---- What is made once ------------------------------------------------------------------------


def test_features_are_rounded_once_and_not_turned(accelerator):
    rng = np.random.default_rng(0)
    z, v = rng.standard_normal((30, 7)).astype("f4"), rng.standard_normal((30, 3)).astype("f4")
    there = bfloat16.rounded(jnp.asarray(z))
    assert there.columns is None
    exact = np.asarray(there.rows, np.float64)
    assert (exact == np.asarray(jnp.asarray(z).astype(jnp.bfloat16), np.float64)).all()
    rounded = np.asarray(jnp.asarray(v).astype(jnp.bfloat16), np.float64)
    roundoff = 64 * np.finfo(np.float32).eps
    found = np.asarray(bfloat16.times_columns(there, jnp.asarray(v)))
    assert (
        np.abs(found - rounded.T @ exact) <= roundoff * (np.abs(rounded.T) @ np.abs(exact))
    ).all()


def test_the_basis_of_an_accelerator_is_orthonormal_and_sorted(accelerator):
    rng = np.random.default_rng(0)
    x = (rng.standard_normal((90, 12)) * np.logspace(0, -2, 12)).astype(np.float32)
    found = coordinates._quick(gramlab.Features(x, np.arange(90) % 3))
    basis, eigenvalues = found.basis, found.eigenvalues
    assert np.linalg.norm(basis.T @ basis - np.eye(12), 2) <= 1e-5
    assert (np.diff(eigenvalues) <= 1e-5 * eigenvalues[0]).all()


# ---- Memory -----------------------------------------------------------------------------------


def test_float64_corrections_that_do_not_fit_are_done_in_blocks_of_rows(accelerator, monkeypatch):
    features, targets = problem(60, 4, 3, 3)
    monkeypatch.setattr(corrections, "_FLOAT64_BYTES", 1 << 60)
    head = gramlab.SoftmaxHead(1e-9, tolerance=1e-10)
    found = head.fit(features, targets)
    assert "streamed" in found.stats.method
    assert "float64" in found.stats.method
    assert found.certificate.relative_gap <= 1e-10
    # Where float32 does, nothing is missing.
    assert "streamed" not in gramlab.SoftmaxHead(1e-2).fit(features, targets).stats.method


def test_a_cpu_without_memory_says_so(monkeypatch):
    def refuse(*_: object) -> None:
        raise errors.NotEnoughMemory("planted")

    features, targets = problem(60, 4, 3, 3)
    monkeypatch.setattr(device, "accelerated", lambda: False)
    monkeypatch.setattr(corrections.Corrections, "run", refuse)
    with pytest.raises(errors.NotEnoughMemory, match="planted"):
        gramlab.SoftmaxHead(1e-2, tolerance=1e-14).fit(features, targets)  # no small one


def test_features_that_do_not_fit_are_not_fetched(accelerator, monkeypatch):
    features, _ = problem(60, 4, 3, 3)
    monkeypatch.setattr(device, "shortage", lambda needed: "planted")
    coordinates.fetch(features)
    assert not features._memo
    monkeypatch.setattr(device, "shortage", lambda needed: "")
    coordinates.fetch(features)
    assert ("device", "rows", "float32") in features._memo


# ---- Which device -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("capability", "expected"),
    [
        ("9.0", True),
        ("8.0", True),
        ("12.0", True),
        ("7.5", False),
        ("gfx90a", False),
        (None, False),
    ],
)
def test_gpus_say_what_they_multiply(capability, expected, monkeypatch):
    one = (
        SimpleNamespace() if capability is None else SimpleNamespace(compute_capability=capability)
    )
    monkeypatch.setattr(device, "accelerated", lambda: True)
    monkeypatch.setattr(jax, "local_devices", lambda: [one])
    device.multiplies_bfloat16.cache_clear()
    try:
        assert device.multiplies_bfloat16() is expected
    finally:
        monkeypatch.undo()
        device.multiplies_bfloat16.cache_clear()


def test_the_cpu_of_an_accelerator_keeps_its_threads(accelerator, monkeypatch):
    limited = counted(monkeypatch, device, "_blas")
    with device.undisturbed():
        assert limited == [0]
    monkeypatch.setattr(device, "accelerated", lambda: False)
    with device.undisturbed():
        assert limited == [1]
