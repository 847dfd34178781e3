"""The block model against its dense Gram matrix, and the exact population against sampled heads."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import examples
from hypothesis import given
from hypothesis import strategies as st

from gramlab import testing
from gramlab.errors import InvalidSetting
from gramlab.features import Features
from gramlab.heads.closed_form import LinearizedHead
from gramlab.heads.softmax import SoftmaxHead
from gramlab.labels import corruption_matrix
from gramlab.population import ClassBlockModel
from gramlab.population.types import types_of

# Reference numbers: K = 4, n = 500, c = .4, d = .1 in one superclass, computed independently.
REFERENCE = ClassBlockModel(4, 500, 0.4, 0.1)
FIRST_PERFECT = {
    ("symmetric", 1e-5): {0.1: (7, 6), 0.2: (7, 8), 0.3: (8, 9), 0.4: (10, 11), 0.5: (12, 14)}
    | {0.6: (15, 17), 0.7: (23, 26)},
    ("asymmetric", 1e-5): {0.1: (7, 7), 0.2: (8, 9), 0.3: (9, 11), 0.4: (11, 14), 0.5: (13, 18)},
    ("symmetric", 1e-4): {0.3: (2, 2), 0.5: (2, 2), 0.6: (3, 3), 0.7: (4, 4)},
    ("symmetric", 1e-3): {0.3: (1, 1), 0.5: (1, 1), 0.6: (1, 1), 0.7: (2, 2)},
}
LARGEST_DIFFERENCE = {1e-6: 0.0053, 1e-5: 0.0064, 3e-5: 0.0319, 1e-4: 0.0522, 3e-4: 0.0290}
LARGEST_DIFFERENCE |= {1e-3: 0.0195, 1e-2: 0.0215, 1e-1: 0.0053, 1.0: 0.0001}


def models():
    return st.sampled_from(
        [
            ClassBlockModel(3, 4, 0.5),
            ClassBlockModel(4, 3, 0.6, 0.2),
            ClassBlockModel(6, 2, 0.5, 0.3, 0.1, 3),
            ClassBlockModel(6, 2, 0.7, 0.3, 0.3, 2),
            ClassBlockModel(4, 1, 0.4, 0.2, 0.0, 1),
        ]
    )


@given(models())
def test_eigenvalues_are_those_of_the_dense_gram(model):
    dense = np.sort(np.linalg.eigvalsh(model.gram()))
    found = model.eigenvalues()
    listed = np.sort(np.repeat([e.value for e in found], [e.multiplicity for e in found]))
    assert len(listed) == model.n_samples
    assert np.abs(dense - listed).max() < 1e-13 * model.n_samples
    x = model.sample_features()
    assert np.abs(x @ x.T - model.gram()).max() < 1e-15 * 4


@pytest.mark.parametrize(("kind", "weight_decay"), FIRST_PERFECT)
def test_first_perfect_rounds_of_the_reference(kind, weight_decay):
    for rate, expected in FIRST_PERFECT[kind, weight_decay].items():
        population = REFERENCE.population(corruption_matrix(kind, 4, rate), weight_decay)
        found = tuple(population.first_perfect_round(k) for k in ("linearized", "exact"))
        assert found == expected, rate
        assert found[0] == max(1, int(np.floor(population.minimum_rounds())) + 1)


def test_reference_constants_and_teacher():
    population = REFERENCE.population(corruption_matrix("symmetric", 4, 0.5), 1e-5)
    assert population.mu == pytest.approx(0.08, rel=1e-14)
    assert np.round(population.factors()[:2], 10).tolist() == [0.8823529412, 0.9994690735]
    assert round(population.rho, 10) == 1.1327316167
    exact, linear = population.exact(1), population.linearized(1)
    assert np.round(exact.of(0, 0)[:2], 4).tolist() == [0.9458, 0.0181]
    assert np.round(linear.of(0, 0)[:2], 4).tolist() == [0.9410, 0.0197]
    assert np.round(exact.of(0, 1)[:2], 4).tolist() == [0.0539, 0.9004]
    assert np.round(linear.of(0, 1)[:2], 4).tolist() == [0.0587, 0.9020]


def test_largest_difference_over_weight_decay_is_not_monotone():
    for weight_decay, expected in LARGEST_DIFFERENCE.items():
        population = REFERENCE.population(corruption_matrix("symmetric", 4, 0.3), weight_decay)
        difference = population.exact(1).probabilities - population.linearized(1).probabilities
        assert round(float(np.abs(difference).max()), 4) == expected


def keep_every_type(population):
    """No type stands for those of other classes."""
    every = types_of(population.model.superclasses, population.corruption, fewest=False)
    population.__dict__["types"] = every


def spread(model: ClassBlockModel, matrix: np.ndarray):
    """Labels with class fractions exactly C, n C integer."""
    counts = np.round(model.samples_per_class * matrix).astype(int)
    given_labels = np.concatenate([np.repeat(np.arange(model.n_classes), row) for row in counts])
    return np.repeat(np.arange(model.n_classes), model.samples_per_class), given_labels


@pytest.mark.parametrize(
    ("model", "matrix"),
    [
        (ClassBlockModel(3, 10, 0.5, 0.2), corruption_matrix("symmetric", 3, 0.4)),
        (ClassBlockModel(4, 10, 0.5, 0.3, 0.1, 2), corruption_matrix("pair-flip", 4, 0.3)),
        # Unbalanced: class 0 attracts labels.
        (ClassBlockModel(3, 10, 0.6, 0.1), np.array([[1, 0, 0], [0.3, 0.7, 0], [0.4, 0.1, 0.5]])),
    ],
)
@pytest.mark.parametrize("weight_decay", [1e-4, 1e-2])
def test_population_equals_heads_on_sampled_features(model, matrix, weight_decay):
    """Features built from a factor of the block Gram: both iterates agree row by row."""
    true, given_labels = spread(model, matrix)
    features = Features(model.sample_features(), true, n_classes=model.n_classes)
    targets = np.eye(model.n_classes)[given_labels]
    population = model.population(matrix, weight_decay)
    keep_every_type(population)  # so that each row finds its own
    current, head = targets, SoftmaxHead(weight_decay, tolerance=1e-20)
    for t in (1, 2, 3):
        linear = testing.dense_closed_form(features.x @ features.x.T, targets, weight_decay, t)
        fit = head.fit(features, current)
        for i in range(len(true)):
            assert np.abs(
                population.linearized(t).of(true[i], given_labels[i]) - linear[i]
            ).max() < (1e-11)
            exact = population.exact(t).of(true[i], given_labels[i])
            assert np.abs(exact - fit.probabilities[i]).max() < 1e-7
        current = fit.probabilities
        # Planted: a transposed corruption matrix is another population.
    if not np.allclose(matrix, matrix.T) and np.allclose(matrix.T.sum(axis=1), 1):
        other = model.population(matrix.T, weight_decay)
        keep_every_type(other)
        assert np.abs(
            other.linearized(1).deviations - population.linearized(1).deviations
        ).max() > (1e-3)


@examples(20)
@given(
    model=st.sampled_from(
        [ClassBlockModel(5, 50, 0.5, 0.2), ClassBlockModel(6, 20, 0.5, 0.2, 0.1, 3)]
    ),
    rate=st.floats(0.05, 0.6),
    log_decay=st.floats(-5, 0),
)
def test_three_representatives_say_the_same_as_all_types(model, rate, log_decay):
    matrix = corruption_matrix("symmetric", model.n_classes, rate)
    few, every = (model.population(matrix, 10**log_decay) for _ in range(2))
    keep_every_type(every)
    assert len(few.types.true) <= 3 < len(every.types.true)
    for t in (1, 3):
        for kind in ("linearized", "exact"):
            left, right = few.at(kind, t), every.at(kind, t)
            for i, given_label in enumerate(left.given):
                assert np.abs(left.probabilities[i] - right.of(0, given_label)).max() < 1e-8
            assert left.perfect == right.perfect


def test_a_hundred_classes_and_a_million_rows_each():
    model = ClassBlockModel(100, 10**6, 0.4, 0.1)
    population = model.population(corruption_matrix("symmetric", 100, 0.5), 1e-5)
    found = population.exact(1)
    assert found.margin_bound.max() < 1e-6
    assert found.perfect


def test_averaging_weights_are_a_distribution():
    model = ClassBlockModel(6, 20, 0.5, 0.2, 0.1, 3)
    population = model.population(corruption_matrix("symmetric", 6, 0.3), 1e-3)
    for t in (1, 4, 50):
        weights = population.averaging_weights(t)
        assert min(weights.values()) >= -1e-15
        assert sum(weights.values()) == pytest.approx(1.0, abs=1e-15)


def test_minimum_rounds_at_its_edges():
    clean = REFERENCE.population(np.eye(4), 1e-5)
    assert clean.minimum_rounds() == 0.0
    hopeless = REFERENCE.population(corruption_matrix("symmetric", 4, 0.8), 1e-5)
    assert hopeless.minimum_rounds() == np.inf
    assert hopeless.first_perfect_round("linearized", 50) is None
    tied = REFERENCE.population(corruption_matrix("symmetric", 4, 0.75), 1e-5)  # Δ = 0 exactly
    assert tied.minimum_rounds() == np.inf
    assert tied.first_perfect_round("linearized", 50) is None
    unbalanced = ClassBlockModel(2, 5, 0.5).population(np.array([[1, 0], [0.4, 0.6]]), 1e-2)
    with pytest.raises(InvalidSetting, match="balanced"):
        unbalanced.minimum_rounds()
    assert unbalanced.held_out(1).argmax() == 1


def test_two_classes_at_one_half_stay_a_tie():
    population = ClassBlockModel(2, 100, 0.5).population(
        corruption_matrix("symmetric", 2, 0.5), 1e-4
    )
    assert population.first_perfect_round("linearized", 30) is None
    assert population.first_perfect_round("exact", 5) is None


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((1, 5, 0.5), "n_classes"),
        ((3, 0, 0.5), "samples_per_class"),
        ((3, 5, 0.2, 0.3), "0 <= between <= superclass < within < 1"),
        ((3, 5, 1.0), "within < 1"),
        ((4, 5, 0.5, 0.1, 0.2, 2), "between <= superclass"),
        ((4, 5, 0.5, 0.2, 0.1), "superclass_size"),
        ((4, 5, 0.5, 0.2, 0.1, 3), "divide n_classes = 4, got 3"),
        ((3, 5, float("nan")), "within"),
    ],
)
def test_bad_models_are_refused(arguments, said):
    with pytest.raises(InvalidSetting, match=said):
        ClassBlockModel(*arguments)


def test_bad_populations_are_refused():
    with pytest.raises(InvalidSetting, match=r"\(4, 4\), got \(3, 3\)"):
        REFERENCE.population(np.eye(3), 1e-3)
    with pytest.raises(InvalidSetting, match=r"row 1"):
        REFERENCE.population(np.diag([1, 0.5, 1, 1]), 1e-3)
    with pytest.raises(InvalidSetting, match="weight_decay"):
        REFERENCE.population(np.eye(4), 0.0)
    population = REFERENCE.population(np.eye(4), 1e-3)
    with pytest.raises(InvalidSetting, match="round"):
        population.linearized(0)
    with pytest.raises(InvalidSetting, match="kind"):
        population.at("other", 1)
    with pytest.raises(InvalidSetting, match="no type"):
        population.exact(1).of(0, 1)


def test_the_published_matrix_is_refused_unless_projected():
    model = ClassBlockModel(4, 60, 0.4, 0.1)
    with pytest.raises(InvalidSetting, match=r"negative eigenvalues .*sample_features\(\)"):
        model.published_gram(0.2, seed=0)
    projected = model.published_gram(0.2, seed=0, project=True)
    assert np.linalg.eigvalsh(projected).min() > -1e-12
    assert np.abs(projected - projected.T).max() < 1e-12


def test_sampled_features_carry_the_model_and_exact_counts_the_population():
    model = ClassBlockModel(4, 20, 0.5, 0.3, 0.1, 2)
    matrix = corruption_matrix("symmetric", 4, 0.6)
    features, labels = model.sample(matrix, seed=1, exact_counts=True)
    assert np.abs(features.x @ features.x.T - model.gram()).max() < 1e-15 * 4
    assert np.abs(labels.counts - 20 * matrix).max() < 1e-12
    fit = SoftmaxHead(1e-3, tolerance=1e-16).fit(features, np.eye(4)[labels.labels])
    population = model.population(matrix, 1e-3)
    for i in np.flatnonzero(features.labels == 0):
        if labels.labels[i] in population.types.given:
            expected = population.exact(1).of(0, labels.labels[i])
            assert np.abs(fit.probabilities[i] - expected).max() < 1e-7
    with pytest.raises(InvalidSetting, match=r"got 0\.7 at k = 0, j = 0 for n = 1"):
        ClassBlockModel(4, 1, 0.5).sample(
            corruption_matrix("symmetric", 4, 0.3), seed=0, exact_counts=True
        )


@pytest.mark.parametrize("t", [1, 4])
def test_held_out_points_are_predicted_like_any_new_row(t):
    model = ClassBlockModel(4, 10, 0.5, 0.3, 0.1, 2)
    matrix = np.array([[6, 2, 1, 1], [1, 7, 1, 1], [0, 0, 8, 2], [2, 0, 1, 7]]) / 10
    features, labels = model.sample(matrix, seed=0, exact_counts=True)
    targets = np.eye(4)[labels.labels]
    fit = LinearizedHead(1e-2).rounds_at_once(features, targets, t)
    population = model.population(matrix, 1e-2)
    for k in range(4):
        x = features.x[10 * k].copy()
        x[: model.n_samples] = 0.0  # a new point shares no own direction with any row
        assert np.abs(fit.predict_proba(x[None])[0] - population.held_out(k, t)).max() < 1e-12


def test_corruption_that_leaves_its_superclass_has_no_simple_least_rounds():
    """Noise across superclasses brings superclass means into the condition."""
    matrix = corruption_matrix("symmetric", 4, 0.3)
    crossing = ClassBlockModel(4, 20, 0.5, 0.3, 0.1, 2).population(matrix, 1e-2)
    with pytest.raises(InvalidSetting, match="leaving it"):
        crossing.minimum_rounds()
    # No difference between superclasses, or one of them: the formula is back.
    flat = ClassBlockModel(4, 20, 0.5, 0.2, 0.2, 2).population(matrix, 1e-2)
    one = ClassBlockModel(4, 20, 0.5, 0.2).population(matrix, 1e-2)
    assert flat.minimum_rounds() == pytest.approx(one.minimum_rounds(), rel=1e-12)
    first = one.first_perfect_round("linearized")
    assert first == max(1, int(np.floor(one.minimum_rounds())) + 1)


def test_superclasses_of_one_class_are_plain_classes():
    matrix = corruption_matrix("symmetric", 4, 0.5)
    single = ClassBlockModel(4, 20, 0.4, 0.39, 0.05, 1).population(matrix, 1e-3)
    plain = ClassBlockModel(4, 20, 0.4, 0.05).population(matrix, 1e-3)
    assert single.minimum_rounds() == pytest.approx(plain.minimum_rounds(), rel=1e-12)
    expected = max(1, int(np.floor(single.minimum_rounds())) + 1)
    assert single.first_perfect_round("linearized", 300) == expected
