"""Damaged and hostile Parquet files, PyTorch files and lists of labels."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from archives import Touch, damage
from hypothesis import strategies as st
from loss import Column, Put
from scene import Scene, arrays

SPELT = [
    ["01", "1"],
    ["3", "10", "7"],
    ["é", "e\u0301"],
    ["e\u0301", "a"],
    ["a ", " a"],
    ["0", "1"],
]
SPELT += [
    ["True", "False"],
    ["-1", "+1"],
    ["nan", "a"],
    ["=1+1", "\u202e"],
    ["", "a"],
    ["a\0", "a"],
]
SPELT += [["1_0", "10"], ["1.0", "1"], ["\ufeffa", "a"], ["a\x85b", 'a"b'], ["9" * 30, "8"]]

__all__ = ["label_case", "parquet_case", "torch_case"]


def label_case(draw: Any, scene: Scene) -> tuple[Path, Path]:
    """Good features and a text file of labels."""
    x = scene.inputs / "x.npy"
    np.save(x, arrays()["train_features"])
    path = scene.inputs / draw(st.sampled_from(["y.txt", "y.csv", "y", "caf\udce9.txt"]))
    how = draw(
        st.sampled_from(["lines", "lines", "spelt", "spelt", "binary", "long", "wide", "link"])
    )
    if how == "spelt":  # what may be taken for other labels than it is
        some = draw(st.sampled_from(SPELT))
        text = "".join(f"{some[i % len(some)]}\n" for i in range(12))
        begin, end = (
            draw(st.sampled_from(["", "", "\ufeff", "\n"])),
            draw(st.sampled_from(["", "\n"])),
        )
        text = (begin + text + end).replace("\n", draw(st.sampled_from(["\n", "\r\n", "\r"])))
        path.write_bytes(text.encode())
    elif how == "lines":
        line = st.one_of(
            st.sampled_from(
                ["0", "1", "2", "-1", "1.5", "nan", "", " ", "9" * 30, "9" * 5000, "٣", "0x1"]
            ),
            st.text(max_size=6),
            st.integers(-(2**70), 2**70).map(str),
        )
        lines = draw(st.lists(line, min_size=0, max_size=13))
        lines += lines[:1] * (12 - len(lines)) if draw(st.booleans()) else []
        path.write_bytes("\n".join(lines).encode("utf-8", "surrogatepass"))
    elif how == "binary":
        path.write_bytes(draw(st.binary(max_size=60)))
    elif how == "long":  # far more labels than rows
        path.write_text("0\n1\n2\n" * draw(st.sampled_from([1000, 200_000])))
    elif how == "wide":  # one label of a megabyte among many: a fixed-width array of them is huge
        path.write_text("x" * 1_000_000 + "\n" + "a\n" * draw(st.sampled_from([11, 20_000])))
    else:
        path.symlink_to(
            draw(st.sampled_from(["/dev/zero", str(path), "/", str(scene.outside / "kept.txt")]))
        )
    if how != "link":
        scene.put = Put([Column("x", arrays()["train_features"])], lines=path.read_bytes())
        scene.put.arrays = True
    return x, path


def parquet_case(draw: Any, scene: Scene) -> Path:
    """A .parquet file in the inputs."""
    import pyarrow as pa
    from pyarrow import parquet

    path = scene.inputs / draw(st.sampled_from(["a.parquet", "é\udcff.parquet"]))
    how = draw(st.sampled_from(["damage", "damage", "damage", "bomb", "raw"]))
    kept = arrays()
    x, y = kept["train_features"], kept["train_labels"]
    if how == "raw":
        path.write_bytes(b"PAR1" + draw(st.binary(max_size=60)) + b"PAR1")
        return path
    if how == "bomb":  # a constant column takes bytes in the file and gigabytes in memory
        rows = draw(st.sampled_from([1, 64])) * 1_000_000
        kind = draw(st.sampled_from(["flat", "list", "label"]))
        constant = pa.array(np.zeros(rows, np.float64 if kind != "label" else np.int64))
        if kind == "list":
            offsets = pa.array(np.arange(0, rows + 1, rows // 10, dtype=np.int32))
            constant = pa.ListArray.from_arrays(offsets, constant)
        table = pa.table({"embedding" if kind != "label" else "label": constant})
    else:
        table = pa.table({"embedding": pa.array(x.tolist()), "label": pa.array(y)})
    stream = io.BytesIO()
    parquet.write_table(table, stream)
    content = stream.getvalue()
    path.write_bytes(damage(draw, content) if how == "damage" else content)
    return path


def torch_case(draw: Any, scene: Scene) -> Path:
    """A .pt file in the inputs."""
    import torch

    path = scene.inputs / draw(st.sampled_from(["a.pt", "a.pth", "a.bin", "é\udcff.pt"]))
    kept = arrays()
    x, y = (
        torch.from_numpy(kept["train_features"].copy()),
        torch.from_numpy(kept["train_labels"].copy()),
    )
    values: list[Any] = [
        x,
        y,
        x.to(torch.bfloat16),
        x.to(torch.complex64),
        x.to_sparse(),
        torch.sparse_coo_tensor(
            torch.zeros(2, 0, dtype=torch.long), torch.zeros(0), (10**6, 10**6)
        ),
        torch.zeros(1).expand(10**6, 10**6),
        torch.zeros(1, dtype=torch.long).expand(10**10),
        torch.zeros(0, 3),
        torch.tensor(1.0),
        torch.full((12, 3), float("nan")),
        x.tolist(),
        [[1.0], [1.0, 2.0]],
        "text",
        None,
        {"a": 1},
        torch.empty(12, 3, device="meta"),
        torch.quantize_per_tensor(x, 0.1, 0, torch.qint8),
        y.to(torch.uint8),
        y.double() + 0.5,
        10**30,
        x.requires_grad_(False)[:, :2],
    ]
    value = st.sampled_from(range(len(values))).map(values.__getitem__)
    how = draw(
        st.sampled_from(["mapping", "mapping", "pair", "tensor", "damage", "pickle", "legacy"])
    )
    keys = st.sampled_from(["x", "labels", "train_features", "y", "test_x", "test_labels", "", "z"])
    if how == "mapping":
        content: Any = {"x": draw(value), "labels": draw(value)} | draw(
            st.dictionaries(keys | st.integers(0, 3), value, max_size=2)
        )
    elif how == "pair":
        content = (draw(value), draw(value)) + ((x,) if draw(st.booleans()) else ())
    elif how == "tensor":
        content = draw(value)
    elif how == "pickle":
        content = {"x": x, "labels": Touch(scene.outside / "sprung")}
    else:
        content = {"x": x, "labels": y}
    stream = io.BytesIO()
    torch.save(content, stream, _use_new_zipfile_serialization=how != "legacy")
    data = stream.getvalue()
    path.write_bytes(damage(draw, data) if how in ("damage", "legacy") else data)
    return path
