"""Groups of rows: never in two folds, dealt evenly, and refused where they cannot be."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gramlab.errors import InvalidSetting
from gramlab.runner import folds, group_numbers


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(1, 6)), min_size=12, max_size=60),
    st.integers(2, 5),
    st.integers(0, 2**64 - 1),
)
def test_no_group_lies_in_two_folds_and_labels_are_as_even_as_groups_allow(sizes, k, seed):
    """Of groups with one label each, as copies mostly are."""
    labels = np.concatenate([np.full(size, label) for label, size in sizes])
    group = np.repeat(np.arange(len(sizes)), [size for _, size in sizes])
    if any((np.array([label for label, _ in sizes]) == one).sum() == 1 for one in range(4)):
        return  # a label that lies in one group
    fold = folds(labels, k, seed, group)
    assert set(fold) == set(range(k))
    for one in range(len(sizes)):
        assert len(set(fold[group == one])) == 1
    for label in set(labels):
        # Dealt to the emptiest fold each, largest first: no two are further apart than one group.
        held = np.bincount(fold[labels == label], minlength=k)
        assert np.ptp(held) <= max(size for other, size in sizes if other == label)


def test_groups_of_single_rows_are_as_no_groups():
    labels = np.random.default_rng(0).integers(0, 5, 97)
    alone = folds(labels, 4, 7)
    assert np.array_equal(folds(labels, 4, 7, np.arange(97)), alone)
    names = [f"patient {i}" for i in np.random.default_rng(1).permutation(97)]
    assert np.array_equal(folds(labels, 4, 7, names), alone)


def test_whole_numbers_and_texts_number_groups():
    wanted = [1, 0, 1, 2]
    for groups in (
        [5, -3, 5, 7],
        ("b", "a", "b", "c"),
        np.array([5, 4, 5, 9], dtype=np.uint8),
        np.array(["b", "a", "b", "c"], dtype=object),
        np.array([b"b", b"a", b"b", b"c"]),
    ):
        assert group_numbers(groups, 4).tolist() == wanted


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ([1, 2, 3], "one entry per row, got 3 for 4 rows"),
        (np.zeros((4, 1), dtype=int), "one entry per row, got shape"),
        ([1, "1", 2, "2"], "whole numbers or texts throughout, got int, str"),
        (["a", None, "b", "b"], "throughout, got NoneType, str"),
        ([1.0, 2.0, np.nan, 2.0], "throughout, got float"),
    ],
)
def test_what_is_no_group_of_each_row_is_refused(groups, message):
    with pytest.raises(InvalidSetting, match=message):
        group_numbers(groups, 4)
    with pytest.raises(InvalidSetting, match=message):
        folds(np.arange(4) % 2, 2, groups=groups)


def test_too_few_groups_and_labels_within_one_are_refused():
    labels = np.array([0, 0, 0, 1, 1, 1, 2, 2])
    with pytest.raises(InvalidSetting, match=r"at most 3, the number of groups .* got 4"):
        folds(labels, 4, groups=[0, 0, 1, 1, 2, 2, 2, 1])
    with pytest.raises(InvalidSetting, match="got all 2 rows of label 2 in one group"):
        folds(labels, 2, groups=[0, 1, 1, 1, 0, 2, 2, 2])
    single = np.array([0, 0, 0, 1, 1, 1, 2])  # nothing can be held out of one row anyway
    assert set(folds(single, 2, groups=[0, 0, 1, 1, 2, 2, 2])) == {0, 1}
