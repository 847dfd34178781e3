"""Files of other tools whose columns might be guessed, with what was put in written down."""

from __future__ import annotations

import csv
import io
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
from archives import damage
from hypothesis import strategies as st
from loss import Column, Put, texts_of
from scene import Scene, arrays
from tables import SPELT

__all__ = ["arrays_case", "columns_case", "csv_case", "imported"]

_NAMES = (
    "f0 f1 f2 f10 label class y target label2 clean_labels id index é e\u0301 a* [f0] =1+1".split()
)
_NAMES += ["", " ", "f 2", "f,3", "Unnamed: 0", "\u202ef", "\ufefff", "Label", "f0\n", "x" * 300]
_CELLS = [*"| |1_0|nan|inf|1e400|1e-400".split("|"), "9" * 5000, "0x1A", "٣", "1,5", '"', "-0.0"]
_CELLS += ["a\nb", "x" * 200_000, "\0", *"TRUE| 1.5 |١_0|+1|1e3|'1|=1|None|1d2".split("|")]


def imported(draw: Any, scene: Scene, path: Path, put: Put) -> list[str]:
    """The command that imports a file, with options drawn: none, fitting ones, or any."""
    names = [c.name for c in put.columns]
    how = draw(st.sampled_from(["none", "fitting", "fitting", "fitting", "any"]))
    if how == "fitting":
        put.features = [c.name for c in put.columns if c.numbers is not None and c.name[:1] == "f"]
        put.features = [] if put.arrays else put.features[: draw(st.integers(0, 4))]
        labels = [c.name for c in put.columns if c.texts and c.name not in put.features]
        put.label = draw(st.sampled_from(labels)) if labels else None
        put.label = None if put.lines is not None else put.label
        left = [c.name for c in put.columns if c.name not in (*put.features, put.label)]
        left = left if put.features else [c.name for c in put.columns if c.numbers is None]
        put.dropped = [name for name in left if name != put.label]
    elif how == "any" and names:
        some = st.lists(st.sampled_from([*names, "none"]), max_size=3, unique=True)
        put.features, put.dropped = draw(some), draw(some)
        put.label = draw(st.sampled_from([None, *names]))
    argv = ["features", "import", str(path), "--out", str(scene.out / "o.safetensors")]
    for option, several in (("--feature-columns", put.features), ("--drop", put.dropped)):
        plain = several and all(set(name).isdisjoint(", \n*[") and name for name in several)
        joint = draw(st.sampled_from([",", " ", ", ", ",,", None])) if plain else None
        words = [joint.join(several)] if joint else several
        argv += [f"{option}={word}" for word in words]
    argv += [] if put.label is None else [f"--label-column={put.label}"]
    scene.put = put
    return argv


def _named(draw: Any, columns: list[Column]) -> list[Column]:
    """The same columns in another order, under names that may be twice."""
    columns = draw(st.permutations(columns))
    for column in columns:
        usual = column.name if draw(st.integers(0, 3)) else draw(st.sampled_from(_NAMES))
        column.name = usual
    return columns


def csv_case(draw: Any, scene: Scene) -> list[str]:
    """A CSV file as people have them."""
    x, y = arrays()["train_features"], arrays()["train_labels"]
    n, some = len(x), draw(st.sampled_from(SPELT))
    tables = {f"f{j}": [repr(float(v)) for v in x[:, j]] for j in range(3)}
    tables["label"] = [some[i % len(some)] for i in y]
    more = {
        "label2": [str(i) for i in y],
        "id": [str(i) for i in range(n)],
        "f10": ["1"] * n,
        "split": ["train"] * n,
        "flag": ["1.0", "0.0"] * (n // 2),
        "odd": [draw(st.sampled_from(_CELLS)), *tables["f0"][1:]],
    }
    for name in draw(st.lists(st.sampled_from([*more]), max_size=2, unique=True)):
        tables[name] = more[name]
    columns = _named(draw, [Column(name, texts=cells) for name, cells in tables.items()])
    header, cells = [c.name for c in columns], [c.texts or [] for c in columns]
    for column in columns:
        try:
            numbers = [float("no" if "_" in cell else cell) for cell in column.texts or []]
        except ValueError:
            continue
        column.numbers = np.array(numbers)
        column.other = len({*numbers}) > 1 and all(v == round(v) for v in numbers if abs(v) < 1e9)
    text = io.StringIO(newline="")
    lines = csv.writer(text, quoting=draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL])))
    rows = [header, *map(list, zip(*cells, strict=True))]
    how = draw(st.sampled_from(["whole"] * 9 + ["ragged", "long", "blank", "damage"]))
    at = draw(st.integers(0, n))
    rows[at] = {"ragged": rows[at][:-1], "long": [*rows[at], "1"]}.get(how, rows[at])
    lines.writerows(rows[:at] + [[]] * (how == "blank") + rows[at:])
    ends = draw(st.sampled_from(["\r\n", "\n", "\r"]))
    encodings = ["utf-8"] * 9 + ["utf-8-sig"] * 2 + ["latin-1", "utf-16", "cp1252", "cp037"]
    encoding = draw(st.sampled_from(encodings))
    content = text.getvalue().replace("\r\n", ends).encode(encoding, "replace")
    path = scene.inputs / draw(st.sampled_from(["a.csv", "A.CSV", "é\udcff.csv"]))
    path.write_bytes(damage(draw, content) if how == "damage" else content)
    argv = imported(draw, scene, path, Put(columns))
    if how != "whole" or encoding not in ("utf-8", "utf-8-sig"):  # what is put in is not known
        scene.put = None
    return argv


def columns_case(draw: Any, scene: Scene) -> list[str]:
    """A Parquet file of columns of every type, some of them perhaps labels."""
    import pyarrow as pa
    from pyarrow import parquet

    x, y = arrays()["train_features"], arrays()["train_labels"].tolist()
    n, some = len(x), draw(st.sampled_from(SPELT))
    floats = x[:, 0].astype(np.float64).tolist()
    wide = draw(st.sampled_from([3, 2**53 + 1, -(2**63), 2**64 - 1]))
    types: dict[str, Any] = {
        "f0": pa.array(x[:, 0]),
        "f1": pa.array(x[:, 1].astype(np.float16)),
        "f2": pa.array([Decimal(i) / 8 for i in range(n)], pa.decimal128(9, 4)),
        "embedding": pa.array(x.tolist(), pa.list_(pa.float32())),
        "fixed": pa.FixedSizeListArray.from_arrays(pa.array(x.ravel()), 3),
        "ragged": pa.array([[1.0, 2.0], *x.tolist()[1:]]),
        "words": pa.array([["a", "b"]] * n),
        "label": pa.array([some[i % len(some)] for i in y]),
        "label2": pa.array(y, draw(st.sampled_from([pa.int8(), pa.uint64(), pa.float32()]))),
        "whole": pa.array([wide, *range(n - 1)], pa.uint64() if wide > 0 else pa.int64()),
        "flag": pa.array([True, False] * (n // 2)),
        "coded": pa.array(["a", "b"] * (n // 2)).dictionary_encode(),
        "codes": pa.array([0.5, 1.5] * (n // 2)).dictionary_encode(),
        "nested": pa.array([{"a": v} for v in floats]),
        "deep": pa.array([[[v]] for v in floats]),
        "null": pa.array([None, *floats[1:]]),
        "nulls": pa.nulls(n),
        "gap": pa.array([None, *[[v] for v in floats[1:]]]),
        "hole": pa.array([[None], *[[v] for v in floats[1:]]]),
        "time": pa.array(range(n), pa.timestamp("us")),
        "tenths": pa.array([Decimal(i) for i in y], pa.decimal128(9, 2)),
        "bytes": pa.array([b"\xff" if draw(st.booleans()) else b"b", *[b"a"] * (n - 1)]),
    }
    names = draw(st.lists(st.sampled_from([*types]), max_size=3, unique=True))
    names = [*{*names, *draw(st.sampled_from([["f0", "label"], ["embedding", "label"], ["f1"]]))}]
    columns = []
    for name in sorted(names):
        values, column = types[name].to_pylist(), Column(name)
        kind = str(types[name].type)
        if name not in ("nested", "deep", "gap", "hole", "embedding", "fixed", "ragged", "words"):
            exact = [int(v) if isinstance(v, Decimal) and v == int(v) else v for v in values]
            fit = [not isinstance(v, (Decimal, bytes)) or v == b"a" or v == b"b" for v in exact]
            column.texts = texts_of(exact) if all(fit) and name != "time" else None
        if None not in values and kind not in ("string", "binary"):
            if name not in ("coded", "codes", "nested", "deep", "hole", "time", "ragged", "words"):
                column.numbers = np.array(values, dtype=np.float64)
                column.other = kind in ("bool", "int8", "uint64", "int64") or name in (
                    "label2",
                    "tenths",
                )
        column.made = types[name]  # type: ignore[attr-defined]
        columns.append(column)
    columns = _named(draw, columns)
    table = pa.Table.from_arrays([c.made for c in columns], names=[c.name for c in columns])  # type: ignore[attr-defined]
    put = Put(columns)
    if draw(st.integers(0, 2)) == 0:  # as pandas writes its index
        put.index = ["__index_level_0__"]
        table = table.append_column("__index_level_0__", pa.array(range(n)))
        columns.append(Column("__index_level_0__", np.arange(n), texts_of([*range(n)]), True))
        said = {
            "index_columns": draw(st.sampled_from([put.index, put.index, [], [{"kind": "range"}]]))
        }
        put.index = put.index if put.index == said["index_columns"] else []
        said |= {"column_indexes": [], "columns": []}
        table = table.replace_schema_metadata({"pandas": json.dumps(said)})
    path = scene.inputs / "a.parquet"
    parquet.write_table(table, path, row_group_size=draw(st.sampled_from([5, 100])))
    return imported(draw, scene, path, put)


def arrays_case(draw: Any, scene: Scene) -> list[str]:
    """Arrays by name, in .npz or .pt, of which some are known and some nobody knows."""
    kept = arrays()
    x, y = kept["train_features"], kept["train_labels"]
    n, some = len(x), draw(st.sampled_from(SPELT))
    dtypes = st.sampled_from([np.float32, np.float64, np.float16, ">f4", np.int16, np.complex64])
    labels = st.sampled_from([y, y + 1, 5 * y, y.astype(np.float32), y > 0, y[:, None], y - 0.5])
    texts = np.array([some[i % len(some)] for i in y])
    names = st.sampled_from(["x", "features", "embeddings", "train_features", "z"])
    made: dict[str, Any] = {draw(names): np.round(4 * x).astype(draw(dtypes))}
    torch_too = draw(st.booleans())
    made[draw(st.sampled_from(["labels", "y", "target", "class", "z2"]))] = draw(
        labels if torch_too else labels | st.just(texts)
    )
    more = {
        "test_features": kept["test_features"].astype(np.float64),
        "test_labels": draw(st.sampled_from([kept["test_labels"], kept["test_labels"] + 1])),
        "class_names": np.array(
            ["ant", "é", draw(st.sampled_from(["e\u0301", "\u202e", "=1", "ant", ""]))]
        ),
        "superclasses": kept["coarse_of_class"],
        "ids": np.arange(n),
        "embedding": 2.0 * x,
        "labels": y[::-1].copy(),
    }
    for name in draw(st.lists(st.sampled_from([*more]), max_size=3, unique=True)):
        if not (torch_too and name == "class_names"):
            made.setdefault(name, more[name])
    columns = []
    for name, array in made.items():
        column = Column(name, texts=texts_of(array.tolist()) if array.ndim == 1 else None)
        column.numbers = array if array.dtype.kind in "iubf" and array.ndim == 2 else None
        columns.append(column)
    if not torch_too:
        path = scene.inputs / "a.npz"
        np.savez(path, **made)
        return imported(draw, scene, path, Put(columns, arrays=True))
    import torch

    native = {name: array.astype(array.dtype.newbyteorder("=")) for name, array in made.items()}
    tensors: dict[str, Any] = {name: torch.from_numpy(array) for name, array in native.items()}
    odd = draw(st.sampled_from(["none"] * 6 + ["sparse", "outside", "shared", "number", "half"]))
    first = next(iter(tensors))
    if odd == "sparse":
        tensors[first] = tensors[first].to_sparse()
    elif odd == "outside":  # indices that lie beyond its shape
        place, value = torch.tensor([[draw(st.sampled_from([12, -1, 2**40]))], [0]]), torch.ones(1)
        tensors[first] = torch.sparse_coo_tensor(place, value, (n, 3), check_invariants=False)
        columns[0].numbers = None
    elif odd == "shared":  # 2^40 numbers, if they were counted
        value: Any = [0.0]
        for _ in range(40):
            value = [value, value]
        tensors["shared"] = value
        columns.append(Column("shared"))
    elif odd == "number":
        tensors["epoch"] = 3
        columns.append(Column("epoch"))
    elif odd == "half" and made[first].dtype.kind == "f":
        tensors[first] = tensors[first].to(torch.bfloat16)  # holds such small numbers exactly
        columns[0].numbers = made[first].astype(np.float32)
    path = scene.inputs / draw(st.sampled_from(["a.pt", "a.pth", "a.bin"]))
    torch.save(tensors, path)
    return imported(draw, scene, path, Put(columns, arrays=True))
