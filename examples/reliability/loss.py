"""Silent loss: whether a file that was imported holds all that its case put in, read on its own."""

from __future__ import annotations

import json
import re
import struct
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["Column", "Put", "lost", "texts_of"]

_USUAL = "train_labels labels label y targets target class".split()  # as docs/features.md has them
_DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8"}
_NUMBERS = {"False": 0, "True": 1}  # as which they are taken where there are class names
_SLOTS = ("x", "labels", "test_x", "test_labels", "superclasses")  # tensors of the written file


@dataclass
class Column:
    """A column or an array: its numbers and its texts as labels, None where it is no such thing."""

    name: str
    numbers: np.ndarray | None = None
    texts: list[str] | None = None
    other: bool = False  # whole numbers that differ: perhaps labels, and no feature unasked


@dataclass
class Put:
    """What a case put into a file, and what its options say of that."""

    columns: list[Column]
    arrays: bool = False  # with roles by their names, where a table has rows of samples
    lines: bytes | None = None  # of a label file
    index: list[str] = field(default_factory=list)  # columns that pandas wrote for itself
    features: list[str] = field(default_factory=list)
    label: str | None = None
    dropped: list[str] = field(default_factory=list)


def texts_of(values: list[Any]) -> list[str] | None:
    """Labels as texts, if all are whole numbers, words of true and false, or text that is some."""
    texts = []
    for value in values:
        if isinstance(value, float):
            value = int(value) if value.is_integer() else None
        texts.append(value.decode() if isinstance(value, bytes) else str(value))
        if value is None or value == "":
            return None
    return texts


def lost(put: Put, path: Path) -> Iterator[str]:
    """What of `put` the file at `path` does not hold, in words."""
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    record = json.loads(header.pop("__metadata__")["gramlab"])
    found = {}
    for name, entry in header.items():
        begin, end = (8 + length + offset for offset in entry["data_offsets"])
        flat = np.frombuffer(content[begin:end], _DTYPES[entry["dtype"]])
        found[name] = flat.reshape(entry["shape"])
    yield from (f"loss: a tensor {name!r} that nobody knows" for name in found.keys() - {*_SLOTS})
    kept = [column for column in put.columns if column.name not in put.dropped]
    asked = {*put.features}
    free = [c for c in kept if c.name not in put.index or c.name in {*asked, put.label}]
    if put.arrays:
        yield from _of_arrays(put, free, found, record)
        return
    lines = None if put.lines is None else _lines(put.lines)
    named = [
        c for c in free if (c.name == put.label if put.label is not None else c.name in _USUAL)
    ]
    for label in [None] if lines is not None else named:
        texts = lines if label is None else label.texts
        rest = [c for c in free if c is not label]
        rest.sort(key=lambda c: put.features.index(c.name) if c.name in asked else 0)
        if texts is None or any(c.numbers is None for c in rest):
            continue
        x = np.column_stack([c.numbers for c in rest]) if rest else np.empty((len(texts), 0))
        if _is_same(x, found["x"], kept=False) and not _classes(texts, found, record):
            for column in rest:
                if column.other and column.name not in asked:
                    yield f"loss: {column.name!r} may be labels and became a feature unasked"
            return
    yield f"loss: x of {found['x'].shape} with {record['class_names'][:5]} is not what was put in"


def _of_arrays(put: Put, kept: list[Column], found: Any, record: Any) -> Iterator[str]:
    """Every array is in some place of the file, and every place holds an array."""
    held: set[str] = set()
    given = next((c.texts for c in kept if c.name == "class_names"), None)
    columns = [*kept]
    if put.lines is not None:
        columns.append(Column("--labels", texts=_lines(put.lines)))
    for column in columns:
        places = {
            slot
            for slot in _SLOTS
            if slot in found and column.numbers is not None
            if slot.endswith("x") and _is_same(column.numbers, found[slot])
        }
        if column.texts is not None:
            if given is None and not _classes(column.texts, found, record):
                places.add("labels")
            for slot in ("test_labels", "superclasses", *(["labels"] if given else [])):
                by_name = slot == "test_labels" and not given
                numbers = found.get(slot, np.empty(0)).tolist()
                shown = [_nfc(record["class_names"][i]) if by_name else str(i) for i in numbers]
                texts = [str(_NUMBERS.get(t, t)) if given else _nfc(t) for t in column.texts]
                if shown == texts:
                    places.add(slot)
        if column.name == "class_names" and record["class_names"] == given:
            continue
        if not places:
            yield f"loss: the array {column.name!r} is nowhere in the file"
        held |= places
    yield from (f"loss: {slot!r} is no array of the file" for slot in found.keys() - held)


def _lines(content: bytes) -> list[str]:
    """The labels of a text file: a line each, without blanks around it."""
    text = re.sub("\r\n?", "\n", content.decode("utf-8-sig"))
    return [line.strip() for line in text.removesuffix("\n").split("\n")]


def _nfc(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def _is_same(put: np.ndarray, there: np.ndarray, kept: bool = True) -> bool:
    """Equal numbers in float64; with `kept`, floats in their own dtype too."""
    put = put[:, None] if put.ndim == 1 and not kept else put
    dtype = put.dtype if put.dtype.kind == "f" else np.dtype(np.float64)
    same = put.shape == there.shape and bool((put.astype(np.float64) == there).all())
    return same and (not kept or there.dtype == dtype.newbyteorder("="))


def _classes(texts: list[str], found: Any, record: Any) -> list[str]:
    """Rows whose class has not their text as its name, and spellings that are not told."""
    spellings: dict[str, set[str]] = {}
    for text in texts:
        spellings.setdefault(_nfc(text), set()).add(text)
    several = {name: sorted(group) for name, group in spellings.items() if len(group) > 1}
    names, labels = record["class_names"], found["labels"].tolist()
    wanted = [_nfc(text) if _nfc(text) in several else text for text in texts]
    wrong = [*({*wanted} ^ {*names})]
    wrong += [
        str(pair)
        for pair in zip(wanted, [names[i] for i in labels], strict=False)
        if len({*pair}) > 1
    ]
    told = {n: sorted(g) for n, g in (record["provenance"].get("spellings") or {}).items()}
    wrong += [] if len(labels) == len(texts) else ["rows"]
    return wrong + ([] if told == several else ["spellings"])
