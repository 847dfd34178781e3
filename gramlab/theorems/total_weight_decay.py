"""How near to uniform rounds are depends on the schedule through the total weight decay alone."""

from gramlab.theorems import _rounds as rounds
from gramlab.theorems.form import Check, Instance, Rocq, Theorem


def _compare(instance: Instance, squares: float = 1.0, share: float = 4.0) -> Check:
    x, targets = instance["x"], instance["targets"]
    start, least = rounds.start_gradient(x, targets), rounds.uniform_moment(x, targets)
    spent, checks = 0.0, []
    for r in rounds.exact_rounds(instance):
        spent += r.decay
        left, weights = spent * rounds.short_of_uniform(r), spent * r.weights
        whole = 2 * left + (r.moment - least).square + squares * weights.square
        rate, shrunk = rounds.at_most(share * left, start.square), rounds.shorter(weights, start)
        checks.append(rounds.at_most(whole, start.square).also(rate.holds and shrunk.holds))
    return rounds.worst(checks)


THEOREM = Theorem(
    name="total-weight-decay",
    title="Predictions become uniform at the rate of the total weight decay",
    source="D (proximal point: Güler 1991; the constant 4: Taylor, Hendrickx & Glineur 2017)",
    kind="upper bound",
    statement=r"2 \Lambda_t (\log K - \bar H_t) + \tfrac{1}{N^2} \lVert X^\top (P_t - \tfrac1K) "
    r"\rVert_F^2 + \Lambda_t^2 \lVert W_t \rVert_F^2 \le \lVert \nabla L(0) \rVert_F^2, \quad "
    r"\Lambda_t = \sum_{s \le t} \lambda_s, \text{ so } \log K - \bar H_t \le "
    r"\frac{\lVert \nabla L(0) \rVert_F^2}{4 \Lambda_t}, \quad \lVert W_t \rVert_F \le "
    r"\frac{\lVert \nabla L(0) \rVert_F}{\Lambda_t}",
    kernel=Rocq("total_weight_decay.v", ("total_weight_decay",)),
    uses=("entropy-step", "shrinking-weights"),
    check=_compare,
    planted={
        "twice the square of the weights": lambda i: _compare(i, squares=2.0),
        "a tenth of the total weight decay": lambda i: _compare(i, share=10.0),
    },
    tight_within=0.02,
    **rounds.PLAIN_ROUNDS,
)
