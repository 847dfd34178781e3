"""Features of other tools: what is read, what is refused, and that nothing is ever unpickled."""

import json
import pickle
import re
import tracemalloc
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from conftest import examples
from hypothesis import given
from hypothesis import strategies as st

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
    for options in ({}, {"label_column": "y"}, {"feature_columns": "x", "drop": "y"}):
        with pytest.raises(InvalidSetting, match="--labels FILE") as caught:
            import_features(tmp_path / "x.npy", **options)
        assert "--label-column" not in str(caught.value)  # an array has no column to name


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


def labelled(folder, text):
    """Features of as many rows as a text file has labels."""
    (folder / "y.txt").write_text(text, encoding="utf-8")
    np.save(folder / "x.npy", RNG.standard_normal((text.count("\n"), 2)))
    return import_features(folder / "x.npy", labels=folder / "y.txt")


# Guesses that are not made


@pytest.mark.parametrize(
    ("lines", "names", "labels"),
    [
        (["01", "1", "01"], ("01", "1"), [0, 1, 0]),
        (["1", "2", "3", "1"], ("1", "2", "3"), [0, 1, 2, 0]),
        (["10", "9", "-1", "9"], ("-1", "9", "10"), [2, 1, 0, 1]),
        (["1.0", "1", "1e0"], ("1", "1.0", "1e0"), [1, 0, 2]),
        (["b", "A", "a b"], ("A", "a b", "b"), [2, 0, 1]),
        (["a\x0bb", "a\u2028b", "a\x85b"], ("a\x0bb", "a\x85b", "a\u2028b"), [0, 2, 1]),
    ],
)
def test_labels_as_they_stand_name_the_classes(tmp_path, lines, names, labels):
    found = labelled(tmp_path, "".join(f"{line}\n" for line in lines))
    assert found.class_names == names
    assert found.labels.tolist() == labels
    assert "spellings" not in found.provenance


@pytest.mark.parametrize(
    "text", ["label\na\nb\n", "Y\n0\n1\n", "species\n0\n1\n1\n", "no. 1\n1.5\n2.5\n"]
)
def test_a_header_of_labels_is_refused_also_where_their_number_is_right(tmp_path, text):
    with pytest.raises(InvalidLabels, match=r"in line 1, which looks like a header; remove"):
        labelled(tmp_path, text)


@pytest.mark.parametrize("text", ["y\nn\ny\n", "label\nother\nlabel\n", "cat\n0\ncat\n", "a\nb\n"])
def test_a_class_that_is_called_like_a_header_is_one(tmp_path, text):
    found = labelled(tmp_path, text)
    assert [found.class_names[k] for k in found.labels] == text.split()


@pytest.mark.parametrize("text", ["a\n\nb\n", "\na\nb\n", "a\nb\n\n", "label\na\nb\n \n"])
def test_a_blank_line_of_labels_is_named(tmp_path, text):
    with pytest.raises(InvalidLabels, match=r"got none in line \d; remove the line"):
        labelled(tmp_path, text)


def test_spellings_of_one_name_are_one_class_and_told(tmp_path):
    found = labelled(tmp_path, "café\ncafe\u0301\nbar\nnai\u0308f\n")
    assert found.class_names == ("bar", "café", "nai\u0308f")  # one spelling stands as it is
    assert found.labels.tolist() == [1, 1, 0, 2]
    assert found.provenance["spellings"] == {"café": ["cafe\u0301", "café"]}


@pytest.mark.parametrize("kind", [np.int8, np.uint64, np.float32, np.float64])
@pytest.mark.parametrize("first", [0, 1, 5])
def test_numbers_from_1_or_with_gaps_are_classes(tmp_path, kind, first):
    np.save(tmp_path / "x.npy", X)
    np.save(tmp_path / "y.npy", (first + 2 * Y).astype(kind))
    found = import_features(tmp_path / "x.npy", labels=tmp_path / "y.npy")
    assert found.class_names == tuple(str(first + 2 * k) for k in range(3))
    assert np.array_equal(found.labels, Y)


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (Y + 0.5, "got 0.5 in row 0"),
        (np.where(Y == 1, np.nan, 0), "no label in row 1"),
        (np.where(Y == 1, np.inf, 0), "infinity"),
        (np.where(Y == 1, "", "a"), "no label in row 1"),
        (np.where(Y == 1, b"\xff", b"a"), "utf-8"),
        (Y + 0j, "must hold integers, got dtype complex128"),
        (Y[:, None], "must be 1-D"),
        (Y[:-1], r"in 'x\.npy': .* expected 12, got 11"),
    ],
)
def test_labels_that_are_none_are_refused(tmp_path, labels, said):
    np.save(tmp_path / "x.npy", X)
    np.save(tmp_path / "y.npy", labels)
    with pytest.raises(InvalidLabels, match=said):
        import_features(tmp_path / "x.npy", labels=tmp_path / "y.npy")


@examples(40)
@given(
    st.lists(
        st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), min_size=1),
        min_size=2,
        max_size=8,
        unique_by=lambda text: text,
    )
)
def test_every_name_comes_back(tmp_path_factory, names):
    import csv

    folder = tmp_path_factory.mktemp("names")
    with open(folder / "a.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(
            [["f", "label"], *([k + 0.5, name] for k, name in enumerate(names))]
        )
    forms = [unicodedata.normalize("NFC", name) for name in names]
    if len(set(forms)) < 2:
        return
    found = import_features(folder / "a.csv")
    assert [unicodedata.normalize("NFC", found.class_names[k]) for k in found.labels] == forms
    if len(set(forms)) == len(forms):
        assert [found.class_names[k] for k in found.labels] == names


TABLE = {"f0": [0.5, 1.5, 2.5], "f1": [1.0, 2.5, 3.0], "label": ["a", "b", "a"]}


def table(path, columns):
    if path.suffix == ".csv":
        rows = zip(*columns.values(), strict=True)
        lines = [",".join(map(str, row)) for row in (columns, *rows)]
        path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8-sig")
    else:
        pa = pytest.importorskip("pyarrow")
        from pyarrow import parquet

        parquet.write_table(pa.table(columns), path)
    return path


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("true_label", [0.0, 1.0, 0.0]),
        ("target", [0.0, 1.0, 0.0]),
        ("y", [1.0, 2.0, 3.0]),
        ("Class 2", [0.0, 1.0, 2.0]),
        ("id", [1.5, 2.5, 3.5]),
        ("Unnamed: 0", [0.0, 1.0, 2.0]),
        ("__index_level_0__", [0.0, 1.0, 2.0]),
        ("split", ["train", "train", "test"]),
    ],
)
def test_a_table_goes_in_wholly_or_what_is_left_over_is_named(tmp_path, suffix, name, values):
    path = table(tmp_path / f"a{suffix}", TABLE)
    assert np.array_equal(import_features(path).x, np.array([TABLE["f0"], TABLE["f1"]]).T)
    table(path, {**TABLE, name: values})
    with pytest.raises(InvalidSetting) as caught:
        import_features(path)
    said = str(caught.value)
    for part in (repr(name), "--feature-columns", "--label-column", "--drop"):
        assert part in said
    assert import_features(path, drop=[name]).n_features == 2
    assert import_features(path, drop=name).n_features == 2
    if values[0] != "train":
        found = import_features(path, feature_columns=["f*", name], label_column="label")
        assert found.x[:, 2].tolist() == values
        if len(set(values)) == 2:
            with_it = import_features(path, label_column=name, drop="label")
            assert with_it.n_features == 2


@pytest.mark.parametrize("values", ["whole", "yes or no", "decimal"])
def test_other_numbers_of_parquet_are_never_left_out_silently(tmp_path, values):
    pa = pytest.importorskip("pyarrow")
    from decimal import Decimal

    third = {
        "whole": [1, 2, 3],
        "yes or no": [True, False, True],
        "decimal": [Decimal("1.5"), Decimal("2.25"), Decimal("3.75")],
    }[values]
    path = table(tmp_path / "a.parquet", {**TABLE, "g": pa.array(third)})
    if values != "decimal":
        kind = {"whole": "whole numbers", "yes or no": "boolean"}[values]
        with pytest.raises(InvalidSetting, match=rf"1 left over: 'g' \({kind}\)"):
            import_features(path)
    found = import_features(path, feature_columns="f0,f1,g")
    assert found.x[:, 2].tolist() == [float(value) for value in third]
    assert import_features(path, features_column="g", drop="f*").x.shape == (3, 1)


@pytest.mark.parametrize("kind", ["csv", "parquet", "lists", "npz", "pt"])
@pytest.mark.parametrize("value", [2**53, 2**53 + 1, -(2**53) - 1, 2**60])
def test_whole_numbers_come_in_exactly_or_are_refused_by_their_place(tmp_path, kind, value):
    numbers, labels = [1, 2, value], [0, 1, 1]
    path = tmp_path / f"a.{'parquet' if kind == 'lists' else kind}"
    if kind in ("csv", "parquet"):
        table(path, {"g": numbers, "label": labels})
    elif kind == "lists":
        table(path, {"g": [[number] for number in numbers], "label": labels})
    elif kind == "npz":
        np.savez(path, x=np.array(numbers)[:, None], y=labels)
    else:
        torch = pytest.importorskip("torch")
        torch.save({"x": torch.tensor(numbers)[:, None], "y": torch.tensor(labels)}, path)
    options = {"feature_columns": "g"} if kind in ("csv", "parquet", "lists") else {}
    if abs(value) <= 2**53:
        assert import_features(path, **options).x[:, 0].tolist() == numbers
        return
    with pytest.raises(GramlabError, match=str(value)) as caught:
        import_features(path, **options)
    assert ("'g'" if options else "row 2, column 0") in str(caught.value)


def test_decimals_of_parquet_are_rounded_once(tmp_path):
    from decimal import Decimal

    numbers = [Decimal(k).scaleb(-k % 9) / 10**9 for k in range(1, 2000, 7)]
    labels = [k % 2 for k in range(len(numbers))]
    for column in (numbers, [[number] for number in numbers]):
        path = table(tmp_path / "a.parquet", {"f": column, "label": labels})
        assert import_features(path).x[:, 0].tolist() == [float(number) for number in numbers]


def test_numbers_written_with_a_point_or_an_exponent_may_be_large(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("f,label\n1e300,a\n9007199254740993.0,b\n2,a\n")
    assert import_features(path, feature_columns="f").x[:, 0].tolist() == [1e300, 2.0**53, 2.0]


@pytest.mark.parametrize(
    "labels", [[1, 2, 2], [True, False, True], ["01", "1", "01"], [b"a", b"b", b"a"]]
)
def test_labels_of_parquet_of_every_kind(tmp_path, labels):
    path = table(tmp_path / "a.parquet", {**TABLE, "label": labels})
    found = import_features(path)
    texts = [one.decode() if isinstance(one, bytes) else str(one) for one in labels]
    assert [found.class_names[k] for k in found.labels] == texts


def test_names_with_commas_and_several_lists(tmp_path):
    path = table(tmp_path / "a.parquet", {"a,b": [1.5, 2.5, 3.5], "c": [1.0, 2.0, 3.0], **TABLE})
    assert import_features(path, feature_columns=["a,b", "c"], drop="f0,f1").n_features == 2
    assert import_features(path, feature_columns=["a,b"], drop=["f0, f1", "c"]).n_features == 1
    lists = {"one": [[1.0], [2.0]], "two": [[1.0, 2.0], [3.0, 4.0]], "label": [0, 1]}
    table(path, lists)
    for options in ({}, {"feature_columns": "one,two"}, {"feature_columns": "one"}):
        with pytest.raises(InvalidSetting, match="cannot be told"):
            import_features(path, **options)
    assert import_features(path, feature_columns="two", drop="one").n_features == 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no CSV file"),
        ("f,label\n1,a\n\n2,b\n", r"row 1 has 0 cells, the header 2"),
        ("f,label\n1,a\n2,b,c\n", r"row 1 has 3 cells, the header 2"),
        ("f,f,label\n1,2,a\n2,3,b\n", "more than one column 'f'"),
        ("f;label\n1;a\n2;b\n", "parted by ';'"),
        ("f\tlabel\n1\ta\n", "parted by"),
        ("0.12,a\n1.5,b\n", "first row is no header"),
        ("-1,1e3,a\n-2,2,b\n", "first row is no header"),
        ("f,label\n,a\n2.5,b\n", "must be finite, got nan at row 0, column 0"),
        ("f,label\n,a\n2,b\n3,b\n", r"'f' \(whole numbers\)"),
        ("f,g,label\n,1.5,a\n,2,b\n", r"'f' \(nothing in any row\)"),
        ("f,label\n1.5,a\n1_0,b\n", r"'f' \(text, '1_0' in row 1\)"),
        ("f,label\nnan,a\n2,b\n", "must be finite"),
        ("f,label\n1.5,\n2,b\n", "no label in row 0"),
        ('f,label\n1,"a\n2,b\n', "no CSV file"),
        ("f,g\n1.5,2.5\n2,3\n", "holds no labels"),
        ("f,label\n", "no row below its header"),
    ],
)
def test_csv_that_makes_no_features_is_refused(tmp_path, text, said):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(GramlabError, match=said) as caught:
        import_features(tmp_path / "a.csv")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize("other", [[0, 1, 0], [0.0, 1.0, 0.0], [7, 8, 9]])
@pytest.mark.parametrize("name", ["y_true", "clean", "gt", "sample_id", "fold"])
def test_other_labels_and_row_numbers_never_become_features(tmp_path, suffix, other, name):
    path = table(tmp_path / f"a{suffix}", {**TABLE, name: other})
    with pytest.raises(InvalidSetting, match=rf"1 left over: '{name}' \(whole numbers\)"):
        import_features(path)
    assert import_features(path, drop=name).n_features == 2
    assert import_features(path, feature_columns="f0,f1,f*", drop=name).n_features == 2
    assert import_features(path, feature_columns=["f0", "f1", name]).n_features == 3


def test_a_feature_that_never_fires_is_one(tmp_path):
    path = table(tmp_path / "a.csv", {**TABLE, "f2": [0, 0, 0]})
    assert import_features(path).n_features == 3


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"feature_columns": "f0,note"}, r"'note' .* for features: it holds text, 'x' in row 0"),
        ({"feature_columns": "f0,f9"}, "no column 'f9'"),
        ({"drop": "*"}, "cannot be told"),
        ({"drop": 3}, "drop must be a name or a list of names, got 3"),
        ({"feature_columns": ["f0", 3]}, "feature_columns must be a name"),
        ({"label_column": 3}, "label_column must be a name"),
    ],
)
def test_a_choice_that_cannot_be_is_told_why(tmp_path, options, said):
    path = table(tmp_path / "a.csv", {**TABLE, "note": ["x", "y", "z"]})
    with pytest.raises(InvalidSetting, match=said):
        import_features(path, **options)


def test_labels_in_a_list_are_no_tensor(tmp_path):
    torch = pytest.importorskip("torch")
    torch.save({"x": torch.rand(6, 2), "y": [0, 1] * 3}, tmp_path / "a.pt")
    with pytest.raises(InvalidSetting, match=r"'y' .* for labels: it holds a list and no tensor"):
        import_features(tmp_path / "a.pt", label_column="y")
    with pytest.raises(InvalidSetting, match=r"'y' \(a list and no tensor\)"):
        import_features(tmp_path / "a.pt")


def test_csv_without_labels_takes_a_file_of_labels(tmp_path):
    path = table(tmp_path / "a.csv", {"0": [1.5, 2, 3], "1": [4, 5.5, 6]})
    (tmp_path / "y.txt").write_text("a\nb\na\n")
    found = import_features(path, labels=tmp_path / "y.txt")
    assert found.x.tolist() == [[1.5, 4], [2, 5.5], [3, 6]]
    table(path, TABLE)
    with pytest.raises(InvalidSetting, match=r"own labels in 'label'; .* or --drop label"):
        import_features(path, labels=tmp_path / "y.txt")
    assert import_features(path, labels=tmp_path / "y.txt", drop="label").n_features == 2


@pytest.mark.parametrize("suffix", [".npz", ".pt"])
def test_arrays_under_usual_names_and_what_is_left_over(tmp_path, suffix):
    def save(**arrays):
        if suffix == ".npz":
            np.savez(tmp_path / "a.npz", **arrays)
        else:
            torch = pytest.importorskip("torch")
            tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
            torch.save(tensors, tmp_path / "a.pt")
        return tmp_path / f"a{suffix}"

    found = import_features(save(embeddings=X, label=Y + 1, test_x=X, test_labels=Y + 1))
    assert found.class_names == ("1", "2", "3")
    assert np.array_equal(found.labels, Y)
    assert np.array_equal(found.test_labels, Y)
    path = save(x=X, y=Y, labels=Y, embeddings=X)
    with pytest.raises(InvalidSetting, match=r"2 left over: 'y' \(array\), 'embeddings'"):
        import_features(path)
    assert import_features(path, drop="y,emb*").n_features == 3
    assert import_features(path, feature_columns="x", label_column="y", drop="*s").n_samples == 12
    with pytest.raises(InvalidSetting, match="cannot be told"):
        import_features(path, feature_columns="x,embeddings", drop="y")
    with pytest.raises(InvalidSetting, match="no column 'z'"):
        import_features(path, label_column="z")
    path = save(x=X)
    with pytest.raises(InvalidSetting, match="holds no labels; give them with --labels FILE"):
        import_features(path)
    np.save(tmp_path / "y.npy", Y)
    assert np.array_equal(import_features(path, labels=tmp_path / "y.npy").labels, Y)
    with pytest.raises(InvalidSetting, match=r"classes without a training row: \['3'\]"):
        import_features(save(x=X, y=Y, test_x=X, test_labels=Y + 1))


def test_class_names_of_an_archive_are_those_of_the_numbers(tmp_path):
    np.savez(tmp_path / "a.npz", x=X, y=Y, class_names=["c", "b", "a"], superclasses=[0, 0, 1])
    found = import_features(tmp_path / "a.npz")
    assert found == load_features(tmp_path / "a.npz")
    assert found.class_names == ("c", "b", "a")


def test_files_of_gramlab_leave_nothing_to_choose(tmp_path):
    save_features(gramlab.Features(X, Y), tmp_path / "a.safetensors")
    for options in ({"labels": "y"}, {"drop": "x"}, {"label_column": "y"}):
        with pytest.raises(InvalidSetting, match="leave --labels and the options about columns"):
            import_features(tmp_path / "a.safetensors", **options)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_tensors_keep_their_precision(tmp_path, dtype):
    torch = pytest.importorskip("torch")
    x = torch.from_numpy(X.astype(dtype))
    for name, content in {"a.pt": {"x": x, "y": torch.from_numpy(Y)}, "b.pth": x}.items():
        torch.save(content, tmp_path / name)
    np.save(tmp_path / "y.npy", Y)
    for found in (
        import_features(tmp_path / "a.pt"),
        import_features(tmp_path / "b.pth", labels=tmp_path / "y.npy"),
    ):
        assert found.x.dtype == dtype
        assert found.x.tobytes() == X.astype(dtype).tobytes()


# Files that crash, hang or take all memory


@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support")
@pytest.mark.parametrize("kind", ["rows", "columns", "coordinates"])
def test_sparse_tensors_that_point_outside_are_refused(tmp_path, kind):
    torch = pytest.importorskip("torch")
    far, ones = 10**9, torch.ones(4)
    tensor = {
        "rows": lambda: torch.sparse_csr_tensor(
            [0, far, 2, 3, 4], [0, 0, 0, 0], ones, (4, 3), check_invariants=False
        ),
        "columns": lambda: torch.sparse_csr_tensor(
            [0, 1, 2, 3, 4], [0, 0, 0, far], ones, (4, 3), check_invariants=False
        ),
        "coordinates": lambda: torch.sparse_coo_tensor(
            [[0, far], [0, far]], ones[:2], (4, 3), check_invariants=False
        ),
    }[kind]()
    torch.save({"x": tensor, "labels": torch.tensor([0, 1, 0, 1])}, tmp_path / "a.pt")
    with pytest.raises(UnreadableSource, match="not of tensors only"):
        import_features(tmp_path / "a.pt")
    assert not torch.sparse.check_sparse_tensor_invariants.is_enabled()  # left as it was


@pytest.mark.parametrize("where", ["x", "labels", "pair", "alone"])
def test_lists_that_unfold_without_end_are_refused_at_once(tmp_path, where):
    torch = pytest.importorskip("torch")
    part = [1.0, 1.0]
    for _ in range(60):
        part = [part, part]
    y = torch.arange(2)
    content = {
        "x": {"x": part, "labels": y},
        "labels": {"x": torch.ones(2, 1), "labels": part},
        "pair": (part, y),
        "alone": [part, part, part],
    }[where]
    torch.save(content, tmp_path / "a.pt")
    with pytest.raises(GramlabError, match="list"):
        import_features(tmp_path / "a.pt")


def test_names_in_a_file_of_tensors_must_differ_as_text(tmp_path):
    torch = pytest.importorskip("torch")
    torch.save({0: torch.ones(2, 1), "0": torch.ones(2, 1)}, tmp_path / "a.pt")
    with pytest.raises(UnreadableSource, match="names that differ"):
        import_features(tmp_path / "a.pt")


def test_long_labels_take_their_room_once(tmp_path):
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    names = pa.array(["a" * 300_000 + end for end in "01"])
    labels = pa.DictionaryArray.from_arrays(pa.array(np.arange(600) % 2), names)
    columns = {"x": [[float(row % 7)] for row in range(600)], "label": labels}
    for keep in (True, False):  # with the schema, and as plain text of 180 MB
        parquet.write_table(
            pa.table(columns), tmp_path / "a.parquet", compression="zstd", store_schema=keep
        )
        before = pa.total_allocated_bytes()
        tracemalloc.start()
        try:
            found = import_features(tmp_path / "a.parquet")
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak < 20_000_000
        assert pa.total_allocated_bytes() - before < 20_000_000
        assert [len(name) for name in found.class_names] == [300_001, 300_001]
        assert np.array_equal(found.labels, np.arange(600) % 2)


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
        (
            {"x": ["a", "b"], "label": [0, 1]},
            "x",
            r"'x' of .* cannot be taken for features: it holds string",
        ),
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
    (tmp_path / "x.tsv").write_text("1,2")
    with pytest.raises(UnreadableSource, match=r"suffix '.tsv'; accepted are"):
        import_features(tmp_path / "x.tsv")
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


def test_the_command_line_takes_names_with_commas_and_several_times(tmp_path, capsys):
    path = table(
        tmp_path / "a.csv", {"id": [7, 8, 9], "g": [1, 2, 4], **TABLE, "target": [0, 1, 1]}
    )
    argv = ["features", "import", str(path), "--out", str(tmp_path / "a.safetensors")]
    assert main(argv) == 2
    said = capsys.readouterr().err
    for part in ("'id' (whole numbers)", "'target' (whole numbers)", "--feature-columns", "--drop"):
        assert part in said
    chosen = ["--feature-columns", "f0,f1", "--feature-columns", "g", "--label-column", "label"]
    assert main([*argv, *chosen, "--drop", "id, target", "--quiet"]) == 0
    found = load_features(tmp_path / "a.safetensors")
    assert found.x.T.tolist() == [TABLE["f0"], TABLE["f1"], [1, 2, 4]]
    assert main([*argv, "--features-column", "f?", "--drop", "id", "--drop", "g,label"]) == 0
    assert load_features(tmp_path / "a.safetensors").class_names == ("0", "1")


def test_an_imported_file_is_read_like_any_other(tmp_path):
    np.save(tmp_path / "x.npy", X)
    np.save(tmp_path / "y.npy", Y)
    found = import_features(tmp_path / "x.npy", labels=tmp_path / "y.npy")
    save_features(found, tmp_path / "mine.safetensors")
    assert load_features(tmp_path / "mine.safetensors") == found


def test_labels_of_no_readable_kind_are_refused_by_name(tmp_path):
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    far = pa.array([2**62, 0, 1], pa.int64()).cast(pa.timestamp("us"))
    wrong = pa.array([b"\xff", b"a", b"b"], pa.binary()).view(pa.string())
    own = pa.field("label", pa.int64(), metadata={"ARROW:extension:name": "pandas.period"})
    path = tmp_path / "a.parquet"
    for field, labels in (
        (pa.field("label", far.type), far),
        (pa.field("label", pa.string()), wrong),
        (own, pa.array([1, 2, 3], pa.int64())),
    ):
        columns = [pa.array([0.5, 1.5, 2.5]), labels]
        parquet.write_table(
            pa.Table.from_arrays(columns, schema=pa.schema([pa.field("f", pa.float64()), field])),
            path,
        )
        with pytest.raises(GramlabError, match="'label'") as caught:
            import_features(path)
        assert "--label-column" in str(caught.value) or "name another" in str(caught.value)
    parquet.write_table(pa.table({"x": [[far[1]], [far[2]]], "label": ["a", "b"]}), path)
    with pytest.raises(InvalidSetting, match="lists of timestamp"):
        import_features(path)
    parquet.write_table(
        pa.table({"f": pa.array([], pa.float64()), "label": pa.array([], "string")}), path
    )
    with pytest.raises(InvalidFeatures, match="at least one row"):
        import_features(path)


def test_superclasses_by_number_do_not_follow_labels_that_are_names(tmp_path):
    arrays = {"x": X, "labels": np.array(["b", "a", "c"] * 4), "superclasses": np.array([0, 0, 1])}
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(InvalidSetting, match="--drop superclasses"):
        import_features(tmp_path / "a.npz")
    assert import_features(tmp_path / "a.npz", drop="superclasses").n_classes == 3
    np.savez(tmp_path / "a.npz", **arrays | {"labels": Y})
    assert import_features(tmp_path / "a.npz").superclasses.tolist() == [0, 0, 1]


def test_a_label_file_of_another_encoding_is_refused(tmp_path):
    np.save(tmp_path / "x.npy", X)
    (tmp_path / "y.txt").write_bytes("\n".join("ab" * 6).encode("utf-16-le"))
    with pytest.raises(InvalidLabels, match="UTF-8"):
        import_features(tmp_path / "x.npy", labels=tmp_path / "y.txt")


def test_blanks_of_every_kind_around_a_label_are_no_part_of_it(tmp_path):
    np.save(tmp_path / "x.npy", np.eye(4))
    text = "cat\ncat\u00a0\n\u2003dog \ndog\t\r\n"
    (tmp_path / "y.txt").write_bytes(text.encode())
    features = import_features(tmp_path / "x.npy", labels=tmp_path / "y.txt")
    assert features.class_names == ("cat", "dog")
    assert features.labels.tolist() == [0, 0, 1, 1]
