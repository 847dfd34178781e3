"""The matrix algebra of the block model with symbolic sizes, for proofs.

Samples are indexed by (superclass, class in it, number in the class), S × m × n of them. Proofs
work in the span of I, I_K⊗J_n, I_S⊗J_{mn}, J_N.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import Any

import sympy as sp
from sympy.concrete.delta import deltasummation

from gramlab.theorems.steps import Step, holds

n, m, S = sp.symbols("n m S", integer=True, positive=True)
c, d, e, mu = sp.symbols("c d e mu", positive=True)
_SIZES = (sp.Integer(1), n, n * m, n * m * S)


@dataclass(frozen=True)
class Span:
    """a₀ I + a₁ I_K⊗J_n + a₂ I_S⊗J_{mn} + a₃ J_N with symbolic coefficients.

    The product uses J_a J_b = (smaller block size) · (larger block matrix), see ``_table``.
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


ZERO = Span((sp.Integer(0),) * 4)
_BASIS = [Span(tuple(sp.Integer(i == j) for j in range(4))) for i in range(4)]
_MEANS = [_BASIS[i].scaled(1 / _SIZES[i]) for i in range(4)]  # averages over the blocks
_PROJECTIONS = [*(_MEANS[i] + _MEANS[i + 1].scaled(-1) for i in range(3)), _MEANS[3]]
_s_b = 1 - c + n * (c - d)
_s_c = _s_b + n * m * (d - e)
EIGENVALUES = (1 - c, _s_b, _s_c, _s_c + n * m * S * e)


def combination(values: Sequence[Any]) -> Span:
    """Σ values_• E_• over the four eigenspaces A, B, C, D."""
    return sum((p.scaled(v) for v, p in zip(values, _PROJECTIONS, strict=True)), ZERO)


def _table() -> bool:
    """Verify the multiplication table entry by entry, with symbolic S, m, n and indices."""
    size = {"s": S, "a": m, "i": n}
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
def algebra() -> tuple[Step, ...]:
    """The facts that proofs on the block model rest on."""
    k = m * S
    counts = (k * (n - 1), k - S, S - 1, sp.Integer(1))
    g = Span((1 - c, c - d, d - e, e))
    h = combination([s / (s + mu) for s in EIGENVALUES])
    # Powers by induction: symbols stand for p_• and for p_•^t.
    p, power = sp.symbols("p_A:D", positive=True), sp.symbols("q_A:D", positive=True)
    step = combination(power) @ combination(p)
    return (
        holds("products of I, I_K⊗J_n, I_S⊗J_mn, J_N", _table()),
        holds(
            "E_• are orthogonal idempotents",
            all(
                (one @ other).equals(one if one is other else ZERO)
                for one, other in product(_PROJECTIONS, _PROJECTIONS)
            ),
        ),
        holds("E_A + E_B + E_C + E_D = I", combination([sp.Integer(1)] * 4).equals(_BASIS[0])),
        holds("G = Σ s_• E_•", combination(EIGENVALUES).equals(g)),
        holds(
            "multiplicities are the traces",
            all(
                sp.simplify(projection.trace() - count) == 0
                for projection, count in zip(_PROJECTIONS, counts, strict=True)
            ),
        ),
        holds("h(G)(G + μI) = G", (h @ (g + _BASIS[0].scaled(mu))).equals(g)),
        holds(
            "(Σ p_•^t E_•)(Σ p_• E_•) = Σ p_•^{t+1} E_•, so h(G)^t = Σ p_•^t E_• by induction",
            step.equals(combination([x * y for x, y in zip(power, p, strict=True)])),
        ),
        holds(
            "E_A, E_B, E_C annihilate constants",
            all((projection @ _BASIS[3]).equals(ZERO) for projection in _PROJECTIONS[:3]),
        ),
    )
