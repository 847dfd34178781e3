"""Files of labels: every kind, read alike, and what is wrong with one in a line."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from gramlab.errors import GramlabError
from gramlab.importing import import_features, read_source
from gramlab.importing.labels import read_class_numbers, read_labels, split_member

NAMES = ("cat", "dog", "emu")
NUMBERS = np.array([2, 0, 1, 1, 2])


@pytest.fixture
def folder(tmp_path):
    texts = [NAMES[k] for k in NUMBERS]
    np.save(tmp_path / "numbers.npy", NUMBERS)
    np.save(tmp_path / "floats.npy", NUMBERS.astype(np.float32))
    np.save(tmp_path / "names.npy", np.array(texts))
    np.savez(tmp_path / "one.npz", only=NUMBERS)
    np.savez(tmp_path / "two.npz", a=NUMBERS, b=NUMBERS[::-1])
    (tmp_path / "numbers.txt").write_text("\n".join(map(str, NUMBERS)) + "\n")
    (tmp_path / "names.txt").write_text("\ufeff" + "\r\n".join(texts))
    return tmp_path


@pytest.mark.parametrize(
    "name",
    "numbers.npy floats.npy names.npy one.npz one.npz:only two.npz:a numbers.txt names.txt".split(),
)
def test_every_kind_of_file_gives_the_same_classes(name, folder):
    assert np.array_equal(read_class_numbers(folder / name, NAMES, 5), NUMBERS)


def test_the_array_that_is_named_is_read(folder):
    assert np.array_equal(read_labels(f"{folder}/two.npz:b"), NUMBERS[::-1])
    assert split_member("a.npz:b:c") == ("a.npz", "b:c")
    assert split_member("a.NPZ:b") == ("a.NPZ", "b")
    assert split_member("a.npy:b") == ("a.npy:b", None)


def test_names_win_where_they_are_numbers_too(folder):
    """Classes that an importer named 1, 2, 3 are meant by 1, 2, 3; and by 0, 1, 2 their numbers."""
    np.save(folder / "from_one.npy", NUMBERS + 1)
    assert np.array_equal(read_class_numbers(folder / "from_one.npy", "123", 5), NUMBERS)
    assert np.array_equal(read_class_numbers(folder / "numbers.npy", "123", 5), NUMBERS)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("two.npz", "'two.npz' needs the name of one, it holds a, b; give one of these"),
        ("two.npz:c", "'two.npz' has no array 'c', it holds a, b"),
        ("none.npz:a", "none.npz:a' was not found"),
        ("none.txt", "was not found; give .npy, .npz as FILE.npz:NAME, or text"),
        ("short.txt", "one label for each of 5 training rows, got 3; give those of the same rows"),
        ("gnu.txt", "by name ('cat', 'dog', 'emu') or by number from 0 to 2, got 'gnu' in row 3"),
        ("large.npy", "from 0 to 2, got '3' in row 4"),
        ("half.npy", "labels must be whole numbers or text"),
        ("pickled.npy", "pickled Python objects"),
        ("rows.npy", "labels must be 1-D"),
        ("gap.txt", "got none in line 2"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(name, words, folder):
    (folder / "short.txt").write_text("cat\ndog\nemu\n")
    (folder / "gnu.txt").write_text("cat\ndog\nemu\ngnu\ncat\n")
    (folder / "gap.txt").write_text("cat\n\nemu\ngnu\ncat\n")
    np.save(folder / "large.npy", np.array([0, 1, 2, 0, 3]))
    np.save(folder / "half.npy", np.array([0, 1, 2, 0, 0.5]))
    np.save(folder / "rows.npy", np.zeros((5, 1), dtype=int))
    with open(folder / "pickled.npy", "wb") as file:
        np.lib.format.write_array(file, np.array([pickle, 1], dtype=object)[1:], allow_pickle=True)
    with pytest.raises(GramlabError) as refused:
        read_class_numbers(folder / name, NAMES, 5)
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


# ---- Sources of any kind, and what their rows are called --------------------------------------


@pytest.fixture
def table(tmp_path):
    rng, lines = np.random.default_rng(0), ["file,kind,a,b"]
    for row in range(6):
        values = ",".join(map(str, rng.standard_normal(2)))
        lines.append(f"img{row}.png,{NAMES[row % 3]},{values}")
    (tmp_path / "t.csv").write_text("\n".join(lines) + "\n")
    return tmp_path / "t.csv"


def test_identifiers_are_of_the_rows_and_no_feature(table):
    found = read_source(table, label_column="kind", id_column="file")
    features = found.features
    assert found.identifiers == [f"img{row}.png" for row in range(6)]
    plain = import_features(table, label_column="kind", drop="file")
    assert np.array_equal(features.x, plain.x)
    assert features.class_names == NAMES
    with pytest.raises(GramlabError, match="no column 'name' to take, it has"):
        read_source(table, label_column="kind", id_column="name")


def test_identifiers_of_parquet_and_npz(table, tmp_path):
    pd = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    frame = pd.read_csv(table)
    frame.assign(file=range(6)).to_parquet(tmp_path / "t.parquet")
    names = read_source(tmp_path / "t.parquet", label_column="kind", id_column="file").identifiers
    assert names == list("012345")
    x, y = frame[["a", "b"]].to_numpy(), np.arange(6) % 3
    np.savez(tmp_path / "t.npz", x=x, y=y, name=frame["file"].to_numpy(dtype=str))
    names = read_source(tmp_path / "t.npz", id_column="name").identifiers
    assert names == [f"img{row}.png" for row in range(6)]
    np.save(tmp_path / "x.npy", x)
    with pytest.raises(GramlabError, match="one array, which has no columns to name"):
        read_source(tmp_path / "x.npy", labels=tmp_path / "y.npy", id_column="file")


def test_own_sources_are_loaded_and_others_imported(tmp_path):
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((6, 2)), np.arange(6) % 3
    np.savez(tmp_path / "own.npz", train_gram=x @ x.T, train_labels=y)
    assert read_source(tmp_path / "own.npz").features.is_gram
    np.savez(tmp_path / "other.npz", embeddings=x, label=y + 5)
    found = read_source(tmp_path / "other.npz")
    assert (found.features.class_names, found.identifiers) == (("5", "6", "7"), None)
    assert found.classes == [5, 6, 7]
    np.save(tmp_path / "x.npy", x)
    features = read_source(tmp_path / "x.npy", labels=f"{tmp_path}/other.npz:label").features
    assert features.class_names == ("5", "6", "7")
    with pytest.raises(GramlabError, match=r"no\.csv' was not found"):
        read_source(tmp_path / "no.csv")
