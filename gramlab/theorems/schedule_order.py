"""At one total weight decay, linear rounds keep the less the more even their steps are."""

from itertools import pairwise

import numpy as np

from gramlab.spectrum.filters import filter_power
from gramlab.theorems import _arguments as arguments
from gramlab.theorems._hypotheses import semidefinite
from gramlab.theorems._rounds import worst
from gramlab.theorems._schedules import EPS, POSITIVE, SCHEDULES, majorization, uneven
from gramlab.theorems.form import Check, Hypothesis, Instance, Rocq, Theorem, bound


def _draw(rng: np.random.Generator) -> Instance:
    n, d = int(rng.integers(2, 10)), int(rng.integers(1, 8))
    x = rng.standard_normal((n, d))
    scale = 2.0 ** rng.integers(-12, 1)  # a power of two, so that the totals stay equal
    mus, others = (scale * np.array(one, dtype=float) for one in uneven(rng))
    return {"gram": x @ x.T, "mus": mus, "others": others}


def _indefinite(rng: np.random.Generator) -> Instance:
    total = float(rng.uniform(3, 5))
    return {"gram": -np.eye(3), "mus": np.array([total]), "others": np.full(2, total / 2)}


def _the_more_even_first(rng: np.random.Generator) -> Instance:
    return {
        "gram": np.diag(rng.uniform(0.5, 2, 3)),
        "mus": np.full(2, 2.0),
        "others": np.array([1.0, 3.0]),
    }


def _kept(s: float, mus: np.ndarray) -> float:
    """∏ h_μ(s), by the filter that users call."""
    return float(np.prod([filter_power(np.array([s]), float(mu))[0] for mu in mus]))


def _compare(instance: Instance, spent: float = 1.0, reverse: bool = False) -> Check:
    """Eigenvalue by eigenvalue: equal rounds, the more even, the less even, one training."""
    values = np.linalg.eigvalsh(instance["gram"])
    known = len(values) * EPS * float(np.abs(values).max())
    mus, others = instance["mus"], spent * instance["others"]
    t, total = len(others), float(others.sum())
    order = [np.full(t, total / t), others, mus, np.array([mus.sum()])]
    checks = []
    for s in values[np.abs(values) > known]:
        kept = [_kept(float(s), one) for one in (order[::-1] if reverse else order)]
        # Products of t quotients; totals that differ by rounding meet the factors as d log h does.
        rounding = 8 * (t + 1) * EPS * (1 + abs(total / (s + others.min())))
        checks += [bound(a, b, rounding * abs(b)) for a, b in pairwise(kept)]
    return worst(checks)


THEOREM = Theorem(
    name="schedule-order",
    title="At one total weight decay, even rounds keep least",
    source="D (Schur-concavity of a product: Marshall, Olkin & Arnold 2011)",
    kind="upper bound",
    hypotheses=(
        Hypothesis(
            "positive semidefinite",
            r"G \succeq 0,\ s > 0 \text{ an eigenvalue of it}",
            _indefinite,
            semidefinite("gram"),
        ),
        POSITIVE,
        majorization(_the_more_even_first),
    ),
    statement=r"h_{\Lambda/t}(s)^t \le \prod_i h_{\nu_i}(s) \le \prod_i h_{\mu_i}(s) \le "
    r"h_\Lambda(s), \quad h_\mu(s) = \frac{s}{s + \mu}, \quad t \text{ the rounds of } \nu; "
    r"\quad \text{the order of a schedule changes nothing, and } h_{\Lambda/t}(s)^t "
    r"\text{ falls to } e^{-\Lambda/s} \text{ as } t \text{ grows}",
    kernel=Rocq("schedule_order.v", ("schedule_order",)),
    draw=_draw,
    check=_compare,
    planted={
        "the more even schedule keeps more": lambda i: _compare(i, reverse=True),
        "even at nine tenths of the total": lambda i: _compare(i, spent=0.9),
    },
    tight_within=1e-3,
    arguments={"gram": arguments.GRAM, **SCHEDULES},
    runs=("gramlab.spectrum.filters.filter_power",),
)
