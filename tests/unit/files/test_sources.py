"""Sources: good files come in exactly, bad files are refused before they do harm."""

from __future__ import annotations

import io
import json
import os
import pickle
import re
import shlex
import struct
import tracemalloc
import zipfile
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
from safetensors.numpy import load_file, save_file
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from gramlab.cli import main
from gramlab.errors import (
    GramlabError,
    InvalidFeatures,
    InvalidLabels,
    InvalidSetting,
    NotEnoughMemory,
    UnreadableSource,
)
from gramlab.features import Features
from gramlab.files.sources import load_features
from gramlab.files.tensors import FORMAT_VERSION, open_features, save_features
from gramlab.importing import import_features
from gramlab.numerics.content import checksum

RNG = np.random.default_rng(3)
ARRAYS = {
    "train_features": RNG.normal(size=(6, 2)).astype(np.float16),
    "train_labels": np.array([0, 1, 2, 0, 1, 2], np.int16),
    "test_features": RNG.normal(size=(3, 2)).astype(np.float16),
    "test_labels": np.array([2, 1, 0], np.int16),
    "class_names": np.array(["a", "bé", "c"]),
    "coarse_of_class": np.array([0, 0, 1], np.int16),
}


def write_npz(path, compressed=False, **changes):
    arrays = {key: value for key, value in {**ARRAYS, **changes}.items() if value is not None}
    (np.savez_compressed if compressed else np.savez)(path, **arrays)
    return path


def write_members(path, members, kind=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", kind) as archive:
        for key, content in members.items():
            archive.writestr(f"{key}.npy", content)
    return path


def npy(array):
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def same(one: Features, other: Features) -> bool:
    return one == other and one.provenance == other.provenance


# Digits


def test_digits_are_scikit_learns_with_a_fixed_split():
    features = load_features("digits")
    assert (features.n_samples, features.n_features, features.n_classes) == (1437, 64, 10)
    assert features.test_x.shape == (360, 64)
    # Known answer: the split is the same for every version of numpy and scikit-learn.
    assert features.fingerprint == (
        "439ad6f46603c2ec81b028c16162093e2ad747dd25cb177031ddf75f2c57733c"
    )
    images, labels = load_digits(return_X_y=True)
    split = train_test_split(images, labels, test_size=0.2, stratify=labels, random_state=42)
    found = (features.x, features.test_x, features.labels, features.test_labels)
    for ours, theirs in zip(found, split, strict=True):
        assert np.array_equal(ours, theirs)
    rows = sorted(map(tuple, np.column_stack([images, labels])))
    x = np.concatenate([features.x, features.test_x])
    y = np.concatenate([features.labels, features.test_labels])
    assert sorted(map(tuple, np.column_stack([x, y]))) == rows
    # Stratified: the test share of each class differs from 20 % by less than one image.
    test_counts = np.bincount(features.test_labels)
    assert np.abs(test_counts - 0.2 * np.bincount(labels)).max() < 1.0
    assert features.provenance["source"] == "digits"
    assert features.provenance["split"]["random_state"] == 42


# npz


@pytest.mark.parametrize("compressed", [False, True])
def test_npz_comes_in_exactly(tmp_path, compressed):
    path = write_npz(tmp_path / "cache.npz", compressed)
    for source in (path, str(path)):
        features = load_features(source)
        assert features.x.dtype == np.float16
        assert np.array_equal(features.x, ARRAYS["train_features"])
        assert np.array_equal(features.labels, ARRAYS["train_labels"])
        assert np.array_equal(features.test_x, ARRAYS["test_features"])
        assert np.array_equal(features.test_labels, ARRAYS["test_labels"])
        assert features.class_names == ("a", "bé", "c")
        assert features.superclasses.tolist() == [0, 0, 1]
        assert features.provenance["source"] == "cache.npz"
        assert str(tmp_path) not in json.dumps(features.provenance)


@pytest.mark.parametrize(("x", "y"), [("x", "y"), ("x", "labels"), ("train_features", "y")])
def test_npz_may_use_short_names_and_other_layouts(tmp_path, x, y):
    arrays = {x: np.asfortranarray(ARRAYS["train_features"].astype(">f8")), y: [0, 1, 2, 0, 1, 2]}
    np.savez(tmp_path / "a.NPZ.npz", **arrays)
    os.rename(tmp_path / "a.NPZ.npz", tmp_path / "a.NPZ")
    features = load_features(tmp_path / "a.NPZ")
    assert np.array_equal(features.x, ARRAYS["train_features"])
    assert features.test_x is None
    assert features.class_names == ("0", "1", "2")


@pytest.mark.parametrize("names", [np.array([b"a", b"b\xc3\xa9", b"c"]), np.array([7, 8, 9])])
def test_npz_class_names_may_be_bytes_or_numbers(tmp_path, names):
    expected = ("7", "8", "9") if names.dtype.kind == "i" else ("a", "bé", "c")
    assert load_features(write_npz(tmp_path / "a.npz", class_names=names)).class_names == expected


def test_npz_without_the_needed_arrays_names_missing_and_present(tmp_path):
    np.savez(tmp_path / "a.npz", features=np.eye(2), train_labels=[0, 1])
    with pytest.raises(UnreadableSource) as caught:
        load_features(tmp_path / "a.npz")
    message = str(caught.value)
    assert "lacks train_features or x, it has features, train_labels;" in message
    assert "gramlab features import " in message
    assert "np.savez" not in message
    assert np.array_equal(import_features(tmp_path / "a.npz").x, np.eye(2))


@pytest.mark.parametrize("names", [["y"], ["embeddings", "true_labels"], ["a, b", "-n", "lab*"]])
def test_npz_with_arrays_of_no_known_use_names_them_and_the_command_that_leaves_them_out(
    tmp_path, names
):
    path = write_npz(tmp_path / "a b.npz", **{name: ARRAYS["train_labels"] for name in names})
    with pytest.raises(UnreadableSource) as caught:
        load_features(path)
    message = str(caught.value)
    assert all(repr(name) in message for name in names)
    command = re.search("gramlab (features import .*) --out", message)[1]
    out = tmp_path / "out.safetensors"
    assert main([*shlex.split(command), "--out", str(out), "--quiet"]) == 0
    assert load_features(out) == load_features(write_npz(tmp_path / "alone.npz"))


def test_npz_with_arrays_that_can_be_no_labels_or_features_names_them_as_unused(tmp_path, capsys):
    flags, names = np.array([True] * len(ARRAYS["train_labels"])), np.array(["fruit", "milk"])
    path = write_npz(tmp_path / "more.npz", is_official=flags, coarse_names=names)
    features = load_features(path)
    assert features == load_features(write_npz(tmp_path / "alone.npz"))
    assert features.provenance["unused"] == ["coarse_names", "is_official"]
    assert main(["features", "info", str(path)]) == 0
    assert "coarse_names, is_official" in capsys.readouterr().out


def test_class_names_as_labels_name_the_command_that_takes_them(tmp_path):
    labels = np.array(["cat", "dog", "cat", "dog", "cat", "dog"])
    path = tmp_path / "a.npz"
    np.savez(path, x=ARRAYS["train_features"], y=labels)
    with pytest.raises(
        InvalidLabels, match=r"must hold integers.*gramlab features import"
    ) as caught:
        load_features(path)
    assert "np." not in str(caught.value)
    assert import_features(path).class_names == ("cat", "dog")


@pytest.mark.parametrize(
    ("changes", "error", "said"),
    [
        ({"train_features": np.full((6, 2), np.nan)}, InvalidFeatures, "row 0, column 0"),
        ({"train_labels": np.zeros(6, int)}, InvalidLabels, "only class 0"),
        ({"test_labels": None}, InvalidLabels, "no test_labels"),
        ({"class_names": np.array(["a", "a", "b"])}, InvalidSetting, "'a' at positions 0 and 1"),
        ({"class_names": np.array([["a"]])}, UnreadableSource, "1-D text array"),
        ({"class_names": np.array([b"\xff", b"a", b"b"])}, UnreadableSource, "utf-8"),
    ],
)
def test_bad_content_of_a_good_file_is_named_with_the_file(tmp_path, changes, error, said):
    path = write_npz(tmp_path / "mine.npz", **changes)
    with pytest.raises(error) as caught:
        load_features(path)
    assert "'mine.npz'" in str(caught.value)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


class Trap:
    """Opening its pickle creates a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (os.mkdir, (self.path,))


@pytest.mark.parametrize("key", ["train_features", "train_labels", "class_names"])
def test_pickled_objects_are_refused_and_never_run(tmp_path, key):
    trap = str(tmp_path / "sprung")
    # The trap works: unpickling it makes the folder.
    pickle.loads(pickle.dumps(Trap(trap)))
    os.rmdir(trap)
    path = tmp_path / "a.npz"
    members = {name: npy(array) for name, array in ARRAYS.items()}
    stream = io.BytesIO()
    np.save(stream, np.array([Trap(trap), 1, 2], dtype=object), allow_pickle=True)
    members[key] = stream.getvalue()
    write_members(path, members)
    with pytest.raises(UnreadableSource) as caught:
        load_features(path)
    assert f"pickled Python objects in {key!r}" in str(caught.value)
    assert "dtype=str" in str(caught.value)
    assert not os.path.exists(trap)


def test_raw_pickle_under_a_known_name_is_refused_and_never_run(tmp_path):
    trap = str(tmp_path / "sprung")
    content = pickle.dumps(Trap(trap))
    (tmp_path / "a.npz").write_bytes(content)
    members = {name: npy(array) for name, array in ARRAYS.items()}
    write_members(tmp_path / "b.npz", {**members, "train_features": content})
    for name in ("a.npz", "b.npz"):
        with pytest.raises(UnreadableSource, match="damaged"):
            load_features(tmp_path / name)
    assert not os.path.exists(trap)


def lying_npy(shape, dtype="<f8", version=1, content=b"\0" * 96):
    header = repr({"descr": dtype, "fortran_order": False, "shape": shape}).encode() + b"\n"
    size = struct.pack("<H" if version == 1 else "<I", len(header))
    return b"\x93NUMPY" + bytes([version, 0]) + size + header + content


@pytest.mark.parametrize(
    "content",
    [
        lying_npy((10**12, 1000)),
        lying_npy((10**30, 10**30)),
        lying_npy((-6, -2)),
        lying_npy((6, 1)),
        lying_npy((6, 3), version=2),
        lying_npy((10**18,), "|V0", content=b""),
        lying_npy((10**18,), "<U0", content=b""),
        b"\x93NUMPY\x02\x00\xff\xff\xff\xff" + b" " * 100,
        b"\x93NUMPY\x09\x00",
        b"not an array",
        b"",
    ],
)
@pytest.mark.parametrize("key", ["train_features", "class_names"])
def test_lying_array_headers_are_refused_without_allocating(tmp_path, key, content):
    members = {name: npy(array) for name, array in ARRAYS.items()}
    path = write_members(tmp_path / "a.npz", {**members, key: content})
    tracemalloc.start()
    try:
        with pytest.raises(UnreadableSource, match=r"'a\.npz' is damaged"):
            load_features(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 5_000_000


def test_zip_bomb_is_refused_before_it_is_unpacked(tmp_path, monkeypatch):
    # 40 MB of zeros take 40 kB in the file: an honest header, but more than is free.
    write_npz(tmp_path / "a.npz", True, train_features=np.zeros((6, 833_333)))
    assert (tmp_path / "a.npz").stat().st_size < 100_000
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=39_000_000))
    tracemalloc.start()
    try:
        with pytest.raises(NotEnoughMemory, match=r"'a\.npz' needs 40\.0 MB .* 39\.0 MB"):
            load_features(tmp_path / "a.npz")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 5_000_000


def test_header_bomb_is_not_unpacked(tmp_path):
    bomb = b"\x93NUMPY\x02\x00" + struct.pack("<I", 40_000_000) + b" " * 40_000_000
    members = {name: npy(array) for name, array in ARRAYS.items()}
    path = write_members(
        tmp_path / "a.npz", {**members, "train_features": bomb}, zipfile.ZIP_DEFLATED
    )
    tracemalloc.start()
    try:
        with pytest.raises(UnreadableSource):
            load_features(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 5_000_000


# Every byte of a file counts


def damaged_versions(content, whole_bytes):
    rng = np.random.default_rng(11)
    for index in range(len(content)):
        mask = 0xFF if whole_bytes else 1 << int(rng.integers(8))
        damaged = bytearray(content)
        damaged[index] ^= mask
        yield f"byte {index} ^ {mask}", bytes(damaged)


def outcomes(path, content, original, whole_bytes=False):
    """Load every damaged version; return those that are neither refused nor equal."""
    wrong, refused = [], 0
    for name, damaged in damaged_versions(content, whole_bytes):
        path.write_bytes(damaged)
        try:
            loaded = load_features(path)
        except BaseException as error:  # an unforeseen class is what this looks for
            text = str(error)
            if isinstance(error, UnreadableSource) and f"'{path.name}'" in text.splitlines()[0]:
                refused += 1
            else:
                wrong.append((name, repr(error)))
        else:
            if not same(loaded, original):
                wrong.append((name, "accepted"))
    return wrong, refused


def small_features():
    return Features(
        ARRAYS["train_features"],
        ARRAYS["train_labels"],
        test_x=ARRAYS["test_features"],
        test_labels=ARRAYS["test_labels"],
        class_names=["a", "b", "c"],
        superclasses=[0, 0, 1],
    ).centered()


def test_any_flipped_byte_of_a_cache_file_is_caught(tmp_path):
    path = save_features(small_features(), tmp_path / "a.safetensors")
    content = path.read_bytes()
    wrong, refused = outcomes(path, content, small_features())
    assert wrong == []
    # All but the padding of the header are refused.
    assert refused >= len(content) - 8


@pytest.mark.parametrize("compressed", [False, True])
def test_any_flipped_byte_of_an_npz_is_caught_or_harmless(tmp_path, compressed):
    arrays = {"class_names": None, "test_features": None, "test_labels": None}
    path = write_npz(tmp_path / "a.npz", compressed, **arrays)
    original = load_features(path)
    wrong, refused = outcomes(path, path.read_bytes(), original, not compressed)
    assert wrong == []
    # Array content is covered by CRCs; zip's own dates and attributes carry nothing.
    assert refused > path.stat().st_size / 2


@pytest.mark.parametrize("suffix", ["safetensors", "npz"])
def test_any_truncation_is_caught(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    if suffix == "npz":
        write_npz(path)
    else:
        save_features(small_features(), path)
    content = path.read_bytes()
    for length in (*range(0, len(content) - 40, 5), *range(len(content) - 40, len(content))):
        path.write_bytes(content[:length])
        with pytest.raises(UnreadableSource, match="write it again or copy it again"):
            load_features(path)


# gramlab's own file


def rewrite(path, change):
    """Apply `change(tensors, header)` to a cache file, without touching its checksums."""
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(json.loads(content[8 : 8 + length])["__metadata__"]["gramlab"])
    tensors = load_file(path)
    change(tensors, header)
    save_file(tensors, path, metadata={"gramlab": json.dumps(header)})


def forge_superclasses(tensors, header):
    tensors["superclasses"] = np.array([0, 1, 1])


def forge_arrays_and_checksum(tensors, header):
    tensors["x"] = tensors["x"] + 1.0
    header["checksum"] = checksum(header, tensors["superclasses"])


def forge_names(tensors, header):
    header["class_names"] = ["c", "b", "a"]


def forge_steps(tensors, header):
    header["provenance"]["steps"] = []


def forge_nan(tensors, header):
    tensors["x"][1, 1] = np.nan


def drop_labels(tensors, header):
    del tensors["labels"]


def drop_names(tensors, header):
    del header["class_names"]
    header["checksum"] = checksum(header, tensors["superclasses"])


@pytest.mark.parametrize(
    "change",
    [
        forge_superclasses,
        forge_arrays_and_checksum,
        forge_names,
        forge_steps,
        forge_nan,
        drop_labels,
        drop_names,
    ],
)
def test_changed_content_does_not_match_its_checksums(tmp_path, change):
    path = save_features(small_features(), tmp_path / "a.safetensors")
    rewrite(path, lambda tensors, header: None)
    assert same(load_features(path), small_features())
    rewrite(path, change)
    with pytest.raises(UnreadableSource, match="damaged"):
        load_features(path)


def test_foreign_files_and_versions_are_told_apart_from_damage(tmp_path):
    path = tmp_path / "model.safetensors"
    for metadata in (None, {"format": "pt"}):
        save_file({"weight": np.eye(2)}, path, metadata=metadata)
        with pytest.raises(UnreadableSource, match=r"not written by gramlab\.save_features"):
            load_features(path)
    save_features(small_features(), path)
    rewrite(path, lambda tensors, header: header.update(format="gramlab-features-99"))
    with pytest.raises(
        UnreadableSource,
        match=f"'gramlab-features-99', expected '{FORMAT_VERSION}'; read it with the version of "
        "gramlab that wrote it",
    ):
        load_features(path)


# Unknown sources


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("digit", "'digit' was not found"),
        ("", "is a folder"),
        ("missing.npz", "was not found"),
        ("a\0b", "'a\\x00b'"),
        (".", "is a folder"),
        (7, "7"),
        (None, "None"),
        (os.devnull, "not a regular file"),
    ],
)
def test_unknown_sources_list_what_is_accepted(tmp_path, monkeypatch, source, said):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UnreadableSource) as caught:
        load_features(source)
    message = str(caught.value)
    assert said in message
    for form in ("'digits'", ".safetensors", ".npz", "train_features", "train_labels"):
        assert form in message
    assert "\n" not in message


def test_unknown_suffix_lists_what_is_accepted(tmp_path):
    (tmp_path / "a.tsv").write_text("1,2")
    with pytest.raises(UnreadableSource, match=r"suffix '\.tsv'; accepted are"):
        load_features(tmp_path / "a.tsv")


def test_what_cannot_be_mapped_is_not_called_damaged(tmp_path):
    np.savez(tmp_path / "mine.npz", train_features=np.eye(2), train_labels=[0, 1])
    (tmp_path / "folder").mkdir()
    for name in ("mine.npz", "folder"):
        with pytest.raises(UnreadableSource, match=f"'{name}' must be a .safetensors .*load_feat"):
            open_features(tmp_path / name)


def test_every_refusal_is_a_gramlab_error_and_an_os_error():
    with pytest.raises(GramlabError):
        load_features("nothing")
    with pytest.raises(OSError, match="nothing"):
        load_features("nothing")


# Real files, when they are there


@pytest.mark.data
def test_real_file_survives_the_cache(data_folder, tmp_path):
    path = data_folder / "grocery81_mobilenetv2.npz"
    if not path.is_file():
        pytest.skip(f"{path.name} is not in {data_folder}")
    features = load_features(path)
    assert features.provenance["unused"] == ["coarse_names", "train_is_official_val"]
    assert (features.n_samples, features.n_features, features.n_classes) == (2936, 1280, 81)
    assert features.superclasses.max() == 42
    back = load_features(save_features(features, tmp_path / "a.safetensors"))
    assert same(back, features)


@pytest.mark.parametrize("numbers", [[1, 2, 3], [0, 2, 7], [-1, 0, 1]])
@pytest.mark.parametrize("named", [False, True])
def test_labels_that_number_no_classes_name_the_command_that_takes_them(tmp_path, numbers, named):
    x, path = np.random.default_rng(0).standard_normal((6, 2)), tmp_path / "a.npz"
    names = {"class_names": np.array(["a", "b", "c"])} if named else {}
    np.savez(path, train_features=x, train_labels=np.array(numbers * 2), **names)
    with pytest.raises(InvalidLabels, match=r"gramlab features import .*a\.npz") as caught:
        load_features(path)
    assert "n_classes" not in str(caught.value)
    if named:
        with pytest.raises(InvalidLabels, match="--drop class_names") as caught:
            import_features(path)
        assert "n_classes" not in str(caught.value)
    found = import_features(path, drop="class_names" if named else None)
    assert found.class_names == tuple(map(str, sorted(numbers)))
