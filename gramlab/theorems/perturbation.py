"""Close Gram matrices give close predictions: ‖h(G)^t − h(G')^t‖₂ ≤ min(1, κ_t ‖G − G'‖₂/μ)."""

import numpy as np

from gramlab.errors import InvalidSetting
from gramlab.features import Features
from gramlab.spectrum.filters import filter_power, perturbation_constant
from gramlab.theorems._arguments import GRAM, ROUNDS, SCALE, check_condition, exact_mu
from gramlab.theorems._hypotheses import above, semidefinite
from gramlab.theorems.form import Check, Hypothesis, Instance, Rocq, Theorem, bound
from gramlab.validation import check_integer


def _draw(rng: np.random.Generator) -> Instance:
    n, mu = int(rng.integers(2, 9)), float(10 ** rng.uniform(-2, 2))

    def gram(scale: float) -> np.ndarray:
        x = rng.standard_normal((n, int(rng.integers(1, n + 2))))
        return scale * mu * (x @ x.T / np.linalg.norm(x, 2) ** 2)

    kind = int(rng.integers(4))
    rounds = round(60 ** float(rng.random()))
    first = gram(10 ** rng.uniform(-1, 1.5))
    if kind == 0:  # a small perturbation where h^t is steepest, at p = (t − 1)/(t + 1)
        first = mu * (rounds - 1) / 2 * np.eye(n)
        other = first + gram(1e-3)
    elif kind == 1:  # as far apart as possible
        first, other = 1e5 * first, 1e-5 * first
    elif kind == 2:
        other = gram(10 ** rng.uniform(-1, 1.5))
    else:
        x = np.linalg.cholesky(first + 1e-9 * mu * np.eye(n))
        x = x + 10 ** rng.uniform(-4, -1) * np.sqrt(mu) * rng.standard_normal((n, n))
        other = x @ x.T
    return {"gram": first, "other": other, "mu": mu, "rounds": rounds}


def _instance(
    gram: object,
    other: object,
    mu: object = None,
    rounds: int = 1,
    weight_decay: object = None,
    n_classes: int | None = None,
) -> Instance:
    sizes: dict[str, int] = {}
    one, two = GRAM.read("gram", gram, sizes), GRAM.read("other", other, sizes)
    known = {n_classes} if n_classes is not None else set()
    if weight_decay is not None:
        known |= {g.n_classes for g in (gram, other) if isinstance(g, Features)}
    if (weight_decay is None) != (not known):
        raise InvalidSetting(
            "weight_decay and n_classes go together, got only one; pass both, or mu = K N λ alone"
        )
    if len(known) > 1:
        raise InvalidSetting(
            f"gram, other and n_classes must be of one number of classes, got {sorted(known)}; "
            "pass features of the same classes, and leave n_classes out"
        )
    classes = check_integer("n_classes", known.pop(), 2) if known else 1
    scale = float(exact_mu(classes * len(one), mu, weight_decay))
    check_condition(max(float(np.linalg.norm(g, 2)) for g in (one, two)), scale, "mu", 2)
    return {"gram": one, "other": two, "mu": scale, "rounds": check_integer("rounds", rounds, 1)}


def _without_psd(rng: np.random.Generator) -> Instance:
    # Eigenvalues near −μ: h has a pole there.
    n, mu = int(rng.integers(2, 6)), float(10 ** rng.uniform(-1, 1))
    first, a = -0.9 * mu * np.eye(n), rng.standard_normal((n, n))
    other = first + 0.05 * mu * (a + a.T) / np.linalg.norm(a + a.T, 2)
    return {"gram": first, "other": other, "mu": mu, "rounds": 1}


def _compare(instance: Instance, factor: float = 1.0, cap: float = 1.0, more: int = 0) -> Check:
    """Both sides from dense solves and repeated products; the package's filter beside them."""
    grams, mu, rounds = (instance["gram"], instance["other"]), instance["mu"], instance["rounds"]
    filters = [np.linalg.solve(g + mu * np.eye(len(g)), g) for g in grams]
    one, other = (np.linalg.matrix_power(h, rounds) for h in filters)
    ratio = float(np.linalg.norm(grams[0] - grams[1], 2)) / mu
    kappa = perturbation_constant(rounds + more)
    limit = min(cap, factor * kappa * ratio)
    # A dense solve loses a factor of the condition number (‖G‖ + μ)/μ.
    size = max(float(np.linalg.norm(g, 2)) for g in grams)
    tolerance = min(1e-14 * len(one) * rounds * (1 + size / mu), 1e-8)
    found = bound(float(np.linalg.norm(one - other, 2)), limit, tolerance)
    # The largest slope of h^t times μ; κ_t is at most 3/2 of it for t to 60.
    p = (rounds - 1) / (rounds + 1)
    slope = rounds * p ** (rounds - 1) * (1 - p) ** 2
    sharp = slope <= kappa * (1 + 1e-12) and (rounds > 60 or kappa <= 1.5 * slope)
    return found.also(sharp and _agrees(grams[0], mu, rounds, one, tolerance))


def _agrees(g: np.ndarray, mu: float, rounds: int, power: np.ndarray, tolerance: float) -> bool:
    """Whether the package's filter on the eigenvalues of G makes the same matrix."""
    values, vectors = np.linalg.eigh(g)
    if values[0] < -tolerance * mu:  # no filter of a Gram matrix
        return True
    filtered = (vectors * filter_power(values.clip(min=0), mu, rounds)) @ vectors.T
    return bool(np.abs(filtered - power).max() <= tolerance)


THEOREM = Theorem(
    name="perturbation",
    title="Close Gram matrices give close predictions",
    source="D",
    kind="upper bound",
    hypotheses=(
        Hypothesis(
            "positive semidefinite",
            r"G \succeq 0,\ G' \succeq 0",
            _without_psd,
            semidefinite("gram", "other"),
        ),
        Hypothesis("weight decay", r"\mu > 0", test=above("mu", "μ")),
    ),
    statement=r"\lVert h(G)^t - h(G')^t \rVert_2 \le \min\Bigl(1,\ \kappa_t "
    r"\frac{\lVert G - G' \rVert_2}{\mu}\Bigr), \quad \kappa_t = \min_{\alpha > 0} "
    r"\max_{0 \le p \le 1} (1-p)^2 \sum_{i=0}^{t-1} \frac{i + \alpha}{t - 1 - i + \alpha} p^{2i}; "
    r"\quad L_t \le \kappa_t \le \tfrac32 L_t \text{ for } t \le 60, \text{ where no "
    r"constant below } L_t = t (\tfrac{t-1}{t+1})^{t-1} \frac{4}{(t+1)^2} \text{ will do}",
    kernel=Rocq("perturbation.v", ("perturbation", "kappa_exists")),
    draw=_draw,
    check=_compare,
    planted={
        "two thirds of it": lambda x: _compare(x, factor=2 / 3),
        "the constant of one more round": lambda x: _compare(x, more=1),
        "never more than 1/2": lambda x: _compare(x, cap=0.5),
    },
    tight_within=0.01,
    arguments={
        "gram": str(GRAM),
        "other": str(GRAM).replace("(N, N)", "(N, N) of the same rows"),
        "rounds": str(ROUNDS),
        "mu": str(SCALE["mu"]),
        "weight_decay": f"{SCALE['weight_decay']}, for which n_classes is needed",
        "n_classes": "K; that of gramlab.Features where they are passed",
    },
    instance=_instance,
    runs=(
        "gramlab.spectrum.filters.filter_power",
        "gramlab.spectrum.filters.perturbation_constant",
    ),
)
