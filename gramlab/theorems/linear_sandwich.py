"""Linearized rounds keep at most what one training at the total weight decay keeps."""

import numpy as np
import sympy as sp

from gramlab.spectrum.filters import filter_power
from gramlab.theorems import _arguments as arguments
from gramlab.theorems._hypotheses import above, semidefinite
from gramlab.theorems._rounds import worst
from gramlab.theorems.form import Check, Hypothesis, Instance, Proof, Theorem, bound
from gramlab.theorems.steps import implies, proof, reals, vanish

EPS = float(np.finfo(float).eps)


def _prove() -> Proof:
    s, total, more, kept = reals("s Lambda mu y")
    x = sp.Symbol("x", nonnegative=True)
    slope = sp.factor(sp.diff(sp.log(1 + x) - x, x))
    return proof(
        "z3 for the step, sympy for the exponential; induction over rounds by hand",
        "every s > 0, every t and every schedule μ_1, …, μ_t > 0",
        implies(
            "y ≤ s/(s + Λ) gives y s/(s + μ) ≤ s/(s + Λ + μ)",
            [s > 0, total >= 0, more > 0, kept >= 0, kept * (s + total) <= s],
            kept * s * (s + total + more) <= s * (s + more),
        ),
        "by hand: induction over rounds from y = 1, Λ = 0",
        vanish(
            f"log(1 + x) − x is 0 at 0 and falls: its derivative is {slope}", [slope + x / (1 + x)]
        ),
        "by hand: with x = μ_i/s, s/(s + μ_i) = 1/(1 + x) ≥ e^(−x); multiply over rounds",
        "by hand: at s = 0 all three are 0",
    )


def _instance(gram: object, mus: object) -> Instance:
    found = arguments.array("mus", np.atleast_1d(mus), None)  # type: ignore[arg-type]
    return {"gram": arguments.gram("gram", gram), "mus": found}


def _draw(rng: np.random.Generator) -> Instance:
    n, d = int(rng.integers(2, 10)), int(rng.integers(1, 8))
    x = rng.standard_normal((n, d))
    powers = rng.uniform(-2, 2, int(rng.integers(2, 7)))
    return {
        "gram": x @ x.T,
        "mus": 10 ** (powers if rng.random() < 0.7 else 0 * powers + powers[0]),
    }


def _indefinite(rng: np.random.Generator) -> Instance:
    return {"gram": -np.eye(3), "mus": rng.uniform(2, 4, 2)}


def _compare(instance: Instance, more: float = 1.0, lower: float = 1.0) -> Check:
    """Eigenvalue by eigenvalue, above what rounding makes of a zero one."""
    values, mus = np.linalg.eigvalsh(instance["gram"]), instance["mus"]
    known = len(values) * EPS * float(np.abs(values).max())
    checks = []
    for s in values[np.abs(values) > known]:
        kept = float(np.prod([filter_power(np.array([s]), float(mu))[0] for mu in mus]))
        most = float(filter_power(np.array([s]), more * float(mus.sum()))[0])
        least = float(np.exp(-lower * mus.sum() / s))
        # A product of t quotients, a sum of t numbers, and an exponential of it.
        rounding = 8 * (len(mus) + 1) * EPS
        checks.append(bound(kept, most, rounding * most))
        checks.append(bound(least, kept, rounding * (1 + mus.sum() / abs(s)) * kept))
    return worst(checks)


THEOREM = Theorem(
    name="linear-sandwich",
    title="Linear rounds against one training at the total weight decay",
    source="D (rounds of ridge: Mobahi, Farajtabar & Bartlett 2020, Borup & Andersen 2021)",
    kind="upper bound",
    hypotheses=(
        Hypothesis(
            "positive semidefinite",
            r"G \succeq 0,\ s > 0 \text{ an eigenvalue of it}",
            _indefinite,
            semidefinite("gram"),
        ),
        Hypothesis("weight decays", r"\mu_i > 0", test=above("mus", "μ_i")),
    ),
    statement=r"e^{-\Lambda/s} \le \prod_{i \le t} h_{\mu_i}(s) \le h_\Lambda(s), \quad "
    r"h_\mu(s) = \frac{s}{s + \mu}, \quad \Lambda = \sum_{i \le t} \mu_i; \quad "
    r"\text{with one } \mu{:}\ e^{-t\mu/s} \le h_\mu(s)^t \le h_{t\mu}(s)",
    prove=_prove,
    draw=_draw,
    check=_compare,
    planted={
        "one training at twice the total weight decay": lambda i: _compare(i, more=2.0),
        "the exponential of half of it": lambda i: _compare(i, lower=0.5),
    },
    tight_within=1e-3,
    arguments={
        "gram": arguments.GRAM,
        "mus": "(t,), μ > 0 of each round; μ = K N λ for weight decay λ",
    },
    instance=_instance,
    runs=("gramlab.spectrum.filters.filter_power",),
)
