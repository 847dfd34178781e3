"""Strategies that make what they say and shrink to what they say; twins against worked examples."""

from __future__ import annotations

import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest
from conftest import SEARCH, examples
from hypothesis import find, given
from hypothesis import strategies as st

from gramlab import Features, Spectrum, corrupt_labels, testing
from gramlab.errors import InvalidSetting
from gramlab.validation import check_targets

EPS = float(np.finfo(np.float64).eps)
# All the strategies with their defaults, and their plainest instance as the documentation says it.
PLAINEST = {
    "matrices": [[0.0]],
    "spectra": [1.0],
    "gram_matrices": np.zeros((2, 2)),
    "targets": [[0.5, 0.5]],
    "weight_decays": 1.0,
    "corruption_matrices": np.eye(2),
    "near_ties": [[0.5, 0.5]],
}


def plainest(strategy, fits=lambda _: True):
    return find(strategy, fits, settings=SEARCH)


# ---- Valid, and shrinking -----------------------------------------------------------------------


@pytest.mark.parametrize("name", PLAINEST)
def test_the_plainest_instance_is_the_documented_one(name):
    assert np.array_equal(plainest(getattr(testing, name)()), PLAINEST[name])


def test_the_plainest_features_problem_and_model_are_the_documented_ones():
    features = plainest(testing.features())
    assert np.array_equal(features.x, np.zeros((2, 1)))
    assert features.labels.tolist() == [0, 1]
    features, targets = plainest(testing.problems(4, 2, 3))
    assert not features.x.any()
    assert features.labels.tolist() == [0, 1, 2, 0]
    assert np.array_equal(targets, np.full((4, 3), 1 / 3))
    model = plainest(testing.block_models())
    assert (model.n_classes, model.samples_per_class) == (2, 1)
    assert (model.within, model.superclass, model.between) == (0.01, 0.0, 0.0)
    assert model.superclass_size is None
    floor = plainest(testing.near_floor(4, 2, 2))
    assert np.array_equal(floor.x, np.eye(4, 2) * np.sqrt([1.0, 4 * EPS]))


def test_instances_that_must_fail_are_shrunk_to_the_entry_that_matters():
    """Planted: a wrong bound on one entry is shown with that entry alone."""
    found = plainest(testing.matrices(6, 3), lambda x: np.abs(x).max() > 1.0)
    assert np.count_nonzero(found) == 1
    assert np.abs(found).max() == 1.125
    found = plainest(testing.spectra(3), lambda s: s[-1] == 0.0)
    assert found.tolist() == [1.0, 1.0, 0.0]
    found = plainest(testing.corruption_matrices(3), lambda c: c[1, 1] < 1.0)
    assert np.array_equal(found[[0, 2]], np.eye(3)[[0, 2]])


@examples(40)
@given(testing.gram_matrices())
def test_gram_matrices_are_positive_semidefinite_without_rounding(gram):
    """Gaussian elimination in rational numbers: every pivot is at least 0."""
    assert np.array_equal(gram, gram.T)
    rows = [[Fraction(float(v)) for v in row] for row in gram]
    for i in range(len(rows)):
        assert rows[i][i] >= 0
        if rows[i][i] == 0:
            assert not any(rows[i][i:])  # else the minor of i and that column is negative
            continue
        for j in range(i + 1, len(rows)):
            factor = rows[j][i] / rows[i][i]
            rows[j] = [a - factor * b for a, b in zip(rows[j], rows[i], strict=True)]


@examples(40)
@given(testing.spectra(3), st.data())
def test_a_prescribed_spectrum_is_that_of_features_and_of_gram_matrices(spectrum, data):
    assert np.array_equal(spectrum, np.sort(spectrum)[::-1])
    assert all(s == 0.0 or 1e-6 * (1 - EPS) <= s <= 1.0 for s in spectrum)
    features = data.draw(testing.features(7, 4, 2, spectrum=st.just(spectrum)))
    gram = data.draw(testing.gram_matrices(7, spectrum=st.just(spectrum)))
    found = Spectrum.of(features).eigenvalues
    bound = 40 * 7 * EPS * max(spectrum[0], 1e-12)
    assert np.abs(found - np.append(spectrum, 0.0)).max() <= bound
    assert np.abs(np.linalg.eigvalsh(gram)[::-1] - np.pad(spectrum, (0, 4))).max() <= bound


@pytest.mark.parametrize("spectrum", [[3, 2.0, 1], np.array([3.0, 2.0, 1.0])])
def test_a_spectrum_is_drawn_or_given(spectrum):
    features = plainest(testing.features(8, 4, 3, spectrum=spectrum))
    assert np.allclose(features.x, np.eye(8, 4) * np.sqrt([3.0, 2.0, 1.0, 0.0]), atol=4 * EPS)
    gram = plainest(testing.gram_matrices(3, spectrum=spectrum))
    assert np.allclose(gram, np.diag([3.0, 2.0, 1.0]), atol=8 * EPS)


@examples(40)
@given(testing.problems(st.integers(3, 9), st.integers(1, 4), 3), testing.weight_decays(1e-3, 0.5))
def test_problems_are_features_and_rows_on_the_simplex(problem, weight_decay):
    features, targets = problem
    assert isinstance(features, Features)
    assert set(features.labels) == {0, 1, 2}
    assert check_targets(targets, features.n_samples, 3) is not None
    assert 1e-3 * (1 - 8 * EPS) <= weight_decay <= 0.5 * (1 + 8 * EPS)


@examples(40)
@given(testing.targets(5, 3, kind="one-hot"), testing.targets(5, 3, kind="uniform"))
def test_kinds_of_targets(hard, uniform):
    assert np.array_equal(np.sort(hard), np.tile([0.0, 0.0, 1.0], (5, 1)))
    assert np.all(uniform == 1 / 3)


@examples(40)
@given(testing.corruption_matrices(), testing.corruption_matrices(4, dominant=True))
def test_corruption_matrices_are_taken_and_dominant_ones_keep_the_true_label_first(
    any_one, dominant
):
    for matrix in (any_one, dominant):
        drawn = corrupt_labels(np.arange(len(matrix)), matrix, seed=0)
        assert drawn.labels.max() < len(matrix)
    others = np.where(np.eye(4, dtype=bool), 0.0, dominant)
    assert np.all(np.diag(dominant) > others.max(axis=1))


@examples(40)
@given(testing.near_ties())
def test_near_ties_are_probabilities_with_two_first_places(rows):
    assert check_targets(rows, *rows.shape) is not None
    first, second = np.sort(rows, axis=1)[:, :-3:-1].T
    assert np.all(first - second <= 2.0**-20 + EPS)


@examples(40)
@given(testing.near_floor())
def test_near_floor_features_have_one_eigenvalue_and_otherwise_rounding(features):
    singular = np.linalg.svd(features.x, compute_uv=False)
    floor = features.n_samples * EPS
    assert abs(singular[0] - 1.0) <= 40 * floor
    assert singular[1] ** 2 <= 2.0**8.01 * floor


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: testing.features(3, 2, 2, spectrum=testing.spectra(3)), "at most n_features = 2"),
        (lambda: testing.gram_matrices(2, spectrum=testing.spectra(3)), "at most n_samples = 2"),
        (lambda: testing.features(4, 3, 2, spectrum="wide"), "spectrum must be real eigenvalues"),
        (lambda: testing.features(4, 3, 2, spectrum=np.eye(2)), "spectrum must be real eigenval"),
        (lambda: testing.gram_matrices(4, spectrum=[1.0, -1.0]), "at least 0, got -1.0"),
        (lambda: testing.targets(2, 2, kind="hard"), "kind must be any, one-hot or uniform"),
        (lambda: testing.weight_decays(1.0, 0.1), "smallest must be at most largest = 0.1, got 1"),
        (lambda: testing.weight_decays(0.0), "smallest must be"),
        (lambda: testing.near_ties(2, 1), "n_classes must be"),
    ],
)
def test_what_cannot_be_drawn_is_refused_in_one_line(make, words):
    with pytest.raises(InvalidSetting, match=words) as caught:
        plainest(make())
    assert "\n" not in str(caught.value)


def test_without_hypothesis_one_line_names_the_extra():
    program = "import sys; sys.modules['hypothesis'] = None; import gramlab.testing"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 1
    assert 'pip install ".[testing]"' in done.stderr.splitlines()[-1]


# ---- The how-to --------------------------------------------------------------------------------


def test_square_features_that_are_symmetric_are_drawn_without_a_warning(monkeypatch):
    """Passed by a caller, such a matrix would be told to look like a Gram matrix."""
    x = np.array([[2.0, 1.0, 0.0], [1.0, 2.0, 0.0], [0.0, 0.0, 1.0]])
    monkeypatch.setattr("gramlab.testing.strategies.matrices", lambda n, d: st.just(x))
    assert np.array_equal(plainest(testing.features(3, 3, 2)).x, x)


# ---- Twins --------------------------------------------------------------------------------------


def test_twins_give_the_answers_worked_out_by_hand():
    """One row of two classes, where both heads have a formula."""
    gram, targets = np.array([[1.0]]), np.array([[1.0, 0.0]])
    assert testing.dense_filter(gram, 3.0, 2) == pytest.approx(np.array([[1 / 16]]))
    found = testing.dense_closed_form(gram, targets, 0.5, 2)  # μ = 2 · 1 · 0.5 = 1, h = 1/2
    assert found == pytest.approx(np.array([[0.5 + 0.125, 0.5 - 0.125]]))
    # W* = (w, −w) with λ w = 1 − σ(2w): choose w = 1, then λ = 1 − σ(2).
    decay = float(1 / (1 + np.exp(2.0)))
    assert testing.dense_newton_head(gram, targets, decay) == pytest.approx(np.array([[1.0, -1.0]]))


def test_twins_refuse_what_does_not_fit_in_one_line():
    for gram, targets, sign in (
        (np.eye(3), np.eye(4), "targets must be of shape"),
        (np.ones((3, 2)), np.eye(3), "gram must be of shape"),
    ):
        with pytest.raises(InvalidSetting, match=sign) as refused:
            testing.dense_closed_form(gram, targets, 0.1)
        assert "\n" not in str(refused.value)


@examples(10)
@given(testing.problems(6, 2, 3), testing.weight_decays(1e-2, 1.0), testing.matrices(2, 3))
def test_derivatives_are_those_of_the_objective(problem, weight_decay, weights):
    """Central differences: of third order in the step, so ten times nearer at a third of it."""
    features, targets = problem
    direction = np.array([[1.0, -2.0, 0.5], [0.25, 1.0, -1.0]])
    gradient = testing.dense_gradient(features.x, targets, weight_decay, weights)
    hessian = testing.dense_hessian(features.x, weight_decay, weights)
    step = 1e-4

    def at(t, of):
        return of(features.x, targets, weight_decay, weights + t * direction)

    slope = (at(step, testing.dense_objective) - at(-step, testing.dense_objective)) / (2 * step)
    change = (at(step, testing.dense_gradient) - at(-step, testing.dense_gradient)) / (2 * step)
    # Third and fourth derivatives along the direction: each row's logits move by at most `reach`.
    reach = np.abs(features.x @ direction).max(initial=0.0) * 2.0
    size = 1.0 + np.abs(at(0.0, testing.dense_objective))
    assert abs(slope - np.sum(gradient * direction)) <= step**2 * reach**3 + 8 * EPS * size / step
    allowed = step**2 * reach**4 + 64 * EPS * (1.0 + np.abs(gradient).max()) / step
    assert np.abs(change - (hessian @ direction.ravel()).reshape(2, 3)).max() <= allowed
