"""One door for files of other tools: their features, labels and classes as ``Features``."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from gramlab.errors import InvalidFeatures, InvalidLabels, InvalidSetting
from gramlab.features import Features
from gramlab.features.missing import NO_LABEL, whole_rows
from gramlab.files import sources
from gramlab.importing.columns import names_of, roles
from gramlab.importing.labels import WHOLE_NUMBER, given_texts, label_texts, read_labels
from gramlab.importing.readers import READERS
from gramlab.validation import check_features, check_labels, nfc

__all__ = ["SourceRows", "import_features", "read_source"]

Names = Sequence[str] | str | None


def import_features(
    path: str | os.PathLike[str],
    *,
    labels: str | os.PathLike[str] | None = None,
    features_column: str | None = None,
    feature_columns: Names = None,
    label_column: str | None = None,
    drop: Names = None,
) -> Features:
    """Read features from a file of another tool.

    Parameters
    ----------
    path
        ``.npy`` with x (N, d); ``.npz``, or ``.pt``, ``.pth`` or ``.bin`` (tensors, and nothing
        else), with arrays under usual names, such as x or embeddings, and labels, of these three
        also x or (x, labels) alone; ``.parquet`` or ``.csv`` (commas, a header row) with a row per
        sample; ``.safetensors`` or a feature folder of gramlab.
    labels
        A ``.npy`` or text file of labels, one per row, where `path` has none.
    features_column, feature_columns
        One name, or several, also patterns (``"f*"``) and joined by commas or blanks: an array, a
        Parquet column of lists, or columns of numbers. Without, a usual name, the one column of
        lists, or all columns of numbers whose names speak neither of labels nor of rows. Columns
        of whole numbers that differ may be other labels: they are taken only by their names.
    label_column
        Without, the first usual name. The labels as they stand name the classes: "01" is not "1".
        They are sorted, as numbers where all are whole numbers, which need not start at 0. Only
        spellings equal in Unicode's form NFC are one class; the provenance tells ("spellings").
    drop
        What to leave out, names as for features. An index that pandas wrote is left out anyway.

    Raises
    ------
    UnreadableSource, NotEnoughMemory, InvalidFeatures, InvalidLabels, InvalidSetting
        If the file is missing, damaged, unknown, too large or could run code when opened, or what
        it holds makes no valid features, or something is left over.
    """
    found = _found(path, labels, features_column, feature_columns, label_column, drop, None)
    if found is None:
        return sources.load_features(path)
    return _made(_named(found, label_texts)[0])


@dataclass(frozen=True, eq=False)
class SourceRows:
    """A source of N rows, of which those that are whole make ``features``.

    ``x`` (N, d) are all rows as they stand in the source, ``rows`` the numbers of the whole ones,
    which are finite and have a label, and ``set_aside`` those of the others by reason.
    ``classes`` (K,) are the labels of the classes as the source has them, numbers where all are,
    and ``identifiers`` (N,) what rows are called, if anything.
    """

    features: Features
    x: np.ndarray = field(repr=False)
    rows: npt.NDArray[np.int64] = field(repr=False)
    set_aside: Mapping[str, npt.NDArray[np.int64]]
    classes: Sequence[int] | Sequence[str]
    identifiers: Sequence[str] | None = field(default=None, repr=False)

    @property
    def unlabelled(self) -> np.ndarray | None:
        """The features (m, d) of the rows that have no label; None where there are no such rows."""
        return self.x[self.set_aside[NO_LABEL]] if NO_LABEL in self.set_aside else None


def read_source(
    path_or_name: str | os.PathLike[str],
    *,
    labels: str | os.PathLike[str] | None = None,
    feature_columns: Names = None,
    label_column: str | None = None,
    drop: Names = None,
    id_column: str | None = None,
) -> SourceRows:
    """Rows of a source that ``load_features`` or ``import_features`` reads, whole or not.

    Rows with a cell that is empty, NaN or infinite, or without a label (none, empty, NaN or, where
    labels are whole numbers, -1), are set aside. An ``.npz`` with arrays of gramlab's own names is
    read as ``load_features`` does where nothing is said of its columns. ``id_column`` names the
    column, or array, of identifiers of the training rows. Raises what these two do, and
    InvalidLabels if no row is whole.
    """
    told = (labels, feature_columns, label_column, drop, id_column)
    found = None if any(told) else _own_npz(path_or_name)
    if found is None and (any(told) or _is_foreign(path_or_name)):
        found = _found(path_or_name, labels, None, feature_columns, label_column, drop, id_column)
    if found is None or "gram" in found:
        features = sources.load_features(path_or_name)
        every = np.arange(features.n_samples)
        return SourceRows(features, features.x, every, {}, range(features.n_classes))
    names = found.pop("identifiers", None)
    parts, classes = _named(found, given_texts)
    try:
        x, numbers = check_features(parts["x"], finite=False), np.asarray(parts["labels"])
        check_labels(np.zeros(numbers.shape), len(x))
        rows, aside = whole_rows(x, (numbers == numbers) & (numbers != -1))
    except (InvalidFeatures, InvalidLabels) as problem:
        raise sources.told_of(parts["provenance"]["source"], problem, "") from problem
    if names is not None and len(names) != len(x):
        raise InvalidSetting(
            f"--id-column {id_column} must have one entry for each of {len(x)} rows, got "
            f"{len(names)}; name another, or leave it out"
        )
    features = _made(parts | {"x": x[rows] if aside else x, "labels": numbers[rows]})
    return SourceRows(features, x, rows, aside, classes or range(features.n_classes), names)


def _is_foreign(path: str | os.PathLike[str]) -> bool:
    """Whether a source is a file of another tool."""
    place, kind = sources.place_of(path, "source", "give a file")
    if kind != "a file" or place.suffix.lower() not in READERS:
        return False
    return place.suffix.lower() != ".npz" or "train_gram" not in sources.npz_names(place)


def _own_npz(path: str | os.PathLike[str]) -> dict[str, Any] | None:
    """The arrays of an ``.npz`` file of gramlab's own names, by role; None of all else."""
    place, kind = sources.place_of(path, "source", "give a file")
    if kind != "a file" or place.suffix.lower() != ".npz":
        return None
    names = {*sources.npz_names(place)}
    return sources.npz_parts(place) if names & {"train_features", "x"} else None


def _found(
    path: str | os.PathLike[str],
    labels: str | os.PathLike[str] | None,
    features_column: Names,
    feature_columns: Names,
    label_column: str | None,
    drop: Names,
    id_column: str | None,
) -> dict[str, Any] | None:
    """Arrays of a file by role, identifiers and provenance among them; None of gramlab's own."""
    source, kind = sources.place_of(path, "source", "give a file")
    suffix = source.suffix.lower()
    if kind != "a folder" and (kind != "a file" or suffix not in (*READERS, ".safetensors")):
        forms = f"accepted are {', '.join(READERS)}, .safetensors and feature folders"
        raise sources.refusal(path, source, kind, forms)
    features = names_of("features_column", features_column)
    features += names_of("feature_columns", feature_columns)
    dropped, label = names_of("drop", drop), names_of("label_column", label_column)
    identifiers = names_of("id_column", id_column)
    if kind == "a folder" or suffix == ".safetensors":
        own = kind == "a file" or sources.is_feature_folder(source)
        if own and (labels is not None or features or label or dropped or identifiers):
            raise InvalidSetting(
                f"{source.name!r} is gramlab's own and brings its own labels; leave --labels and "
                "the options about columns out"
            )
        return None
    if suffix == ".npy" and (features or label or dropped or identifiers):
        raise InvalidSetting(
            f"{source.name!r} is one array, which has no columns to name; leave the options about "
            "columns out, and give labels with --labels FILE (.npy, or text with one per line)"
        )
    choose = partial(roles, source.name, features, label, dropped, labels is not None, identifiers)
    found = READERS[suffix](source, choose)
    if "identifiers" in found:
        found["identifiers"] = ["" if one is None else str(one) for one in found["identifiers"]]
    if labels is not None:
        found["labels"] = read_labels(labels)
    if "labels" not in found:
        named = "" if suffix == ".npy" else ", or name their column with --label-column"
        raise InvalidSetting(
            f"{source.name!r} holds no labels; give them with --labels FILE (.npy, or text with "
            f"one per line){named}"
        )
    return found | {"provenance": {"source": source.name}}


def _named(
    found: dict[str, Any], texts_of: Callable[[Any], Sequence[str | None]]
) -> tuple[dict[str, Any], Sequence[int] | Sequence[str] | None]:
    """The arguments of ``Features``, and labels of classes as they stand; None if by number.

    ``texts_of`` reads labels as text, None where there are none, which become -1.
    """
    parts, provenance = found.copy(), {**found["provenance"]}
    source = provenance["source"]
    if "class_names" in parts:  # with them, labels are their numbers
        return parts, None
    texts = {"labels": texts_of(parts["labels"])}
    if "test_labels" in parts:
        texts["test_labels"] = label_texts(parts["test_labels"])
    same = _classes([text for text in texts["labels"] if text is not None])
    names = [s[0] if len(s) == 1 else name for name, s in same.items()]
    if spellings := {name: several for name, several in same.items() if len(several) > 1}:
        provenance["spellings"] = spellings
    place: dict[str | None, int] = {name: number for number, name in enumerate(same)}
    for role, several in texts.items():
        known = [None if text is None else nfc(text) for text in several]
        unknown = sorted({text for text in known if text is not None} - same.keys())
        if unknown:
            raise InvalidSetting(
                f"{source!r} has test labels of classes without a training row: "
                f"{unknown[:5]}; leave those rows out"
            )
        parts[role] = np.array([place.get(text, -1) for text in known], dtype=np.int64)
    if "superclasses" in parts and [*same] != [str(k) for k in range(len(same))]:
        raise InvalidSetting(
            f"superclasses in {source!r} are by number of a class, but its labels are "
            "names; leave them out with --drop superclasses"
        )
    classes = [int(name) for name in same] if _are_whole(same) else names
    return parts | {"class_names": names, "provenance": provenance}, classes


def _made(parts: Mapping[str, Any]) -> Features:
    try:
        return Features(**parts)
    except (InvalidFeatures, InvalidLabels, InvalidSetting) as problem:
        fix = "leave the names out with --drop class_names"
        raise sources.told_of(parts["provenance"]["source"], problem, fix) from problem


def _classes(texts: Sequence[str]) -> dict[str, list[str]]:
    """The spellings of each class, in order, by its name in form NFC."""
    same: dict[str, list[str]] = {}
    for text in sorted(set(texts)):
        same.setdefault(nfc(text), []).append(text)
    return {name: same[name] for name in sorted(same, key=int if _are_whole(same) else None)}


def _are_whole(names: Iterable[str]) -> bool:
    return all(re.fullmatch(WHOLE_NUMBER, name) for name in names)
