"""Gram spectrum of frozen features: factor first, streamed, certified.

G = X Xᵀ (N, N) has the same non-zero eigenvalues as XᵀX (d, d). The smaller of the two is formed
by streaming row (or column) blocks, so that an N×N array never exists when d < N, and mapped
features stay in their file. G has N − r further eigenvalues that are exactly 0, r = min(N, d): they
are never stored, and no filter ever divides by an eigenvalue.

Squares lose s_1 u absolutely, s_1 the largest eigenvalue and u the unit roundoff. Who reads
eigenvalues beside a much smaller μ passes it to ``Spectrum.of``, and gets the basis from a QR
factorization of the rows themselves and the SVD of its triangle: there singular values lose √s_1 u.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import cast

import numpy as np
import scipy

from gramlab import errors, validation
from gramlab.features import Features
from gramlab.features.kernel import known_factors
from gramlab.features.sharded import ShardedFeatures
from gramlab.machine import memory
from gramlab.machine.memory import release
from gramlab.numerics.rounding import gamma
from gramlab.numerics.text import short_repr

# By bytes of an entry, how large the largest one has to be, and may be. Of float64, so that squares
# of Gram matrix entries, fourth powers of features, are in the normal range of 1e-308 to 1e308. Of
# float32, so that what devices flush to zero, below 1.2e-38, is beside it less than float64's
# roundoff. Half precision is widened exactly, and needs nothing.
_SCALES = {8: (1e-75, 1e75), 4: (1e-20, np.inf), 2: (0.0, np.inf)}

__all__ = ["Spectrum", "SpectrumCertificate", "check_scale", "dense_gram"]


def check_scale(features: Features | ShardedFeatures) -> None:
    """Refuse training features whose products would leave the range of numbers.

    Only the largest entry counts: rows and columns may be as small as they like beside it, and
    features that are all 0 have no scale. Read once per Features object.

    Raises
    ------
    InvalidFeatures
        If the largest entry is not between 1e-75 and 1e75, or is float32 and below 1e-20.
    """
    low, high = _SCALES[features.x.dtype.itemsize]
    if isinstance(features, ShardedFeatures):
        largest = features.largest_entry
    else:
        largest = features.derived(_largest_entry)
    if largest != 0.0 and not low <= largest <= high:
        size = "large" if largest < low else "small"
        raise errors.InvalidFeatures(
            f"features must be {size} enough for their products to stay in range, got a largest "
            f"entry of {largest:.3g}, which as {features.x.dtype} must be between {low:g} and "
            f"{high:g}: divide the features by their scale"
        )


def _largest_entry(features: Features) -> float:
    blocks = features.blocks(dtype=features.x.dtype)
    return max(max(float(block.max()), -float(block.min())) for _, block in blocks)


@dataclass(frozen=True)
class SpectrumCertificate:
    """Backward error of a computed eigendecomposition C Q = Q Λ, C the small Gram matrix.

    ``residual`` is ‖C Q − Q Λ‖_F, evaluated against the features themselves, Xᵀ(X Q),
    ``rounding`` bounds the rounding of that, and ``orthogonality`` is ‖QᵀQ − I‖_F. Every stored
    eigenvalue differs from the true one of the same rank by at most ``eigenvalue_error``: with Q₀
    the orthogonal polar factor of Q, ‖Q − Q₀‖ ≤ ‖QᵀQ − I‖, so Q₀ᵀ C Q₀ − Λ has norm at most
    residual + rounding + ‖QᵀQ − I‖ (‖C‖ + ‖Λ‖), and Weyl's inequality applies.
    """

    residual: float
    orthogonality: float
    rounding: float
    eigenvalue_error: float

    @classmethod
    def of(
        cls,
        product: np.ndarray,
        vectors: np.ndarray,
        eigenvalues: np.ndarray,
        square_norm: float,
        shape: tuple[int, int],
        weighted: bool = False,
    ) -> SpectrumCertificate:
        """Of C Q, computed from the rows of X, whose shape is (N, d) and square norm ‖X‖_F²."""
        n, d = shape
        small = len(vectors)
        residual = float(np.linalg.norm(product - vectors * eigenvalues))
        orthogonality = float(np.linalg.norm(vectors.T @ vectors - np.eye(small)))
        # |fl(BᵀBQ) − BᵀBQ| ≤ (γ_n + γ_d)|B|ᵀ|B||Q| to first order, in any order of summation, and
        # ‖|B|ᵀ|B||Q|‖_F ≤ ‖B‖_F² √small up to orthogonality; the factor 2 covers second order and
        # the subtraction of QΛ. Weights are within 6 units, and their roots are multiplied.
        gammas = gamma(n) + gamma(d) + (gamma(16) if weighted else 0.0)
        rounding = float(2.0 * gammas * square_norm * np.sqrt(small))
        # QᵀQ is itself known to γ_small |Q|ᵀ|Q| only, of norm at most ‖Q‖_F² = small.
        skew = orthogonality + 2.0 * gamma(small) * small
        error = residual + rounding + skew * (square_norm + float(eigenvalues.max()))
        error *= 1.0 + gamma(n * d + 16)  # of square_norm's sum
        return cls(residual, orthogonality, rounding, error)


@dataclass(frozen=True, eq=False)
class Spectrum:
    """Eigenvalues of G and an orthonormal basis of the feature space.

    With weights ω on rows, Ω = diag(ω), G is the Gram matrix √Ω X Xᵀ √Ω of the rows √ω_i x_i, and
    XᵀΩX stands for XᵀX.

    Attributes
    ----------
    eigenvalues : (r,)
        Descending, r = min(N, d), each ≥ 0; the other N − r eigenvalues of G are exactly 0.
    basis : (d, r)
        V, orthonormal columns whose span contains every feature row of positive weight.
    vectors : (r, r)
        Orthonormal eigenvectors Q of the small Gram matrix, of XᵀX if d < N, else of XXᵀ.
    row_weights : (N,), optional
        ω; None where all are 1.
    """

    eigenvalues: np.ndarray
    basis: np.ndarray
    features: Features
    vectors: np.ndarray = field(repr=False)
    row_weights: np.ndarray | None = field(default=None, repr=False)

    def __repr__(self) -> str:
        return short_repr(self)

    @classmethod
    def of(
        cls,
        features: Features | ShardedFeatures,
        beside: float | None = None,
        row_weights: np.ndarray | None = None,
    ) -> Spectrum:
        """Decompose ``features``, once per object; of ``ShardedFeatures`` by a collective call.

        Parameters
        ----------
        beside
            A μ that eigenvalues are compared with. Where it is below 1e-6 times the largest one,
            the decomposition avoids squares, at several times the price.
        row_weights : (N,), optional
            ω ≥ 0, of mean 1, of the rows of ``Features``.

        Raises
        ------
        InvalidFeatures
            If features are too small or too large for their squares (``check_scale``).
        NotEnoughMemory
            If the factorization would not fit.
        """
        check_scale(features)
        if isinstance(features, ShardedFeatures):
            return features.derived(_of_shards)[0]
        key = None if row_weights is None else row_weights.tobytes()
        spectrum = features.derived(_decompose, _gram_vectors, key)
        # From here on squares would cost more than six of sixteen digits.
        if beside is not None and spectrum.eigenvalues[0] > 1e6 * beside:
            return features.derived(_decompose, _unsquared_vectors, key)
        return spectrum

    @property
    def n_samples(self) -> int:
        """N, the size of G."""
        return self.features.n_samples

    @property
    def certificate(self) -> SpectrumCertificate:
        """Backward error and the bound on the error of every eigenvalue; one more pass."""
        return self.features.derived(_certify, self)

    @property
    def coordinates(self) -> np.ndarray:
        """Z = X V (N, r) in float64: the rows in the Gram eigenbasis, √Ω Z = U σ."""
        return self.features.derived(_coordinates, self)

    def weighted(self, values: np.ndarray) -> np.ndarray:
        """ΩB (N, k) for B (N, k), which is B itself where all weights are 1."""
        return values if self.row_weights is None else self.row_weights[:, None] * values

    def eigenvalue(self, k: int) -> float:
        """s_k of G, k = 1 … N; exactly 0 past r."""
        validation.check_integer("k", k, 1, self.n_samples)
        return float(self.eigenvalues[k - 1]) if k <= len(self.eigenvalues) else 0.0

    def gap(self, k: int) -> float:
        """s_k − s_{k+1}, k = 1 … N − 1, to at most twice ``certificate.eigenvalue_error``."""
        validation.check_integer("k", k, 1, self.n_samples - 1)
        return self.eigenvalue(k) - self.eigenvalue(k + 1)

    def class_angles(self, labels: np.ndarray, k: int) -> np.ndarray:
        """Principal angles (radians, ascending) between two spaces of functions on the rows.

        They are the top-k eigenspace of G, less what is not known to be in it, and the span of the
        class indicators of ``labels`` (N,). Small angles are computed from sines, large ones from
        cosines, so that none loses digits (Björck and Golub 1973).
        """
        labels = validation.check_labels(labels, n_samples=self.n_samples)
        # √Ω Z = U σ: dividing by σ gives the eigenvectors; directions with σ = 0 span nothing.
        sigma = np.sqrt(self.eigenvalues[:k])
        known = np.flatnonzero(sigma > np.sqrt(self.certificate.eigenvalue_error))
        z = self.coordinates[:, known] / sigma[known]
        if self.row_weights is not None:
            z *= np.sqrt(self.row_weights)[:, None]
        top = np.linalg.qr(z)[0]
        _, index, counts = np.unique(labels, return_inverse=True, return_counts=True)
        sums = np.zeros((len(counts), len(known)))
        np.add.at(sums, index, top)
        # Projected on the indicators' span, a column is its class means; the rest sticks out.
        cosines = np.asarray(scipy.linalg.svdvals(sums / np.sqrt(counts)[:, None]))
        top -= (sums / counts[:, None])[index]
        sines = scipy.linalg.svdvals(top)[::-1][: len(cosines)]
        # scipy.linalg.subspace_angles would do, if it did not (1.17) choose between sine and cosine
        # for the i-th smallest angle by the i-th largest one, which costs half of the digits.
        angles = np.arcsin(np.minimum(sines, 1.0)), np.arccos(np.minimum(cosines, 1.0))
        return np.where(cosines**2 >= 0.5, *angles)


def _of_shards(features: ShardedFeatures) -> tuple[Spectrum, SpectrumCertificate]:
    """XᵀX and the quotients ‖X q_j‖² are sums over all shards in float64: a collective call.

    Process 0 factorizes for all, so that all have the same basis to the last bit.
    """
    from gramlab.machine import device

    gram = device.gram_matrix(features.x)
    vectors = np.zeros_like(gram)
    if device.process()[0] == 0:
        vectors = scipy.linalg.eigh(gram, overwrite_a=True, driver="evd")[1]
    vectors = device.agreed(np.ascontiguousarray(vectors[:, ::-1]))
    product, eigenvalues = device.gram_action(features.x, vectors)
    order = np.argsort(-eigenvalues, kind="stable")
    eigenvalues, vectors, product = eigenvalues[order], vectors[:, order], product[:, order]
    for array in (eigenvalues, vectors):
        array.setflags(write=False)
    shape = features.n_samples, features.n_features
    certificate = SpectrumCertificate.of(product, vectors, eigenvalues, features.square_norm, shape)
    # Its features are for what reads no rows on the host.
    return Spectrum(eigenvalues, vectors, cast(Features, features), vectors), certificate


def _gram_vectors(blocks: Iterator[np.ndarray], small: int) -> np.ndarray:
    """Eigenvectors (small, small) of C = Σ BᵀB, of the largest eigenvalue first."""
    gram = np.zeros((small, small))
    for block in blocks:
        gram += block.T @ block
    return scipy.linalg.eigh(gram, overwrite_a=True, driver="evd")[1][:, ::-1]


def _unsquared_vectors(blocks: Iterator[np.ndarray], small: int) -> np.ndarray:
    """The same, as right singular vectors of the R of a QR factorization of all blocks."""
    triangle = np.zeros((0, small))
    for block in blocks:
        triangle = np.linalg.qr(np.concatenate([triangle, block]), mode="r")
    return scipy.linalg.svd(triangle, overwrite_a=True)[2].T


def _of_kernel(features: Features) -> Spectrum | None:
    """The spectrum that came with a Gram matrix, without squares or with: it was never of rows."""
    known = features.derived(known_factors)
    return known and Spectrum(known.eigenvalues, known.basis, features, known.vectors)


def _decompose(
    features: Features,
    eigenvectors: Callable[[Iterator[np.ndarray], int], np.ndarray],
    weights: bytes | None,
) -> Spectrum:
    known = None if weights is not None else features.derived(_of_kernel)
    if known is not None:
        return known
    row_weights = None if weights is None else np.frombuffer(weights)
    n, d = features.n_samples, features.n_features
    small = min(n, d)
    memory.check_memory(
        4 * 8 * small * small,
        f"the {small} x {small} Gram factorization",
        "use fewer rows or fewer features",
    )
    by_rows = d < n  # C = XᵀX (d, d); otherwise C = XXᵀ (N, N), which is no larger than X itself
    vectors = eigenvectors(_small_side_blocks(features, by_rows, row_weights), small)
    eigenvalues = np.zeros(small)
    for block in _small_side_blocks(features, by_rows, row_weights):
        # Quotients ‖Xq_j‖² are ≥ 0 by construction: no eigenvalue is ever clipped or jittered.
        rotated = block @ vectors
        eigenvalues += np.einsum("ij,ij->j", rotated, rotated)
    order = np.argsort(-eigenvalues, kind="stable")
    eigenvalues, vectors = eigenvalues[order], np.ascontiguousarray(vectors[:, order])
    basis = vectors if by_rows else _row_space_basis(features, vectors, row_weights)
    for array in (eigenvalues, vectors, basis):
        array.setflags(write=False)
    return Spectrum(eigenvalues, basis, features, vectors, row_weights)


def _coordinates(features: Features, spectrum: Spectrum) -> np.ndarray:
    n, r = features.n_samples, spectrum.basis.shape[1]
    memory.check_memory(
        8 * n * r, f"the eigenbasis coordinates ({n} x {r} float64)", "use fewer rows"
    )
    z = np.empty((n, r))
    for rows, block in features.blocks():
        np.matmul(block, spectrum.basis, out=z[rows])
    z.setflags(write=False)
    return z


def _certify(features: Features | ShardedFeatures, spectrum: Spectrum) -> SpectrumCertificate:
    """Backward error of the eigenvectors, against the features themselves."""
    if isinstance(features, ShardedFeatures):
        return features.derived(_of_shards)[1]
    n, d = shape = features.n_samples, features.n_features
    product = np.zeros_like(spectrum.vectors)
    square_norm = 0.0
    for block in _small_side_blocks(features, d < n, spectrum.row_weights):
        product += block.T @ (block @ spectrum.vectors)
        square_norm += float(np.vdot(block, block))
    where = spectrum.vectors, spectrum.eigenvalues, square_norm, shape
    return SpectrumCertificate.of(product, *where, spectrum.row_weights is not None)


def _small_side_blocks(
    features: Features, by_rows: bool, row_weights: np.ndarray | None
) -> Iterator[np.ndarray]:
    """Blocks B with C = Σ BᵀB: rows of √ΩX when C = XᵀΩX, else transposed blocks of its columns."""
    root = None if row_weights is None else np.sqrt(row_weights)
    if by_rows:
        for rows, block in features.blocks():
            yield block if root is None else root[rows, None] * block
        return
    width = max(1, (32 << 20) // (8 * features.n_samples))
    for start in range(0, features.n_features, width):
        columns = features.x[:, start : start + width]
        block = np.ascontiguousarray(columns.T, dtype=np.float64)
        yield block if root is None else root * block
        release(columns)


def _row_space_basis(
    features: Features, vectors: np.ndarray, row_weights: np.ndarray | None
) -> np.ndarray:
    """V (d, N) from the eigenvectors U of the Gram matrix: the Q factor of Xᵀ√ΩU.

    Xᵀ√ΩU = Vσ in exact arithmetic; QR keeps V orthonormal where σ is 0 or lost in rounding, without
    dividing by it, and its span always contains the rows of X.
    """
    rotated = np.zeros((features.n_features, vectors.shape[1]))
    if row_weights is not None:
        vectors = np.sqrt(row_weights)[:, None] * vectors
    for rows, block in features.blocks():
        rotated += block.T @ vectors[rows]
    return np.ascontiguousarray(np.linalg.qr(rotated)[0])


def dense_gram(features: Features) -> np.ndarray:
    """G = X Xᵀ (N, N) in full, only because it was asked for by name; else NotEnoughMemory."""
    n = features.n_samples
    memory.check_memory(
        8 * n * n + 8 * n * features.n_features,
        f"the dense {n} x {n} Gram matrix",
        "use Spectrum.of(features), which never forms it",
    )
    x = features.as_float64()
    return x @ x.T
