"""Predictions of linear rounds that never saw a row, from the rounds of all rows."""

import numpy as np

from gramlab.distillation import risk_by_round
from gramlab.spectrum import Spectrum
from gramlab.spectrum.filters import linear_mu
from gramlab.theorems._arguments import FEATURES, array
from gramlab.theorems._heads import features, ridge
from gramlab.theorems._rounds import DECAYS, TARGETS, draw_targets
from gramlab.theorems.form import Check, Hypothesis, Instance, Rocq, Theorem, equal


def _draw(rng: np.random.Generator) -> Instance:
    n, rounds = int(rng.integers(2, 10)), int(rng.integers(1, 5))
    return {
        "x": rng.standard_normal((n, int(rng.integers(1, 12)))),
        "targets": draw_targets(rng, n, int(rng.integers(2, 5))),
        "decays": 10 ** rng.uniform(-2, 1, rounds),
    }


def _refitted(x: np.ndarray, given: np.ndarray, mus: list[float]) -> np.ndarray:
    """f_t (t, N, K) by rounds of least squares without each row."""
    out = np.empty((len(mus), *given.shape))
    for i in range(len(x)):
        rows = np.arange(len(x)) != i
        told = given[rows]
        for t, mu in enumerate(mus):
            weights = ridge(x[rows], told, mu)
            out[t, i], told = x[i] @ weights, x[rows] @ weights
    return out


def _compare(instance: Instance, variant: str = "") -> Check:
    x, targets = instance["x"], instance["targets"]
    (n, k), gram = targets.shape, x @ x.T
    given, mus = targets - 1 / k, [linear_mu(k, n, decay) for decay in instance["decays"]]
    truth = _refitted(x, given, mus)
    filters = [np.linalg.solve(gram + mu * np.eye(n), gram) for mu in mus]
    found, before, steps = [], given, []
    for t, own in enumerate(filters):
        leverage = own.diagonal()[:, None]
        whole = np.linalg.multi_dot([np.eye(n), *filters[t::-1], np.eye(n)])
        right = whole @ given - leverage * before
        for s, step in enumerate(steps):
            part = np.linalg.multi_dot([np.eye(n), *filters[s : t + 1][::-1], np.eye(n)])
            right = right + part.diagonal()[:, None] * step
        if variant == "what rounds changed is forgotten":
            right = whole @ given - leverage * before
        now = right / (1 - leverage)
        if variant == "the leverage of all rounds":
            all_rounds = whole.diagonal()[:, None]
            now = (whole @ given - all_rounds * given) / (1 - all_rounds)
        found.append(now)
        steps.append(now - before)
        before = now
    condition = 1 + float(np.linalg.norm(x, 2)) ** 2 / min(mus)
    tolerance = 1e-14 * n * len(mus) * condition**2 * (1 + float(np.abs(given).max()))
    squares = np.square(truth - given).sum(axis=2).mean(axis=1)
    decays = instance["decays"].tolist()
    told = risk_by_round(Spectrum.of(features(x, k)), targets, decays, method="loo").risks
    near = np.abs(np.array(told) - squares).max() <= 4 * tolerance * k * (
        1 + np.sqrt(squares.max())
    )
    return equal(np.array(found), truth, tolerance).also(near)


THEOREM = Theorem(
    name="leave-one-out-rounds",
    title="Rounds that never saw a row, without refitting",
    source="D (one round: leave-one-out of ridge regression, Allen 1974)",
    kind="identity",
    hypotheses=(
        TARGETS,
        DECAYS,
        Hypothesis(
            "filters",
            r"S_t = h_{\mu_t}(G),\ \mu_t = K N \lambda_t,\ D = Y - \tfrac1K;\ f_t \text{ what "
            r"round } t \text{ predicts for row } i \text{, all rounds without it},\ f_0 = D_i",
        ),
    ),
    statement=r"\big(1 - (S_t)_{ii}\big) f_t = (S_t \cdots S_1 D)_i + \sum_{s < t} "
    r"(S_t \cdots S_s)_{ii}\, (f_s - f_{s-1}) - (S_t)_{ii} f_{t-1}",
    kernel=Rocq("leave_one_out_rounds.v", ("leave_one_out_rounds",)),
    uses=("closed-form",),
    draw=_draw,
    check=_compare,
    planted={
        name: lambda i, name=name: _compare(i, name)
        for name in ("what rounds changed is forgotten", "the leverage of all rounds")
    },
    arguments={
        "features": FEATURES,
        "targets": array("rows of sum 1, which may have negative entries", "N", "K"),
        "weight_decays": array("λ > 0 of each round", "t", key="decays"),
    },
    runs=("gramlab.risk_by_round", "gramlab.Spectrum.of"),
)
