"""What each column or array of a file is: features, labels, dropped, or left over and named."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from typing import Any

from gramlab.errors import InvalidSetting

# What features and labels are usually called, the first one preferred.
USUAL: dict[str, tuple[str, ...]] = {
    "labels": ("train_labels", "labels", "label", "y", "targets", "target", "class"),
    "x": ("train_features", "features", "x", "X", "embeddings", "embedding"),
    "test_x": ("test_features", "test_x"),
    "test_labels": ("test_labels", "test_y"),
    "class_names": ("class_names",),
    "superclasses": ("coarse_of_class", "superclasses"),
}
_NO_FEATURE = re.compile(  # what the name of a column of labels, or of row numbers, looks like
    r"(?is)(.*[^a-z])?(labels?|targets?|class|classes)([^a-z].*)?|y"
    r"|(id|idx|index|row)?|unnamed:.*|__index_level_.*"
)
ARRAY, LISTS, NUMBERS = "array", "lists", "numbers"
WHOLE, BOOLEAN = "whole numbers", "boolean"
ARROW = {  # what Arrow calls them
    LISTS: "(large_|fixed_size_)?list<",
    NUMBERS: "halffloat|float|double|decimal",
    WHOLE: "u?int",
    BOOLEAN: "bool",
}


def names_of(name: str, given: Any) -> list[str]:
    """One name, or several, as a list."""
    several = isinstance(given, Iterable) and not isinstance(given, str)
    names: list[Any] = [] if given is None else [*given] if several else [given]
    if not all(isinstance(one, str) for one in names):
        raise InvalidSetting(f"{name} must be a name or a list of names, got {given!r}; give text")
    return names


def _matching(file: str, asked: Sequence[str], present: Sequence[str]) -> dict[str, bool]:
    """What is meant by names, patterns and lists with commas or blanks, and if by its full name."""
    found, left = {}, [*asked]
    while left:
        name = left.pop(0)
        hits = [name] if name in present else [n for n in present if fnmatchcase(n, name)]
        parts = [part.strip() for part in (name.split(",") if "," in name else name.split())]
        if not hits and (parts == [name] or not name):
            raise InvalidSetting(
                f"{file!r} has no column {name!r} to take, it has {present}; name one of these"
            )
        left = left if hits else [*filter(None, parts), *left]
        found |= {hit: hit == name or found.get(hit, False) for hit in hits}
    return found


def roles(
    file: str,
    features: Sequence[str],
    label: Sequence[str],
    drop: Sequence[str],
    labelled: bool,
    identifiers: Sequence[str],
    columns: Sequence[tuple[str, str]],
    aside: Sequence[str] = (),
) -> dict[str, list[str]]:
    """Names for each role, of `columns` (name, kind); only those in `aside` may be left over.

    A column that is named for the identifiers of the rows is nothing else.
    """
    kinds = dict(columns)
    if len(kinds) < len(columns):
        twice = Counter(name for name, _ in columns).most_common(1)[0][0]
        raise InvalidSetting(
            f"{file!r} has more than one column {twice!r}, so columns cannot be told by name; "
            "write it again with different names"
        )
    named = [*_matching(file, identifiers, list(kinds))]
    dropped = {*_matching(file, drop, list(kinds)), *named}
    free = [name for name in kinds if name not in dropped]
    asked = _matching(file, features, free)
    exact = {name for name, in_full in asked.items() if in_full}
    arrays = ARRAY in kinds.values()
    # Labels are arrays where there are some, else values of any kind that is not made of others.
    nested = ("list", "struct", "map", "extension")
    fit = {n for n in free if kinds[n] == ARRAY or not (arrays or kinds[n].startswith(nested))}
    found = {
        role: [name for name in usual if name in fit - exact][:1]
        for role, usual in USUAL.items()
        if role == "labels" or arrays
    }
    found["identifiers"] = named
    if label:
        found["labels"] = [*_matching(file, label, free)][:1]
    if labelled and found["labels"]:
        raise InvalidSetting(
            f"{file!r} brings its own labels in {found['labels'][0]!r}; leave --labels out, or "
            f"--drop {found['labels'][0]}"
        )
    able = {name for name in free if kinds[name] in (ARRAY, *ARROW)}
    for role, unable in (("features", {*asked} - able), ("labels", {*found["labels"]} - fit)):
        for name in sorted(unable):
            raise InvalidSetting(
                f"{name!r} of {file!r} cannot be taken for {role}: it holds {kinds[name]}; write "
                "it anew, or name another"
            )
    if asked:
        found["x"] = [name for name in asked if name not in found["labels"]]
    elif not arrays:
        rest = [name for name in free if name not in (*found["labels"], *aside)]
        rest = [name for name in rest if not _NO_FEATURE.fullmatch(name)]
        lists, numbers = ([n for n in rest if kinds[n] == kind] for kind in (LISTS, NUMBERS))
        found["x"] = lists or numbers
    x, used = found["x"], {*aside, *(name for names in found.values() for name in names)}
    left = [f"{name!r} ({kinds[name]})" for name in free if name not in used]
    if left or not x or (len(x) > 1 and any(kinds[name] in (ARRAY, LISTS) for name in x)):
        over = f"; {len(left)} left over: {', '.join(left[:5])}" if left else ""
        raise InvalidSetting(
            f"the features of {file!r} cannot be told among {list(kinds)}{over}; name all of them "
            "with --feature-columns (also as a pattern, 'f*') and the labels with --label-column, "
            "and leave the rest out with --drop"
        )
    return found
