"""Close Gram matrices give close predictions: ‖h(G)^t − h(G')^t‖₂ ≤ min(1, c_t ‖G − G'‖₂/μ)."""

import numpy as np
import sympy as sp
import z3

from gramlab.errors import InvalidSetting
from gramlab.features import Features
from gramlab.spectrum.filters import filter_power
from gramlab.theorems._arguments import GRAM, ROUNDS, SCALE, check_condition, exact_mu
from gramlab.theorems._arguments import gram as symmetric
from gramlab.theorems._hypotheses import above, semidefinite
from gramlab.theorems.form import Check, Hypothesis, Instance, Proof, Theorem, bound
from gramlab.theorems.steps import implies, proof, reals, zero
from gramlab.validation import check_integer


def _constant(rounds: int) -> float:
    """c_t = Σ_i a_i a_{t−1−i} with a_i = max p^i (1 − p) = i^i/(i + 1)^{i+1}; c_1 = 1, c_t ≤ t."""
    a = [i**i / (i + 1) ** (i + 1) for i in range(rounds)]
    return float(np.dot(a, a[::-1]))


def _prove() -> Proof:
    mu, i, p = sp.symbols("mu i p", positive=True)
    t = sp.Symbol("t", integer=True, positive=True)
    # q = G + μ and r = G' + μ as free noncommuting letters: the identities hold for every size.
    q, r, a, b = sp.symbols("q r a b", commutative=False)
    # p^i (1 − p) rises up to p = i/(i + 1) and falls afterwards, for every real i > 0.
    rise = sp.diff(p**i * (1 - p), p) / p ** (i - 1)
    peak = sp.log((p**i * (1 - p)).subs(p, i / (i + 1))) - sp.log(i**i / (i + 1) ** (i + 1))
    s, s2, m = reals("s s' mu")
    spectrum = [s >= s2, s2 >= 0, m > 0]
    return proof(
        "sympy in noncommuting letters, z3; norm inequalities by hand",
        "every size N, every μ > 0 and every t: the identities are in noncommuting letters "
        "and symbolic t. By hand: spectral calculus (norms of functions of a symmetric matrix), "
        "‖AB‖ ≤ ‖A‖‖B‖ and the triangle inequality",
        zero(
            "resolvent identity h(G) − h(G') = μ(G+μ)⁻¹(G − G')(G'+μ)⁻¹: residual {}",
            mu / q * ((q - mu) - (r - mu)) / r - ((1 - mu / q) - (1 - mu / r)),
        ),
        zero(
            "induction step of A^t − B^t = Σ_i A^i(A − B)B^{t−1−i}: residual {}",
            a * (a**t - b**t) + (a - b) * b**t - (a ** (t + 1) - b ** (t + 1)),
        ),
        "so each term is (1/μ) A^i(1 − A)(G − G')(1 − B)B^{t−1−i} with A = h(G), B = h(G'), "
        "of norm ≤ a_i a_{t−1−i} ‖G − G'‖/μ since PSD puts both spectra in [0, 1)",
        zero(
            "a_i = max over [0, 1] of p^i(1 − p) is at p = i/(i+1): residuals {}, {}",
            rise - (i - (i + 1) * p),
            sp.expand_log(sp.simplify(peak), force=True),
        ),
        "a_i ≤ 1 gives c_t ≤ t, with equality at t = 1; 0 ⪯ A^t, B^t ⪯ 1 gives the bound 1",
        implies("0 ≤ h < 1", spectrum, z3.And(s / (s + m) < 1, s / (s + m) >= 0)),
        implies(
            "scalars, h(s) − h(s') ≤ (s − s')/μ",
            spectrum,
            m * (s - s2) * m <= (s - s2) * (s + m) * (s2 + m),
        ),
    )


def _draw(rng: np.random.Generator) -> Instance:
    n, mu = int(rng.integers(2, 9)), float(10 ** rng.uniform(-2, 2))

    def gram(scale: float) -> np.ndarray:
        x = rng.standard_normal((n, int(rng.integers(1, n + 2))))
        return scale * mu * (x @ x.T / np.linalg.norm(x, 2) ** 2)

    kind = int(rng.integers(4))
    rounds = int(rng.integers(1, 8)) if kind else 1
    first = gram(10 ** rng.uniform(-1, 1.5) if kind else 1e-3)
    if kind == 0:  # small perturbation of a small G: the slope of h at 0 is 1/μ
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
    one, two = symmetric("gram", gram), symmetric("other", other)
    if one.shape != two.shape:
        raise InvalidSetting(
            f"gram and other must be of one shape, got {one.shape} and {two.shape}; pass the Gram "
            "matrices of the same rows"
        )
    known = {g.n_classes for g in (gram, other) if isinstance(g, Features)}
    if weight_decay is not None and known:
        told = known if n_classes is None else known | {n_classes}
        if len(told) > 1:
            raise InvalidSetting(
                f"gram, other and n_classes must be of one number of classes, got {sorted(told)}; "
                "pass features of the same classes, and leave n_classes out"
            )
        (n_classes,) = told
    if (weight_decay is None) != (n_classes is None):
        raise InvalidSetting(
            "weight_decay and n_classes go together, got only one; pass both, or mu = K N λ alone"
        )
    size = len(one) if n_classes is None else check_integer("n_classes", n_classes, 2) * len(one)
    scale = float(exact_mu(size, mu, weight_decay))
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
    *grams, mu, rounds = instance.values()
    filters = [np.linalg.solve(g + mu * np.eye(len(g)), g) for g in grams]
    one, other = (np.linalg.matrix_power(h, rounds) for h in filters)
    ratio = float(np.linalg.norm(grams[0] - grams[1], 2)) / mu
    limit = min(cap, factor * _constant(rounds + more) * ratio)
    # A dense solve loses a factor of the condition number (‖G‖ + μ)/μ.
    size = max(float(np.linalg.norm(g, 2)) for g in grams)
    tolerance = min(1e-14 * len(one) * rounds * (1 + size / mu), 1e-8)
    found = bound(float(np.linalg.norm(one - other, 2)), limit, tolerance)
    return found.also(_agrees(grams[0], mu, rounds, one, tolerance))


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
    statement=r"\lVert h(G)^t - h(G')^t \rVert_2 \le \min\Bigl(1,\ c_t "
    r"\frac{\lVert G - G' \rVert_2}{\mu}\Bigr), \quad c_t = \sum_{i=0}^{t-1} a_i a_{t-1-i} \le t, "
    r"\quad a_i = \frac{i^i}{(i+1)^{i+1}}",
    prove=_prove,
    draw=_draw,
    check=_compare,
    planted={
        "a factor 2 less": lambda x: _compare(x, factor=0.5),
        "the constant of one more round": lambda x: _compare(x, more=1),
        "never more than 1/2": lambda x: _compare(x, cap=0.5),
    },
    tight_within=0.01,
    arguments={
        "gram": GRAM,
        "other": GRAM.replace("(N, N)", "(N, N) of the same rows"),
        "rounds": ROUNDS,
        "mu": SCALE["mu"],
        "weight_decay": f"{SCALE['weight_decay']}, for which n_classes is needed",
        "n_classes": "K; that of gramlab.Features where they are passed",
    },
    instance=_instance,
    runs=("gramlab.spectrum.filters.filter_power",),
)
