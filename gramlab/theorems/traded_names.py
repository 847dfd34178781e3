"""What given labels cannot tell: classes that have traded their names."""

import numpy as np

from gramlab.theorems._arguments import array, corruption, labels, whole
from gramlab.theorems.form import Check, Held, Hypothesis, Instance, Rocq, Theorem


def _draw(rng: np.random.Generator) -> Instance:
    k, n = int(rng.integers(2, 6)), int(rng.integers(4, 30))
    kind = int(rng.integers(3))
    if kind == 0:  # a superclass of two classes
        k, eta = 2, float(rng.uniform(0.05, 0.95))
        matrix, sigma = np.array([[1 - eta, eta], [eta, 1 - eta]]), np.array([1, 0])
    else:
        matrix, sigma = rng.dirichlet(np.ones(k), size=k), rng.permutation(k)
    true = rng.integers(k, size=n)
    # What someone concludes from features and given labels: here by row and label, at random, or
    # the class of the first world.
    rule = rng.integers(k, size=(n, k))
    if kind == 1:
        rule = np.repeat(true[:, None], k, axis=1)
    return {
        "matrix": matrix,
        "moved": matrix[np.argsort(sigma)],  # row σ(k) of C' is row k of C
        "sigma": sigma,
        "true": true,
        "rule": rule,
        "uniform": rng.uniform(size=n),
    }


def _permutes(instance: Instance) -> Held:
    sigma = instance["sigma"]
    good = sorted(sigma) == list(range(len(instance["matrix"])))
    return Held(good, f"{len(set(sigma.tolist()))} of {len(instance['matrix'])} names are used")


def _goes_along(instance: Instance) -> Held:
    off = float(np.abs(instance["moved"][instance["sigma"]] - instance["matrix"]).max())
    return Held(off == 0, f"C' moved back is off C by up to {off:.6g}")


def _given(matrix: np.ndarray, true: np.ndarray, uniform: np.ndarray) -> np.ndarray:
    """Labels drawn by inverting each row's distribution function."""
    below = np.cumsum(matrix, axis=1)[true] <= uniform[:, None]
    return np.minimum(below.sum(axis=1), len(matrix) - 1)


def _check(instance: Instance, *, fixed: bool = True, worlds: int = 2) -> Check:
    true, sigma = instance["true"], instance["sigma"]
    other = sigma[true]
    rows = np.arange(len(true))
    given = _given(instance["matrix"], true, instance["uniform"])
    again = _given(instance["moved"], other, instance["uniform"])
    same = np.array_equal(instance["matrix"][true], instance["moved"][other])
    same = same and np.array_equal(given, again)
    predicted = instance["rule"][rows, given]
    right = int((predicted == true).sum()) + int((predicted == other).sum())
    limit = len(true) * (worlds - 1) + (int((true == other).sum()) if fixed else 0)
    return Check(same and right <= limit, (limit - right) / max(limit, 1))


def _names_alone(rng: np.random.Generator) -> Instance:
    """The classes have traded names, and C has not gone with them."""
    while True:
        instance = _draw(rng)
        matrix, true = instance["matrix"], instance["true"]
        if not np.array_equal(matrix[true], matrix[instance["sigma"][true]]):
            return {**instance, "moved": matrix}


def _no_permutation(rng: np.random.Generator) -> Instance:
    """Two classes become one: C' cannot have the rows of both."""
    matrix, true = np.array([[0.9, 0.1], [0.2, 0.8]]), np.array([0, 1, 1])
    world = {"matrix": matrix, "moved": matrix, "sigma": np.array([0, 0]), "true": true}
    return {**world, "rule": np.zeros((3, 2), dtype=np.int64), "uniform": rng.uniform(size=3)}


THEOREM = Theorem(
    name="traded-names",
    title="Given labels cannot tell classes that have traded names",
    source="D",
    kind="upper bound",
    hypotheses=(
        Hypothesis(
            "traded names", r"\sigma \in S_K,\ y'_i = \sigma(y_i)", _no_permutation, _permutes
        ),
        Hypothesis("noise goes along", r"C'_{\sigma(k), j} = C_{kj}", _names_alone, _goes_along),
        Hypothesis(
            "noise by class", r"P(\tilde y_i = j \mid x_i) = C_{y_i j} \text{, independent rows}"
        ),
    ),
    statement=r"(X, \tilde y) \text{ has the same law under } (y, C) \text{ and } (y', C'), "
    r"\text{ and for any } a = a(X, \tilde y):\quad "
    r"\frac1N \#\{a_i = y_i\} + \frac1N \#\{a_i = y'_i\} \le 1 + \frac1N \#\{\sigma(y_i) = y_i\}",
    kernel=Rocq("traded_names.v", ("traded_names",)),
    draw=_draw,
    check=_check,
    planted={
        "columns moved for rows": lambda i: _check(
            {**i, "moved": i["matrix"][:, np.argsort(i["sigma"])]}
        ),
        "nobody keeps a name": lambda i: _check(i, fixed=False),
        "a world less": lambda i: _check(i, worlds=1),
    },
    tight_within=0.0,
    arguments={
        "corruption": corruption("C, rows on the simplex", key="matrix"),
        "sigma": labels("class k is called sigma[k] in the other world", "K"),
        "labels": labels("true classes", key="true"),
        "rule": array("the class that is concluded for row i from the given label j", "N", "K"),
        "moved": array(
            "C' of the other world; C with its rows moved unless told",
            *("K", "K"),
            default=lambda i: i["matrix"][np.argsort(i["sigma"])],
        ),
        "seed": whole("of uniform", 0, default=0),
        "uniform": array(
            "in [0, 1): draws the given labels; from seed unless told",
            "N",
            default=lambda i: np.random.default_rng(i["seed"]).uniform(size=len(i["true"])),
        ),
    },
)
