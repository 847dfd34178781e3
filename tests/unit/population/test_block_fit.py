"""The nearest block model against dense matrices, and the promise that must hold."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from conftest import problem

from gramlab.errors import InvalidSetting
from gramlab.features import Features
from gramlab.population import ClassBlockModel
from gramlab.population.block_fit import fit_block_model


def dense_block(found, groups):
    n = len(found.labels)
    same = found.labels[:, None] == found.labels[None, :]
    near = same if groups is None else groups[found.labels][:, None] == groups[found.labels]
    block = np.where(same, found.within, np.where(near, found.superclass, found.between))
    block[np.diag_indices(n)] = found.diagonal
    return block


def dense_filter(gram, mu, t):
    return np.linalg.matrix_power(np.linalg.solve(gram + mu * np.eye(len(gram)), gram), t)


@pytest.mark.parametrize("groups", [None, np.array([0, 0, 1])])
def test_distance_and_filter_equal_their_dense_twins(groups):
    features, targets = problem(30, 8, 3, seed=1)
    features = Features(features.x + 1.0, features.labels, superclasses=groups)
    found = fit_block_model(features)
    gram, block = features.x @ features.x.T, dense_block(found, groups)
    assert (
        np.abs(
            (found.diagonal - found.within) * np.eye(30) + found.factor @ found.factor.T - block
        ).max()
        < 1e-12
    )
    assert found.distance == pytest.approx(np.linalg.norm(gram - block, 2), rel=1e-9)
    assert found.distance_at_most == pytest.approx(np.linalg.norm(gram - block), rel=1e-9)
    for mu in (0.5, 50.0, 5000.0):
        for t in (1, 3):
            twin = dense_filter(block, mu, t)
            assert np.abs(found.apply_filter(targets, mu, t) - twin @ targets).max() < 1e-10
            difference = dense_filter(gram, mu, t) - twin
            assert np.linalg.norm(difference, 2) <= found.promised(mu, t) * (1 + 1e-9)
            seen = np.linalg.norm(difference @ (targets - 1 / 3)) / np.linalg.norm(targets - 1 / 3)
            assert found.seen(targets - 1 / 3, mu, t) == pytest.approx(seen, rel=1e-9, abs=1e-13)


@pytest.mark.parametrize(("t", "known"), [(1, 1), (2, 0.3), (3, 0.196), (4, 0.148), (8, 0.077)])
def test_the_promise_is_the_least_weighted_sum_over_both_sides_of_the_difference(t, known):
    """Known are the least values over all weights y with y_i y_{t−1−i} = 1, to three digits."""
    features, _ = problem(12, 4, 3, seed=3)
    found = fit_block_model(features)
    p, i = np.linspace(0.0, 1.0, 20_001), np.arange(t)
    powers = p ** (2.0 * i[:, None])
    mu = 10.0 * found.distance
    told = 10 * found.promised(mu, t)
    weights = [(i + a) / (t - 1 - i + a) for a in np.linspace(0.3, 1.5, 241)]
    assert told == pytest.approx(min(((1 - p) ** 2 * (y @ powers)).max() for y in weights), 2e-3)
    assert known <= told * 1.002
    assert told <= 1.025 * known
    assert found.promised(found.distance / 2, 1) == 1.0


def test_the_fit_is_the_least_squares_one():
    features, _ = problem(30, 8, 3, seed=2)
    features = Features(features.x + 1.0, features.labels)
    found = fit_block_model(features)
    gram = features.x @ features.x.T
    best = np.linalg.norm(gram - dense_block(found, None))
    for name in ("within", "between", "diagonal"):
        for step in (-1e-3, 1e-3):
            moved = type(found)(
                **{
                    field: getattr(found, field) + (step if field == name else 0)
                    if isinstance(getattr(found, field), float)
                    else getattr(found, field)
                    for field in found.__dataclass_fields__
                }
            )
            assert np.linalg.norm(gram - dense_block(moved, None)) > best


def test_a_block_model_is_its_own_nearest():
    model = ClassBlockModel(4, 6, 0.5, 0.3, 0.1, 2)
    features = Features(
        model.sample_features(), np.repeat(np.arange(4), 6), superclasses=model.superclasses
    )
    found = fit_block_model(features)
    numbers = (found.diagonal, found.within, found.superclass, found.between)
    assert np.allclose(numbers, (1, 0.5, 0.3, 0.1), atol=1e-14)
    assert found.distance < 1e-12
    assert found.promised(1.0) < 1e-12


def test_features_without_class_structure_have_a_block_model():
    """Rows of one class that point apart, on average: c is 0 then, as the others are."""
    rng = np.random.default_rng(0)
    for _ in range(10):
        x = rng.standard_normal((40, 30))
        labels = np.arange(40) % 8
        x -= 0.9 * np.array([x[labels == k].mean(axis=0) for k in range(8)])[labels] * 1.2
        features = Features(x, labels, superclasses=np.arange(8) // 2)
        found = fit_block_model(features)
        gram = x @ x.T
        block = dense_block(found, features.superclasses)
        assert found.within >= found.superclass >= found.between >= 0.0
        exact = np.linalg.norm(gram - block, 2)
        assert found.distance == pytest.approx(exact, abs=1e-10 * exact)
        assert exact <= found.distance_at_most * (1 + 1e-12)
    assert found.within == 0.0


@pytest.mark.parametrize(
    "model",
    [
        ClassBlockModel(3, 7, 0.4),
        ClassBlockModel(4, 5, 0.45, 0.2),
        ClassBlockModel(6, 4, 0.5, 0.3, 0.1, 3),
        ClassBlockModel(6, 4, 0.5, 0.25, 0.25, 2),
    ],
)
@pytest.mark.parametrize("scale", [1.0, 3.0])
def test_a_planted_model_is_found(model, scale):
    k, n = model.n_classes, model.samples_per_class
    groups = None if model.superclass_size is None else model.superclasses
    x, labels = scale * model.sample_features(), np.repeat(np.arange(k), n)
    fit = fit_block_model(Features(x, labels, n_classes=k, superclasses=groups))
    found = fit.model()
    assert (found.n_classes, found.samples_per_class) == (k, n)
    assert found.superclass_size == model.superclass_size
    for name in ("within", "superclass", "between"):
        assert getattr(found, name) == pytest.approx(getattr(model, name), abs=1e-14)
    for used, measured in fit.clipped.values():  # by rounding alone
        assert used == pytest.approx(measured, abs=1e-14)
    filtered = fit.apply_filter(np.eye(k)[labels], scale**2 * 0.7, 2)
    twin = dense_filter(found.gram(), 0.7, 2) @ np.eye(k)[labels]
    assert np.abs(filtered - twin).max() < 1e-12


def test_values_that_no_block_model_has_are_clipped_and_said():
    rows = np.array([[1.0, 0], [1, 0], [-1, 0], [-1, 0], [0, 1]])
    features = Features(rows, np.array([0, 0, 1, 1, 1]))
    fit = fit_block_model(features)
    model, clipped = fit.model(), fit.clipped
    assert set(clipped) == {"samples_per_class", "superclass"}
    assert clipped["samples_per_class"] == (2.5, 2.0)
    measured, used = clipped["superclass"]
    assert measured == pytest.approx(-4 / 6)
    assert used == model.superclass == 0.0
    # Rows of a class that are one and the same leave nothing inside a class.
    same = fit_block_model(Features(rows[[0, 1, 4, 4]], np.array([0, 0, 1, 1])))
    assert same.clipped == {"within": (1.0, np.nextafter(1.0, 0.0))}
    # Superclasses that are less alike than others are as alike as they.
    x = np.array([[1.0, 1, 0], [1, 1, 0], [0, 1, 1], [0, 1, 1], [1, 1, 0.1], [1, 1, 0.1]])
    inverted = Features(np.vstack([x, x[2:4]]), np.repeat(range(4), 2), superclasses=[0, 0, 1, 1])
    fit = fit_block_model(inverted)
    measured, used = fit.clipped["superclass"]
    assert measured < used == fit.model().between


def test_what_is_no_block_model_is_refused():
    x = np.array([[1.0, 0], [-1, 0], [0, 1], [0, -1]])
    with pytest.raises(InvalidSetting, match="these classes are no blocks"):
        fit_block_model(Features(x, np.array([0, 0, 1, 1]))).model()
    features, _ = problem(30, 8, 3, seed=1)
    uneven = Features(features.x, features.labels, superclasses=np.array([0, 0, 1]))
    with pytest.raises(InvalidSetting, match="equal size, got"):
        fit_block_model(uneven).model()


def test_the_page_about_correlations_says_what_is_clipped(capsys):
    page = Path(__file__).resolve().parents[3] / "docs" / "correlations.md"
    (block,) = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    found: dict = {}
    exec(compile(block, "correlations.md", "exec"), found)
    clipped = {
        name: tuple(round(x, 3) for x in pair) for name, pair in found["fit"].clipped.items()
    }
    assert clipped == {"samples_per_class": (143.7, 144.0), "superclass": (-0.047, 0.0)}
    assert "ClassBlockModel(n_classes=10" in capsys.readouterr().out
