"""The block model for proofs: its matrix algebra with symbolic sizes, and its dense exact twin.

Samples are indexed by (superclass, class in it, number in the class), S × m × n of them. Proofs
work in the span of I, I_K⊗J_n, I_S⊗J_{mn}, J_N. Checks build the N × N Gram matrix entry by entry
in rational arithmetic and solve with it, so a tie is a tie and no check uses the formula it checks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache
from itertools import product
from typing import Any

import flint
import numpy as np
import sympy as sp
import z3
from sympy.concrete.delta import deltasummation

from gramlab.theorems._decide_inequality import reals, verdict_of, weakest
from gramlab.theorems.form import Verdict

__all__ = [
    "Block",
    "Rows",
    "Span",
    "algebra",
    "circulant",
    "class_means",
    "corruption",
    "decide",
    "draw_block",
    "eigenvalues",
    "entails",
    "filters",
    "given",
    "gram",
    "heldout",
    "iterate",
    "margins",
    "one_hot",
    "overall_mean",
    "reals",
    "smallest_difference",
    "tied",
    "two_hot",
    "split",
    "superclass_means",
    "weight_decay_for",
]

Rows = list[list[Fraction]]

# ---- Dense and exact -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Block:
    """A finite block model with the counts of given labels; every number is rational.

    Attributes
    ----------
    sizes
        Samples per class, K numbers; the model has them all equal.
    m
        Classes per superclass.
    c, d, e
        Correlation inside a class, inside a superclass, else.
    mu
        μ = K N λ.
    counts
        counts[k][j] samples of true class k carry the given label j.
    """

    sizes: tuple[int, ...]
    m: int
    c: Fraction
    d: Fraction
    e: Fraction
    mu: Fraction
    counts: tuple[tuple[int, ...], ...]

    @property
    def n_classes(self) -> int:
        """K."""
        return len(self.sizes)


def given(b: Block) -> list[tuple[int, int]]:
    """(true class, given label) of every sample, class by class."""
    return [(k, j) for k, row in enumerate(b.counts) for j, u in enumerate(row) for _ in range(u)]


def gram(b: Block) -> flint.fmpq_mat:
    """The N × N Gram matrix, entry by entry."""
    classes = [k for k, size in enumerate(b.sizes) for _ in range(size)]
    c, d, e = (flint.fmpq(x.numerator, x.denominator) for x in (b.c, b.d, b.e))
    near = [
        [c if k == j else d if k // b.m == j // b.m else e for j in range(b.n_classes)]
        for k in range(b.n_classes)
    ]
    one = flint.fmpq(1)
    rows = [
        [one if i == j else near[k][q] for j, q in enumerate(classes)]
        for i, k in enumerate(classes)
    ]
    return flint.fmpq_mat(rows)


def _matrix(rows: Rows) -> flint.fmpq_mat:
    return flint.fmpq_mat([[flint.fmpq(x.numerator, x.denominator) for x in row] for row in rows])


def _rows(a: flint.fmpq_mat) -> Rows:
    return [
        [Fraction(int(a[i, j].p), int(a[i, j].q)) for j in range(a.ncols())]
        for i in range(a.nrows())
    ]


def _shifted(b: Block, g: flint.fmpq_mat) -> flint.fmpq_mat:
    mu = flint.fmpq(b.mu.numerator, b.mu.denominator)
    n = g.nrows()
    return g + flint.fmpq_mat(
        [[mu if i == j else flint.fmpq(0) for j in range(n)] for i in range(n)]
    )


def one_hot(b: Block) -> Rows:
    """Given labels as N one-hot rows."""
    return [[Fraction(j == q) for q in range(b.n_classes)] for _, j in given(b)]


def iterate(b: Block, t: int, targets: Rows | None = None) -> Rows:
    """P = 1/K + (G(G+μ)⁻¹)^t (T − 1/K) by t dense solves; T is the given labels unless told."""
    base = Fraction(1, b.n_classes)
    x = _matrix([[y - base for y in row] for row in (targets or one_hot(b))])
    g = gram(b)
    shifted = _shifted(b, g)
    for _ in range(t):
        x = shifted.solve(g * x)
    return [[y + base for y in row] for row in _rows(x)]


def heldout(b: Block, t: int) -> Rows:
    """Prediction for a new point of each class, K rows: 1/K + gᵀG^{t−1}(G+μ)^{−t}D."""
    base = Fraction(1, b.n_classes)
    g = gram(b)
    shifted = _shifted(b, g)
    x = _matrix([[y - base for y in row] for row in one_hot(b)])
    for _ in range(t - 1):
        x = shifted.solve(g * x)
    x = shifted.solve(x)
    near = [
        [b.c if k == q else b.d if k // b.m == q // b.m else b.e for q, _ in given(b)]
        for k in range(b.n_classes)
    ]
    return [[y + base for y in row] for row in _rows(_matrix(near) * x)]


def margins(b: Block, predictions: Rows) -> list[Fraction]:
    """Per sample: true class minus the largest other class; positive means right without a tie."""
    return [
        row[k] - max(x for j, x in enumerate(row) if j != k)
        for (k, _), row in zip(given(b), predictions, strict=True)
    ]


def two_hot(b: Block, predictions: Rows) -> tuple[Rows, bool]:
    """1/2 on each sample's two largest labels, and whether no tie decides which they are."""
    rows, clear = [], True
    for row in predictions:
        order = sorted(range(b.n_classes), key=lambda j: (-row[j], j))
        clear = clear and (b.n_classes == 2 or row[order[1]] > row[order[2]])
        rows.append([Fraction(j in order[:2], 2) for j in range(b.n_classes)])
    return rows, clear


# ---- The model's constants, as the formulas use them ---------------------------------------------


def eigenvalues(b: Block) -> tuple[Fraction, Fraction, Fraction, Fraction]:
    """s_A = 1 − c, s_B = s_A + n(c−d), s_C = s_B + nm(d−e), s_D = s_C + nKe."""
    n, k = b.sizes[0], b.n_classes
    s_a = 1 - b.c
    s_b = s_a + n * (b.c - b.d)
    s_c = s_b + n * b.m * (b.d - b.e)
    return s_a, s_b, s_c, s_c + n * k * b.e


def filters(b: Block, t: int = 1) -> tuple[Fraction, Fraction, Fraction, Fraction]:
    """p_•^t with p = s/(s+μ)."""
    p_a, p_b, p_c, p_d = ((s / (s + b.mu)) ** t for s in eigenvalues(b))
    return p_a, p_b, p_c, p_d


def class_means(b: Block) -> Rows:
    """C: row k holds the fractions of given labels in class k."""
    return [[Fraction(u, size) for u in row] for row, size in zip(b.counts, b.sizes, strict=True)]


def superclass_means(b: Block) -> Rows:
    """C̄_s of the superclass of each class, K rows."""
    c = class_means(b)
    blocks = [range(k // b.m * b.m, k // b.m * b.m + b.m) for k in range(b.n_classes)]
    return [
        [sum((c[q][j] for q in r), Fraction(0)) / b.m for j in range(b.n_classes)] for r in blocks
    ]


def overall_mean(b: Block) -> list[Fraction]:
    """C̄."""
    return [sum(column, Fraction(0)) / b.n_classes for column in zip(*class_means(b), strict=True)]


def weight_decay_for(s_a: Fraction, s_b: Fraction, rho: Fraction) -> Fraction:
    """The μ at which p_B/p_A equals ρ; needs 1 < ρ < s_B/s_A."""
    return (rho - 1) * s_a * s_b / (s_b - rho * s_a)


def smallest_difference(c: Rows) -> Fraction | None:
    """Δ = min (C_kk − C_kk') over k' ≠ k with C_kk' > 0; None where no label is wrong."""
    k = range(len(c))
    found = [c[i][i] - c[i][j] for i in k for j in k if i != j and c[i][j] > 0]
    return min(found, default=None)


def tied(b: Block, t: int, delta: Fraction | None) -> Block:
    """The block with μ such that ρ^t = 1 + 1/Δ, or as it was where no rational μ does it."""
    if delta is None or delta <= 0:
        return b
    power = 1 + 1 / delta
    root = [round(x ** (1 / t)) for x in (power.numerator, power.denominator)]
    rho = Fraction(root[0], root[1])
    s_a, s_b = eigenvalues(b)[:2]
    if rho**t != power or rho * s_a >= s_b:
        return b
    return replace(b, mu=weight_decay_for(s_a, s_b, rho))


# ---- Draws ---------------------------------------------------------------------------------------


def corruption(
    rng: np.random.Generator, k: int, m: int, n: int, clean: float
) -> tuple[tuple[int, ...], ...]:
    """Counts with all row and column sums n, nothing outside the m × m superclass blocks."""
    counts = np.zeros((k, k), dtype=int)
    for s in range(0, k, m):
        for _ in range(n):
            order = np.arange(m) if rng.random() < clean else rng.permutation(m)
            counts[s + np.arange(m), s + order] += 1
    return tuple(tuple(int(x) for x in row) for row in counts)


def split(rng: np.random.Generator, k: int, n: int) -> tuple[tuple[int, ...], ...]:
    """Any counts with row sums n: columns are not balanced."""
    rows = [rng.multinomial(n, rng.dirichlet(np.full(k, 0.7))) for _ in range(k)]
    return tuple(tuple(int(x) for x in row) for row in rows)


def circulant(
    rng: np.random.Generator, superclasses: int, row: Sequence[int]
) -> tuple[tuple[int, ...], ...]:
    """Counts whose every row is the given one, shifted to the true class, classes renamed."""
    m = len(row)
    counts = np.zeros((superclasses * m, superclasses * m), dtype=int)
    for s in range(0, superclasses * m, m):
        names = s + rng.permutation(m)
        for k in range(m):
            for shift in range(m):
                counts[names[k], names[(k + shift) % m]] = row[shift]
    return tuple(tuple(int(x) for x in r) for r in counts)


def draw_block(
    rng: np.random.Generator,
    *,
    superclasses: int | None = None,
    classes: int | None = None,
    size: int | None = None,
    clean: float | None = None,
) -> Block:
    """Equal class sizes, 0 ≤ e ≤ d < c < 1, balanced corruption inside superclasses."""
    s = int(rng.integers(1, 3)) if superclasses is None else superclasses
    m = int(rng.integers(2, 5 if s == 1 else 4)) if classes is None else classes
    n = int(rng.integers(3, 9 if s == 1 else 6)) if size is None else size
    c = int(rng.integers(2, 19))
    d = int(rng.integers(0, c))
    e = int(rng.integers(0, d + 1))
    clean = float(rng.uniform(0.2, 0.95)) if clean is None else clean
    return Block(
        sizes=(n,) * (s * m),
        m=m,
        c=Fraction(c, 20),
        d=Fraction(d, 20),
        e=Fraction(e, 20),
        mu=Fraction(int(100 * 10 ** rng.uniform(-1.5, 1.5)) + 1, 100),
        counts=corruption(rng, s * m, m, n, clean),
    )


# ---- z3 ------------------------------------------------------------------------------------------


def entails(hypotheses: Sequence[Any], claim: Any) -> list[Any]:
    """The goal whose unsatisfiability proves that the hypotheses imply the claim."""
    return [*hypotheses, z3.Not(claim)]


def decide(
    goals: Mapping[str, Sequence[Any]], timeout: float = 20.0
) -> tuple[Verdict, tuple[str, ...]]:
    """Each goal is a negated claim: a counterexample refutes all, no answer leaves all open."""
    verdicts: list[Verdict] = []
    lines = []
    for name, goal in goals.items():
        solver = z3.Solver()
        solver.set("timeout", int(timeout * 1000))
        solver.add(*goal)
        verdict, words = verdict_of(solver)
        verdicts.append(verdict)
        lines.append(f"{name}: {words}")
    if "counterexample" in verdicts:
        return "counterexample", tuple(lines)
    return weakest(*verdicts), tuple(lines)


# ---- The commutative algebra, sizes symbolic -----------------------------------------------------

_n, _m, _S = sp.symbols("n m S", integer=True, positive=True)
_c, _d, _e, _mu = sp.symbols("c d e mu", positive=True)
_SIZES = (sp.Integer(1), _n, _n * _m, _n * _m * _S)


@dataclass(frozen=True)
class Span:
    """a₀ I + a₁ I_K⊗J_n + a₂ I_S⊗J_{mn} + a₃ J_N with symbolic coefficients.

    The product uses J_a J_b = (smaller block size) · (larger block matrix), see ``algebra``.
    """

    a: tuple[Any, ...]

    def __add__(self, other: Span) -> Span:
        """Sum."""
        return Span(tuple(x + y for x, y in zip(self.a, other.a, strict=True)))

    def scaled(self, factor: Any) -> Span:
        """Scalar multiple."""
        return Span(tuple(factor * x for x in self.a))

    def __matmul__(self, other: Span) -> Span:
        """Matrix product."""
        out: list[Any] = [sp.Integer(0)] * 4
        for i, j in product(range(4), range(4)):
            out[max(i, j)] += self.a[i] * other.a[j] * _SIZES[min(i, j)]
        return Span(tuple(out))

    def equals(self, other: Span) -> bool:
        """Equality for all sizes and parameters, by simplification of every coefficient to 0."""
        return all(sp.simplify(x - y) == 0 for x, y in zip(self.a, other.a, strict=True))

    def trace(self) -> Any:
        """All diagonal entries of the four basis matrices are 1."""
        return sp.factor(_SIZES[3] * sum(self.a))


def _table() -> bool:
    """Verify the multiplication table entry by entry, with symbolic S, m, n and indices."""
    size = dict(zip(("s", "a", "i"), (_S, _m, _n), strict=True))
    # The basis matrices: which of the three indices must agree for an entry to be 1.
    agree = (("s", "a", "i"), ("s", "a"), ("s",), ())

    def entry(basis: int, name: str, x: Any, y: Any) -> Any:
        return sp.KroneckerDelta(x, y) if name in agree[basis] else sp.Integer(1)

    good = True
    for p, q in product(range(4), range(4)):
        found, expected = sp.Integer(1), _SIZES[min(p, q)]
        for name, top in size.items():
            x, y, z = (sp.Symbol(f"{name}{w}", integer=True, positive=True) for w in "xyz")
            term = entry(p, name, x, z) * entry(q, name, z, y)
            found *= deltasummation(term, (z, 1, top), no_piecewise=True)
            expected *= entry(max(p, q), name, x, y)
        good = good and sp.simplify(found - expected) == 0
    return good


@cache
def algebra() -> tuple[dict[str, bool], dict[str, Any]]:
    """The facts the proofs rest on, each with whether it came out true; and the objects."""
    one, zero = sp.Integer(1), sp.Integer(0)
    basis = [Span(tuple(one if i == j else zero for j in range(4))) for i in range(4)]
    means = [basis[i].scaled(1 / _SIZES[i]) for i in range(4)]  # averages over the blocks
    idempotents = [means[i] + means[i + 1].scaled(-1) for i in range(3)] + [means[3]]
    eigen = [1 - _c]
    eigen.append(eigen[0] + _n * (_c - _d))
    eigen.append(eigen[1] + _n * _m * (_d - _e))
    eigen.append(eigen[2] + _n * _m * _S * _e)
    g = Span((1 - _c, _c - _d, _d - _e, _e))

    def combination(values: Sequence[Any]) -> Span:
        total = Span((zero,) * 4)
        for value, e in zip(values, idempotents, strict=True):
            total = total + e.scaled(value)
        return total

    k = _m * _S
    counts = (k * (_n - 1), k - _S, _S - 1, one)
    h = combination([s / (s + _mu) for s in eigen])
    # Powers by induction: symbols stand for p_• and for p_•^t.
    p, power = sp.symbols("p_A:D", positive=True), sp.symbols("q_A:D", positive=True)
    step = combination(power) @ combination(p)
    facts = {
        "products of I, I_K⊗J_n, I_S⊗J_mn, J_N": _table(),
        "E_• are orthogonal idempotents": all(
            (idempotents[i] @ idempotents[j]).equals(
                idempotents[i] if i == j else Span((zero,) * 4)
            )
            for i, j in product(range(4), range(4))
        ),
        "E_A + E_B + E_C + E_D = I": combination([one] * 4).equals(basis[0]),
        "G = Σ s_• E_•": combination(eigen).equals(g),
        "multiplicities are the traces": all(
            sp.simplify(e.trace() - count) == 0
            for e, count in zip(idempotents, counts, strict=True)
        ),
        "h(G)(G + μI) = G": (h @ (g + basis[0].scaled(_mu))).equals(g),
        "(Σ p_•^t E_•)(Σ p_• E_•) = Σ p_•^{t+1} E_•, so h(G)^t = Σ p_•^t E_• by induction": (
            step.equals(combination([x * y for x, y in zip(power, p, strict=True)]))
        ),
        "E_A, E_B, E_C annihilate constants": all(
            (idempotents[i] @ basis[3]).equals(Span((zero,) * 4)) for i in range(3)
        ),
    }
    return facts, {"eigenvalues": eigen, "combination": combination}
