"""Features of other tools: what is read, what is refused, and that nothing is ever unpickled."""

import json
import pickle
import re
from pathlib import Path

import numpy as np
import pytest

import gramlab
from gramlab import load_features, save_features
from gramlab.cli import main
from gramlab.errors import (
    GramlabError,
    InvalidFeatures,
    InvalidLabels,
    InvalidSetting,
    UnreadableSource,
)
from gramlab.importing import import_features

RNG = np.random.default_rng(0)
X = RNG.standard_normal((12, 3)).astype(np.float32)
Y = np.arange(12) % 3


def test_npy_with_labels_from_text_or_array(tmp_path):
    np.save(tmp_path / "x.npy", X)
    (tmp_path / "names.txt").write_text("\n".join("cba"[k] for k in Y) + "\n")
    (tmp_path / "numbers.txt").write_text("\n".join(str(k) for k in Y))
    np.save(tmp_path / "y.npy", Y)
    by_name = import_features(tmp_path / "x.npy", labels=tmp_path / "names.txt")
    assert by_name.class_names == ("a", "b", "c")
    assert np.array_equal(by_name.labels, 2 - Y)
    for labels in ("numbers.txt", "y.npy"):
        found = import_features(tmp_path / "x.npy", labels=tmp_path / labels)
        assert np.array_equal(found.x, X)
        assert np.array_equal(found.labels, Y)
    with pytest.raises(InvalidSetting, match="--labels FILE"):
        import_features(tmp_path / "x.npy")


def test_label_files_with_a_mark_of_utf_8_or_a_line_without_label(tmp_path):
    np.save(tmp_path / "x.npy", X)
    text = "\n".join("abc"[k] for k in Y)
    (tmp_path / "y.txt").write_text(text, encoding="utf-8-sig")
    found = import_features(tmp_path / "x.npy", labels=tmp_path / "y.txt")
    assert found.class_names == ("a", "b", "c")
    # With a header, a blank line would make the number of labels right, and shift them.
    (tmp_path / "y.txt").write_text("label\n" + text.replace("b\nc", "b\n\nc", 1)[:-2])
    with pytest.raises(InvalidLabels, match="none in line 4"):
        import_features(tmp_path / "x.npy", labels=tmp_path / "y.txt")


@pytest.mark.parametrize("form", ["lists", "columns"])
def test_parquet(tmp_path, form):
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    columns = (
        {"embedding": [row.tolist() for row in X]}
        if form == "lists"
        else {f"f{j}": X[:, j] for j in range(3)}
    )
    path = tmp_path / "x.parquet"
    parquet.write_table(pa.table({**columns, "label": [f"class {k}" for k in Y]}), path)
    found = import_features(path)
    assert np.array_equal(found.x, X)
    assert np.array_equal(found.labels, Y)
    assert found.class_names == ("class 0", "class 1", "class 2")
    with pytest.raises(InvalidSetting, match="no column 'nothing'"):
        import_features(path, features_column="nothing")
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(UnreadableSource, match="no Parquet file"):
        import_features(path)


def test_parquet_of_pandas_and_of_whole_numbers(tmp_path):
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    path = tmp_path / "x.parquet"
    table = pa.table({"f": X[:, 0], "label": Y, "__index_level_0__": X[:, 1]})
    index = {"index_columns": ["__index_level_0__"], "columns": []}
    parquet.write_table(table.replace_schema_metadata({"pandas": json.dumps(index)}), path)
    assert np.array_equal(import_features(path).x, X[:, :1])  # the names of rows are no feature
    for second in (Y, Y == 1):
        parquet.write_table(pa.table({"f": X[:, 0], "g": second, "label": Y}), path)
        with pytest.raises(InvalidSetting, match=r"cannot be told among \['f', 'g', 'label'\]"):
            import_features(path)  # never a part of the features


def test_ragged_parquet_lists_are_refused(tmp_path):
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    path = tmp_path / "x.parquet"
    parquet.write_table(pa.table({"x": [[1.0, 2.0], [3.0]], "label": [0, 1]}), path)
    with pytest.raises(InvalidSetting, match=r"one length, got lengths \[1, 2\]"):
        import_features(path)


@pytest.mark.parametrize("form", ["mapping", "pair", "tensor", "half"])
def test_torch_tensors(tmp_path, form):
    torch = pytest.importorskip("torch")
    x, y = torch.from_numpy(X), torch.from_numpy(Y)
    path = tmp_path / "x.pt"
    stored = {
        "mapping": {"train_features": x, "train_labels": y, "test_features": x, "test_labels": y},
        "pair": (x, y),
        "tensor": x,
        "half": {"embeddings": x.bfloat16(), "labels": y},
    }[form]
    torch.save(stored, path)
    np.save(tmp_path / "y.npy", Y)
    found = import_features(path, labels=tmp_path / "y.npy" if form == "tensor" else None)
    assert np.array_equal(found.labels, Y)
    expected = x.bfloat16().float().numpy() if form == "half" else X
    assert np.array_equal(found.x, expected)
    if form == "mapping":
        assert np.array_equal(found.test_x, X)
        wide = X.astype(np.float64) / 3.0
        torch.save({"x": torch.from_numpy(wide), "y": y}, path)
        assert import_features(path).x.tobytes() == wide.tobytes()  # nothing is narrowed


def test_sparse_tensors_are_filled_in_and_others_refused(tmp_path):
    torch = pytest.importorskip("torch")
    y = torch.from_numpy(Y)
    torch.save({"x": torch.from_numpy(X).to_sparse(), "y": y}, tmp_path / "sparse.pt")
    assert np.array_equal(import_features(tmp_path / "sparse.pt").x, X)
    torch.save({0: torch.from_numpy(X), "y": y}, tmp_path / "number.pt")
    found = import_features(tmp_path / "number.pt", features_column="0")
    assert np.array_equal(found.x, X)
    torch.save({"x": torch.zeros(12, 3, dtype=torch.complex64), "y": y}, tmp_path / "complex.pt")
    with pytest.raises(InvalidFeatures, match="complex64"):
        import_features(tmp_path / "complex.pt")


@pytest.mark.parametrize(
    ("columns", "asked", "said"),
    [
        ({"x": [["a"], ["b"]], "label": [0, 1]}, None, "lists of numbers"),
        ({"x": [1.0, 2.0], "label": [0, 1]}, "x", "must hold lists of numbers, one per row"),
        ({"x": [[1.0], [2.0]], "label": [0, None]}, None, "no label in row 1"),
        ({"x": [[1.0], [None]], "label": [0, 1]}, None, "finite"),
    ],
)
def test_parquet_that_makes_no_features_is_refused(tmp_path, columns, asked, said):
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    parquet.write_table(pa.table(columns), tmp_path / "x.parquet")
    with pytest.raises(GramlabError, match=said):
        import_features(tmp_path / "x.parquet", features_column=asked)


def test_a_header_that_lies_about_its_size_allocates_nothing(tmp_path):
    header = {"descr": "<f8", "fortran_order": False, "shape": (10**12, 100)}
    with open(tmp_path / "x.npy", "wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        file.write(b"0" * 64)
    with pytest.raises(UnreadableSource, match=r"no plain \.npy array"):
        import_features(tmp_path / "x.npy")


class Bomb:
    """Unpickling it would make a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (Path(self.path),)


@pytest.mark.parametrize("kind", [".pt", ".pth", ".npy", ".npz", ".safetensors", ".parquet"])
def test_a_malicious_file_is_refused_and_never_run(tmp_path, kind):
    mark = tmp_path / "exploded"
    path = tmp_path / f"x{kind}"
    bomb = Bomb(str(mark))
    if kind in (".pt", ".pth"):
        torch = pytest.importorskip("torch")
        torch.save({"x": torch.zeros(2), "labels": bomb}, path)
    elif kind == ".npy":
        np.save(path, np.array([bomb], dtype=object), allow_pickle=True)
    elif kind == ".npz":
        np.savez(path, x=np.array([bomb], dtype=object), labels=np.zeros(1, int))
    else:
        if kind == ".parquet":
            pytest.importorskip("pyarrow")
        path.write_bytes(pickle.dumps(bomb))
    with pytest.raises(GramlabError):
        import_features(path)
    assert not mark.exists()
    pickle.loads(pickle.dumps(bomb))  # planted: the bomb does go off where something unpickles it
    assert mark.exists()


def test_the_package_never_unpickles():
    package = Path(gramlab.__file__).parent
    bad = re.compile(r"\bpickle\.\w|import pickle|allow_pickle=True|weights_only=False|joblib")
    assert bad.search("import pickle")  # planted
    for path in package.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert not bad.search(text), path
        assert "torch.load(" not in text or "weights_only=True" in text, path


def test_what_cannot_be_read_says_what_can(tmp_path):
    with pytest.raises(UnreadableSource, match="was not found"):
        import_features(tmp_path / "no.npy")
    (tmp_path / "x.csv").write_text("1,2")
    with pytest.raises(UnreadableSource, match=r"unknown suffix '.csv'; accepted are"):
        import_features(tmp_path / "x.csv")
    np.savez(tmp_path / "x.npz", x=X, y=Y)
    with pytest.raises(InvalidSetting, match="brings its own labels"):
        import_features(tmp_path / "x.npz", labels=tmp_path / "y.npy")


def test_the_command_line_imports_and_says_what_it_read(tmp_path, capsys):
    np.savez(tmp_path / "x.npz", x=X, y=Y)
    out = str(tmp_path / "mine.safetensors")
    assert main(["features", "import", str(tmp_path / "x.npz"), "--out", out, "--json", "-"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["n_samples"], said["n_features"], said["n_classes"]) == (12, 3, 3)
    assert said["fingerprint"] == load_features(out).fingerprint
    assert main(["features", "verify", out, "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["fingerprint"] == said["fingerprint"]
    assert main(["features", "verify", out, "--quarantine"]) == 2
    assert "--quarantine is for feature folders" in capsys.readouterr().err
    assert main(["features"]) == 0
    assert "import" in capsys.readouterr().out


def test_an_imported_file_is_read_like_any_other(tmp_path):
    np.save(tmp_path / "x.npy", X)
    np.save(tmp_path / "y.npy", Y)
    found = import_features(tmp_path / "x.npy", labels=tmp_path / "y.npy")
    save_features(found, tmp_path / "mine.safetensors")
    assert load_features(tmp_path / "mine.safetensors") == found
