"""The feature matrix X, checked once, never changed, with what is derived from it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from typing import Any

import numpy as np
import numpy.typing as npt

from gramlab.errors import InvalidFeatures, printable
from gramlab.features import description, preparation
from gramlab.features.derived import Args, Derived, Made
from gramlab.features.kernel import factorize_gram, known_factors, warn_of_gram
from gramlab.machine.memory import check_memory, is_mapped, row_blocks
from gramlab.numerics.content import sha256
from gramlab.validation import check_integer

_KEPT_BYTES = 256_000_000  # a float64 copy up to this size is kept with the features


def _float64_copy(features: Features) -> np.ndarray:
    return description.frozen(features.x.astype(np.float64))


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
    test_x, test_labels : array-like of shape (N_test, d) and (N_test,), optional
        Held-out features and labels, both or neither.
    class_names : sequence of str, optional
        K names, different also in Unicode's form NFC; by default "0", "1", ….
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
        If a matrix is not 2-D, not real, not finite or has integers beyond 2**53, which float64
        rounds, or the two widths differ.
    InvalidLabels
        If labels do not fit the rows or the range, or classes are missing, all but one or some.
    InvalidSetting
        If `class_names`, `n_classes` and `provenance` are malformed or contradict each other.

    Warns
    -----
    GramAsFeaturesWarning
        If x looks like a Gram matrix: N ≥ 3, symmetric to rounding, a diagonal ≥ 0.
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
        parts = description.checked_parts(
            x,
            labels,
            test_x,
            test_labels,
            class_names=class_names,
            superclasses=superclasses,
            n_classes=n_classes,
            provenance=provenance,
        )
        warn_of_gram(parts["x"], provenance)
        self.__dict__.update(parts, _derived=Derived())

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(
            f"Features is immutable, cannot set or delete {name!r}; build a new Features instead"
        )

    def __delattr__(self, name: str) -> None:
        setattr(self, name, None)

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
        return description.frozen(
            np.bincount(self.labels, minlength=self.n_classes).astype(np.int64)
        )

    @property
    def is_gram(self) -> bool:
        """Whether the rows were made of a Gram matrix, by :meth:`from_gram`."""
        return self._gram_facts is not None

    @property
    def gram_distance(self) -> float | None:
        """Upper bound on ‖G − x xᵀ‖_F, G as given to :meth:`from_gram`, before later steps."""
        return (self._gram_facts or {}).get("gram_distance")

    @property
    def _gram_facts(self) -> dict[str, Any] | None:
        return next((s for s in self._provenance["steps"] if s["step"] == "from_gram"), None)

    @property
    def constant(self) -> float | None:
        """The value of the last column where :meth:`with_constant` appended it, else None."""
        step = preparation.constant_step(self._provenance)
        return None if step is None else step["intercept_scaling"]

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
        """A copy of where the features come from ("stored_dtype": of x before any step)."""
        return json.loads(json.dumps(self._provenance))

    def blocks(
        self, rows: int | None = None, dtype: npt.DTypeLike = np.float64
    ) -> Iterator[tuple[slice, np.ndarray]]:
        """Iterate over the training rows in order, a block at a time.

        Yields which rows (slice), and the rows (n, d) as `dtype`, not to be written to. A block has
        `rows` rows (InvalidSetting unless a positive integer), by default as many as take about 32
        MB (8 MB of a mapped x). Of a mapped x, only the block at hand is resident.
        """
        kind = np.dtype(dtype)
        step = None if rows is None else check_integer("rows", rows, 1)
        # Solvers pass over the rows hundreds of times, and converting costs like a product.
        small = not self.is_mapped and 8 * self.x.size <= _KEPT_BYTES
        kept = small and kind == np.float64 != self.x.dtype
        return row_blocks(self.derived(_float64_copy) if kept else self.x, rows=step, dtype=kind)

    def derived(self, make: Callable[[Features, *Args], Made], *args: *Args) -> Made:
        """``make(self, *args)``, made once and kept with the rows, to be changed by nobody.

        `make` is a function of the rows x, the test rows, the number of classes and further
        hashable arguments, and of nothing else: features with other labels share what it returned
        (:meth:`replaced`), so what depends on labels needs them, or a hash of them, among `args`.
        It is looked up by what it is: define it once, not where it is used. Threads that ask
        meanwhile wait; copies and pickles make their own. If it raises, nothing is kept.
        """
        return self._derived.once(self, make, *args)

    def has_derived(self, make: Callable[..., object], *args: object) -> bool:
        """Whether ``derived`` would find it: to ask for memory, and for no result."""
        return (make, *args) in self._derived.made

    def as_float64(self) -> npt.NDArray[np.float64]:
        """All of x as float64 (N, d), x itself when it is stored so; or NotEnoughMemory."""
        if self.x.dtype != np.float64:
            check_memory(self.x.size * 8, "x as float64", "iterate over Features.blocks() instead")
        return self.x.astype(np.float64, copy=False)

    @classmethod
    def from_gram(
        cls,
        gram: object,
        labels: object,
        *,
        test_gram: object = None,
        test_labels: object = None,
        test_diagonal: object = None,
        class_names: Sequence[str] | None = None,
        superclasses: object = None,
        n_classes: int | None = None,
        provenance: Mapping[str, Any] | None = None,
    ) -> Features:
        """Features with a given Gram matrix: a kernel in place of features.

        G = U S Uᵀ is factorized once; x = U√S (N, r), r the number of eigenvalues above N·ε·s_1.
        Certificates are about x xᵀ, whose distance from `gram` is :attr:`gram_distance`. Test rows
        are the projections k(x*, X) U S^{−1/2} of test points on the span of the training points.

        Parameters
        ----------
        gram : array-like of shape (N, N)
            Kernel values k(x_i, x_j): symmetric to N·ε·max |G_ij| (its symmetric part is taken),
            no eigenvalue below −1e-10·s_1 (those below N·ε·s_1 are set to 0).
        labels, class_names, superclasses, n_classes, provenance
            As of ``Features``.
        test_gram, test_labels : array-like of shape (N_test, N) and (N_test,), optional
            k(x*_i, x_j) of test points, and their labels, both or neither.
        test_diagonal : array-like of shape (N_test,), optional
            k(x*_i, x*_i). What it leaves over ‖x*_i‖² is one more coordinate r_i ≥ 0, which is 0
            in all training rows; :meth:`unit_norm` of test rows needs it.

        Raises
        ------
        InvalidFeatures
            If `gram` is not square, symmetric, positive semidefinite or within range, or a test
            array has another shape or contradicts it.
        InvalidLabels, InvalidSetting
            As ``Features``.
        NotEnoughMemory
            If the factorization, 40 N² bytes, would not fit.
        """
        made = factorize_gram(gram, labels, test_gram, test_labels, test_diagonal, provenance)
        features = cls(
            made.x,
            labels,
            test_x=made.test_x,
            test_labels=test_labels,
            class_names=class_names,
            superclasses=superclasses,
            n_classes=n_classes,
            provenance=made.provenance,
        )
        features._derived.keep(made.factors, known_factors)
        return features

    def replaced(self, **changes: object) -> Features:
        """The same features with other ``labels`` (N,) or ``superclasses`` (K,), or both.

        Rows, and what is :meth:`derived` from them, then or later, are shared. Without changes:
        equal features that derive everything anew, for another device. Labels are refused as by
        ``Features``, other changes by TypeError.
        """
        if other := sorted(set(changes) - {"labels", "superclasses"}):
            raise TypeError(f"replaced takes labels and superclasses, got {', '.join(other)}")
        twin = self._with(**changes)
        if changes:
            twin.__dict__["_derived"] = self._derived
        return twin

    def centered(self, *, dtype: npt.DTypeLike = np.float64) -> Features:
        """New features: the training mean subtracted from the training and test rows.

        Computed in float64 and kept as `dtype`, float64 or float32; the step is appended to the
        provenance with the norm of the mean. Raises InvalidFeatures if values are so large that
        they overflow, NotEnoughMemory if the result would not fit.
        """
        mean = preparation.training_mean(self.blocks, self.x.shape)
        facts = {"mean_norm": float(np.linalg.norm(mean))}
        return self._transformed("centered", lambda block, start, name: block - mean, facts, dtype)

    def unit_norm(self, *, dtype: npt.DTypeLike = np.float64) -> Features:
        """New features: each training and test row divided by its Euclidean norm.

        Computed in float64 and kept as `dtype`, float64 or float32; the step is appended to the
        provenance with the least and largest norm of the training rows. Raises InvalidFeatures if a
        row is zero, which is named with its split, or if the norms of test rows are not known
        (:meth:`from_gram`); NotEnoughMemory if the result would not fit.
        """
        if self.test_x is not None and not (self._gram_facts or {}).get("test_diagonal", True):
            raise InvalidFeatures(
                "unit_norm of test points needs test_diagonal, k(x*, x*) of each: give it beside "
                "test_gram, or leave test_gram and test_labels out"
            )
        norms = {"min_norm": np.inf, "max_norm": 0.0}
        change = partial(preparation.unit_rows, norms=norms)
        return self._transformed("unit_norm", change, norms, dtype)

    def with_constant(
        self, intercept_scaling: float = 1.0, *, dtype: npt.DTypeLike = np.float64
    ) -> Features:
        """New features: one more column, `intercept_scaling` in each training and test row.

        The last step: its weights b (K,) add `intercept_scaling` · b to the logits of every row, an
        intercept that is penalized as all weights are (the larger the scaling, the less), so that
        certificates hold. A kernel k becomes k + `intercept_scaling`². The step is appended to the
        provenance. Raises InvalidFeatures if it was taken before (:attr:`constant`),
        InvalidSetting unless the value is positive in `dtype`, float64 or float32; NotEnoughMemory
        if the result would not fit.
        """
        value = preparation.check_scaling(intercept_scaling, dtype)
        change = partial(preparation.with_column, value=value)
        facts = {"intercept_scaling": value}
        return self._transformed("with_constant", change, facts, dtype, more=1)

    def without_constant(self) -> Features:
        """The features that :meth:`with_constant` was taken of, sharing rows; else these."""
        if self.constant is None:
            return self
        history, test = self.provenance, self.test_x
        del history["steps"][-1]
        test = None if test is None else test[:, :-1]
        return self._with(x=self.x[:, :-1], test_x=test, provenance=history)

    def prepared(
        self,
        *,
        center: bool = False,
        unit_norm: bool = False,
        constant: bool = False,
        test: bool = True,
    ) -> Features:
        """:meth:`centered`, :meth:`unit_norm`, :meth:`with_constant`, each if so, in this order.

        Without `test`, of no test rows.
        """
        drop = not test and self.test_x is not None
        features = self._with(test_x=None, test_labels=None) if drop else self
        features = features.centered() if center else features
        features = features.unit_norm() if unit_norm else features
        return features.with_constant() if constant else features

    def _transformed(self, step: str, *change: Any, more: int = 0) -> Features:
        """These features after a step, as ``preparation.changed_rows`` takes it."""
        sources = {"x": self.x} if self.test_x is None else {"x": self.x, "test_x": self.test_x}
        changed = preparation.changed_rows(sources, self.provenance, step, *change, more=more)
        return self._with(**changed)

    def _with(self, **changes: Any) -> Features:
        names = ("x", "labels", "test_x", "test_labels", "class_names", "superclasses")
        kept: dict[str, Any] = {name: getattr(self, name) for name in (*names, "provenance")}
        return Features(**kept | changes)

    def __deepcopy__(self, memo: object = None) -> Features:
        return self

    __copy__ = __deepcopy__

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Features):
            return NotImplemented
        return self is other or (
            self.class_names == other.class_names
            and self.x.shape == other.x.shape
            and sha256(self.superclasses) == sha256(other.superclasses)
            and self.fingerprint == other.fingerprint
        )

    def __hash__(self) -> int:
        return hash((self.fingerprint, self.class_names))

    def __repr__(self) -> str:
        test = "no test split" if self.test_x is None else f"{self.test_x.shape[0]} test rows"
        steps = ", ".join(step["step"] for step in self._provenance["steps"]) or "none"
        rows = f"{self.n_samples} samples x {self.n_features} features"
        if (facts := self._gram_facts) is not None:
            rows += f" of a kernel of rank {facts['rank']}, within {facts['gram_distance']:.1e}"
        return printable(
            f"Features({self._provenance['source']!r}: {rows}, {self.n_classes} classes, {test}, "
            f"{self.x.dtype}, steps: {steps})"
        )
