"""One door for files of other tools: their features, labels and classes as ``Features``."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from gramlab.errors import InvalidFeatures, InvalidLabels, InvalidSetting
from gramlab.features import Features
from gramlab.files import sources
from gramlab.importing.columns import names_of, roles
from gramlab.importing.labels import label_texts, read_labels
from gramlab.importing.readers import READERS
from gramlab.validation import nfc

__all__ = ["import_features", "read_source"]

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
    return _imported(path, labels, features_column, feature_columns, label_column, drop, None)[0]


def read_source(
    path_or_name: str | os.PathLike[str],
    *,
    labels: str | os.PathLike[str] | None = None,
    feature_columns: Names = None,
    label_column: str | None = None,
    drop: Names = None,
    id_column: str | None = None,
) -> tuple[Features, list[str] | None]:
    """Features of a source as ``load_features`` or ``import_features`` reads it, and row names.

    An ``.npz`` with arrays of gramlab's own names is loaded where nothing is said of its columns.
    ``id_column`` names the column, or array, of identifiers of the training rows (None without).
    Raises what these two do.
    """
    told = (labels, feature_columns, label_column, drop, id_column)
    if not any(told) and not _is_foreign(path_or_name):
        return sources.load_features(path_or_name), None
    return _imported(path_or_name, labels, None, feature_columns, label_column, drop, id_column)


def _is_foreign(path: str | os.PathLike[str]) -> bool:
    """Whether a source is a file of another tool."""
    place, kind = sources.place_of(path, "source", "give a file")
    if kind != "a file" or place.suffix.lower() not in READERS:
        return False
    own = ("train_features", "x", "train_gram")
    return place.suffix.lower() != ".npz" or not {*own} & {*sources.npz_names(place)}


def _imported(
    path: str | os.PathLike[str],
    labels: str | os.PathLike[str] | None,
    features_column: Names,
    feature_columns: Names,
    label_column: str | None,
    drop: Names,
    id_column: str | None,
) -> tuple[Features, list[str] | None]:
    """Features of a file, and the identifiers of their rows."""
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
        return sources.load_features(path), None
    if suffix == ".npy" and (features or label or dropped or identifiers):
        raise InvalidSetting(
            f"{source.name!r} is one array, which has no columns to name; leave the options about "
            "columns out, and give labels with --labels FILE (.npy, or text with one per line)"
        )
    choose = partial(roles, source.name, features, label, dropped, labels is not None, identifiers)
    found = READERS[suffix](source, choose)
    names = found.pop("identifiers", None)
    names = names if names is None else ["" if one is None else str(one) for one in names]
    if labels is not None:
        found["labels"] = read_labels(labels)
    if "labels" not in found:
        named = "" if suffix == ".npy" else ", or name their column with --label-column"
        raise InvalidSetting(
            f"{source.name!r} holds no labels; give them with --labels FILE (.npy, or text with "
            f"one per line){named}"
        )
    provenance: dict[str, Any] = {"source": source.name}
    if "class_names" not in found:  # with them, labels are their numbers
        texts = {
            role: label_texts(found[role]) for role in ("labels", "test_labels") if role in found
        }
        same = _classes(texts["labels"])
        found["class_names"] = [s[0] if len(s) == 1 else name for name, s in same.items()]
        if spellings := {name: several for name, several in same.items() if len(several) > 1}:
            provenance["spellings"] = spellings
        if unknown := sorted({*map(nfc, texts.get("test_labels", ()))} - same.keys()):
            raise InvalidSetting(
                f"{source.name!r} has test labels of classes without a training row: "
                f"{unknown[:5]}; leave those rows out"
            )
        place = {name: number for number, name in enumerate(same)}
        for role, several in texts.items():
            found[role] = np.array([place[nfc(text)] for text in several], dtype=np.int64)
        if "superclasses" in found and [*same] != [str(k) for k in range(len(same))]:
            raise InvalidSetting(
                f"superclasses in {source.name!r} are by number of a class, but its labels are "
                "names; leave them out with --drop superclasses"
            )
    try:
        return Features(**found, provenance=provenance), names
    except (InvalidFeatures, InvalidLabels, InvalidSetting) as problem:
        fix = "leave the names out with --drop class_names"
        raise sources.told_of(source.name, problem, fix) from problem


def _classes(texts: Sequence[str]) -> dict[str, list[str]]:
    """The spellings of each class, in order, by its name in form NFC."""
    same: dict[str, list[str]] = {}
    for text in sorted(set(texts)):
        same.setdefault(nfc(text), []).append(text)
    whole = all(re.fullmatch("0|-?[1-9][0-9]{0,17}", name) for name in same)
    return {name: same[name] for name in sorted(same, key=int if whole else None)}
