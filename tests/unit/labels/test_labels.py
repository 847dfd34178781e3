"""Targets and label noise: exact matrices, exact counts, portable draws, honest distributions."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gramlab import labels as module
from gramlab import targets as targets_room
from gramlab import testing
from gramlab.errors import InvalidLabels, InvalidSetting, InvalidTargets
from gramlab.labels import corrupt_labels, corruption_matrix
from gramlab.numerics import streams
from gramlab.targets import mix_targets, one_hot, partial_labels

EPS = float(np.finfo(np.float64).eps)
KINDS = ["symmetric", "asymmetric", "superclass", "pair-flip"]


# An independent Philox-4x64-10 in plain integers (Salmon et al., SC 2011).


def philox_block(counter, key):
    c, k, mask = list(counter), list(key), 2**64 - 1
    for _ in range(10):
        product0 = 0xD2E7470EE14C6C93 * c[0]
        product1 = 0xCA5A826395121157 * c[2]
        c = [
            (product1 >> 64) ^ c[1] ^ k[0],
            product1 & mask,
            (product0 >> 64) ^ c[3] ^ k[1],
            product0 & mask,
        ]
        k = [(k[0] + 0x9E3779B97F4A7C15) & mask, (k[1] + 0xBB67AE8584CAA73B) & mask]
    return c


def slow_words(seed, purpose, count):
    words = []
    block = 1
    while len(words) < count:
        words += philox_block((block, 0, 0, 0), (seed, purpose))
        block += 1
    return words[:count]


def test_reference_generator_gives_the_published_answers():
    # Known-answer vectors of the Random123 distribution, philox4x64, 10 rounds.
    assert philox_block((0, 0, 0, 0), (0, 0)) == [
        0x16554D9ECA36314C,
        0xDB20FE9D672D0FDC,
        0xD7E772CEE186176B,
        0x7E68B68AEC7BA23B,
    ]
    ones = 2**64 - 1
    assert philox_block((ones,) * 4, (ones,) * 2) == [
        0x87B092C3013FE90B,
        0x438C3C67BE8D0224,
        0x9CC7D7C69CD777B6,
        0xA09CAEBF594F0BA0,
    ]


@settings(deadline=None)
@given(st.integers(0, 2**64 - 1), st.integers(1, 30))
def test_words_are_those_of_the_reference_generator(seed, count):
    for purpose in (module._CORRUPTION_STREAM, targets_room._PARTIAL_STREAM):
        words = streams.stream(seed, purpose).random_raw(count)
        assert words.tolist() == slow_words(seed, purpose, count)


# One-hot


@settings(deadline=None)
@given(st.integers(1, 6), st.lists(st.integers(0, 5), min_size=1, max_size=20))
def test_one_hot(extra, labels):
    size = max(labels) + extra
    targets = one_hot(labels, size)
    assert targets.dtype == np.float64
    assert targets.tolist() == [[float(j == label) for j in range(size)] for label in labels]


def test_one_hot_refuses_labels_outside():
    with pytest.raises(InvalidLabels, match="got 3 at row 1"):
        one_hot([0, 3], 3)
    with pytest.raises(InvalidSetting, match="n_classes"):
        one_hot([0], 0)


# Corruption matrices


def slow_matrix(kind, size, rate, groups):
    """The formulas of the sources, entry by entry."""
    matrix = np.zeros((size, size))
    for k in range(size):
        mates = [j for j in range(size) if groups[j] == groups[k] and j != k]
        for j in range(size):
            if kind == "symmetric":
                value = 1 - rate if j == k else rate / (size - 1)
            elif kind == "asymmetric":
                value = rate / size
                value = 2 * rate / size if j == (k + 1) % size else value
                value = 1 - rate if j == k else value
            elif kind == "superclass":
                value = rate / len(mates) if j in mates else 0.0
                value = (1 - rate if mates else 1.0) if j == k else value
            else:
                value = 1 - rate if j == k else rate * (j == (k + 1) % size)
            matrix[k, j] = value
    return matrix


@settings(deadline=None)
@given(
    st.sampled_from(KINDS),
    st.integers(2, 30),
    st.floats(0.0, 1.0, exclude_max=True),
    st.integers(0, 2**32 - 1),
)
def test_matrices_follow_their_formulas(kind, size, rate, seed):
    groups = np.random.default_rng(seed).integers(0, max(1, size // 3), size)
    groups[:2] = 0
    matrix = corruption_matrix(kind, size, rate, groups)
    assert np.abs(matrix - slow_matrix(kind, size, rate, groups)).max() <= size * EPS
    assert np.abs(matrix.sum(axis=1) - 1.0).max() <= 2 * size * EPS
    assert matrix.min() >= 0.0
    # What is built here is accepted there.
    corrupt_labels([0, size - 1], matrix, seed=0)


@pytest.mark.parametrize("kind", KINDS)
def test_rate_zero_is_the_identity(kind):
    assert np.array_equal(corruption_matrix(kind, 4, 0.0, [0, 0, 1, 1]), np.eye(4))


def test_two_classes_make_all_kinds_the_same():
    expected = [[0.7, 0.3], [0.3, 0.7]]
    for kind in KINDS:
        matrix = corruption_matrix(kind, 2, 0.3, [5, 5])
        assert np.abs(matrix - expected).max() <= 2 * EPS


def test_class_alone_in_its_superclass_stays_clean():
    matrix = corruption_matrix("superclass", 3, 0.4, [7, 2, 7])
    assert matrix[1].tolist() == [0.0, 1.0, 0.0]
    assert matrix[0].tolist() == [0.6, 0.0, 0.4]


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        (("uniform", 3, 0.1), InvalidSetting, "symmetric, asymmetric, superclass, pair-flip"),
        (("symmetric", 1, 0.1), InvalidSetting, "n_classes must be an integer of at least 2"),
        (("symmetric", 3, 1.0), InvalidSetting, "rate must be"),
        (("symmetric", 3, -0.1), InvalidSetting, "rate must be"),
        (("superclass", 3, 0.1), InvalidSetting, "superclasses must be given"),
        (("superclass", 3, 0.1, [0, 1, 2]), InvalidSetting, "no label could change"),
        (("superclass", 3, 0.1, [0, 1]), InvalidLabels, "expected 3, got 2"),
        (("superclass", 3, 0.1, [0, 0, -1]), InvalidLabels, "-1 at row 2"),
    ],
)
def test_malformed_noise_is_refused(arguments, error, said):
    with pytest.raises(error) as caught:
        corruption_matrix(*arguments)
    assert said in str(caught.value)


# Drawing


def slow_draw(labels, matrix, seed):
    """Row i by linear search with exact integers: no floating-point uniforms at all."""
    result = []
    words = slow_words(seed, module._CORRUPTION_STREAM, len(labels))
    for label, word in zip(labels, words, strict=True):
        u, cumulative, last = (word >> 11) / 2**53, 0.0, None
        for j, p in enumerate(matrix[label]):
            cumulative += p
            last = j if p > 0 else last
            if u < cumulative and p > 0:
                result.append(j)
                break
        else:
            result.append(last)
    return result


@settings(deadline=None)
@given(
    st.builds(
        corruption_matrix,
        st.sampled_from(KINDS),
        st.just(4),
        st.floats(0.0, 0.99),
        st.just([0, 0, 1, 1]),
    )
    | testing.corruption_matrices(4),
    st.lists(st.integers(0, 3), min_size=1, max_size=40),
    st.integers(0, 2**64 - 1),
)
def test_draws_equal_the_slow_twin(matrix, labels, seed):
    drawn = corrupt_labels(labels, matrix, seed=seed)
    assert drawn.labels.tolist() == slow_draw(labels, matrix, seed)
    assert drawn.true_labels.tolist() == labels
    assert drawn.realized_rate == np.mean(drawn.flipped)
    assert drawn.flipped.tolist() == [a != b for a, b in zip(drawn.labels, labels, strict=True)]
    assert drawn.counts.sum() == len(labels)
    assert np.trace(drawn.counts) == len(labels) - drawn.flipped.sum()


def test_known_answers():
    """Pinned once; every machine and numpy version must give the same."""
    labels = np.arange(24) % 4

    def draw(kind, **options):
        matrix = corruption_matrix(kind, 4, 0.5)
        return "".join(map(str, corrupt_labels(labels, matrix, seed=2024, **options).labels))

    assert draw("symmetric") == "222301131321012303232111"
    assert draw("asymmetric") == "122301131320012303231110"
    assert draw("pair-flip") == "123302231230012302331120"
    assert draw("symmetric", exact_counts=True) == "312301131330012302222001"
    rows = partial_labels(np.full((6, 5), 0.2), seed=2024)
    assert [np.flatnonzero(row).tolist() for row in rows] == [
        [3, 4],
        [1, 2],
        [0, 2],
        [2, 3],
        [0, 3],
        [3, 4],
    ]


@settings(deadline=None)
@given(st.integers(0, 2**64 - 1), st.integers(1, 50))
def test_a_row_is_drawn_without_regard_to_the_others(seed, shorter):
    labels = np.arange(50) % 5
    matrix = corruption_matrix("symmetric", 5, 0.6)
    full = corrupt_labels(labels, matrix, seed=seed).labels
    assert np.array_equal(
        corrupt_labels(labels[:shorter], matrix, seed=seed).labels, full[:shorter]
    )
    changed = labels.copy()
    changed[0] = 4
    assert np.array_equal(corrupt_labels(changed, matrix, seed=seed).labels[1:], full[1:])


def distribution_fits(labels, given_labels, matrix):
    """Whether all frequencies lie within a Hoeffding bound that fails once in 1e9 by chance.

    For each of K^2 cells P(|share - C_kj| >= e) <= 2 exp(-2 n_k e^2); a union bound over the
    cells gives e = sqrt(ln(2 K^2 / 1e-9) / (2 n_k)).
    """
    size = len(matrix)
    for k in range(size):
        drawn = given_labels[labels == k]
        bound = math.sqrt(math.log(2 * size**2 / 1e-9) / (2 * len(drawn)))
        share = np.bincount(drawn, minlength=size) / len(drawn)
        if np.abs(share - matrix[k]).max() >= bound:
            return False
    return True


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_labels_follow_the_matrix(kind, exact):
    labels = np.arange(40_000) % 4
    matrix = corruption_matrix(kind, 4, 0.5, [0, 0, 1, 1])
    drawn = corrupt_labels(labels, matrix, seed=7, exact_counts=exact)
    assert distribution_fits(labels, drawn.labels, matrix)
    assert np.array_equal(drawn.labels >= 0, matrix[labels, drawn.labels] > 0)


def test_distribution_check_catches_wrong_answers():
    labels = np.arange(40_000) % 4
    matrix = corruption_matrix("asymmetric", 4, 0.5)
    transposed = corrupt_labels(labels, np.ascontiguousarray(matrix.T), seed=7).labels
    assert not distribution_fits(labels, transposed, matrix)
    symmetric = corrupt_labels(labels, corruption_matrix("symmetric", 4, 0.5), seed=7).labels
    assert not distribution_fits(labels, symmetric, matrix)
    assert not distribution_fits(labels, labels, matrix)


def test_seeds_and_purposes_are_independent_streams():
    labels = np.zeros(4000, int)
    matrix = corruption_matrix("symmetric", 2, 0.5)
    first = corrupt_labels(labels, matrix, seed=0).labels
    second = corrupt_labels(labels, matrix, seed=1).labels
    # Hoeffding: 4000 fair agreements stray by e with probability 2 exp(-8000 e^2) = 1e-9.
    bound = math.sqrt(math.log(2e9) / 8000)
    assert abs(np.mean(first == second) - 0.5) < bound
    assert abs(np.mean(np.diff(first) == 0) - 0.5) < 2 * bound


def test_impossible_classes_are_never_drawn_whatever_the_word():
    row = np.array([0.0, 0.1, 0.0, 0.2, 0.7 - 4 * EPS, 0.0])
    extreme = np.array([0, 1, 2**11, 2**63, 2**64 - 1], dtype=np.uint64)
    assert module._drawn(extreme, row).tolist() == [1, 1, 1, 4, 4]
    # Without the guard the largest uniform would fall behind the last sum, outside all classes.
    assert (2.0**64 - 2.0**11) / 2.0**64 > np.cumsum(row)[-1]


# Exact counts


@settings(deadline=None)
@given(st.data())
def test_exact_counts_are_largest_remainder_counts(data):
    size = data.draw(st.integers(2, 6))
    weights = data.draw(
        st.lists(
            st.lists(st.integers(0, 9), min_size=size, max_size=size), min_size=size, max_size=size
        )
    )
    matrix = np.array([row if sum(row) else [1] * size for row in weights], dtype=float)
    integers = matrix.astype(int)
    matrix /= matrix.sum(axis=1, keepdims=True)
    labels = np.array(data.draw(st.lists(st.integers(0, size - 1), min_size=1, max_size=60)))
    drawn = corrupt_labels(labels, matrix, seed=3, exact_counts=True)
    for k in range(size):
        n, total = int((labels == k).sum()), int(integers[k].sum())
        # In integers: quota n w / total, floor and remainder without rounding.
        counts = [n * int(w) // total for w in integers[k]]
        ranking = sorted(range(size), key=lambda j: (-(n * int(integers[k, j]) % total), j))
        for j in ranking[: n - sum(counts)]:
            counts[j] += 1
        assert drawn.counts[k].tolist() == counts


def test_exact_counts_place_at_random():
    labels = np.zeros(20_000, int)
    matrix = corruption_matrix("symmetric", 2, 0.5)
    drawn = corrupt_labels(labels, matrix, seed=1, exact_counts=True)
    assert drawn.realized_rate == 0.5
    # Without replacement Hoeffding's bound holds too: 2 exp(-2 m e^2) = 1e-9 for the first m rows.
    m = 10_000
    assert abs(drawn.labels[:m].mean() - 0.5) < math.sqrt(math.log(2e9) / (2 * m))
    other = corrupt_labels(labels, matrix, seed=2, exact_counts=True)
    assert not np.array_equal(drawn.labels, other.labels)


def test_counts_that_only_rounding_spoils_are_exact():
    # 100 * 0.29 is 28.999999999999996 in floating point.
    matrix = np.array([[0.71, 0.29], [0.29, 0.71]])
    drawn = corrupt_labels(np.zeros(100, int), matrix, seed=1, exact_counts=True)
    assert drawn.counts[0].tolist() == [71, 29]
    # And a half on both sides is a tie, which the lowest class wins.
    drawn = corrupt_labels(np.zeros(5, int), np.full((2, 2), 0.5), seed=1, exact_counts=True)
    assert drawn.counts[0].tolist() == [3, 2]


# The record and its checks


def test_record_is_frozen_and_independent_of_the_caller():
    labels, matrix = np.array([0, 1, 0, 1]), corruption_matrix("symmetric", 2, 0.5)
    drawn = corrupt_labels(labels, matrix, seed=2**64 - 1)
    labels[:] = 0
    matrix[:] = 0.0
    assert drawn.true_labels.tolist() == [0, 1, 0, 1]
    assert drawn.matrix.tolist() == [[0.5, 0.5], [0.5, 0.5]]
    assert drawn.seed == 2**64 - 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        drawn.seed = 3
    for array in (drawn.labels, drawn.true_labels, drawn.matrix):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1


@pytest.mark.parametrize(
    ("matrix", "said"),
    [
        (np.eye(3)[:2], "shape (2, 3)"),
        (np.ones(4), "shape (4,)"),
        ([[0.5, 0.5], [0.5, 0.4]], "got sum 0.9 at row 1"),
        ([[1.5, -0.5], [0.0, 1.0]], "-0.5 at row 0, column 1"),
        ([[1.0, 0.0], [np.nan, 1.0]], "nan at row 1, column 0"),
        ([[1j, 0.0], [0.0, 1.0]], "complex128"),
        ([[1.0], [0.0, 1.0]], "rectangular"),
    ],
)
def test_malformed_matrices_are_refused(matrix, said):
    with pytest.raises(InvalidSetting) as caught:
        corrupt_labels([0, 1], matrix, seed=0)
    assert said in str(caught.value)


def test_transposed_superclass_matrix_is_refused_by_its_row_sums():
    matrix = corruption_matrix("superclass", 3, 0.4, [0, 0, 1])
    matrix[2] = [0.1, 0.1, 0.8]
    corrupt_labels([0], matrix, seed=0)
    with pytest.raises(InvalidSetting, match="rows are true labels"):
        corrupt_labels([0], matrix.T, seed=0)


@pytest.mark.parametrize("seed", [-1, 2**64, 1.0, "1", None, True])
def test_seed_is_an_explicit_64_bit_number(seed):
    with pytest.raises(InvalidSetting, match=r"^seed must be an integer of at least 0"):
        corrupt_labels([0, 1], np.eye(2), seed=seed)
    with pytest.raises(InvalidSetting, match=r"^seed must be an integer of at least 0"):
        partial_labels([[0.5, 0.5]], seed=seed)


def test_label_outside_the_matrix_is_refused():
    with pytest.raises(InvalidLabels, match="got 2 at row 1"):
        corrupt_labels([0, 2], np.eye(2), seed=0)


# Partial labels


def slow_partial(p, k, seed, tolerance):
    n, size = p.shape
    words = slow_words(seed, targets_room._PARTIAL_STREAM, n * size)
    result = np.zeros((n, size))
    for i in range(n):
        threshold = sorted(p[i], reverse=True)[k - 1]
        inside = [j for j in range(size) if p[i, j] > threshold + tolerance]
        tied = [j for j in range(size) if abs(p[i, j] - threshold) <= tolerance]
        tied.sort(key=lambda j: words[i * size + j], reverse=True)
        result[i, (inside + tied)[:k]] = 1.0 / k
    return result


@settings(deadline=None)
@given(st.data())
def test_partial_labels_equal_the_slow_twin(data):
    n, size = data.draw(st.integers(1, 8)), data.draw(st.integers(1, 7))
    k = data.draw(st.integers(1, size))
    seed = data.draw(st.integers(0, 2**64 - 1))
    # Few distinct values make many ties; the shift makes entries negative.
    raw = (
        np.array(
            data.draw(
                st.lists(
                    st.lists(st.integers(-2, 3), min_size=size, max_size=size),
                    min_size=n,
                    max_size=n,
                )
            )
        )
        / 8.0
    )
    p = raw - raw.mean(axis=1, keepdims=True) + 1.0 / size
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gramlab.machine.memory._BLOCK_BYTES", 8 * data.draw(st.integers(1, 30)))
        targets = partial_labels(p, k, seed=seed)
    assert np.array_equal(targets, slow_partial(p, k, seed, 64 * EPS))
    assert ((targets > 0).sum(axis=1) == k).all()
    assert np.abs(targets.sum(axis=1) - 1.0).max() <= k * EPS


@settings(deadline=None)
@given(testing.near_ties(n_classes=st.integers(2, 4)), st.integers(0, 2**64 - 1))
def test_near_ties_are_decided_by_entries_beyond_the_tolerance_alone(p, seed):
    assert np.array_equal(partial_labels(p, 1, seed=seed), slow_partial(p, 1, seed, 64 * EPS))


def test_clear_winners_are_always_in_and_clear_losers_out():
    p = np.array([[0.5, 0.3, 0.1, 0.1], [0.1, 0.7, 0.1, 0.1]])
    for seed in range(20):
        targets = partial_labels(p, seed=seed)
        assert targets[0].tolist() == [0.5, 0.5, 0.0, 0.0]
        assert targets[1, 1] == 0.5


def test_ties_are_broken_uniformly_and_not_by_position():
    n, size = 30_000, 5
    p = np.full((n, size), 0.1)
    p[:, 2] = 0.6
    # Rounding noise below the tolerance must not decide.
    p[:, 0] += 8 * EPS
    p[:, 1] -= 8 * EPS
    targets = partial_labels(p, seed=11)
    assert (targets[:, 2] == 0.5).all()
    share = (targets > 0).mean(axis=0)[[0, 1, 3, 4]]
    # Hoeffding with a union over 4 columns: 8 exp(-2 n e^2) = 1e-9.
    bound = math.sqrt(math.log(8e9) / (2 * n))
    assert np.abs(share - 0.25).max() < bound
    # The planted wrong answer: without tolerance the noise decides, always for column 0.
    spoiled = (partial_labels(p, seed=11, tie_tolerance=0.0) > 0).mean(axis=0)
    assert abs(spoiled[0] - 0.25) > bound


def test_all_labels_make_the_uniform_target():
    assert np.array_equal(partial_labels(np.eye(3), 3, seed=0), np.full((3, 3), 1 / 3))
    assert np.array_equal(partial_labels(np.eye(3), 1, seed=0), np.eye(3))


@pytest.mark.parametrize(
    ("changes", "error", "said"),
    [
        ({"k": 0}, InvalidSetting, "k must be an integer of at least 1 and at most 2"),
        ({"k": 3}, InvalidSetting, "k must be an integer of at least 1 and at most 2"),
        ({"tie_tolerance": -1.0}, InvalidSetting, "tie_tolerance"),
        ({"tie_tolerance": np.nan}, InvalidSetting, "tie_tolerance"),
        ({"probabilities": [[0.5, 0.4]]}, InvalidTargets, "row 0"),
        ({"probabilities": [0.5, 0.5]}, InvalidTargets, "got (2,)"),
        ({"probabilities": 1.0}, InvalidTargets, "shape"),
    ],
)
def test_malformed_partial_labels_are_refused(changes, error, said):
    settings = {"probabilities": [[0.5, 0.5]], "seed": 0, **changes}
    with pytest.raises(error) as caught:
        partial_labels(settings.pop("probabilities"), **settings)
    assert said in str(caught.value)


# Mixtures


@settings(deadline=None)
@given(st.floats(-3.0, 3.0), st.integers(0, 2**32 - 1))
def test_mixture_is_affine_and_keeps_row_sums(weight, seed):
    rng = np.random.default_rng(seed)
    a, b = rng.dirichlet(np.ones(4), 5), one_hot(rng.integers(0, 4, 5), 4)
    mixed = mix_targets(a, b, weight)
    assert np.array_equal(mixed, weight * a + (1.0 - weight) * b)
    assert np.abs(mixed.sum(axis=1) - 1.0).max() <= 16 * EPS * (1 + 2 * abs(weight))
    assert np.array_equal(mix_targets(a, b, 1), a)
    assert np.array_equal(mix_targets(a, b, 0), b)


def test_malformed_mixtures_are_refused():
    with pytest.raises(InvalidTargets, match=r"second must have shape \(2, 2\), got \(1, 2\)"):
        mix_targets(np.eye(2), [[0.5, 0.5]], 0.5)
    with pytest.raises(InvalidTargets, match=r"first must have rows that sum to 1"):
        mix_targets(np.ones((2, 2)), np.eye(2), 0.5)
    with pytest.raises(InvalidSetting, match="weight must be"):
        mix_targets(np.eye(2), np.eye(2), np.inf)
