"""Labels by themselves: read from a file of their own, and as the numbers of known classes."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gramlab.errors import InvalidLabels, UnreadableSource
from gramlab.files import sources
from gramlab.files.whole import reading
from gramlab.importing.columns import USUAL
from gramlab.machine.memory import check_memory
from gramlab.validation import check_labels, nfc

__all__ = ["given_texts", "label_texts", "read_class_numbers", "read_labels", "split_member"]

WHOLE_NUMBER = "0|-?[1-9][0-9]{0,17}"
"""What the text of a whole number looks like."""


def read_labels(path: str | os.PathLike[str]) -> Any:
    """Labels (N,) of a file as they stand there: an array, or text by line.

    The file is ``.npy``, ``.npz`` (with ``:NAME`` behind it where it has several arrays), or text
    in UTF-8 with one label per line; nothing is unpickled.

    Raises
    ------
    UnreadableSource, NotEnoughMemory, InvalidLabels
        If there is no such file, it has no such array or is damaged or too large, or a text has an
        empty line or a header.
    """
    fix = "give .npy, .npz as FILE.npz:NAME, or text with one label per line"
    given, member = split_member(path)
    file, kind = sources.place_of(given, "label file", fix)
    if kind != "a file":
        raise UnreadableSource(f"label file {os.fspath(path)!r} was not found; {fix}")
    if file.suffix.lower() == ".npy":
        return sources.read_npy(file)
    if file.suffix.lower() == ".npz":
        return sources.read_npz(file, _member(file, member))
    # A label of one letter and its line break take 30 times their bytes as Python text in a list.
    check_memory(30 * file.stat().st_size, f"reading {file.name!r}", "give .npy labels")
    with reading(f"label file {file.name!r}", form="no text", fix=fix):
        text = file.read_text(encoding="utf-8-sig")
    if "\0" in text:
        raise InvalidLabels(
            f"label file {file.name!r} must be text in UTF-8, got zero bytes; {fix}"
        )
    lines = [line.strip() for line in text.removesuffix("\n").split("\n")]
    if "" in lines:
        raise InvalidLabels(
            f"label file {file.name!r} must have one label per line, got none in line "
            f"{lines.index('') + 1}; remove the line, or write the label that is missing"
        )
    # A header would make up for a label that is missing below, and shift those in between.
    first, *others = lines
    if first not in others and (
        first.lower() in USUAL["labels"]
        or (others and not _is_number(first) and all(map(_is_number, others)))
    ):
        raise InvalidLabels(
            f"label file {file.name!r} must hold only labels, got {first!r} in line 1, which looks "
            "like a header; remove the line, or give .npy labels if it is a class"
        )
    return lines


def split_member(path: str | os.PathLike[str]) -> tuple[str, str | None]:
    """A path, and the array that is named behind it, as in ``labels.npz:train_labels``."""
    text = os.fspath(path)
    found = re.fullmatch(r"(.+\.npz):(.+)", text, re.IGNORECASE | re.DOTALL)
    return (found[1], found[2]) if found else (text, None)


def _member(file: Path, asked: str | None) -> str:
    """The array of an .npz file that is meant: the one asked for, or the only one."""
    present = sources.npz_names(file)
    if asked in present:
        return str(asked)
    if asked is None and len(present) == 1:
        return present[0]
    lacks = "needs the name of one" if asked is None else f"has no array {asked!r}"
    raise UnreadableSource(
        f"label file {file.name!r} {lacks}, it holds {', '.join(present) or 'none'}; give one of "
        f"these as {file.name}:NAME"
    )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def label_texts(labels: Any) -> list[str]:
    """Labels (N,) as text; whole numbers without a fraction. InvalidLabels names what is none."""
    texts = _texts(labels)
    if None in texts:
        raise _no_labels(f"there is no label in row {texts.index(None)}")
    return [text for text in texts if text is not None]


def given_texts(labels: Any) -> list[str | None]:
    """Labels (N,) as ``label_texts``, but None of rows without one.

    Those are None, NaN, empty text and, where all labels are whole numbers, -1.
    """
    texts = _texts(labels)
    whole = all(re.fullmatch(WHOLE_NUMBER, text) for text in texts if text is not None)
    return [None if whole and text == "-1" else text for text in texts]


def _texts(labels: Any) -> list[str | None]:
    # Objects: in an array of text every label would take as much room as the longest one.
    array = np.array(labels, dtype=object) if isinstance(labels, list) else labels
    if array.ndim != 1 or array.dtype.kind not in "iubfUSO":
        check_labels(array)  # which says what is wrong
    texts: list[str | None] = []
    try:
        for value in array.tolist():
            if value is None or value == "" or value != value:
                texts.append(None)
                continue
            whole = int(value) if isinstance(value, (float, Decimal)) else value
            if whole != value:
                raise ValueError(f"got {value} in row {len(texts)}")
            texts.append(whole.decode() if isinstance(whole, bytes) else str(whole))
    except (ValueError, ArithmeticError) as problem:
        raise _no_labels(problem) from problem
    return texts


def _no_labels(problem: object) -> InvalidLabels:
    return InvalidLabels(
        f"labels must be whole numbers or text, no text that is none ({problem}); mend those "
        "rows, or leave them out"
    )


def read_class_numbers(
    path: str | os.PathLike[str], class_names: Sequence[str], n_samples: int
) -> npt.NDArray[np.int64]:
    """Labels of a file (``read_labels``) as numbers 0 .. K-1 of known classes, shape (N,).

    They are ``class_names``, or else numbers of classes from 0 on: whichever more of them are.

    Raises
    ------
    UnreadableSource, NotEnoughMemory, InvalidLabels
        As ``read_labels``, or if there are not `n_samples`, or one is no class; its row is named.
    """
    name = Path(split_member(path)[0]).name
    texts = [nfc(text) for text in label_texts(read_labels(path))]
    if len(texts) != n_samples:
        raise InvalidLabels(
            f"label file {name!r} must have one label for each of {n_samples} training rows, got "
            f"{len(texts)}; give those of the same rows, in their order"
        )
    names = {nfc(one): number for number, one in enumerate(class_names)}
    numbers = {str(number): number for number in range(len(class_names))}
    unknown = [[i for i, text in enumerate(texts) if text not in one] for one in (names, numbers)]
    known, rows = min(zip((names, numbers), unknown, strict=True), key=lambda pair: len(pair[1]))
    if rows:
        row = rows[0]
        few = ", ".join(map(repr, class_names[:5])) + (", ..." if len(class_names) > 5 else "")
        raise InvalidLabels(
            f"label file {name!r} must hold classes of the features, by name ({few}) or by number "
            f"from 0 to {len(class_names) - 1}, got {texts[row]!r} in row {row}; correct it, or "
            "leave that row out of both"
        )
    return np.array([known[text] for text in texts], dtype=np.int64)
