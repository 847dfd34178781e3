"""Features: what they accept, keep, derive and write."""

from __future__ import annotations

import copy
import hashlib
import json
import math
import os
import struct
import tracemalloc
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gramlab import testing
from gramlab.errors import (
    InvalidFeatures,
    InvalidLabels,
    InvalidSetting,
    NotEnoughMemory,
    OutputError,
)
from gramlab.features import Features
from gramlab.files.sources import load_features
from gramlab.files.tensors import save_features

EPS = float(np.finfo(np.float64).eps)


def small(**changes) -> Features:
    rng = np.random.default_rng(5)
    settings = {
        "x": rng.normal(size=(12, 3)).astype(np.float16),
        "labels": np.arange(12) % 3,
        "test_x": rng.normal(size=(4, 3)).astype(np.float16),
        "test_labels": np.array([0, 1, 2, 0]),
        **changes,
    }
    return Features(settings.pop("x"), settings.pop("labels"), **settings)


def test_facts_about_the_arrays():
    features = small(superclasses=[0, 1, 1], class_names=("a", "b", "c"))
    assert (features.n_samples, features.n_features, features.n_classes) == (12, 3, 3)
    assert features.class_counts.tolist() == [4, 4, 4]
    assert features.class_names == ("a", "b", "c")
    assert features.superclasses.tolist() == [0, 1, 1]
    assert features.x.dtype == features.test_x.dtype == np.float16
    assert features.labels.dtype == features.test_labels.dtype == np.int64
    assert small().class_names == ("0", "1", "2")
    assert small().provenance == {
        "source": "arrays",
        "stored_dtype": "float16",
        "computed_dtype": "float64",
        "steps": [],
    }


def test_repr_tells_the_essentials():
    assert repr(small(provenance={"source": "mine"}).unit_norm()) == (
        "Features('mine': 12 samples x 3 features, 3 classes, 4 test rows, float64, "
        "steps: unit_norm)"
    )
    assert "no test split" in repr(small(test_x=None, test_labels=None))


def test_arrays_are_shared_read_only_and_the_callers_stay_writable():
    x, y = np.ones((4, 2), np.float32), np.array([0, 1, 0, 1])
    features = Features(x, y)
    assert np.shares_memory(features.x, x)
    assert np.shares_memory(features.labels, y)
    for array in (features.x, features.labels, features.class_counts):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1
    x[0, 0] = 7.0
    y[0] = 0


def test_features_cannot_be_changed():
    features = small()
    with pytest.raises(AttributeError, match="immutable"):
        features.x = np.zeros((2, 2))
    with pytest.raises(AttributeError, match="immutable"):
        del features.labels
    features.provenance["steps"].append({"step": "forged"})
    assert features.provenance["steps"] == []
    assert copy.copy(features) is copy.deepcopy(features) is features


def test_equality_is_by_content_and_ignores_what_is_derived():
    one, other = small(), small()
    assert one.derived(id) == id(one)
    assert one == other
    assert hash(one) == hash(other)
    assert other.derived(id) == id(other)
    assert one.fingerprint == other.fingerprint
    assert one != small(class_names=["a", "b", "c"])
    assert one != small(superclasses=[0, 0, 1])
    assert one != "features"


@settings(deadline=None)
@given(st.sampled_from(["x", "labels", "test_x", "test_labels"]), st.data())
def test_fingerprint_sees_any_change(part, data):
    base = small()
    array = getattr(base, part).copy()
    cell = tuple(data.draw(st.integers(0, size - 1)) for size in array.shape)
    array[cell] = (array[cell] + 1) % 3
    assert small(**{part: array}).fingerprint != base.fingerprint


def test_fingerprint_sees_dtype_and_absent_test_split():
    prints = {
        small().fingerprint,
        small(x=small().x.astype(np.float32)).fingerprint,
        small(test_x=None, test_labels=None).fingerprint,
    }
    assert len(prints) == 3


def test_array_likes_are_accepted():
    class Tensor:
        def __init__(self, values):
            self.values = np.array(values)

        def __array__(self, dtype=None, copy=None):
            return self.values

    features = Features(Tensor([[1.0, 2.0], [3.0, 4.0]]), Tensor([0, 1]))
    assert features.x.tolist() == [[1.0, 2.0], [3.0, 4.0]]
    assert Features([[1, 2], [3, 4]], [0, 1]).x.dtype == np.float64


# Number of classes


def test_number_of_classes_comes_from_names_then_count_then_labels():
    assert small(class_names=["a", "b", "c", "d"]).n_classes == 4
    assert small(n_classes=5).class_counts.tolist() == [4, 4, 4, 0, 0]
    assert small(n_classes=3, class_names=["a", "b", "c"]).n_classes == 3
    with pytest.raises(InvalidSetting, match="number of class_names"):
        small(n_classes=4, class_names=["a", "b", "c"])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"labels": np.array([0, 1, 3] * 4)}, "class 2 (1 classes missing)"),
        ({"labels": np.array([1, 2, 1] * 4)}, "class 0 "),
        ({"test_labels": np.array([0, 1, 2, 3])}, "class 3 "),
        ({"labels": np.array([0, 10**15, 1] * 4)}, "missing"),
        ({"labels": np.zeros(12, int)}, "only class 0"),
        ({"labels": np.ones(12, int), "n_classes": 3}, "only class 1"),
        ({"labels": np.arange(11)}, "expected 12, got 11"),
        ({"labels": np.arange(12) % 3, "n_classes": 2}, "got 2 at row 2"),
        (
            {"test_labels": np.array([0, 1, 3, 0]), "n_classes": 3},
            "whole numbers in 0 .. 2",
        ),
        ({"test_labels": np.array([0, 1])}, "test_labels must have one entry per row"),
        ({"test_labels": None}, "no test_labels"),
        ({"test_x": None}, "no test_x"),
        ({"superclasses": [0, 1]}, "superclasses must have one entry per row: expected 3"),
        ({"superclasses": [0, -1, 0]}, "superclasses"),
    ],
)
def test_labels_that_do_not_fit_are_refused(changes, said):
    with pytest.raises(InvalidLabels) as caught:
        small(**changes)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_classes_are_accepted_when_announced():
    gap = {"labels": np.array([0, 1, 3] * 4)}
    assert small(**gap, n_classes=4).class_counts.tolist() == [4, 4, 0, 4]
    assert small(**gap, class_names=["a", "b", "c", "d"]).n_classes == 4


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"class_names": "abc"}, "single text"),
        ({"class_names": ["a", "b", "a"]}, "'a' at positions 0 and 2"),
        ({"class_names": []}, "none"),
        ({"n_classes": 3.0}, "n_classes must be an integer"),
        ({"provenance": ["digits"]}, "provenance must be a mapping"),
        ({"provenance": {"steps": "centered"}}, "provenance['steps']"),
        ({"provenance": {"model": object()}}, "$.model"),
    ],
)
def test_malformed_settings_are_refused(changes, said):
    with pytest.raises(InvalidSetting) as caught:
        small(**changes)
    assert said in str(caught.value)


def test_malformed_matrices_are_refused():
    with pytest.raises(InvalidFeatures, match=r"as many columns as x \(3\), got 2"):
        small(test_x=np.zeros((4, 2)))
    with pytest.raises(InvalidFeatures, match=r"^test_x must be finite.*row 1, column 2"):
        small(test_x=np.where(np.arange(12).reshape(4, 3) == 5, np.nan, 0.0))
    with pytest.raises(NotEnoughMemory, match="naming"):
        small(n_classes=10**15)


# Blocks and dtypes


@settings(deadline=None)
@given(st.integers(1, 30), st.sampled_from([np.float16, np.float32, np.float64]))
def test_blocks_cover_the_rows_in_order(rows, dtype):
    features = small()
    parts = list(features.blocks(rows, dtype))
    assert [part.start for part, _ in parts] == list(range(0, 12, rows))
    assert all(block.dtype == dtype and len(block) <= rows for _, block in parts)
    assert np.array_equal(np.concatenate([block for _, block in parts]), features.x.astype(dtype))
    assert all(np.array_equal(features.x[part], block) for part, block in parts)


def test_default_block_is_about_32_megabytes():
    features = Features(np.zeros((9000, 1000), np.float16), np.arange(9000) % 2)
    assert [part.stop - part.start for part, _ in features.blocks()] == [4000, 4000, 1000]
    with pytest.raises(InvalidSetting, match="rows must be"):
        features.blocks(0)


def test_as_float64_copies_only_when_needed(monkeypatch):
    features = small()
    assert features.as_float64().dtype == np.float64
    assert np.array_equal(features.as_float64(), features.x)
    wide = features.centered()
    assert wide.as_float64() is wide.x
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=10))
    with pytest.raises(NotEnoughMemory, match="blocks"):
        features.as_float64()
    with pytest.raises(NotEnoughMemory, match="float32"):
        features.unit_norm()


# Centering and unit norm


@settings(deadline=None)
@given(testing.matrices(50, 4), testing.matrices(7, 4), st.floats(-1e6, 1e6))
def test_centering_subtracts_the_training_mean(x, test, shift):
    x = x + shift
    y, test_y = np.arange(50) % 2, np.arange(7) % 2
    features = Features(x, y, test_x=test, test_labels=test_y).centered()
    # math: one rounding of the mean and one per subtraction, of numbers up to `size`.
    size = np.abs(x).max()
    assert np.abs(features.x.mean(axis=0)).max() <= 4 * EPS * size
    slow = np.array([sum(map(float, column)) / 50 for column in x.T])
    assert np.abs(features.x - (x - slow)).max() <= 50 * EPS * size
    assert np.abs(features.test_x - (test - slow)).max() <= 50 * EPS * max(size, 10.0)
    step = features.provenance["steps"][-1]
    assert step["step"] == "centered"
    assert step["mean_norm"] == pytest.approx(np.linalg.norm(slow), rel=0, abs=100 * EPS * size)


def test_mean_of_many_rows_is_as_exact_as_of_few():
    values = np.random.default_rng(1).uniform(1.0, 3.0, size=200_000)
    x = np.zeros((200_000, 3))
    x[:, 0] = values
    exact = math.fsum(values) / 200_000
    # The sums of one pass alone are off by ten times the bound below.
    assert abs(x.sum(axis=0)[0] / 200_000 - exact) > 4 * EPS * exact
    step = Features(x, np.arange(200_000) % 2).centered().provenance["steps"][0]
    assert abs(step["mean_norm"] - exact) <= 2 * EPS * exact


def test_centering_uses_the_training_mean_for_the_test_rows():
    features = small()
    moved = features.centered()
    # A mean of the test rows themselves would center them too.
    assert np.abs(moved.test_x.mean(axis=0)).max() > 1e-2
    difference = features.test_x.astype(np.float64) - moved.test_x
    assert np.abs(difference - difference[0]).max() <= 8 * EPS


@settings(deadline=None)
@given(testing.matrices(6, 5).filter(lambda x: x.any(axis=1).all()), st.integers(-300, 300))
def test_rows_get_unit_norm_at_any_scale(x, exponent):
    features = Features(x * 10.0**exponent, np.arange(6) % 2).unit_norm()
    expected = x / np.linalg.norm(x, axis=1, keepdims=True)
    assert np.abs(features.x - expected).max() <= 16 * EPS
    assert np.abs(np.linalg.norm(features.x, axis=1) - 1.0).max() <= 8 * EPS
    step = features.provenance["steps"][-1]
    norms = np.linalg.norm(x, axis=1)
    assert step["min_norm"] / 10.0**exponent == pytest.approx(norms.min(), rel=32 * EPS)
    assert step["max_norm"] / 10.0**exponent == pytest.approx(norms.max(), rel=32 * EPS)


def test_smallest_numbers_still_have_a_direction():
    tiny = np.array([[5e-324, 0.0], [0.0, -5e-324]])
    assert Features(tiny, [0, 1]).unit_norm().x.tolist() == [[1.0, 0.0], [0.0, -1.0]]


@pytest.mark.parametrize(("name", "row"), [("x", 4), ("test_x", 2)])
def test_zero_row_is_named_with_its_split(name, row):
    array = getattr(small(), name).copy()
    array[row] = 0.0
    with pytest.raises(InvalidFeatures, match=rf"^{name} must have no zero row .* row {row};"):
        small(**{name: array}).unit_norm()


def test_steps_make_new_features_and_leave_the_old():
    features = small(class_names=["a", "b", "c", "d"], superclasses=[0, 0, 1, 1])
    before = features.x.copy()
    result = features.centered().unit_norm(dtype=np.float32)
    assert np.array_equal(features.x, before)
    assert result.x.dtype == result.test_x.dtype == np.float32
    assert result.class_names == features.class_names
    assert result.superclasses.tolist() == [0, 0, 1, 1]
    steps = result.provenance["steps"]
    assert [step["step"] for step in steps] == ["centered", "unit_norm"]
    assert [step["dtype"] for step in steps] == ["float64", "float32"]
    assert result.provenance["stored_dtype"] == "float16"
    assert features.provenance["steps"] == []
    with pytest.raises(InvalidSetting, match="float64 or float32"):
        features.centered(dtype=np.float16)


def test_overflow_is_an_error_not_an_inf():
    huge = np.array([[1.7e308, 1.0], [1.7e308, 2.0], [-1.7e308, 3.0]])
    with pytest.raises(InvalidFeatures, match="column 0"):
        Features(huge, [0, 1, 0]).centered()
    with pytest.raises(InvalidFeatures, match="row 0, column 0"):
        Features(huge[[0, 2]], [0, 1]).centered(dtype=np.float32)


def test_steps_hold_one_block_beside_the_result():
    features = Features(np.ones((40_000, 200), np.float16), np.arange(40_000) % 2)
    tracemalloc.start()
    try:
        features.unit_norm()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    # The result is 64 MB; blocks, their temporaries and the finite check share the rest.
    assert peak < 64e6 + 5 * 32e6


# The file


def test_saved_features_come_back_equal(tmp_path):
    for features in (
        small(superclasses=[1, 0, 1], class_names=["ä", "b", "c"], provenance={"model": "m"}),
        small(test_x=None, test_labels=None, n_classes=5).centered(),
        small(x=np.asfortranarray(small().x)),
    ):
        path = save_features(features, tmp_path / "cache.safetensors")
        back = load_features(path)
        assert back == features
        assert back.x.dtype == features.x.dtype
        assert back.provenance == features.provenance
        assert back.class_names == features.class_names
        assert os.listdir(tmp_path) == ["cache.safetensors"]


def test_equal_features_give_equal_files(tmp_path):
    contents = set()
    for index in range(4):
        path = tmp_path / f"{index}.safetensors"
        save_features(small(superclasses=[0, 0, 1]), path)
        contents.add(hashlib.sha256(path.read_bytes()).hexdigest())
    assert len(contents) == 1


def test_file_is_plain_safetensors_with_half_precision_kept(tmp_path):
    content = save_features(small(), tmp_path / "a.safetensors").read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    assert header["x"]["dtype"] == "F16"
    assert header["x"]["shape"] == [12, 3]
    start, end = header["x"]["data_offsets"]
    body = content[8 + length :]
    assert body[start:end] == small().x.astype("<f2").tobytes()
    assert json.loads(header["__metadata__"]["gramlab"])["fingerprint"] == small().fingerprint


def test_other_suffixes_and_missing_folders_are_refused(tmp_path):
    for name in ("a.npz", "a", "a.safetensors.bak"):
        with pytest.raises(InvalidSetting, match=r"\.safetensors, got"):
            save_features(small(), tmp_path / name)
    with pytest.raises(InvalidSetting, match="empty path"):
        save_features(small(), "")
    with pytest.raises(OutputError, match="nowhere"):
        save_features(small(), tmp_path / "nowhere" / "a.safetensors")
    assert os.listdir(tmp_path) == []


def test_replaced_shares_rows_and_changes_what_was_asked():
    features = Features(
        np.arange(12.0).reshape(6, 2),
        [0, 1, 2, 0, 1, 2],
        test_x=np.ones((2, 2)),
        test_labels=[0, 1],
        class_names=("a", "b", "c"),
        superclasses=[0, 0, 1],
    )
    assert features.derived(id) == id(features)
    assert (twin := features.replaced()) == features
    assert twin.derived(id) == id(twin)
    other = features.replaced(labels=[2, 2, 1, 1, 0, 0], superclasses=None)
    assert other.derived(id) == id(features)
    assert np.shares_memory(other.x, features.x)
    assert other.labels.tolist() == [2, 2, 1, 1, 0, 0]
    assert other.superclasses is None
    assert other.class_names == ("a", "b", "c")
    assert other != features
    with pytest.raises(TypeError, match="got x"):
        features.replaced(x=np.ones((6, 2)))
    with pytest.raises(InvalidLabels):
        features.replaced(labels=[0, 1])
