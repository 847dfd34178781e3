"""Where features come from: bundled digits, gramlab's own files and folders, `.npz` files."""

from __future__ import annotations

import gzip
import io
import math
import os
import re
import shlex
import sys
import zipfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy_format

from gramlab.errors import InvalidFeatures, InvalidLabels, InvalidSetting, UnreadableSource
from gramlab.features import Features
from gramlab.files.shards import is_feature_folder, open_shard, read_manifest, shards_of
from gramlab.files.tensors import read_features
from gramlab.files.whole import reading
from gramlab.machine.memory import check_memory

_FORMS = (
    "accepted are the name 'digits', a folder written by gramlab extract, a .safetensors file "
    "written by gramlab.save_features, or an .npz file with train_features (or, of a kernel, "
    "train_gram) and train_labels by np.savez; gramlab features import takes .csv, .parquet, "
    ".npy and .pt"
)

IMAGES = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
"""Suffixes of files that gramlab extract takes for images."""

_EXTRACT = (
    "with {} per class, make features of it with: gramlab extract --images {} --backbone "
    "microsoft/resnet-34 --out {} (in Python, gramlab.extract.extract_features)"
)
_IMPORT = (
    "make it a file of gramlab's own with: gramlab features import {name}{options} --out "
    "{out} (in Python, gramlab.importing.import_features({path!r}{given}))"
)
_UNPACK = "unpack it first with: {}; then give what was in it"
# What to do with a file that holds no features as they are, by its suffix.
_NEXT: dict[str, str] = dict.fromkeys((".csv", ".parquet", ".pt", ".pth", ".bin", ".npy"), _IMPORT)
_NEXT |= {
    ".txt": "labels in a text are given beside features with: gramlab features import "
    "features.npy --labels {name} --out features.safetensors; save a table as .csv or .npz",
    ".zip": _UNPACK.format("unzip {name} -d {stem}"),
    ".gz": _UNPACK.format("gunzip -k {name}"),
}
_NEXT |= dict.fromkeys((".tar", ".tgz", ".tar.gz"), _UNPACK.format("tar -xf {name}"))

# Role of each array: the names it may have in an .npz file, the first one preferred.
_NPZ_NAMES: dict[str, tuple[str, ...]] = {
    "x": ("train_features", "x"),
    "labels": ("train_labels", "labels", "y"),
    "test_x": ("test_features", "test_x"),
    "test_labels": ("test_labels", "test_y"),
    "class_names": ("class_names",),
    "superclasses": ("coarse_of_class", "superclasses"),
}
# The same of kernel values in place of features: gramlab.Features.from_gram.
_KERNEL_NAMES = {
    "gram": ("train_gram",),
    "test_gram": ("test_gram",),
    "test_diagonal": ("test_diagonal",),
} | {role: names for role, names in _NPZ_NAMES.items() if role not in ("x", "test_x")}


def load_features(path_or_name: str | os.PathLike[str], *, verify: str = "full") -> Features:
    """Load features by name, from a file or from a folder.

    Parameters
    ----------
    path_or_name : str or path-like
        "digits" (scikit-learn's bundled 8x8 images, raw pixels 0 .. 16, with a fixed stratified
        80/20 split), a folder written by ``gramlab extract``, a `.safetensors` file written by
        :func:`gramlab.save_features`, or an `.npz` file. An `.npz` needs `train_features` (or `x`)
        and `train_labels` (or `labels`, `y`), and may have `test_features` and `test_labels`,
        `class_names`, and `coarse_of_class` (or `superclasses`). A kernel
        (:meth:`Features.from_gram`) has `train_gram`, `test_gram` and `test_diagonal` in place of
        features. Other arrays with one entry for each row may be other labels or features: they are
        named and refused; what cannot be is left, and named as "unused" in the provenance. Pickled
        content is never opened.
    verify : str
        Of a folder: "full" hashes every shard, "sampled" the first, the last and every eighth,
        "none" only looks at names, headers and sizes. Files are always verified whole.

    Returns
    -------
    Features
        Its provenance names the file, never its folder.

    Raises
    ------
    UnreadableSource
        If the source is unknown, missing, unfinished, damaged, foreign or holds pickled objects.
    InvalidFeatures, InvalidLabels, InvalidSetting
        If what the file holds does not make valid features; the file is named.
    NotEnoughMemory
        If the arrays would not fit.
    """
    if isinstance(path_or_name, str) and path_or_name == "digits":
        return _load_digits()
    path, kind = place_of(path_or_name, "source", _FORMS)
    if kind == "a folder" and is_feature_folder(path):
        return read_folder(path, verify=verify)
    reader = {".safetensors": read_features, ".npz": _load_npz}.get(path.suffix.lower())
    if kind != "a file" or reader is None:
        raise refusal(path_or_name, path, kind, _FORMS)
    try:
        return reader(path)
    except (InvalidFeatures, InvalidLabels, InvalidSetting) as problem:
        raise told_of(path.name, problem, _to_import(path)) from problem


def _to_import(path: Path, dropped: Sequence[str] = ()) -> str:
    """The command and the call that make a file gramlab's own, without the arrays ``dropped``."""
    options = "".join(f" {shlex.quote(f'--drop={name}')}" for name in dropped)
    given = f", drop={[*dropped]}" if dropped else ""
    name, out = shlex.quote(os.fspath(path)), shlex.quote(f"{path.stem}.safetensors")
    return _IMPORT.format(name=name, options=options, out=out, path=os.fspath(path), given=given)


def told_of(name: str, problem: Exception, fix: str) -> Exception:
    """A fault of what a file holds, with its name; ``fix`` is for labels that number no classes."""
    what, _, advice = str(problem).rpartition("; ")
    if re.search(r"n_classes|np\.unique", advice):  # nothing that a file or a command can give
        return type(problem)(f"in {name!r}: {what}; number the classes 0, 1, ... or {fix}")
    return type(problem)(f"in {name!r}: {problem}")


def place_of(path: Any, what: str, fix: str) -> tuple[Path, str]:
    """A path, and what is there: "a file", "a folder", "not a regular file", or "" for nothing."""
    try:
        place = Path(os.path.expanduser(path))
        kinds = {place.is_file: "a file", place.is_dir: "a folder"}
        kinds |= {place.exists: "not a regular file"}
        return place, next((kind for there, kind in kinds.items() if there()), "")
    except (OSError, ValueError, TypeError) as problem:
        raise UnreadableSource(
            f"{what} {path!r} is not a usable path ({problem}); {fix}"
        ) from problem


def refusal(given: Any, path: Path, kind: str, forms: str) -> UnreadableSource:
    """Why a source as given cannot be read, and the command and call to type; else the forms."""
    given = os.fspath(given)
    words = {"name": shlex.quote(given), "stem": shlex.quote(path.stem), "path": given}
    words["out"] = shlex.quote(f"{path.stem}.safetensors")
    suffix, fix = path.suffix.lower(), forms
    suffix = ".tar.gz" if path.name.lower().endswith(".tar.gz") else suffix
    if kind == "a folder":
        found = f"source {given!r} is a folder"
        with suppress(OSError):
            inside = islice(path.rglob("*"), 10_000)
            own = (path / "results.json").exists()  # figures of gramlab's
            if not own and any(one.suffix.lower() in IMAGES for one in inside):
                found += " of images"
                out = shlex.quote(f"{path.resolve().name}-features")
                fix = _EXTRACT.format("one folder of them", words["name"], out)
    elif kind == "a file":
        found = f"source {path.name!r} has the suffix {path.suffix!r}"
        labels = suffix == ".npy"  # never has any
        words |= {"options": " --labels y.txt" * labels, "given": ", labels='y.txt'" * labels}
        fix = _NEXT.get(suffix, forms).format(**words)
        if suffix in IMAGES:
            fix = _EXTRACT.format("one folder of such images", "photos", "photos-features")
    else:
        found = f"source {given!r} {f'is {kind}' if kind else 'was not found'}"
    return UnreadableSource(f"{found}; {fix}")


def _load_digits() -> Features:
    """scikit-learn's digits from its file (importing it takes 1 s), and a split as it makes it.

    The rows are those of ``train_test_split(…, test_size=0.2, stratify=labels, random_state=42)``.
    """
    place = find_spec("sklearn")
    if place is None or place.origin is None:
        raise UnreadableSource("source 'digits' comes with scikit-learn: install scikit-learn")
    path = Path(place.origin).parent / "datasets" / "data" / "digits.csv.gz"
    with gzip.open(path, "rt", encoding="ascii") as file:
        table = np.loadtxt(file, delimiter=",")
    images, labels = np.ascontiguousarray(table[:, :-1]), table[:, -1].astype(np.int64)
    random, counts = np.random.RandomState(42), np.bincount(labels)
    n_train = len(labels) - math.ceil(0.2 * len(labels))
    shares = counts / len(labels) * n_train
    dealt = np.floor(shares).astype(int)  # the largest remainders get one more
    for remainder in np.unique(shares - dealt)[::-1]:
        missing = n_train - dealt.sum()
        tied = np.flatnonzero(shares - np.floor(shares) == remainder)
        if missing:
            dealt[random.choice(tied, size=min(len(tied), missing), replace=False)] += 1
    train, test = [], []
    for label, count in enumerate(dealt):
        rows = random.permutation(np.flatnonzero(labels == label))
        train.extend(rows[:count])
        test.extend(rows[count:])
    train, test = random.permutation(train), random.permutation(test)
    split = {"test_size": 0.2, "stratified": True, "random_state": 42}
    return Features(
        images[train],
        labels[train],
        test_x=images[test],
        test_labels=labels[test],
        n_classes=10,
        provenance={"source": "digits", "split": split},
    )


def read_folder(path: str | os.PathLike[str], *, verify: str = "full") -> Features:
    """Features of a finished folder; `verify` and errors as of :func:`load_features`."""
    if verify not in ("full", "sampled", "none"):
        raise InvalidSetting(f'verify must be "full", "sampled" or "none", got {verify!r}')
    folder = Path(path)
    manifest = read_manifest(folder)
    plan, last = manifest.plan, len(manifest.shards) - 1
    files = [folder / name for name in manifest.shards]
    needed = 2 * sum(file.stat().st_size for file in files if file.exists())
    check_memory(needed, f"reading {folder.name!r}", "gramlab features import it to one file")
    parts: dict[str, list[np.ndarray]] = {}
    for place, shard in enumerate(shards_of(plan)):
        hashed = verify == "full" or (verify == "sampled" and (place % 8 == 0 or place == last))
        tensors, _ = open_shard(folder, plan, shard, hashed=hashed, manifest=manifest)
        prefix = "test_" if shard.split == "test" else ""
        for name in ("x", "labels"):
            parts.setdefault(prefix + name, []).append(tensors[name])
    arrays: dict[str, Any] = {name: np.concatenate(found) for name, found in parts.items()}
    if not manifest.rows("test"):
        arrays |= {"test_x": None, "test_labels": None}
    named = {key: plan[key] for key in ("class_names", "superclasses")}
    provenance = {
        "source": folder.name,
        "extraction": {key: value for key, value in plan.items() if key not in named},
        "broken": len(manifest.broken),
    }
    return Features(**arrays, **named, provenance=provenance)


def _load_npz(path: Path) -> Features:
    parts = npz_parts(path)
    return (Features.from_gram if "gram" in parts else Features)(**parts)


def npz_parts(path: Path) -> dict[str, Any]:
    """Arrays of an .npz file of gramlab's own names, as ``Features`` or ``from_gram`` takes them.

    UnreadableSource if some are missing, or others may be other labels or features.
    """
    present = npz_names(path)
    kernel = any(_KERNEL_NAMES[role][0] in present for role in ("gram", "test_gram"))
    known, first = (_KERNEL_NAMES, "gram") if kernel else (_NPZ_NAMES, "x")
    found = {role: [n for n in names if n in present][:1] for role, names in known.items()}
    missing = [" or ".join(known[role]) for role in (first, "labels") if not found[role]]
    whole = ", ".join(names[0] for names in _KERNEL_NAMES.values())
    if missing:
        fix = f"save it with {whole}" if kernel else _to_import(path)
        raise UnreadableSource(
            f"source {path.name!r} lacks {' and '.join(missing)}, it has "
            f"{', '.join(sorted(present)) or 'no arrays'}; {fix}"
        )
    arrays: dict[str, Any] = {
        role: read_names(path, name) if role == "class_names" else read_npz(path, name)
        for role, names in found.items()
        for name in names
    }
    unused = sorted({*present}.difference(*found.values()))
    rows = [arrays[role] for role in (first, "labels", "test_labels") if role in arrays]
    lengths = {len(array) for array in rows if np.ndim(array)}
    headers = {name: _npz_header(path, name) for name in unused}
    # A flag for each row can be no label or feature that anybody would miss.
    left = [n for n, (shape, kind) in headers.items() if kind != "b" and {*shape[:1]} & lengths]
    if left:
        more = f" and {len(left) - 5} more" if len(left) > 5 else ""
        fix = f"save it with nothing but {whole}" if kernel else _to_import(path, unused)
        raise UnreadableSource(
            f"source {path.name!r} holds arrays of no known use, which may be other labels or "
            f"features: {', '.join(map(repr, left[:5]))}{more}; {fix}"
        )
    provenance = {"source": path.name} | ({"unused": unused} if unused else {})
    return arrays | {"provenance": provenance}


def npz_names(path: Path) -> list[str]:
    """Names of the arrays in an .npz file whose directory, which could hide one, is undamaged."""
    with reading(f"source {path.name!r}"), zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                # np.savez knows no other; of bzip2, one read may unpack gigabytes.
                raise ValueError(f"{member.filename!r} is packed by a method .npz files lack")
            # A damaged length makes one entry swallow the next, which start with this signature.
            if b"PK\x01\x02" in member.comment + member.extra:
                raise ValueError(f"the directory is damaged at {member.filename!r}")
            # Opening compares the name in the directory with the one beside the data.
            archive.open(member).close()
        files = [name for name in archive.namelist() if name.endswith(".npy")]
    return [name.removesuffix(".npy") for name in files]


def read_npz(path: Path, name: str) -> np.ndarray:
    """One array of an .npz file that :func:`npz_names` was content with; as :func:`read_npy`."""
    with reading(f"source {path.name!r}"), zipfile.ZipFile(path) as archive:
        member = archive.getinfo(f"{name}.npy")
        return _read_array(path, name, member.file_size, partial(archive.open, member))


def _npz_header(path: Path, name: str) -> tuple[tuple[int, ...], str]:
    """Shape and kind of an array, of which no more is read."""
    with reading(f"source {path.name!r}"), zipfile.ZipFile(path) as archive:
        shape, dtype, _ = _array_header(partial(archive.open, f"{name}.npy"))
    return shape, dtype.kind


def read_names(path: Path, name: str) -> list[str]:
    """Class names from an .npz file: text, bytes in UTF-8, or numbers."""
    names = read_npz(path, name)
    if names.ndim != 1 or names.dtype.kind not in "USiu":
        raise UnreadableSource(
            f"source {path.name!r} must hold {name} as a 1-D text array, got {names.dtype} of "
            f"shape {names.shape}; save np.array(names, dtype=str)"
        )
    with reading(f"source {path.name!r}"):  # bytes may be no UTF-8
        return [n.decode() if isinstance(n, bytes) else str(n) for n in names.tolist()]


def read_npy(path: Path) -> np.ndarray:
    """Read an .npy file without pickle, looking at its header before anything is allocated."""
    form, fix = "no plain .npy array", "save it with np.save, without Python objects"
    with reading(f"source {path.name!r}", form=form, fix=fix):
        return _read_array(path, path.name, path.stat().st_size, partial(open, path, "rb"))


def _array_header(open_stream: Callable[[], IO[bytes]]) -> tuple[tuple[int, ...], np.dtype, int]:
    """Shape, type and number of header bytes of an array in .npy form."""
    with open_stream() as stream:
        # No honest array header is longer; a lying one must not make the reader ask for gigabytes.
        start = io.BytesIO(stream.read(1 << 16))
    # Version 3 only serves structured arrays with non-latin field names, never features.
    readers = {(1, 0): npy_format.read_array_header_1_0, (2, 0): npy_format.read_array_header_2_0}
    version = npy_format.read_magic(start)
    if version not in readers:
        raise ValueError(f"array format {version} is not one that features need")
    shape, _, dtype = readers[version](start)
    return shape, dtype, start.tell()


def _read_array(
    path: Path, key: str, stored: int, open_stream: Callable[[], IO[bytes]]
) -> np.ndarray:
    """Read an array in .npy form, refused unless `stored` bytes hold just its header and values."""
    shape, dtype, begin = _array_header(open_stream)
    if dtype.hasobject:
        raise UnreadableSource(
            f"source {path.name!r} holds pickled Python objects in {key!r}, which are refused "
            "because opening them can run code; save plain arrays instead, for text "
            "np.array(names, dtype=str)"
        )
    size, stored = math.prod(shape) * dtype.itemsize, stored - begin
    empty_items = dtype.itemsize == 0 and math.prod(shape) > 0
    if size != stored or min(shape, default=0) < 0 or empty_items:
        raise ValueError(
            f"{key!r} announces shape {shape} of {dtype}, but {stored} bytes are stored"
        )
    check_memory(size, f"reading {path.name!r}", "store float16, or fewer rows")
    with open_stream() as stream:  # of an archive, the CRC is checked where the stream ends
        array = npy_format.read_array(stream, allow_pickle=False)
    if dtype.kind == "U" and size:  # such text breaks Python wherever it is used
        codes = np.ascontiguousarray(array).reshape(-1).view(f"{dtype.byteorder}u4")
        if codes.max() > sys.maxunicode:
            raise ValueError(f"{key!r} holds text beyond the last Unicode character")
    return array
