"""The feature matrix X, checked once, never changed, with what is derived from it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, TypeVar, TypeVarTuple

import numpy as np
import numpy.typing as npt

from gramlab.errors import InvalidFeatures, InvalidLabels, InvalidSetting
from gramlab.features.derived import Derived
from gramlab.features.description import check_class_names, check_classes, check_provenance
from gramlab.features.preparation import column_mean, unit_rows
from gramlab.machine.memory import aligned, check_memory, is_mapped, row_blocks
from gramlab.numerics.content import sha256
from gramlab.validation import check_features, check_integer, check_labels

_KEPT_BYTES = 256_000_000  # a float64 copy up to this size is kept with the features

Made = TypeVar("Made")
Args = TypeVarTuple("Args")


def _frozen(array: np.ndarray) -> np.ndarray:
    """A read-only view; the caller's own array stays writable."""
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
    x, labels, test_x, test_labels, class_names, superclasses
        As passed, arrays read-only: labels and superclasses as int64, what is absent as None.

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
        size = None if n_classes is None else check_integer("n_classes", n_classes, 1)
        names = None if class_names is None else check_class_names(class_names, size)
        size = size if names is None else len(names)
        known = size is not None
        y = check_labels(labels, train.shape[0], size)
        y_test = None
        if test is not None:
            y_test = check_labels(test_labels, test.shape[0], size, "test_labels")
        if size is None:
            size = 1 + max(int(labels.max()) for labels in (y, y_test) if labels is not None)
        check_classes(y, size, known)
        if names is None:
            check_memory(64 * size, f"naming {size} classes", "pass a smaller n_classes")
            names = tuple(str(k) for k in range(size))
        if superclasses is not None:
            superclasses = _frozen(check_labels(superclasses, size, name="superclasses"))
        self.__dict__.update(
            x=_frozen(train),
            labels=_frozen(y),
            test_x=None if test is None else _frozen(test),
            test_labels=None if y_test is None else _frozen(y_test),
            class_names=names,
            superclasses=superclasses,
            _provenance=check_provenance(provenance, train.dtype),
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
        return sha256(self.x, self.labels, self.test_x, self.test_labels)

    @property
    def provenance(self) -> dict[str, Any]:
        """A copy of where the features come from, and the steps that were applied to them.

        "stored_dtype" is that of x before any step, "computed_dtype" that of steps and spectra.
        """
        return json.loads(json.dumps(self._provenance))

    def blocks(
        self, rows: int | None = None, dtype: npt.DTypeLike = np.float64
    ) -> Iterator[tuple[slice, np.ndarray]]:
        """Iterate over the training rows in order, a block at a time.

        Parameters
        ----------
        rows : int, optional
            Rows per block; by default as many as take about 32 MB (8 MB of a mapped x).
        dtype : dtype
            Of the blocks.

        Yields
        ------
        slice, np.ndarray of shape (at most rows, d)
            Which rows, and the rows as `dtype`, not to be written to. Of a mapped x, only the block
            at hand is resident.

        Raises
        ------
        InvalidSetting
            If `rows` is not a positive integer.
        """
        kind = np.dtype(dtype)
        step = None if rows is None else check_integer("rows", rows, 1)
        source = self.x
        if kind == np.float64 != source.dtype and 8 * source.size <= _KEPT_BYTES:
            # Solvers pass over the rows hundreds of times, and converting costs like a product.
            source = source if self.is_mapped else self.derived(_float64_copy)
        return row_blocks(source, rows=step, dtype=kind)

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
            meanwhile wait; copies and pickles make their own. If it raises, nothing is kept.
        """
        return self._derived.once(self, make, *args)

    def has_derived(self, make: Callable[..., object], *args: object) -> bool:
        """Whether ``derived`` would find it: to ask for memory, and for no result."""
        return self._derived.has(make, *args)

    def as_float64(self) -> npt.NDArray[np.float64]:
        """All of x as float64 (N, d), x itself when it is stored so.

        Of a mapped x this makes the copy that :meth:`blocks` avoids.

        Raises
        ------
        NotEnoughMemory
            If the copy would not fit.
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
        InvalidLabels, TypeError
            If they are not as ``Features`` wants them, or something else is to be changed.
        """
        if other := sorted(set(changes) - {"labels", "superclasses"}):
            raise TypeError(f"replaced takes labels and superclasses, got {', '.join(other)}")
        twin = self._with(**changes)
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
        InvalidFeatures, NotEnoughMemory
            If values are so large that they overflow, or the result would not fit.
        """
        mean = column_mean(lambda: self.blocks(), self.n_samples)
        norm = float(np.linalg.norm(mean))
        return self._transformed(
            "centered", lambda block, start, name: block - mean, {"mean_norm": norm}, dtype
        )

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
        InvalidFeatures, NotEnoughMemory
            If a row is zero (it is named with its split), or the result would not fit.
        """
        norms = {"min_norm": np.inf, "max_norm": 0.0}

        def divide(block: np.ndarray, start: int, name: str) -> np.ndarray:
            divided, found = unit_rows(block, start, name)
            if name == "x":
                norms["min_norm"] = min(norms["min_norm"], float(found.min()))
                norms["max_norm"] = max(norms["max_norm"], float(found.max()))
            return divided

        return self._transformed("unit_norm", divide, norms, dtype)

    def _transformed(
        self,
        step: str,
        change: Callable[[np.ndarray, int, str], np.ndarray],
        facts: Mapping[str, float],
        dtype: npt.DTypeLike,
    ) -> Features:
        """Apply `change(float64 block, first row, name)` to all rows; record step and facts."""
        kept = np.dtype(dtype)
        if kept not in (np.dtype(np.float32), np.dtype(np.float64)):
            raise InvalidSetting(
                f"dtype must be float64 or float32, got {kept}; half precision is for storage only"
            )
        sources = {"x": self.x} if self.test_x is None else {"x": self.x, "test_x": self.test_x}
        check_memory(
            sum(source.size for source in sources.values()) * kept.itemsize,
            f"{step} features in {kept}",
            "pass dtype=np.float32 or use fewer rows",
        )
        results = {}
        for name, source in sources.items():
            results[name] = result = aligned(source.shape, kept)
            with np.errstate(over="ignore", invalid="ignore"):
                for part, block in row_blocks(source, dtype=np.float64):
                    result[part] = change(block, part.start, name)
        # Read after the loops: unit_norm learns its norms in them.
        history = self.provenance
        history["steps"].append({"step": step, **facts, "dtype": str(kept)})
        return self._with(**results, provenance=history)

    def _with(self, **changes: Any) -> Features:
        names = ("x", "labels", "test_x", "test_labels", "class_names", "superclasses")
        kept: dict[str, Any] = {name: getattr(self, name) for name in (*names, "provenance")}
        return Features(**kept | changes)

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
