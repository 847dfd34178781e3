"""The checks at the door: what they accept, what they refuse, and what they say."""

from __future__ import annotations

import tracemalloc
from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from gramlab.errors import (
    GramlabError,
    InvalidFeatures,
    InvalidLabels,
    InvalidSetting,
    InvalidTargets,
    NotConvergedWarning,
    NotEnoughMemory,
    OutputError,
    UnreadableSource,
)
from gramlab.machine.memory import check_memory, format_bytes
from gramlab.validation import (
    check_features,
    check_finite,
    check_integer,
    check_labels,
    check_positive,
    check_rate,
    check_targets,
)

EPS = float(np.finfo(np.float64).eps)


@pytest.mark.parametrize(
    ("error", "builtin"),
    [
        (InvalidFeatures, ValueError),
        (InvalidLabels, ValueError),
        (InvalidTargets, ValueError),
        (InvalidSetting, ValueError),
        (UnreadableSource, OSError),
        (OutputError, OSError),
        (NotEnoughMemory, MemoryError),
    ],
)
def test_errors_belong_to_gramlab_and_to_a_builtin_and_read_as_one_line(error, builtin):
    assert issubclass(error, GramlabError)
    assert issubclass(error, builtin)
    assert str(error("plain text")) == "plain text"
    assert str(error("first\nsecond\r\n\r\nthird")) == "first second third"


def test_not_converged_is_a_user_warning():
    assert issubclass(NotConvergedWarning, UserWarning)


# Features


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_features_keep_their_dtype_and_are_not_copied(dtype):
    x = np.ones((3, 2), dtype=dtype)
    assert check_features(x) is x or np.shares_memory(check_features(x), x)
    assert check_features(x).dtype == dtype


@pytest.mark.parametrize("dtype", [np.int8, np.uint64, np.int64, bool])
def test_integer_features_become_float64(dtype):
    checked = check_features(np.array([[0, 1], [1, 1]], dtype=dtype))
    assert checked.dtype == np.float64
    assert checked.tolist() == [[0.0, 1.0], [1.0, 1.0]]


def test_foreign_byte_order_becomes_native():
    checked = check_features(np.arange(6.0).reshape(2, 3).astype(">f4"))
    assert checked.dtype == np.dtype(np.float32)
    assert checked.dtype.isnative
    assert checked.tolist() == [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]


@settings(deadline=None)
@given(st.data())
def test_first_bad_entry_is_named_by_row_and_column(data):
    n, d = data.draw(st.integers(1, 9)), data.draw(st.integers(1, 7))
    x = np.zeros((n, d), dtype=data.draw(st.sampled_from([np.float16, np.float32, np.float64])))
    cells = data.draw(st.lists(st.tuples(st.integers(0, n - 1), st.integers(0, d - 1)), min_size=1))
    for cell in cells:
        x[cell] = data.draw(st.sampled_from([np.nan, np.inf, -np.inf]))
    row, column = min(cells)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gramlab.machine.memory._BLOCK_BYTES", 8 * data.draw(st.integers(1, 20)))
        with pytest.raises(InvalidFeatures) as caught:
            check_features(x, "test_x")
    message = str(caught.value)
    assert message.startswith("test_x must be finite")
    assert f"at row {row}, column {column} " in message
    assert str(x[row, column]) in message


@pytest.mark.parametrize("number", [2**53, -(2**53)])
def test_whole_numbers_that_float64_holds_are_features(number):
    assert check_features([[number, 1]]).tolist() == [[number, 1]]


@pytest.mark.parametrize(
    ("x", "said"),
    [
        (np.zeros(3), "shape (3,)"),
        (np.zeros((2, 2, 2)), "shape (2, 2, 2)"),
        (np.float64(1.0), "shape ()"),
        (np.zeros((0, 3)), "shape (0, 3)"),
        (np.zeros((3, 0)), "shape (3, 0)"),
        (np.zeros((2, 2), dtype=complex), "complex128"),
        (np.array([["a", "b"]]), "<U1"),
        (np.array([[1, None]], dtype=object), "object"),
        (np.zeros((2, 2), dtype="M8[s]"), "datetime64"),
        ([[1.0, 2.0], [3.0]], "rectangular"),
        (sparse.csr_array(np.eye(2)), "toarray"),
        (np.ma.masked_array(np.eye(2), mask=np.eye(2)), "2 masked entries"),
        (None, "shape ()"),
        ([[0, 1], [2, 2**53 + 1]], "got 9007199254740993 at row 1, column 1;"),
        (np.array([[-(2**60)]]), "at row 0, column 0;"),
        (np.array([[2**63]], dtype=np.uint64), "at row 0, column 0;"),
    ],
)
def test_unusable_features_are_refused_in_one_line(x, said):
    with pytest.raises(InvalidFeatures) as caught:
        check_features(x)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_tensor_like_that_refuses_conversion_is_named():
    class OnDevice:
        def __array__(self, dtype=None, copy=None):
            raise TypeError("can't convert cuda tensor")

    with pytest.raises(InvalidFeatures, match=r"OnDevice.*cuda tensor.*main memory"):
        check_features(OnDevice())


def test_finite_check_never_holds_a_mask_of_the_whole_matrix():
    x = np.zeros((80, 1_000_000), dtype=np.float16)
    tracemalloc.start()
    try:
        check_features(x)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    # Masking everything at once would take 80 MB.
    assert peak < 64_000_000


# Labels


@pytest.mark.parametrize(
    "labels", [[0, 2, 1], np.array([0.0, 2.0, 1.0], np.float16), np.array([0, 2, 1], np.uint8)]
)
def test_whole_numbers_of_any_dtype_become_int64(labels):
    checked = check_labels(labels, 3, 3)
    assert checked.dtype == np.int64
    assert checked.tolist() == [0, 2, 1]


@settings(deadline=None)
@given(st.lists(st.integers(-3, 8), min_size=1, max_size=20), st.integers(1, 6))
def test_first_label_out_of_range_is_named(labels, n_classes):
    bad = [row for row, label in enumerate(labels) if not 0 <= label < n_classes]
    if not bad:
        assert check_labels(labels, n_classes=n_classes).tolist() == labels
        return
    with pytest.raises(InvalidLabels) as caught:
        check_labels(labels, n_classes=n_classes)
    assert f"got {labels[bad[0]]} at row {bad[0]};" in str(caught.value)
    assert f"0 .. {n_classes - 1}" in str(caught.value)


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (np.zeros((3, 1), int), "shape (3, 1)"),
        ([], "none"),
        ([0, 1], "expected 3, got 2"),
        (["a", "b", "c"], "return_inverse"),
        ([0.0, 0.5, 1.0], "0.5 at row 1"),
        ([0.0, 1.0, np.nan], "nan at row 2"),
        ([0.0, np.inf, 1.0], "inf at row 1"),
        ([0.0, 1e300, 1.0], "1e+300 at row 1"),
        ([0, -1, 1], "-1 at row 1"),
        (np.array([0, 1, 2**64 - 1], np.uint64), f"{2**64 - 1} at row 2"),
        (np.array([0, 1, 2], complex), "complex128"),
    ],
)
def test_unusable_labels_are_refused(labels, said):
    with pytest.raises(InvalidLabels) as caught:
        check_labels(labels, 3)
    assert said in str(caught.value)


# Targets


def exactly_divided(row):
    """A row over its sum, in fractions."""
    entries = [Fraction(float(entry)) for entry in row]
    return [float(entry / sum(entries)) for entry in entries]


@settings(deadline=None)
@given(
    st.lists(st.lists(st.floats(-30, 30), min_size=5, max_size=5), min_size=1, max_size=6),
    st.integers(1, 5),
    st.sampled_from([np.float16, np.float32, np.float64]),
    st.booleans(),
    st.booleans(),
)
def test_softmax_rows_of_any_precision_are_divided_by_their_sums(z, k, dtype, cast, signed):
    e = np.exp(np.array(z)[:, :k])
    p = (e / e.sum(axis=1, keepdims=True)).astype(dtype)
    given_p = p.astype(np.float64) if cast else p
    checked = check_targets(given_p, len(p), k, signed=signed)
    assert checked.dtype == np.float64
    assert np.abs(checked - np.array([exactly_divided(row) for row in p])).max() <= 4 * EPS
    assert np.abs(checked.sum(axis=1) - 1.0).max() <= k * EPS
    assert check_targets(checked, len(p), k) is checked  # once is enough
    # As deviations: the same rows, to the rounding of 1/K in each entry.
    deviations = p.astype(np.float64) - 1.0 / k
    found = check_targets(deviations, len(p), k, signed=signed, deviations=True)
    assert np.abs(found + 1.0 / k - checked).max() <= 8 * EPS
    assert check_targets(found, len(p), k, signed=signed, deviations=True) is found


def test_rows_that_sum_to_1_stay_as_they_are():
    one_hot_rows = np.eye(4)
    assert check_targets(one_hot_rows, 4) is one_hot_rows
    p = np.full((4, 4), 0.25)
    p[1] *= 1 + EPS
    assert check_targets(p, 4) is p
    p[2] *= 1 + 1e-12  # far above K eps, far below float32's rounding: row 2 alone is divided
    before = p.copy()
    checked = check_targets(p, 4)
    assert checked[2].tolist() == [0.25] * 4
    assert checked[[0, 1, 3]].tobytes() == p[[0, 1, 3]].tobytes()
    assert p.tobytes() == before.tobytes()  # the caller's rows are not written to


def test_small_deviations_keep_their_digits():
    """A signal of 1e-14 beside a row sum of 1e-7: what 1/K + D would lose to rounding."""
    signal = np.array([[1e-14, -3e-14, 2e-14]])
    found = check_targets(signal + 1e-7 / 3, 1, deviations=True)
    e = [Fraction(float(entry)) for entry in (signal + 1e-7 / 3)[0]]
    exact = [(d - sum(e) / 3) / (1 + sum(e)) for d in e]
    missed = [abs(Fraction(float(f)) - x) for f, x in zip(found[0], exact, strict=True)]
    assert max(missed) < Fraction(1, 10**22)
    rows = check_targets(signal + 1e-7 / 3 + 1 / 3, 1)  # planted: the same by way of T
    assert np.abs(rows - 1 / 3 - found).max() > 1e-18


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
@pytest.mark.parametrize("k", [3, 10, 100])
def test_deviations_may_be_held_in_a_narrow_dtype(dtype, k):
    """There 0 - 1/K and the sum of all are known to the rounding of 1/K."""
    rows = np.zeros((4, k), dtype)
    rows[:, 0], rows[2:, 0], rows[2:, 1] = 1.0, 0.75, 0.25
    found = check_targets(rows - 1.0 / k, 4, deviations=True)
    unit = float(np.finfo(dtype).eps)
    assert np.abs(found + 1.0 / k - rows).max() <= 2 * unit
    assert found.min() >= -1.0 / k
    assert np.abs(found.sum(axis=1)).max() <= 2 * k * EPS
    with pytest.raises(InvalidTargets, match="nonnegative"):
        check_targets((rows - 1.0 / k).astype(np.float64) - 2 * unit, 4, deviations=True)


@pytest.mark.parametrize(
    ("error", "dtype", "accepted"),
    [
        (0.9e-6, np.float64, True),
        (1.1e-6, np.float64, False),
        (0.9e-6, np.float32, True),
        (1.3e-6, np.float32, False),
        (1.9e-3, np.float16, True),
        (2.2e-3, np.float16, False),
        (1.9e-3, np.float32, False),
    ],
)
@pytest.mark.parametrize("cast", [False, True])
@pytest.mark.parametrize("deviations", [False, True])
def test_tolerances_go_by_what_the_values_hold(error, dtype, accepted, cast, deviations):
    p = np.array([[0.5, 0.25, 0.25], [0.25, 0.25, 0.5 + error]]).astype(dtype)
    p = p.astype(np.float64) if cast else p
    rows = p.astype(np.float64) - 1 / 3 if deviations else p
    if accepted:
        assert abs(check_targets(rows, 2, deviations=deviations)[1].sum() - (not deviations)) < EPS
    else:
        with pytest.raises(InvalidTargets, match=r"at row 1 .*divide each row"):
            check_targets(rows, 2, deviations=deviations)


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("error", [1e-5, -1e-5, 0.5, -1.0])
def test_row_off_the_simplex_is_named_with_its_sum(signed, error):
    p = np.full((6, 4), 0.25)
    p[3, 1] += error
    p[4, 1] += error
    with pytest.raises(InvalidTargets) as caught:
        check_targets(np.abs(p), 6, signed=signed)
    total = float(np.abs(p)[3].sum())
    assert f"got sum {total!r} at row 3 (2 such rows)" in str(caught.value)


def test_signed_rows_are_judged_by_their_size():
    """Of entries of 500 float32 knows a sum to 1e-4, of entries of 1e7 it knows nothing."""
    row = np.array([[500.5, -499.5 - 3e-5]])
    assert np.array_equal(check_targets(row, 1, signed=True), row / row.sum())
    with pytest.raises(InvalidTargets, match="sum to 1"):
        check_targets(np.array([[0.5, 0.5 - 3e-5]]), 1, signed=True)  # the same error
    with pytest.raises(InvalidTargets, match="sum to 1"):
        check_targets(np.array([[1e7, -1e7]]), 1, signed=True)  # there is no sum to divide by


def test_negative_entries_need_signed():
    p = np.array([[0.5, 0.5], [1.25, -0.25]])
    for deviations in (False, True):
        rows = p - 0.5 * deviations
        with pytest.raises(InvalidTargets, match=r"-0\.25 at row 1, column 1.*signed_targets=True"):
            check_targets(rows, 2, deviations=deviations)
        assert check_targets(rows, 2, signed=True, deviations=deviations) is rows


@pytest.mark.parametrize("deviations", [False, True])
def test_negative_rounding_is_0_where_signs_are_not_asked_for(deviations):
    base = 0.5 * deviations
    p = np.array([[0.5, 0.5], [1.0 + 1e-12, -1e-12]]) - base
    checked = check_targets(p, 2, deviations=deviations)
    assert checked[1].tolist() == [1.0 - base, -base]
    assert not np.signbit(checked[1, 1] + base)
    assert check_targets(p, 2, signed=True, deviations=deviations) is p
    p[1] += [1e-13, -1e-13]
    with pytest.raises(InvalidTargets, match="nonnegative"):
        check_targets(p, 2, deviations=deviations)


@pytest.mark.parametrize(
    ("targets", "said"),
    [
        (np.full((3, 2), 0.5), "shape (2, 2)"),
        (np.full(2, 0.5), "shape (2, 2)"),
        (np.zeros((2, 0)), "(2, 0)"),
        (np.full((2, 3), 1 / 3), "shape (2, 2), got (2, 3)"),
        ([[0.5, 0.5], [np.nan, 1.0]], "nan at row 1, column 0"),
        ([["a", "b"], ["c", "d"]], "dtype <U1"),
        (np.array([[1e308, 1e308], [0.5, 0.5]]), "sum inf at row 0"),
        ([[0, 1], [2**60, 1 - 2**60]], "whole numbers of at most 2**53"),
    ],
)
def test_unusable_targets_are_refused(targets, said):
    with pytest.raises(InvalidTargets) as caught:
        check_targets(targets, 2, 2)
    assert said in str(caught.value)


# Settings


@pytest.mark.parametrize("value", [1, 1e-300, np.float32(2.0), np.array(3), np.int64(4)])
def test_positive_numbers_pass_as_float(value):
    result = check_positive("weight_decay", value)
    assert type(result) is float
    assert result == float(value)


NOT_NUMBERS = ["1", b"1", True, np.bool_(True), None, [1.0], np.array([1.0]), 1j, np.complex128(1)]


@pytest.mark.parametrize("value", [0, -1, 0.0, np.nan, np.inf, -np.inf, 10**400, *NOT_NUMBERS])
def test_anything_else_is_not_positive(value):
    with pytest.raises(InvalidSetting, match=r"^weight_decay must be "):
        check_positive("weight_decay", value)


@pytest.mark.parametrize("value", [np.nan, np.inf, *NOT_NUMBERS])
def test_not_finite(value):
    with pytest.raises(InvalidSetting, match=r"^weight must be "):
        check_finite("weight", value)
    assert check_finite("weight", -2) == -2.0


@pytest.mark.parametrize("value", [-1e-300, 1, 1.0, 50, np.nan, *NOT_NUMBERS])
def test_rate_is_a_share_below_one(value):
    with pytest.raises(InvalidSetting, match=r"^rate must be "):
        check_rate("rate", value)
    assert check_rate("rate", 0) == 0.0
    assert check_rate("rate", np.nextafter(1.0, 0.0)) < 1.0


@pytest.mark.parametrize("value", [0, 11, 2.0, np.float64(2), True, "2", None, [2]])
def test_integer_range(value):
    with pytest.raises(InvalidSetting, match=r"^rounds must be an integer of at least 1 and at"):
        check_integer("rounds", value, 1, 10)
    assert check_integer("rounds", np.int32(10), 1, 10) == 10
    assert type(check_integer("rounds", np.uint8(1), 1)) is int


# Memory


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1000, "1.0 kB"),
        (999_949, "999.9 kB"),
        (999_950, "1.0 MB"),
        (8 * 50_000**2, "20.0 GB"),
        (5e21, "5000.0 EB"),
    ],
)
def test_bytes_are_written_with_a_unit(count, text):
    assert format_bytes(count) == text


def test_memory_check_states_need_free_and_alternative(monkeypatch):
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=3 * 10**9))
    check_memory(3 * 10**9, "a block", "use smaller blocks")
    with pytest.raises(NotEnoughMemory) as caught:
        check_memory(8 * 50_000**2, "the Gram matrix", "use the thin SVD")
    assert str(caught.value) == (
        "the Gram matrix needs 20.0 GB (20000000000 bytes) of memory, but 3.0 GB "
        "(3000000000 bytes) are free; use the thin SVD"
    )
