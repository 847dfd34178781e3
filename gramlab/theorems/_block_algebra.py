"""The matrix algebra of the block model with symbolic sizes, for proofs.

Samples are indexed by (superclass, class in it, number in the class), S × m × n of them. A matrix
a₀ I + a₁ I_K⊗J_n + a₂ I_S⊗J_{mn} + a₃ J_N is the column of its four symbolic coefficients.
"""

from collections.abc import Sequence
from functools import cache
from itertools import product
from typing import Any

import sympy as sp
from sympy.concrete.delta import deltasummation

from gramlab.theorems.steps import Step, vanish

n, m, S = sp.symbols("n m S", integer=True, positive=True)
c, d, e, mu = sp.symbols("c d e mu", positive=True)
_SIZES = (sp.Integer(1), n, n * m, n * m * S)
_MEANS = [sp.eye(4)[:, i] / _SIZES[i] for i in range(4)]  # averages over the blocks
_PROJECTIONS = [*(_MEANS[i] - _MEANS[i + 1] for i in range(3)), _MEANS[3]]
_s_b = 1 - c + n * (c - d)
_s_c = _s_b + n * m * (d - e)
EIGENVALUES = (1 - c, _s_b, _s_c, _s_c + n * m * S * e)


def _times(x: Any, y: Any) -> Any:
    """Matrix product; J_a J_b = (smaller block size) · (larger block matrix), see ``_table``."""
    out = sp.zeros(4, 1)
    for i, j in product(range(4), repeat=2):
        out[max(i, j)] += x[i] * y[j] * _SIZES[min(i, j)]
    return out


def combination(values: Sequence[Any]) -> Any:
    """Σ values_• E_• over the four eigenspaces A, B, C, D."""
    return sum((v * p for v, p in zip(values, _PROJECTIONS, strict=True)), sp.zeros(4, 1))


def _table() -> list[Any]:
    """Residuals of the multiplication table entry by entry, with symbolic S, m, n and indices."""
    # The basis matrices: which of the three indices must agree for an entry to be 1.
    agree = ("sai", "sa", "s", "")

    def entry(basis: int, name: str, x: Any, y: Any) -> Any:
        return sp.KroneckerDelta(x, y) if name in agree[basis] else sp.Integer(1)

    residuals = []
    for p, q in product(range(4), repeat=2):
        found, expected = sp.Integer(1), _SIZES[min(p, q)]
        for name, top in zip("sai", (S, m, n), strict=True):
            x, y, z = (sp.Symbol(f"{name}{w}", integer=True, positive=True) for w in "xyz")
            term = entry(p, name, x, z) * entry(q, name, z, y)
            found *= deltasummation(term, (z, 1, top), no_piecewise=True)
            expected *= entry(max(p, q), name, x, y)
        residuals.append(found - expected)
    return residuals


@cache
def algebra() -> tuple[Step | str, ...]:
    """The facts that proofs on the block model rest on."""
    k = m * S
    counts = (k * (n - 1), k - S, S - 1, sp.Integer(1))
    identity, g = sp.eye(4)[:, 0], sp.Matrix([1 - c, c - d, d - e, e])
    h = combination([s / (s + mu) for s in EIGENVALUES])
    # Powers by induction: symbols stand for p_• and for p_•^t.
    p, power = sp.symbols("p_A:D", positive=True), sp.symbols("q_A:D", positive=True)
    step = [x * y for x, y in zip(power, p, strict=True)]
    facts = {
        "E_• are orthogonal idempotents": [
            _times(x, y) - int(i == j) * x
            for (i, x), (j, y) in product(enumerate(_PROJECTIONS), repeat=2)
        ],
        "E_A + E_B + E_C + E_D = I": [combination([1] * 4) - identity],
        "G = Σ s_• E_•": [combination(EIGENVALUES) - g],
        # All diagonal entries of the four basis matrices are 1.
        "multiplicities are the traces": [
            sp.Matrix([_SIZES[3] * sum(projection) - count])
            for projection, count in zip(_PROJECTIONS, counts, strict=True)
        ],
        "h(G)(G + μI) = G": [_times(h, g + mu * identity) - g],
        "(Σ p_•^t E_•)(Σ p_• E_•) = Σ p_•^{t+1} E_•": [
            _times(combination(power), combination(p)) - combination(step)
        ],
        "E_A, E_B, E_C annihilate constants": [
            _times(projection, sp.eye(4)[:, 3]) for projection in _PROJECTIONS[:3]
        ],
    }
    return (
        vanish("products of I, I_K⊗J_n, I_S⊗J_mn, J_N", _table()),
        *(vanish(fact, sp.Matrix.vstack(*residuals)) for fact, residuals in facts.items()),
        "by hand: so the s_• are the eigenvalues, and h(G)^t = Σ p_•^t E_• by induction",
    )
