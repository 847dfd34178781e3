"""Superclasses, Rand index, closest pairs and angles: worked examples, twins, planted errors."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import scipy.linalg
from conftest import orthonormal, problem
from hypothesis import given
from hypothesis import strategies as st
from scipy.cluster import hierarchy
from scipy.spatial import distance
from sklearn.metrics import adjusted_rand_score

import gramlab
from gramlab.errors import InvalidFeatures, InvalidLabels, InvalidSetting
from gramlab.features import Features
from gramlab.figures import AnglesDisplay, CorrelationDisplay, figure_png
from gramlab.numerics.rounding import UNIT_ROUNDOFF
from gramlab.spectrum import Spectrum
from gramlab.spectrum.correlations import class_correlations, class_subspace_angles
from gramlab.spectrum.superclasses import adjusted_rand_index, closest_pairs, find_superclasses


def of_distances(square) -> np.ndarray:
    return 1.0 - np.asarray(square, dtype=np.float64)


def on_a_line(*places: float) -> np.ndarray:
    """Correlations whose distances are those of points on a line."""
    at = np.array(places)
    return of_distances(np.abs(at[:, None] - at[None, :]))


def random_correlations(k: int, seed: int) -> np.ndarray:
    """Cosines of random directions, no two of them equal."""
    rng = np.random.default_rng(seed)
    unit = rng.standard_normal((k, 4))
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    return unit @ unit.T


def block_features(n: int, groups: np.ndarray, c: float, d: float, e: float) -> Features:
    """Rows whose Gram matrix is a block model, built from its answer."""
    labels = np.repeat(np.arange(len(groups)), n)
    same = labels[:, None] == labels[None, :]
    near = groups[labels][:, None] == groups[labels][None, :]
    gram = np.where(same, c, np.where(near, d, e))
    gram[np.diag_indices(len(gram))] = 1.0
    return Features(np.linalg.cholesky(gram), labels, superclasses=groups)


# ---- The tree ---------------------------------------------------------------------------------


def test_complete_linkage_of_a_worked_example():
    # By hand: 0 and 1 merge at 0.3, then 2 and 3 at 0.35, all at their largest distance, 1.
    matrix = on_a_line(0.0, 0.3, 0.65, 1.0)
    found = find_superclasses(matrix)
    assert found.labels.tolist() == [0, 0, 1, 1]
    # 1 − (1 − x) loses the last digit of x.
    assert np.abs(found.linkage[:, 2] - [0.3, 0.35, 1.0]).max() <= 2 * UNIT_ROUNDOFF
    assert found.linkage[:, :2].tolist() == [[0, 1], [2, 3], [4, 5]]
    assert found.linkage[:, 3].tolist() == [2, 2, 4]
    assert found.threshold == 0.8 * found.linkage[-1, 2]
    assert found.members() == [[0, 1], [2, 3]]
    assert (found.count, found.method) == (2, "condensed")
    assert find_superclasses(matrix, cut=1.0).count == 1
    # Planted: single linkage has merges 0.3, 0.35, 0.35 and keeps nothing together at 0.28.
    single = hierarchy.linkage(distance.squareform(1.0 - matrix, checks=False), "single")
    assert len(set(hierarchy.fcluster(single, 0.8 * single[-1, 2], "distance"))) == 4


@pytest.mark.parametrize("k", [2, 3, 7, 30])
def test_condensed_and_authors_equal_scipy(k):
    matrix = random_correlations(k, k)
    square = 1.0 - matrix
    np.fill_diagonal(square, 0.0)
    condensed = hierarchy.linkage(square[np.triu_indices(k, 1)], "complete")
    # The authors' call by its meaning: rows of the matrix are points.
    rows = hierarchy.linkage(distance.pdist(square), "complete")
    for method, tree, cut in (("condensed", condensed, 0.8), ("authors", rows, 0.9)):
        found = find_superclasses(matrix, method=method)
        assert np.array_equal(found.linkage, tree)
        assert np.array_equal(found.order, hierarchy.leaves_list(tree))
        expected = hierarchy.fcluster(tree, cut * tree[-1, 2], "distance")
        assert adjusted_rand_score(expected, found.labels) == 1.0
        runs = found.labels[found.order]
        assert 1 + np.count_nonzero(np.diff(runs)) == found.count  # neighbours in the tree


def test_the_authors_call_gives_another_answer_at_the_same_cut():
    """0 and 1 are near, but are not alike in their distances to the others."""
    matrix = of_distances(
        [
            [0.0, 0.3, 0.4, 1.1, 1.0],
            [0.3, 0.0, 1.0, 0.4, 1.0],
            [0.4, 1.0, 0.0, 1.0, 0.9],
            [1.1, 0.4, 1.0, 0.0, 0.9],
            [1.0, 1.0, 0.9, 0.9, 0.0],
        ]
    )
    condensed = find_superclasses(matrix, cut=0.5)
    authors = find_superclasses(matrix, method="authors", cut=0.5)
    assert condensed.labels.tolist() == [0, 0, 1, 2, 3]
    assert authors.labels.tolist() != condensed.labels.tolist()
    assert authors.labels[0] != authors.labels[1]


def test_only_the_warning_of_the_authors_call_is_caught():
    matrix = random_correlations(6, 0)
    square = 1.0 - matrix
    np.fill_diagonal(square, 0.0)
    with pytest.warns(hierarchy.ClusterWarning):
        hierarchy.linkage(square, "complete")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        find_superclasses(matrix, method="authors")
    assert caught == []


@pytest.mark.parametrize("method", ["condensed", "authors"])
def test_permuting_the_classes_permutes_the_result(method):
    matrix = random_correlations(12, 5)
    move = np.random.default_rng(0).permutation(12)
    found = find_superclasses(matrix, method=method, cut=0.6)
    moved = find_superclasses(matrix[np.ix_(move, move)], method=method, cut=0.6)
    assert 1 < found.count < 12
    assert adjusted_rand_index(moved.labels, found.labels[move]) == 1.0
    # Rows of the square matrix are summed in another order, so equal only to rounding.
    error = 24 * UNIT_ROUNDOFF * found.linkage[-1, 2]
    assert np.abs(moved.linkage[:, 2] - found.linkage[:, 2]).max() <= error
    assert abs(moved.threshold - found.threshold) <= error


def test_labels_are_numbered_by_first_class():
    for seed in range(5):
        labels = find_superclasses(random_correlations(15, seed), cut=0.5).labels
        first = np.unique(labels, return_index=True)[1]
        assert np.array_equal(np.sort(first), first)


@pytest.mark.parametrize(("d", "e", "groups_found"), [(0.5, 0.1, True), (0.1, 0.0, False)])
def test_superclasses_of_a_block_model_are_found_iff_the_cut_lies_between_its_merges(
    d, e, groups_found
):
    groups = np.array([0, 1, 0, 1, 2, 2])
    features = block_features(4, groups, 0.7, d, e)
    found = find_superclasses(class_correlations(features).matrix)
    assert groups_found == (1 - d <= 0.8 * (1 - e))
    expected = groups if groups_found else np.arange(6)
    assert np.array_equal(found.labels, expected)


def test_classes_that_coincide_are_one_superclass():
    found = find_superclasses(np.ones((3, 3)))
    assert found.labels.tolist() == [0, 0, 0]
    assert found.threshold == 0.0


# ---- Pairs and the Rand index -----------------------------------------------------------------


def test_closest_pairs_equal_cosines_by_hand():
    x = np.array([[1.0, 0.0], [1.0, 1.0], [0.0, 1.0], [3.0, 1.0], [-1.0, 2.0]])
    labels = np.array([0, 0, 1, 2, 1])
    unit = [row / np.hypot(*row) for row in x]
    by_hand = {}
    for a, b in ((0, 1), (0, 2), (1, 2)):
        cosines = [
            unit[i] @ unit[j]
            for i in np.flatnonzero(labels == a)
            for j in np.flatnonzero(labels == b)
        ]
        by_hand[a, b] = sum(cosines) / len(cosines)
    matrix = class_correlations(Features(x, labels)).matrix
    found = closest_pairs(matrix, 2)
    assert [pair[:2] for pair in found] == sorted(by_hand, key=by_hand.get, reverse=True)[:2]
    for i, j, value in found:
        assert abs(value - by_hand[i, j]) <= 20 * UNIT_ROUNDOFF
    assert len(closest_pairs(matrix, 100)) == 3
    assert closest_pairs(np.ones((3, 3)), 2) == [(0, 1, 1.0), (0, 2, 1.0)]


@given(
    st.integers(1, 25).flatmap(
        lambda n: st.tuples(*[st.lists(st.integers(0, 5), min_size=n, max_size=n)] * 2)
    )
)
def test_adjusted_rand_index_equals_scikit_learn(groupings):
    a, b = groupings
    found = adjusted_rand_index(a, b)
    # Both are quotients of integers; scikit-learn's is rounded a few times more.
    assert abs(found - adjusted_rand_score(a, b)) <= 8 * UNIT_ROUNDOFF
    assert adjusted_rand_index(b, a) == found <= 1.0
    assert adjusted_rand_index([7 - x for x in a], b) == found


def test_adjusted_rand_index_by_hand():
    assert adjusted_rand_index([0, 0, 1, 1], [1, 1, 0, 0]) == 1.0
    assert adjusted_rand_index([0, 1, 2], [0, 1, 2]) == 1.0
    assert adjusted_rand_index([0, 0, 1, 1], [0, 1, 0, 1]) == -0.5
    # Planted: the plain Rand index of the same pair is 1/3.
    with pytest.raises(InvalidLabels, match="b must"):
        adjusted_rand_index([0, 1], [0, 1, 1])
    with pytest.raises(InvalidLabels):
        adjusted_rand_index([0, -1], [0, 1])


# ---- Angles -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "d"), [(60, 9), (20, 40)])
def test_angles_equal_their_dense_twin(n, d):
    features, _ = problem(n, d, 3, seed=4)
    found = class_subspace_angles(features)
    vectors = np.linalg.eigh(features.x @ features.x.T)[1][:, -3:]
    expected = np.sort(scipy.linalg.subspace_angles(vectors, np.eye(3)[features.labels]))
    spectrum = Spectrum.of(features)
    # Davis and Kahan, for two computed eigenspaces of one matrix.
    known = 2 * (2 * spectrum.certificate.eigenvalue_error / spectrum.gap(3))
    assert found.shape == (3,)
    assert np.all(np.diff(found) >= 0)
    assert np.abs(found - expected).max() <= known
    rotated = Features(features.x @ orthonormal(d, d, np.random.default_rng(0)), features.labels)
    assert np.abs(class_subspace_angles(rotated) - found).max() <= known
    renamed = class_subspace_angles(features, np.array([2, 0, 1])[features.labels])
    assert np.abs(renamed - found).max() <= known
    # Planted: labels that have nothing to do with the rows.
    assert class_subspace_angles(features, np.arange(n) // 2 % 3).max() > 0.5


@pytest.mark.parametrize("groups", [[0, 1, 2], [0, 0, 1, 1]])
def test_a_block_model_has_no_angles(groups):
    features = block_features(6, np.array(groups), 0.6, 0.3, 0.1)
    k, spectrum = len(groups), Spectrum.of(features)
    built = 10 * features.n_samples * UNIT_ROUNDOFF * spectrum.eigenvalue(1)
    known = (2 * spectrum.certificate.eigenvalue_error + built) / spectrum.gap(k)
    assert known < 1e-10  # arccos of rounded cosines would only give about 1e-8
    assert class_subspace_angles(features).max() <= known
    # Planted: one row of another class.
    wrong = features.labels.copy()
    wrong[0] = 1
    assert class_subspace_angles(features, wrong).max() > 0.1


def test_centred_rows_are_orthogonal_to_one_direction_of_the_classes():
    angles = class_subspace_angles(problem(60, 9, 3, seed=1)[0].centered())
    # The mean that is left is of the order of rounding, and so is the cosine. Planted: SciPy's
    # function, which takes the arcsine here, is off by 2e-8.
    assert abs(angles[-1] - np.pi / 2) <= 10 * 60 * UNIT_ROUNDOFF
    assert angles[1] < 1.0


def test_angles_that_do_not_exist_are_refused():
    rng = np.random.default_rng(0)
    narrow = Features(rng.standard_normal((20, 2)), np.arange(20) % 4)
    with pytest.raises(InvalidFeatures, match=r"first K = 4 eigenvectors.*at least K features"):
        class_subspace_angles(narrow)
    names = ["cat", "dog", "eel"]
    partly = Features(rng.standard_normal((20, 5)), np.arange(20) % 2, class_names=names)
    with pytest.raises(InvalidLabels, match=r"none of class 2 \('eel'\)"):
        class_subspace_angles(partly)
    with pytest.raises(InvalidLabels):
        class_subspace_angles(narrow, np.zeros(3, dtype=int))


# ---- Bad input --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("matrix", "settings", "words"),
    [
        (np.eye(3), {"method": "ward"}, "one of condensed, authors, got 'ward'"),
        (np.eye(3), {"cut": 0.0}, "cut must be finite and greater than 0"),
        (np.eye(3), {"cut": 1.1}, "cut must be at most 1, got 1.1"),
        (np.ones((2, 3)), {}, "square with at least two classes"),
        (np.ones((1, 1)), {}, "square with at least two classes"),
        (np.ones(4), {}, "square with at least two classes"),
        (np.array([["a", "b"], ["c", "d"]]), {}, "real numbers"),
        ([[1.0, 0.1], [0.2, 1.0]], {}, "asymmetry of 1.0e-01"),
        ([[1.0, 9.0], [9.0, 1.0]], {}, "entries up to 9"),
    ],
)
def test_bad_input_is_refused(matrix, settings, words):
    with pytest.raises(InvalidSetting, match=words):
        find_superclasses(matrix, **settings)


def test_a_class_without_rows_is_named():
    features = Features(np.eye(6), np.array([0, 0, 1, 1, 3, 3]), n_classes=4)
    matrix = class_correlations(features).matrix
    for call in (find_superclasses, lambda m: closest_pairs(m, 1)):
        with pytest.raises(InvalidSetting, match="got nan for class 2"):
            call(matrix)
    with pytest.raises(InvalidSetting, match="count must be"):
        closest_pairs(np.eye(3), 0)


@pytest.mark.parametrize("method", ["condensed", "authors"])
def test_a_class_of_one_row_has_no_correlation_with_itself_and_needs_none(method):
    x = np.random.default_rng(0).standard_normal((5, 3))
    matrix = class_correlations(Features(x, np.array([0, 0, 1, 1, 2]))).matrix
    assert np.isnan(matrix[2, 2])
    assert find_superclasses(matrix, method=method).labels.shape == (3,)


# ---- Figures ----------------------------------------------------------------------------------


@pytest.mark.parametrize("k", [2, 10, 160])
@pytest.mark.parametrize("method", ["condensed", "authors"])
def test_the_heat_map_shows_the_matrix_in_the_order_of_the_tree(k, method):
    matrix = random_correlations(k, k)
    found = find_superclasses(matrix, method=method, cut=0.5)
    names = [f"class-{i}" for i in range(k)]
    figure = CorrelationDisplay.from_correlations(matrix, found, names).plot().figure_
    tree, axes = figure.axes[:2]
    (image,) = axes.get_images()
    assert np.array_equal(image.get_array(), matrix[np.ix_(found.order, found.order)])
    assert sum(p.get_gid() == "superclass" for p in axes.patches) == found.count
    brackets = {c.get_gid(): len(c.get_segments()) for c in tree.collections}
    assert brackets["kept merges"] == k - found.count
    assert brackets["cut merges"] == found.count - 1
    shown = [label.get_text() for label in axes.get_yticklabels()]
    assert shown == ([names[i] for i in found.order] if k <= 150 else [])
    again = CorrelationDisplay.from_correlations(matrix, found, names)
    assert figure_png(figure) == figure_png(again)


def test_a_tree_deeper_than_the_recursion_limit_is_drawn():
    # A chain: each class is farther from the rest than all before are from each other.
    chain = on_a_line(*np.linspace(0.0, 1.0, 1200) ** 9)
    figure = CorrelationDisplay.from_correlations(chain).plot().figure_
    assert figure.axes[0].collections


def test_the_angles_are_drawn_in_degrees():
    figure = AnglesDisplay.from_angles([0.0, np.pi / 6, np.pi / 2]).plot().figure_
    (line,) = (line for line in figure.axes[0].get_lines() if line.get_gid() == "angles")
    assert np.abs(np.asarray(line.get_ydata()) - [0, 30, 90]).max() <= 180 * UNIT_ROUNDOFF


# ---- Real features ----------------------------------------------------------------------------


def opened(folder, name):
    path = folder / name
    if not path.is_file():
        pytest.skip(f"{name} is not in {folder}")
    return gramlab.load_features(path).centered()


@pytest.mark.data
def test_closest_classes_of_caltech(data_folder):
    features = opened(data_folder, "caltech101_mobilenetv2.npz")
    matrix = class_correlations(features).matrix
    pairs = {
        frozenset((features.class_names[i], features.class_names[j])): round(value, 3)
        for i, j, value in closest_pairs(matrix, 3)
    }
    assert pairs == {
        frozenset(("ketch", "schooner")): 0.465,
        frozenset(("lotus", "water_lilly")): 0.342,
        frozenset(("Faces", "Faces_easy")): 0.34,
    }
    labels = find_superclasses(matrix).labels
    for pair in pairs:
        first, second = (features.class_names.index(name) for name in pair)
        assert labels[first] == labels[second]


@pytest.mark.data
def test_the_tree_of_groceries_by_distances_is_nearer_to_the_true_superclasses(data_folder):
    features = opened(data_folder, "grocery81_mobilenetv2.npz")
    matrix = class_correlations(features).matrix
    assert features.superclasses is not None
    found = {}
    for method in ("condensed", "authors"):
        labels = find_superclasses(matrix, method=method).labels
        found[method] = adjusted_rand_index(features.superclasses, labels)
        assert (
            abs(found[method] - adjusted_rand_score(features.superclasses, labels))
            <= 8 * UNIT_ROUNDOFF
        )
    assert found["authors"] < found["condensed"] < 0.5
