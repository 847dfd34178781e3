"""The coordinates a head is solved in, resident on the device.

The Gram eigenbasis makes the linearized Hessian diagonal, and pays for its factorization where the
problem is hard. Where weight decay dominates the features' curvature, the features as they are do
as well, and nothing is factorized for a single head.

The basis only shapes steps: gradients at base points are taken in the features themselves. So where
no ``Spectrum`` is at hand, one of float32 accuracy will do, at a third of the price.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from gramlab import device
from gramlab.features import Features
from gramlab.heads import bfloat16
from gramlab.heads.leading import Leading, from_products, from_some_rows, gram_of_some_rows
from gramlab.spectrum import Spectrum

__all__ = [
    "Coordinates",
    "fetch",
    "row_squares",
    "rows_on_device",
]

# Largest condition number, bounded by the trace, that is left to the quasi-Newton memory alone: up
# to here a head costs fewer extra passes than the factorization is worth.
_EASY = 300.0
_EASY_ROUGHLY = 20.0  # ... where products are rough and leading eigenvectors cost less than all
_NOT_HARD = 3000.0  # ... and up to here all are not worth their price over the leading ones
_NOT_HARD_NARROW = 100.0  # ... for narrow features, where all cost little
_NARROW = 256  # features so few that their factorization costs next to nothing
_QUICK_RANGE = (1e-12, 1e12)  # of the largest feature: float32 squares and sums stay in range


@dataclass(frozen=True, eq=False)
class Coordinates:
    """Rows z (N, r) with X = Z Vᵀ, and the eigenvalues of ZᵀZ (or a stand-in for them).

    Attributes
    ----------
    features
        What they are coordinates of.
    basis : (d, r) or None
        V, orthonormal; None where Z is X itself.
    eigenvalues : (r,)
        Of XᵀX in that basis; without one, their mean.
    quick
        Whether the basis is of float32 accuracy; float64 corrections then need another.
    leading : Leading or None
        Eigenvectors of XᵀX, roughly, for conjugate gradients; only where Z is X itself.
    """

    features: Features
    basis: np.ndarray | None
    eigenvalues: np.ndarray
    quick: bool = False
    leading: Leading | None = None

    @classmethod
    def of(
        cls, features: Features, weight_decay: float, n_classes: int, *, rough: bool = False
    ) -> Coordinates:
        """Choose: the eigenbasis if it is worth its price, else the rows themselves.

        Where ``rough`` products are to be used and the problem is not hard, the leading
        eigenvectors beside the rows cost much less than the basis and do as well. What is at hand
        already has no say: others may have made it, and no head's bits depend on them.
        """
        n, d = features.n_samples, features.n_features
        if d <= n:
            narrow = d <= _NARROW
            if rough or not narrow:
                trace = _trace(features)
                condition, mean = trace / (n * n_classes * weight_decay), np.full(d, trace / d)
                if not narrow and condition <= (_EASY_ROUGHLY if rough else _EASY):
                    return cls(features, None, mean)
                if rough and condition <= (_NOT_HARD_NARROW if narrow else _NOT_HARD):
                    if (found := _leading(features)) is not None:
                        return cls(features, None, mean, leading=found)
            if cls is Coordinates and (found := _quick(features)) is not None:
                return found
        return cls.exact(features)

    @classmethod
    def exact(cls, features: Features) -> Coordinates:
        """The Gram eigenbasis in float64."""
        spectrum = Spectrum.of(features)
        return cls(features, spectrum.basis, spectrum.eigenvalues)

    @property
    def rank(self) -> int:
        """R."""
        return len(self.eigenvalues)

    def rows(self, dtype: npt.DTypeLike) -> jax.Array:
        """X (N, d) on the device, put there once per Features object and precision."""
        return rows_on_device(self.features, dtype)

    def rows_exactly(self) -> jax.Array:
        """X (N, d) on the device, in the narrowest precision that holds it exactly."""
        narrow = self.features.x.dtype.itemsize < 8
        return self.rows(np.float32 if narrow else np.float64)

    def resident(self, dtype: npt.DTypeLike) -> jax.Array:
        """Z (N, r) on the device, put there once per Features object and precision."""
        if self.basis is None:
            return self.rows(dtype)
        memo, name = self.features._memo, np.dtype(dtype).name
        if self.quick:
            return memo["quick basis"][2]

        def make() -> jax.Array:
            values = Spectrum.of(self.features).coordinates
            return device.resident(values, f"the features (eigenbasis) as {name}", dtype)

        return memo.once(("device", "eigenbasis", name), make)

    def rounded(self) -> bfloat16.Rounded:
        """Z rounded to bfloat16, put on the device once per Features object."""
        if self.basis is None:
            return _rounded_rows(self.features)
        key = ("device", "eigenbasis", self.quick, "bfloat16")
        return self.features._memo.once(key, lambda: bfloat16.rounded(self.resident(np.float32)))

    def to_weights(self, a: np.ndarray) -> np.ndarray:
        """Weights (K, d) of the features from weights a (K, r) in these coordinates."""
        return a if self.basis is None else self._turned(a, self.basis, back=True)

    def from_weights(self, weights: np.ndarray) -> np.ndarray:
        """Weights or a gradient (K, r) in these coordinates from those (K, d) of the features."""
        return weights if self.basis is None else self._turned(weights, self.basis, back=False)

    def _turned(self, a: np.ndarray, basis: np.ndarray, *, back: bool) -> np.ndarray:
        # By JAX: the threads of NumPy's BLAS go on spinning after a product, for longer than an
        # iteration takes, on the cores that the iterations need.
        key = ("device", "basis", self.quick)
        with device.float64():
            there = self.features._memo.once(
                key, lambda: device.resident(basis, "the eigenbasis of the features")
            )
            return np.asarray(_turn_back(a, there) if back else _turn(a, there))

    def in_span(self, weights: np.ndarray) -> np.ndarray:
        """Weights (K, d) less their parts outside the span of the rows, which do nothing."""
        if self.basis is None or self.rank == self.basis.shape[0]:
            return weights
        return self.to_weights(self.from_weights(weights))


def fetch(features: Features) -> None:
    """Begin to put the rows on the device, where they fit, while the caller does something else."""
    needed = (4 + features.x.dtype.itemsize) * features.n_samples * features.n_features
    if not (features.is_mapped or device.shortage(needed)):
        rows_on_device(features, np.float32)


def rows_on_device(features: Features, dtype: npt.DTypeLike) -> jax.Array:
    """X (N, d) on the device, put there once per Features object and precision."""
    name = np.dtype(dtype).name

    def make() -> jax.Array:
        if name == "float64" and features.x.dtype.itemsize < 8:
            # Exact, and quicker than the host.
            return _widened(rows_on_device(features, np.float32))
        return device.resident(features.x, f"the features (rows) as {name}", dtype)

    return features._memo.once(("device", "rows", name), make)


@jax.jit
def _widened(rows: jax.Array) -> jax.Array:
    return rows.astype(jnp.float64)


def row_squares(features: Features) -> np.ndarray:
    """‖x_i‖² (N,) in float32, computed once per Features object."""
    return features._memo.once(
        "row squares", lambda: np.asarray(_row_squares(rows_on_device(features, np.float32)))
    )


@jax.jit
def _row_squares(rows: jax.Array) -> jax.Array:
    return (rows * rows).sum(axis=1)


def _quick(features: Features) -> Coordinates | None:
    """The eigenbasis in float32, made once per Features object; None where float32 cannot hold it.

    It is orthonormal to a few units of float32's roundoff, and so is all that is asked of it: the
    step it shapes is applied to float64 weights, whose gradient does not know of it.
    """

    def make() -> tuple[np.ndarray, np.ndarray, jax.Array] | None:
        found = _eigenbasis(rows_on_device(features, np.float32))
        if not found.usable:
            return None
        # The coordinates themselves are not kept: they know the features, and a circle keeps its
        # arrays for long.
        vectors, values = (np.asarray(a, np.float64) for a in (found.vectors, found.eigenvalues))
        return vectors, values, found.z

    if (kept := features._memo.once("quick basis", make)) is None:
        return None
    basis, eigenvalues, _ = kept
    return Coordinates(features, basis, eigenvalues, quick=True)


class _Eigenbasis(NamedTuple):
    """What ``_eigenbasis`` finds; nothing but ``usable`` is of use where that is False."""

    usable: jax.Array
    vectors: jax.Array  # (d, r), of the largest eigenvalue first
    z: jax.Array  # (N, r) in that basis
    eigenvalues: jax.Array  # (r,)


@jax.jit
def _eigenbasis(rows: jax.Array) -> _Eigenbasis:
    """Of the Gram matrix of ``rows`` (N, d) in float32, where those are in its range.

    Eigenvalues are quotients, not the factorization's: they are never negative. Their order, which
    may differ where they are rounding, matters to nobody here.
    """
    largest = jnp.abs(rows).max()
    usable = (largest > _QUICK_RANGE[0]) & (largest < _QUICK_RANGE[1])
    gram = gram_of_some_rows(rows)  # the quotients are those of all
    # What is not finite must not reach the factorization.
    gram = jnp.where(usable, gram, jnp.eye(len(gram), dtype=gram.dtype))
    vectors = jnp.linalg.eigh(gram)[1][:, ::-1]
    z = jnp.matmul(rows, vectors, precision="highest")
    return _Eigenbasis(usable, vectors, z, (z * z).sum(axis=0))


def _trace(features: Features) -> float:
    """‖X‖_F², to float32: it only decides what is worth its price."""
    return features._memo.once("trace", lambda: float(row_squares(features).sum(dtype=np.float64)))


def _leading(features: Features) -> Leading | None:
    """The leading eigenvectors, once per Features object; None out of float32's range."""

    def make() -> Leading | None:
        trace, d = _trace(features), features.n_features
        if d <= _NARROW:
            return from_some_rows(rows_on_device(features, np.float32), trace)
        return from_products(_rounded_rows(features), d, trace)

    return features._memo.once("leading", make)


def _rounded_rows(features: Features) -> bfloat16.Rounded:
    return features._memo.once(
        ("device", "rows", "bfloat16"),
        lambda: bfloat16.rounded(rows_on_device(features, np.float32)),
    )


@jax.jit
def _turn(weights: jax.Array, basis: jax.Array) -> jax.Array:
    return jnp.matmul(weights, basis, precision="highest")


@jax.jit
def _turn_back(weights: jax.Array, basis: jax.Array) -> jax.Array:
    return jnp.matmul(weights, basis.T, precision="highest")
