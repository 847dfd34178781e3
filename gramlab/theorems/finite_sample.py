"""How likely a round fails on n sampled labels per class, fluctuating class marginals included.

The margin of a sample of class k over class l after t rounds is, up to its own label, a sum of K n
independent terms, M_kl = Σ_q ω_kq (Ĉ_qk − Ĉ_ql) with Ĉ_q the label shares of class q, so Chernoff's
bound applies to it as a whole, and Hoeffding's. The form Σ exp(−n(C_kk − C_kl − 1/(ρ^t − 1))²/2),
which keeps only q = k and drops the rest of ω, takes the marginals for balanced. It can fail, and
by much: where p_B^t is small beside p_D^t (many rounds, or strong weight decay), the fluctuation of
the marginals outweighs the class averages and the true failure probability exceeds it many times
(see the planted variant).
"""

from itertools import permutations
from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import betaincinv
from scipy.stats import binom

from gramlab.machine.memory import check_memory
from gramlab.population import ClassBlockModel
from gramlab.theorems._arguments import MODEL, ROUNDS, SCALE, corruption, exact_mu, flag, whole
from gramlab.theorems._hypotheses import above
from gramlab.theorems.form import Check, Held, Hypothesis, Instance, Rocq, Theorem

_RUNS = 150  # draws of labels where more than two classes leave too many counts to enumerate


def _powers(instance: Instance) -> np.ndarray:
    """p_A^t, p_B^t, p_C^t, p_D^t."""
    s = instance["model"].spectrum
    return (s / (s + instance["mu"])) ** instance["rounds"]


def _limits(instance: Instance, exponent: float = 1.0) -> tuple[float, float]:
    """The stated bound, and Hoeffding's, which is never less."""
    corruption, model = instance["corruption"], instance["model"]
    size, n, family = model.n_classes, model.samples_per_class, model.superclasses
    a, b, c, d = _powers(instance)
    alike = family[:, None] == family
    omega = (b - a) * np.eye(size) + (c - b) / alike.sum(axis=0) * alike + (d - c) / size
    totals = np.zeros(2)
    for k, other in permutations(range(size), 2):
        step = np.eye(size)[k] - np.eye(size)[other]
        cost = -a * step[corruption[k] > 0].min()
        spread = np.array([np.ptp(step[row > 0]) for row in corruption])
        moves = omega[k][:, None] * step

        def log_moment(u: float, moves: Any = moves, cost: float = cost) -> float:
            return u * cost + float(np.log((corruption * np.exp(-u * moves)).sum(axis=1)).sum())

        x = omega[k] @ (corruption @ step) - cost
        variance = float(((omega[k] * spread) ** 2).sum())
        if variance == 0:
            totals += float(x <= 0)
        else:
            # At its end a label against the class weighs e^50, more than any rate of labels.
            least: Any = minimize_scalar(
                log_moment, bounds=(0, 50 / omega[k].max()), method="bounded"
            )
            hoeffding = -2 * n * max(x, 0.0) ** 2 / variance
            totals += np.exp([exponent * n * min(float(least.fun), 0.0), exponent * hoeffding])
    first, second = np.minimum(totals, 1.0).tolist()
    return first, second


def _without_marginals(instance: Instance) -> float:
    """The form that neglects the fluctuation of the class marginals."""
    corruption, n = instance["corruption"], instance["model"].samples_per_class
    a, b, _, _ = _powers(instance)
    gaps = np.diag(corruption)[:, None] - corruption
    x = np.clip(gaps - a / (b - a), 0, None)[~np.eye(len(corruption), dtype=bool)]
    return float(min(np.exp(-n * x**2 / 2).sum(), 1.0))


def _failure(instance: Instance) -> float:
    """Probability that some training sample is wrong: exact for K = 2, else a lower limit.

    Two classes: all label counts, with their binomial weights. More classes: sampled labels, and
    the lower Clopper–Pearson limit of level 1e-9 (it misjudges one instance in 10⁹).
    """
    corruption, copies, gram = instance["corruption"], instance["copies"], instance["model"].gram()
    size, n = instance["model"].n_classes, instance["model"].samples_per_class
    h = np.linalg.solve(gram + instance["mu"] * np.eye(len(gram)), gram)
    h = np.linalg.matrix_power(h, instance["rounds"])
    truth = np.repeat(np.arange(size), n)
    if size == 2:
        counts = np.array([0, n]) if copies else np.arange(n + 1)
        given = np.arange(n) < counts[:, None]  # the first samples are those labelled 0
        first, second = (g.ravel() for g in np.indices((len(counts), len(counts))))
        signs = np.where(np.hstack([given[first], given[second]]), 1.0, -1.0)
        margins = signs @ h * np.where(truth == 0, 1.0, -1.0)
        trials = 1 if copies else n
        chances = [binom.pmf(counts // (n // trials), trials, row[0]) for row in corruption]
        return float((chances[0][first] * chances[1][second])[margins.min(axis=1) <= 0].sum())
    rng, runs = np.random.default_rng(instance["seed"]), _RUNS
    uniform = rng.random((runs, size * n))
    labels = (uniform[:, :, None] > np.cumsum(corruption, axis=1)[truth, :-1]).sum(axis=2)
    deviations = np.eye(size)[labels] - 1 / size  # (runs, N, K)
    predictions = np.einsum("ij,rjk->rik", h, deviations, optimize=True)
    wrong = int((predictions.argmax(axis=2) != truth).any(axis=1).sum())
    return float(betaincinv(wrong, runs - wrong + 1, 1e-9)) if wrong else 0.0


def _flips(first: float, second: float) -> np.ndarray:
    """C of two classes, each with its rate of noise."""
    return np.array([[1 - first, first], [second, 1 - second]])


def _instance(
    corruption: np.ndarray, n: int, correlations: tuple, mu: float, rounds: int, **more: Any
) -> dict[str, Any]:
    model = ClassBlockModel(len(corruption), n, *correlations)
    asked = {"model": model, "corruption": corruption, "mu": mu, "rounds": rounds}
    return {**asked, "copies": False, "seed": 0, **more}


def _own(model: ClassBlockModel, mu: object, weight_decay: object, **more: Any) -> Instance:
    n, size = model.samples_per_class, model.n_classes
    # Signs and margins of all label counts of two classes, or deviations of all draws.
    rows = 2 * (n + 1) ** 2 if size == 2 else 2 * _RUNS * size
    what = f"label counts of {n} samples a class"
    check_memory(8 * rows * model.n_samples, what, "choose a smaller samples_per_class")
    scale = float(exact_mu(size * model.n_samples, mu, weight_decay))
    return {"model": model, "mu": scale, **more}


def _draw(rng: np.random.Generator) -> Instance:
    kind = int(rng.integers(4))
    if kind == 0:  # near coin flips: the exponent is sharp; own label and marginals weigh little
        n = int(rng.integers(25, 41))
        rate = 0.5 - float(rng.uniform(1.8, 2.6)) / (2 * np.sqrt(n))
        return _instance(_flips(rate, rate), n, (0.5, 0.0, 0.0, 1), 1.0, 12)
    if kind == 1:  # small class signal beside a large overall one: marginals decide
        noise = _flips(*[float(rng.uniform(0.05, 0.12))] * 2)
        return _instance(noise, int(rng.integers(15, 25)), (0.5, 0.48, 0.48, 1), 0.3, 10)
    mu, rounds = float(10 ** rng.uniform(-1.5, 1)), int(rng.integers(1, 12))
    c = float(rng.uniform(0.3, 0.8))
    d = float(rng.uniform(0, 0.9 * c))
    if kind == 2:  # K = 2, anything
        noise = _flips(*rng.uniform(0.01, 0.6, 2))
        return _instance(noise, int(rng.integers(2, 25)), (c, d, d, 1), mu, rounds)
    size, rate = int(rng.choice([3, 4])), float(rng.uniform(0.02, 0.4))
    noise = rng.dirichlet(np.ones(size), size)
    if rng.random() < 0.5:  # pair flip: a corruption matrix with zeros
        noise = np.roll(np.eye(size), 1, axis=1)
    noise = (1 - rate) * np.eye(size) + rate * noise
    e, n = float(rng.uniform(0, d)), int(rng.integers(8, 25))
    pairs = 2 if size == 4 and rng.random() < 0.7 else 1
    return _instance(noise, n, (c, d, e, pairs), mu, rounds, seed=int(rng.integers(2**31)))


def _copied_labels(rng: np.random.Generator) -> Instance:
    # One label for a whole class: the rows of C are right, independence is gone.
    noise = _flips(*[float(rng.uniform(0.1, 0.2))] * 2)
    return _instance(noise, int(rng.integers(30, 41)), (0.5, 0.0, 0.0, 1), 1.0, 12, copies=True)


def _compare(instance: Instance, limit: float, above: float = 1.0) -> Check:
    failure = _failure(instance)
    # A bound of 1 says nothing, so it does not count as tight.
    slack = 1.0 if limit >= 1 else (limit - failure) / max(limit, 1e-300)
    holds = failure <= limit * (1 + 1e-9) + 1e-12 and limit <= above * (1 + 1e-9)
    return Check(holds, slack)


THEOREM = Theorem(
    name="finite-sample",
    title="Probability that a round fails on sampled labels",
    source="D",
    kind="upper bound",
    hypotheses=(
        Hypothesis(
            "block model",
            r"K \text{ classes of } n,\ K/m \text{ superclasses},\ 0 \le e \le d < c < 1",
            test=above("mu", "μ"),
        ),
        Hypothesis(
            "independent labels",
            r"y_i \sim C_{k(i)} \text{ independently}",
            _copied_labels,
            lambda i: Held(not i["copies"], f"one label for a whole class: {i['copies']}"),
        ),
    ),
    statement=r"P(\text{some sample is wrong after } t \text{ rounds}) \le \sum_{k \ne l} "
    r"\inf_{u \ge 0} \Bigl(e^{u a_{kl}} \prod_q \sum_j C_{qj} e^{-u \omega_{kq} (1[j=k] - 1[j=l])} "
    r"\Bigr)^n \le \sum_{k \ne l} "
    r"\exp\Bigl(-\frac{2 n\, \max(x_{kl}, 0)^2}{\sum_q \omega_{kq}^2 r_{ql}^2}\Bigr), \quad x_{kl} "
    r"= \sum_q \omega_{kq} (C_{qk} - C_{ql}) - a_{kl}, \quad \omega_{kq} = 1[q=k](p_B^t - p_A^t) + "
    r"1[q \sim k]\tfrac{p_C^t - p_B^t}{m} + \tfrac{p_D^t - p_C^t}{K}, \quad a_{kl} = p_A^t "
    r"\max_{j: C_{kj} > 0} (1[j=l] - 1[j=k]) \le p_A^t, \quad r_{ql} = \operatorname{range}_{j: "
    r"C_{qj} > 0} (1[j=k] - 1[j=l]) \le 2, \quad \exp(-\tfrac{x}{0}) = 0 \text{ for } x > 0",
    kernel=Rocq("finite_sample.v", ("finite_sample", "finite_sample_ranges")),
    uses=("label-averaging",),
    draw=_draw,
    check=lambda i: _compare(i, *_limits(i)),
    planted={
        "twice the exponent": lambda x: _compare(x, *_limits(x, 2.0)),
        "marginals taken for balanced": lambda x: _compare(x, _without_marginals(x)),
    },
    # What is lost is the factor 1/(u√(2πV)) by which a tail is less than Chernoff's bound, 2 to 7
    # at these sizes, and the union over pairs. Only bounds below 1 are counted.
    tight_within=0.8,
    arguments={
        "model": MODEL,
        "corruption": corruption("rows on the simplex: how labels are drawn"),
        "rounds": ROUNDS,
        **SCALE,
        "copies": flag("True gives a whole class one label", False),
        "seed": whole(
            "of the labels that are drawn where K > 2; for K = 2 all are enumerated", 0, default=0
        ),
    },
    instance=_own,
    runs=("gramlab.ClassBlockModel.gram", "gramlab.ClassBlockModel.spectrum"),
)
