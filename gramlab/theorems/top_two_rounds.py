"""Top-two rounds are descent on one loss, and stop: no proximal steps, but alternating minima."""

from itertools import pairwise

import numpy as np

from gramlab.numerics.rounding import gamma
from gramlab.theorems import _rounds as rounds
from gramlab.theorems.form import Check, Held, Hypothesis, Instance, Rocq, Theorem, bound

TOP_TWO = {name: rounds.ARGUMENTS[name] for name in ("features", "targets", "weight_decays")}
TOP_TWO_ROUNDS = Hypothesis(
    "top-two rounds",
    r"T^{(1)} = Y,\ T^{(t+1)} = \tfrac12 \text{ on the two largest classes of each row of } P_t",
)


def _draw(rng: np.random.Generator) -> Instance:
    """Small weight decays at times, where top-two targets take some rounds to settle."""
    drawn = rounds.draw_rounds(rng, (3, 6), spread=(-4.0, 1.0))
    decay = rounds.natural_decay(drawn["x"], drawn["targets"]) * float(10 ** rng.uniform(-4, 1))
    return {**drawn, "decays": np.full(len(drawn["decays"]), decay)}


def _rising(rng: np.random.Generator) -> Instance:
    drawn = _draw(rng)
    return {**drawn, "decays": drawn["decays"] * 10.0 ** np.arange(len(drawn["decays"]))}


def _one(instance: Instance) -> Held:
    decays = instance["decays"]
    return Held(bool(np.ptp(decays) == 0), f"from {decays.min():.6g} to {decays.max():.6g}")


def _compare(instance: Instance, since: int = 2, strict: bool = False) -> Check:
    """Round by round: what is lost by the loss, for all weights within their certificates."""
    x, targets, checks = instance["x"], instance["targets"], []
    made = rounds.distilled({"refine": "top2", **instance})
    for before, now in pairwise(made.fits[since - 1 :]):
        value, least = (fit.loss.value(fit.weights) for fit in (before, now))  # type: ignore[union-attr]
        # The minimum of this round is within its certificate; the weights before may be any.
        moved = np.linalg.norm(now.weights - before.weights) - now.certificate.weights_bound
        lost = 0.5 * now.weight_decay * max(0.0, float(moved)) ** 2
        sizes = np.linalg.norm(x, axis=1) * np.linalg.norm(before.weights)
        rounding = gamma(x.size + targets.size + 16) * (1 + value + float(sizes.max()))
        error = now.certificate.duality_gap + rounding
        found = bound(least + lost, value, error)
        checks.append(found.also(not strict or least < value - error))
    return rounds.worst(checks)


THEOREM = Theorem(
    name="top-two-rounds",
    title="Top-two rounds descend on one loss, and stop",
    source="D (alternating minimization: Csiszár & Tusnády 1984)",
    kind="upper bound",
    hypotheses=(
        rounds.TARGETS,
        rounds.DECAYS,
        Hypothesis("one weight decay", r"\lambda_1 = \dots = \lambda_t = \lambda", _rising, _one),
        TOP_TWO_ROUNDS,
    ),
    statement=r"L(W_{t+1}; T^{(t+1)}) + \tfrac{\lambda}{2} \lVert W_{t+1} - W_t \rVert_F^2 \le "
    r"L(W_t; T^{(t)}), \quad t \ge 2, \quad L(W; T) = -\tfrac1N \langle T, \log "
    r"\operatorname{softmax}(XW) \rangle + \tfrac{\lambda}{2} \lVert W \rVert_F^2; \quad "
    r"\text{with one rule for ties all rounds are equal after finitely many}",
    kernel=Rocq("top_two_rounds.v", ("top_two_rounds",)),
    draw=_draw,
    check=_compare,
    planted={
        "from round 1": lambda i: _compare(i, since=1),
        "strictly": lambda i: _compare(i, strict=True),
    },
    tight_within=1e-9,
    arguments=TOP_TWO,
    runs=rounds.RUNS[:2],
)
