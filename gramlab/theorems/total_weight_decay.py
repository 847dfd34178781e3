"""How near to uniform rounds are depends on the schedule through the total weight decay alone."""

import math

from gramlab.theorems._rounds import (
    ARGUMENTS,
    RUNS,
    SUPPOSED,
    draw_rounds,
    exact_rounds,
    start_gradient,
    uniform_moment,
    worst,
)
from gramlab.theorems.form import Check, Instance, Rocq, Theorem, bound


def _compare(instance: Instance, squares: float = 1.0, share: float = 4.0) -> Check:
    x, k = instance["x"], instance["targets"].shape[1]
    start, least = start_gradient(x, instance["targets"]), uniform_moment(x, k)
    size, spent, checks = start.norm**2, 0.0, []
    for r in exact_rounds(instance):
        spent += r.decay
        left, away = math.log(k) - float(r.entropy.value), r.moment - least
        value = 2 * spent * left + away.norm**2 + squares * spent**2 * r.weights.norm**2
        error = 2 * spent * r.entropy.error + away.square_error + start.square_error
        error += spent**2 * r.weights.square_error
        found = bound(value, size, error)
        rate = bound(share * spent * left, size, share * spent * r.entropy.error + error)
        shrunk = bound(spent * r.weights.norm, start.norm, spent * r.weights.error + start.error)
        checks.append(found.also(rate.holds).also(shrunk.holds))
    return worst(checks)


THEOREM = Theorem(
    name="total-weight-decay",
    title="Predictions become uniform at the rate of the total weight decay",
    source="D (proximal point: Güler 1991; the constant 4: Taylor, Hendrickx & Glineur 2017)",
    kind="upper bound",
    hypotheses=SUPPOSED,
    statement=r"2 \Lambda_t (\log K - \bar H_t) + \tfrac{1}{N^2} \lVert X^\top (P_t - \tfrac1K) "
    r"\rVert_F^2 + \Lambda_t^2 \lVert W_t \rVert_F^2 \le \lVert \nabla L(0) \rVert_F^2, \quad "
    r"\Lambda_t = \sum_{s \le t} \lambda_s, \text{ so } \log K - \bar H_t \le "
    r"\frac{\lVert \nabla L(0) \rVert_F^2}{4 \Lambda_t}, \quad \lVert W_t \rVert_F \le "
    r"\frac{\lVert \nabla L(0) \rVert_F}{\Lambda_t}",
    kernel=Rocq("total_weight_decay.v", ("total_weight_decay",)),
    uses=("entropy-step", "shrinking-weights"),
    draw=draw_rounds,
    check=_compare,
    planted={
        "twice the square of the weights": lambda i: _compare(i, squares=2.0),
        "a tenth of the total weight decay": lambda i: _compare(i, share=10.0),
    },
    tight_within=0.02,
    arguments=ARGUMENTS,
    runs=RUNS,
)
