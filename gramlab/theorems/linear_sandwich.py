"""Linearized rounds keep at most what one training at the total weight decay keeps."""

import numpy as np

from gramlab.spectrum.filters import filter_power
from gramlab.theorems import _arguments as arguments
from gramlab.theorems._heads import EPS
from gramlab.theorems._hypotheses import above, semidefinite
from gramlab.theorems._rounds import worst
from gramlab.theorems.form import Check, Hypothesis, Instance, Rocq, Theorem, bound


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
    kernel=Rocq("linear_sandwich.v", ("linear_sandwich", "linear_sandwich_one_mu")),
    draw=_draw,
    check=_compare,
    planted={
        "one training at twice the total weight decay": lambda i: _compare(i, more=2.0),
        "the exponential of half of it": lambda i: _compare(i, lower=0.5),
    },
    tight_within=1e-3,
    arguments={
        "gram": arguments.GRAM,
        "mus": arguments.array("μ > 0 of each round; μ = K N λ for weight decay λ", "t"),
    },
    runs=("gramlab.spectrum.filters.filter_power",),
)
