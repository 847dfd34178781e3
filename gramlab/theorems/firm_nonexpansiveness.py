"""Two sets of labels come nearer in every round, by what their weights differ."""

from dataclasses import replace

import numpy as np

from gramlab.theorems import _rounds as rounds
from gramlab.theorems._arguments import array
from gramlab.theorems.form import Check, Instance, Rocq, Theorem, bound


def _draw(rng: np.random.Generator) -> Instance:
    instance = rounds.draw_rounds(rng)
    others = instance["targets"]
    while np.array_equal(others, instance["targets"]):
        others = rounds.draw_targets(rng, *others.shape)
    return {**instance, "others": others}


def _sharpened(rng: np.random.Generator) -> Instance:
    """Soft labels that differ little: each round parts them."""
    instance = rounds.sharpened(rng)
    others = instance["targets"] + 1e-3 * rounds.draw_targets(rng, *instance["targets"].shape)
    return {**instance, "others": others / others.sum(axis=1, keepdims=True)}


def _compare(instance: Instance, weights: float = 1.0, moments: float = 1.0) -> Check:
    first = rounds.exact_rounds(instance)
    second = rounds.exact_rounds({**instance, "targets": instance["others"]})
    # What a round is given is what the one before it passed on; the last passes on its moment.
    ends = first[-1].moment - second[-1].moment
    moved = [*(one.given - other.given for one, other in zip(first, second, strict=True)), ends]
    checks = []
    for one, other, given, passed in zip(first, second, moved, moved[1:], strict=False):
        apart = weights * one.decay * (one.weights - other.weights)
        value = float(np.hypot(apart.norm, moments * passed.norm))
        error = given.error + apart.error + moments * passed.error
        checks.append(bound(value, given.norm, error))
    return rounds.worst(checks)


THEOREM = Theorem(
    name="firm-nonexpansiveness",
    title="Rounds are firmly nonexpansive in the moments",
    source="D (proximal steps: Rockafellar 1976)",
    kind="upper bound",
    hypotheses=(rounds.TARGETS, rounds.DECAYS, replace(rounds.PLAIN, without=_sharpened)),
    statement=r"\lVert u_{t+1} - u'_{t+1} \rVert_F^2 + \lambda_t^2 \lVert W_t - W'_t \rVert_F^2 "
    r"\le \lVert u_t - u'_t \rVert_F^2, \quad u_t = \tfrac1N X^\top T^{(t)}, \quad "
    r"\text{for any given targets } Y, Y'",
    kernel=Rocq("firm_nonexpansiveness.v", ("firm_nonexpansiveness",)),
    draw=_draw,
    check=_compare,
    planted={
        "twice the weights": lambda i: _compare(i, weights=2.0),
        "twice the moments": lambda i: _compare(i, moments=2.0),
    },
    tight_within=0.01,
    arguments=rounds.ARGUMENTS | {"others": array("another set of targets", "N", "K")},
    runs=rounds.RUNS,
)
