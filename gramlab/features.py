"""Features: a frozen feature matrix with its labels, its optional test split and its history."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, TypeVar, TypeVarTuple

import numpy as np
import numpy.typing as npt

from gramlab.derived import Derived
from gramlab.errors import InvalidFeatures, InvalidLabels, InvalidSetting
from gramlab.mapped import is_mapped, release
from gramlab.memory import aligned, check_memory
from gramlab.storage import _hash_array, sha256, to_json
from gramlab.validation import check_features, check_integer, check_labels

_BLOCK_BYTES = 32_000_000
_KEPT_BYTES = 256_000_000  # a float64 copy up to this size is kept with the features
_MAPPED_BLOCK_BYTES = 8_000_000  # of mapped features, whose blocks bound the memory of a pass
_BYTES_PER_CLASS_NAME = 64

Made = TypeVar("Made")
Args = TypeVarTuple("Args")


def _frozen(array: np.ndarray) -> np.ndarray:
    """Return a read-only view; the caller's own array stays writable."""
    view = array.view()
    view.flags.writeable = False
    return view


def _float64_copy(features: Features) -> np.ndarray:
    return _frozen(features.x.astype(np.float64))


class Features:
    """An immutable feature matrix X with labels, the input of everything else.

    Arrays are not copied when they can be used as they are: do not write into an array after
    handing it over, what was derived from it would no longer fit. Threads may share one object:
    what they derive from it is made once.

    A matrix that is a read-only memory map in row order (:func:`gramlab.open_features`, or
    ``np.load(path, mmap_mode="r")``) is never read whole: checks, hashes and :meth:`blocks` go
    through it a block at a time and give the pages of finished blocks back.

    Parameters
    ----------
    x : array-like of shape (N, d)
        Training features; float16, float32 and float64 keep their dtype.
    labels : array-like of shape (N,)
        Training labels 0 .. K-1.
    test_x : array-like of shape (N_test, d), optional
        Held-out features; needs `test_labels`.
    test_labels : array-like of shape (N_test,), optional
        Held-out labels; needs `test_x`.
    class_names : sequence of str, optional
        K different names; by default "0", "1", ….
    superclasses : array-like of shape (K,), optional
        Superclass number of each class.
    n_classes : int, optional
        K. By default the number of `class_names`, else the largest label (training or test)
        plus one. Classes without a training row are accepted only when `class_names` or
        `n_classes` says that they exist.
    provenance : mapping, optional
        Where the features come from, as JSON-able values. "source", "stored_dtype",
        "computed_dtype" and "steps" are filled in when absent.

    Attributes
    ----------
    x : np.ndarray of shape (N, d)
        Read-only.
    labels : np.ndarray of shape (N,), int64
        Read-only.
    test_x, test_labels : np.ndarray or None
        Read-only; both or neither.
    class_names : tuple of str
    superclasses : np.ndarray of shape (K,), int64, or None

    Raises
    ------
    InvalidFeatures
        If a matrix is not 2-D, not real, not finite, or the two widths differ.
    InvalidLabels
        If labels do not fit the rows or the range, classes are missing, there are fewer than two
        classes, or all training rows carry one label.
    InvalidSetting
        If `class_names`, `n_classes` and `provenance` are malformed or contradict each other.
    """

    x: np.ndarray
    labels: npt.NDArray[np.int64]
    test_x: np.ndarray | None
    test_labels: npt.NDArray[np.int64] | None
    class_names: tuple[str, ...]
    superclasses: npt.NDArray[np.int64] | None
    _provenance: dict[str, Any]
    _derived: Derived

    def __init__(
        self,
        x: object,
        labels: object,
        *,
        test_x: object = None,
        test_labels: object = None,
        class_names: Sequence[str] | None = None,
        superclasses: object = None,
        n_classes: int | None = None,
        provenance: Mapping[str, Any] | None = None,
    ) -> None:
        if (test_x is None) != (test_labels is None):
            absent = "test_x" if test_x is None else "test_labels"
            raise InvalidLabels(
                f"test_x and test_labels go together, got no {absent}; pass both or neither"
            )
        train = check_features(x)
        test = None if test_x is None else check_features(test_x, "test_x")
        if test is not None and test.shape[1] != train.shape[1]:
            raise InvalidFeatures(
                f"test_x must have as many columns as x ({train.shape[1]}), got {test.shape[1]}; "
                "extract both splits with the same backbone"
            )
        names = None if class_names is None else _check_class_names(class_names)
        known = names is not None or n_classes is not None
        size = _known_size(names, n_classes)
        y = check_labels(labels, train.shape[0], size)
        y_test = (
            None if test is None else check_labels(test_labels, test.shape[0], size, "test_labels")
        )
        if size is None:
            size = 1 + max(int(y.max()), -1 if y_test is None else int(y_test.max()))
        _check_classes(y, size, known)
        if names is None:
            check_memory(
                size * _BYTES_PER_CLASS_NAME, f"naming {size} classes", "pass a smaller n_classes"
            )
            names = tuple(str(k) for k in range(size))
        groups = (
            None if superclasses is None else check_labels(superclasses, size, name="superclasses")
        )
        self.__dict__.update(
            x=_frozen(train),
            labels=_frozen(y),
            test_x=None if test is None else _frozen(test),
            test_labels=None if y_test is None else _frozen(y_test),
            class_names=names,
            superclasses=None if groups is None else _frozen(groups),
            _provenance=_check_provenance(provenance, train.dtype),
            _derived=Derived(),
        )

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(
            f"Features is immutable, cannot set {name!r}; build a new Features instead"
        )

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"Features is immutable, cannot delete {name!r}")

    @property
    def n_samples(self) -> int:
        """Number of training rows N."""
        return int(self.x.shape[0])

    @property
    def n_features(self) -> int:
        """Feature width d."""
        return int(self.x.shape[1])

    @property
    def n_classes(self) -> int:
        """Number of classes K."""
        return len(self.class_names)

    @cached_property
    def class_counts(self) -> npt.NDArray[np.int64]:
        """Training rows per class, shape (K,)."""
        return _frozen(np.bincount(self.labels, minlength=self.n_classes).astype(np.int64))

    @property
    def is_mapped(self) -> bool:
        """Whether x is a read-only memory map of a file, to be read in blocks only."""
        return is_mapped(self.x)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of x, labels and the test arrays (dtypes and shapes count too)."""
        return _streamed_sha256(self.x, self.labels, self.test_x, self.test_labels)

    @property
    def provenance(self) -> dict[str, Any]:
        """A copy of where the features come from and what was done to them.

        "stored_dtype" is the dtype x was held in before any step, "computed_dtype" the one that
        steps and spectra are computed in, "steps" the list of steps already applied.
        """
        return json.loads(json.dumps(self._provenance))

    def blocks(
        self, rows: int | None = None, dtype: npt.DTypeLike = np.float64
    ) -> Iterator[tuple[slice, np.ndarray]]:
        """Iterate over the training rows in order, a block at a time.

        Parameters
        ----------
        rows : int, optional
            Rows per block; by default as many as fit in about 32 MB (8 MB when x is mapped), and
            at least one.
        dtype : dtype
            Of the blocks.

        Yields
        ------
        slice
            Which rows.
        np.ndarray of shape (at most rows, d)
            The rows as `dtype`; not to be written to. Of a mapped x, only the block at hand is
            resident.

        Raises
        ------
        InvalidSetting
            If `rows` is not a positive integer.
        """
        kind = np.dtype(dtype)
        mapped = self.is_mapped
        if rows is None:
            size = _MAPPED_BLOCK_BYTES if mapped else _BLOCK_BYTES
            step = max(1, size // (self.n_features * kind.itemsize))
        else:
            step = check_integer("rows", rows, 1)
        source = self.x
        keep = not mapped and 8 * self.x.size <= _KEPT_BYTES
        if keep and kind == np.float64 and kind != self.x.dtype:
            # Solvers pass over the rows hundreds of times, and converting costs like a product.
            source = self.derived(_float64_copy)
        return _blocks(source, step, kind)

    def derived(self, make: Callable[[Features, *Args], Made], *args: *Args) -> Made:
        """``make(self, *args)``, made once and kept with the rows.

        Parameters
        ----------
        make : callable
            A function of the rows x, the test rows and the number of classes, and of nothing else:
            features with other labels share what it returned (:meth:`replaced`). It is looked up by
            what it is, so it has to be defined once, not where it is used.
        *args
            Further arguments, hashable. What depends on labels needs them, or a hash of them, here.

        Returns
        -------
        object
            What `make` returned to the first who asked, to be changed by nobody. Threads that ask
            meanwhile wait; copies and pickles make their own.

        Raises
        ------
        Exception
            What `make` raises; then nothing is kept, and who asks next tries again.
        """
        return self._derived.once(self, make, *args)

    def has_derived(self, make: Callable[..., object], *args: object) -> bool:
        """Whether ``derived`` would find it: to ask for memory, and for no result."""
        return self._derived.has(make, *args)

    def as_float64(self) -> npt.NDArray[np.float64]:
        """Return all of x as float64, without a copy when it is stored so.

        Returns
        -------
        np.ndarray of shape (N, d)
            Read-only when it is `x` itself.

        Raises
        ------
        NotEnoughMemory
            If the copy would not fit.

        Notes
        -----
        Of a mapped x this makes the copy that :meth:`blocks` avoids.
        """
        if self.x.dtype != np.float64:
            check_memory(self.x.size * 8, "x as float64", "iterate over Features.blocks() instead")
        return self.x.astype(np.float64, copy=False)

    def replaced(self, **changes: object) -> Features:
        """The same features with other labels or superclasses; rows are shared, not copied.

        What is :meth:`derived` from the rows is shared too, whoever made it, then or later.

        Parameters
        ----------
        **changes
            ``labels`` (N,) or ``superclasses`` (K,) or both; nothing gives equal features that
            derive everything anew, for another device.

        Raises
        ------
        InvalidLabels
            If they are not as ``Features`` wants them.
        TypeError
            If something else is to be changed.
        """
        if other := set(changes) - {"labels", "superclasses"}:
            raise TypeError(
                f"replaced takes labels and superclasses, got {', '.join(sorted(other))}"
            )
        twin = Features(
            self.x,
            changes.get("labels", self.labels),
            test_x=self.test_x,
            test_labels=self.test_labels,
            class_names=self.class_names,
            superclasses=changes.get("superclasses", self.superclasses),
            provenance=self.provenance,
        )
        if changes:
            twin.__dict__["_derived"] = self._derived
        return twin

    def centered(self, *, dtype: npt.DTypeLike = np.float64) -> Features:
        """Subtract the training mean from the training and test rows.

        Parameters
        ----------
        dtype : dtype
            float64 or float32, of the result; the mean is computed in float64 either way.

        Returns
        -------
        Features
            New; the step is appended to its provenance with the norm of the mean.

        Raises
        ------
        InvalidFeatures
            If values are so large that they overflow.
        NotEnoughMemory
            If the result would not fit.
        """
        with np.errstate(over="ignore", invalid="ignore"):
            mean = np.zeros(self.n_features)
            for _, block in self.blocks():
                mean += block.sum(axis=0)
            mean /= self.n_samples
            # A second pass removes the rounding of the long sums of the first.
            rest = np.zeros(self.n_features)
            for _, block in self.blocks():
                rest += (block - mean).sum(axis=0)
            mean += rest / self.n_samples
            norm = float(np.linalg.norm(mean))
        if not np.isfinite(mean).all():
            raise InvalidFeatures(
                f"x must have a finite mean, got {mean[np.argmin(np.isfinite(mean))]} in column "
                f"{int(np.argmin(np.isfinite(mean)))}; scale the features down first"
            )
        step = {"step": "centered", "mean_norm": norm}

        def subtract(block: np.ndarray, start: int, name: str) -> np.ndarray:
            return block - mean

        return self._mapped(subtract, step, dtype)

    def unit_norm(self, *, dtype: npt.DTypeLike = np.float64) -> Features:
        """Divide each training and test row by its Euclidean norm.

        Parameters
        ----------
        dtype : dtype
            float64 or float32, of the result; norms are computed in float64 either way.

        Returns
        -------
        Features
            New; the step is appended to its provenance with the least and largest norm of the
            training rows.

        Raises
        ------
        InvalidFeatures
            If a row is zero; the row and its split are named.
        NotEnoughMemory
            If the result would not fit.
        """
        extremes = [np.inf, 0.0]
        step: dict[str, Any] = {"step": "unit_norm", "min_norm": None, "max_norm": None}

        def divide(block: np.ndarray, start: int, name: str) -> np.ndarray:
            # Scaling by the largest entry first keeps tiny and huge rows from under/overflowing.
            largest = np.abs(block).max(axis=1)
            if (largest == 0.0).any():
                row = start + int(np.argmax(largest == 0.0))
                raise InvalidFeatures(
                    f"{name} must have no zero row for unit_norm, got norm 0 at row {row}; "
                    "remove that row, or center after unit_norm instead of before"
                )
            scaled = block / largest[:, None]
            lengths = np.sqrt(np.square(scaled).sum(axis=1))
            if name == "x":
                with np.errstate(over="ignore"):
                    norms = largest * lengths
                extremes[:] = [
                    min(extremes[0], float(norms.min())),
                    max(extremes[1], float(norms.max())),
                ]
                step.update(min_norm=extremes[0], max_norm=extremes[1])
            scaled /= lengths[:, None]
            return scaled

        return self._mapped(divide, step, dtype)

    def _mapped(
        self,
        change: Callable[[np.ndarray, int, str], np.ndarray],
        step: dict[str, Any],
        dtype: npt.DTypeLike,
    ) -> Features:
        """Apply `change(float64 block, first row, name)` to all rows and record `step`."""
        kept = np.dtype(dtype)
        if kept not in (np.dtype(np.float32), np.dtype(np.float64)):
            raise InvalidSetting(
                f"dtype must be float64 or float32, got {kept}; half precision is for storage only"
            )
        values = self.x.size + (0 if self.test_x is None else self.test_x.size)
        check_memory(
            values * kept.itemsize,
            f"{step['step']} features in {kept}",
            "pass dtype=np.float32 or use fewer rows",
        )
        results: list[np.ndarray | None] = []
        for name, source in (("x", self.x), ("test_x", self.test_x)):
            if source is None:
                results.append(None)
                continue
            result = aligned(source.shape, kept)
            size = _MAPPED_BLOCK_BYTES if is_mapped(source) else _BLOCK_BYTES
            rows = max(1, size // (8 * source.shape[1]))
            with np.errstate(over="ignore", invalid="ignore"):
                for part, block in _blocks(source, rows, np.dtype(np.float64)):
                    result[part] = change(block, part.start, name)
            results.append(result)
        # Read after the loops: unit_norm learns its norms in them.
        history = self.provenance
        history["steps"].append({**step, "dtype": str(kept)})
        return Features(
            results[0],
            self.labels,
            test_x=results[1],
            test_labels=self.test_labels,
            class_names=self.class_names,
            superclasses=self.superclasses,
            provenance=history,
        )

    def __copy__(self) -> Features:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Features:
        return self

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, Features):
            return NotImplemented
        if self.class_names != other.class_names or self.x.shape != other.x.shape:
            return False
        groups = sha256(self.superclasses) == sha256(other.superclasses)
        return groups and self.fingerprint == other.fingerprint

    def __hash__(self) -> int:
        return hash((self.fingerprint, self.class_names))

    def __repr__(self) -> str:
        test = "no test split" if self.test_x is None else f"{self.test_x.shape[0]} test rows"
        steps = ", ".join(step["step"] for step in self._provenance["steps"]) or "none"
        return (
            f"Features({self._provenance['source']!r}: {self.n_samples} samples x "
            f"{self.n_features} features, {self.n_classes} classes, {test}, {self.x.dtype}, "
            f"steps: {steps})"
        )


def _blocks(
    source: np.ndarray, rows: int, dtype: np.dtype[Any]
) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield (slice, rows as dtype) over a matrix, releasing the pages of a mapped one."""
    for start in range(0, source.shape[0], rows):
        part = slice(start, min(start + rows, source.shape[0]))
        piece = source[part]
        try:
            yield part, piece.astype(dtype, copy=False)
        finally:
            release(piece)


class _ReleasingHash:
    """A running SHA-256 that reads mapped arrays in blocks and releases each."""

    def __init__(self) -> None:
        self.digest = hashlib.sha256()

    def update(self, data: np.ndarray | bytes) -> None:
        if isinstance(data, bytes):
            self.digest.update(data)
            return
        for start in range(0, len(data), _MAPPED_BLOCK_BYTES):
            block = data[start : start + _MAPPED_BLOCK_BYTES]
            self.digest.update(block.data)
            release(block)


def _streamed_sha256(*parts: np.ndarray | None) -> str:
    """``storage.sha256`` without leaving a mapped array resident."""
    if not any(part is not None and is_mapped(part) for part in parts):
        return sha256(*parts)
    running = _ReleasingHash()
    for index, part in enumerate(parts):
        if part is None:
            running.update(b"none;")
        else:
            _hash_array(running, part, index)
    return running.digest.hexdigest()


def _check_class_names(class_names: Sequence[str]) -> tuple[str, ...]:
    """Return the names as a tuple of different, plain strings."""
    if isinstance(class_names, (str, bytes)):
        raise InvalidSetting(
            f"class_names must be a sequence of names, got the single text {class_names!r}; "
            "pass a list"
        )
    names = tuple(str(name) for name in class_names)
    seen: dict[str, int] = {}
    for index, name in enumerate(names):
        if name in seen:
            raise InvalidSetting(
                f"class_names must differ, got {name!r} at positions {seen[name]} and {index}; "
                "rename one of them"
            )
        seen[name] = index
    return names


def _known_size(names: tuple[str, ...] | None, n_classes: int | None) -> int | None:
    """K as far as it was given, by count or by names."""
    size = None if n_classes is None else check_integer("n_classes", n_classes, 1)
    if names is None:
        return size
    if size is not None and size != len(names):
        raise InvalidSetting(
            f"n_classes must equal the number of class_names ({len(names)}), got {size}; "
            "pass one of the two"
        )
    if not names:
        raise InvalidSetting("class_names must hold at least two names, got none; leave it out")
    return len(names)


def _check_classes(labels: npt.NDArray[np.int64], size: int, known: bool) -> None:
    """Refuse a single class, and classes nobody said were missing on purpose."""
    present = np.unique(labels)
    if size < 2 or present.size < 2:
        raise InvalidLabels(
            f"labels must hold at least two classes, got only class {int(present[0])} in "
            f"{labels.size} training rows; add rows of another class"
        )
    if not known and present.size < size:
        # The first missing number is where the sorted present classes leave the count 0, 1, 2, ….
        gaps = np.flatnonzero(present != np.arange(present.size))
        first = int(gaps[0]) if gaps.size else int(present.size)
        raise InvalidLabels(
            f"labels must hold every class 0 .. {size - 1}, got no training row of class {first} "
            f"({size - present.size} classes missing); pass n_classes={size} or class_names if "
            "that is intended"
        )


def _check_provenance(provenance: Mapping[str, Any] | None, dtype: np.dtype[Any]) -> dict[str, Any]:
    """Fill in the fixed keys and prove that the rest survives JSON."""
    record: dict[str, Any] = {
        "source": "arrays",
        "stored_dtype": str(dtype),
        "computed_dtype": "float64",
        "steps": [],
    }
    if provenance is not None and not isinstance(provenance, Mapping):
        raise InvalidSetting(
            f"provenance must be a mapping, got {type(provenance).__name__}; "
            "pass {'source': 'where from'}"
        )
    record.update(provenance or {})
    plain: dict[str, Any] = json.loads(to_json(record))
    steps = plain["steps"]
    if not isinstance(steps, list) or not all(
        isinstance(step, dict) and "step" in step for step in steps
    ):
        raise InvalidSetting(
            f"provenance['steps'] must be a list of {{'step': name, ...}}, got {steps!r}; "
            "leave it out for features as they came"
        )
    return plain
