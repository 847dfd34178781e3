"""A slow twin of a population's exact rounds: every type, the dense Gram matrix, 170 digits."""

from __future__ import annotations

from fractions import Fraction

import mpmath
import numpy as np

DIGITS = 170
# What each round is solved to, of the first one's logits. Errors in directions that are filtered
# less than the signal outlive it, so this has to be far below the last margin that is looked at.
RESOLVED = mpmath.mpf(10) ** -150


def kind_matrix(kind: str, k: int, rate: str) -> list[list[Fraction]]:
    """The corruption matrix of a kind, from its definition, in rationals."""
    r = Fraction(rate)
    off = {"symmetric": r / (k - 1), "asymmetric": r / k, "pair-flip": Fraction(0)}[kind]
    next_one = {"symmetric": off, "asymmetric": 2 * r / k, "pair-flip": r}[kind]
    return [
        [1 - r if j == i else next_one if j == (i + 1) % k else off for j in range(k)]
        for i in range(k)
    ]


class Twin:
    """Logits of all (true, given) types, round by round, by Newton's method.

    Parameters
    ----------
    sizes
        (K, n, m): classes, samples per class, classes per superclass.
    correlations
        c, d, e as text.
    matrix
        C in rationals.
    weight_decay
        λ as text.
    """

    def __init__(self, sizes, correlations, matrix, weight_decay):
        k, n, m = sizes
        with mpmath.workdps(DIGITS):
            c, d, e = map(mpmath.mpf, correlations)
            self.types = [(i, j) for i in range(k) for j in range(k) if matrix[i][j] > 0]
            near = [
                [c if i == q else d if i // m == q // m else e for q in range(k)] for i in range(k)
            ]
            scale = 1 / (k * n * mpmath.mpf(weight_decay))
            rows = []
            for a, (i, _) in enumerate(self.types):
                row = []
                for b, (q, j) in enumerate(self.types):
                    mass = n * mpmath.mpf(matrix[q][j].numerator) / matrix[q][j].denominator
                    row.append(scale * ((1 - c) * (a == b) + near[i][q] * mass))
                rows.append(row)
            self.kernel = np.array(rows, dtype=object)
            self.targets = np.array(
                [[mpmath.mpf(j == q) for q in range(k)] for _, j in self.types], dtype=object
            )
            self.logits, self.scale = 0 * self.targets, 0

    def round(self) -> list[mpmath.mpf]:
        """Solve one more round; the margin of each type in logits."""
        with mpmath.workdps(DIGITS):
            best = self._miss(self.logits)
            self.scale = self.scale or max(map(abs, best.flat))
            kernel = self.kernel.astype(float)
            for _ in range(400):
                size = max(map(abs, best.flat))
                if size <= self.scale * RESOLVED:
                    break
                p = self._softmax(self.logits).astype(float)
                a, k = p.shape
                curved = np.einsum("ik,kl->ikl", p, np.eye(k)) - np.einsum("ik,il->ikl", p, p)
                jacobian = np.eye(a * k) + np.einsum("ab,bkl->akbl", kernel, curved).reshape(
                    a * k, a * k
                )
                step = np.linalg.solve(jacobian, (best / size).astype(float).ravel())
                step = np.array([mpmath.mpf(x) for x in step], dtype=object).reshape(a, k) * size
                while True:
                    moved = self._miss(self.logits - step)
                    if max(map(abs, moved.flat)) < size or not step.any():
                        break
                    step = step / 2
                    if max(map(abs, step.flat)) < size * mpmath.mpf(10) ** -8:
                        step = 0 * step
                if not step.any():
                    break
                self.logits, best = self.logits - step, moved
            assert max(map(abs, best.flat)) <= self.scale * RESOLVED
            self.targets = self._softmax(self.logits)
            margins = []
            for (true, _), row in zip(self.types, self.logits, strict=True):
                margins.append(row[true] - max(x for j, x in enumerate(row) if j != true))
            return margins

    def _softmax(self, logits):
        exponentials = np.array([[mpmath.exp(x) for x in row] for row in logits], dtype=object)
        return exponentials / exponentials.sum(axis=1, keepdims=True)

    def _miss(self, logits):
        return logits - self.kernel @ (self.targets - self._softmax(logits))
