"""What momentum keeps of an eigenvalue: less than plain rounds, at a rate, and with a sign."""

import math

import numpy as np

from gramlab.distillation import distill
from gramlab.heads.closed_form import LinearizedHead
from gramlab.theorems._arguments import ROUNDS, flag, number
from gramlab.theorems._heads import EPS, features
from gramlab.theorems._hypotheses import above, equals
from gramlab.theorems._rounds import worst
from gramlab.theorems.form import Check, Hypothesis, Instance, Rocq, Theorem, bound


def _draw(rng: np.random.Generator) -> Instance:
    s = float(10 ** rng.uniform(-2, 2))
    mu, rounds = s * float(10 ** rng.uniform(-4, 1)), int(rng.integers(1, 25))
    return {"eigenvalue": s, "mu": mu, "rounds": rounds, "momentum": True}


def _without_momentum(rng: np.random.Generator) -> Instance:
    rounds = int(rng.integers(35, 45))
    return {"eigenvalue": 1.0, "mu": 1 / rounds, "rounds": rounds, "momentum": False}


def _filters(instance: Instance) -> list[float]:
    """q_0, …, q_T: what rounds keep of two equal rows, whose Gram matrix has the eigenvalue s."""
    n, k = 2, 2
    head, targets = LinearizedHead(instance["mu"] / (k * n)), np.eye(k)[[0, 0]]
    used = features(np.full((n, 1), math.sqrt(instance["eigenvalue"] / n)), k)
    made = distill(head, used, targets, instance["rounds"], momentum=instance["momentum"])
    return [1.0, *(float(fit.deviations[0, 0]) / (1 - 1 / k) for fit in made)]


def _compare(
    instance: Instance, extra: bool = True, rate: float = 2.0, while_positive: bool = True
) -> Check:
    x, q = instance["mu"] / instance["eigenvalue"], _filters(instance)
    kept, checks, given = 1 / (1 + x), [], 1.0
    for t in range(1, len(q)):
        # |q_t| ≤ 1 as a polynomial in h on [0, 1], so its slope is at most 2t² (Markov), and h and
        # each of t steps round a few times.
        error = 16 * (2 * t * t + t) * EPS
        slope = (t * t + (5 * t + 2) * extra) / 8  # of the filter in μ/s at 0
        checks.append(bound(1 - q[t], slope * x, error))
        checks.append(bound(abs(q[t]) * math.sqrt(x) * (t + 1), rate, (t + 1) * error))
        if min(q[:t]) >= 0 or not while_positive:
            checks.append(bound(q[t], kept**t, error))
        by_recursion = abs(q[t] - kept * given) <= error
        checks[-1] = checks[-1].also(by_recursion or not instance["momentum"])
        given = q[t] + (t - 1) / (t + 2) * (q[t] - q[t - 1])
    return worst(checks)


THEOREM = Theorem(
    name="momentum-filter",
    title="What momentum keeps of an eigenvalue",
    source="D (accelerated gradients on a parabola: Nesterov 1983, Su, Boyd & Candès 2016)",
    kind="upper bound",
    hypotheses=(
        Hypothesis("eigenvalue", r"s > 0", test=above("eigenvalue", "s")),
        Hypothesis("weight decay", r"\mu > 0", test=above("mu", "μ")),
        Hypothesis(
            "momentum",
            r"q_0 = 1,\ q_1 = h,\ q_{t+1} = h\,(q_t + \tfrac{t-1}{t+2} (q_t - q_{t-1})), \quad "
            r"h = \tfrac{s}{s + \mu}",
            _without_momentum,
            equals("momentum", "factor of the momentum", lambda i: True),
        ),
    ),
    statement=r"1 - \frac{t^2 + 5t + 2}{8} \frac{\mu}{s} \le q_t, \quad \lvert q_t \rvert \le "
    r"\frac{2}{t + 1} \sqrt{\frac{s}{\mu}}, \quad q_t \le h^t \text{ if } q_1, \dots, q_{t-1} \ge "
    r"0; \quad q_3 < 0 \iff \mu > 4s",
    kernel=Rocq("momentum_filter.v", ("momentum_filter",)),
    draw=_draw,
    check=_compare,
    planted={
        "t²/8": lambda i: _compare(i, extra=False),
        "half the rate": lambda i: _compare(i, rate=1.0),
        "never above plain rounds": lambda i: _compare(i, while_positive=False),
    },
    tight_within=0.01,
    arguments={
        "eigenvalue": number("s > 0 of a Gram matrix"),
        "mu": number("μ > 0; μ = K N λ"),
        "rounds": ROUNDS,
        "momentum": flag("False for plain rounds; True unless told", True),
    },
    runs=("gramlab.distill", "gramlab.LinearizedHead.fit"),
)
