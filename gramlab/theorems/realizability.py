"""How large entrywise noise on a block Gram matrix may be for the sum to be a Gram matrix."""

from __future__ import annotations

from fractions import Fraction
from itertools import product

import numpy as np
import sympy as sp
import z3

from gramlab.theorems._decide_inequality import decide, reals, weakest
from gramlab.theorems.form import Check, Hypothesis, Instance, Proof, Theorem

_EXHAUSTIVE = 3  # rows up to which every sign pattern of the noise is tried


def _gram(n: int, k: int, size: int, c: float, d: float, e: float) -> np.ndarray:
    """1 on the diagonal, c in a class, d in a superclass of ``size`` classes, e elsewhere."""
    classes = np.arange(n * k) // n
    groups = classes // size
    gram = np.where(groups[:, None] == groups, d, e)
    gram = np.where(classes[:, None] == classes, c, gram)
    np.fill_diagonal(gram, 1.0)
    return gram


def _published_noise() -> str:
    """Noise of ±0.05 at K = 4, c = 0.4, d = 0.1, n = 60: a negative square in exact arithmetic."""
    n, k, grid = 60, 4, 1024
    rng = np.random.default_rng(0)
    bound = int(0.05 * grid)
    noise = np.triu(rng.integers(-bound, bound + 1, (n * k, n * k)), 1)
    noise = noise + noise.T
    gram = _gram(n, k, k, 0.4, 0.1, 0.1)
    value, vectors = np.linalg.eigh(gram + noise / grid)
    v = np.rint(vectors[:, 0] * 2**20).astype(np.int64).astype(object)
    tenths = np.rint(10 * gram).astype(np.int64).astype(object)
    square = Fraction(int(v @ tenths @ v), 10) + Fraction(int(v @ noise.astype(object) @ v), grid)
    if square >= 0:
        return "no negative square was established for the published noise"
    rayleigh = float(square / int(v @ v))
    return (
        f"entries up to 0.05, K = 4, n = {n}, c = 0.4, d = 0.1, independent symmetric noise on a "
        f"grid of 1/{grid}: a vector with Rayleigh quotient {rayleigh:.4f} in exact rational "
        f"arithmetic (smallest eigenvalue {value[0]:.4f}): no features have this Gram matrix. Sure "
        f"threshold {0.6 / (n * k - 1):.5f}; at n = 500 it is {0.6 / 1999:.5f}"
    )


def _prove() -> Proof:
    c, d, e, n, m, s = reals("c d e n m S")
    block = [0 <= e, e <= d, d <= c, c < 1, n >= 1, m >= 1, s >= 1]
    s_a = 1 - c
    s_b = s_a + n * (c - d)
    s_c = s_b + n * m * (d - e)
    smallest, lowest = decide(
        "1 − c is the smallest of the four eigenvalues of the block Gram matrix",
        block,
        z3.And(s_b >= s_a, s_c >= s_a, s_c + n * m * s * e >= s_a),
    )
    rows = 5
    v = sp.symbols(f"v:{rows}", real=True)
    pairs = sum((v[i] - v[j]) ** 2 for i in range(rows) for j in range(i))
    lagrange = sp.expand(rows * sum(a**2 for a in v) - sum(v) ** 2 - pairs)
    low, noise, eps, size = reals("low noise eps N")
    sure, sufficient = decide(
        "vᵀGv ≥ (1 − c)‖v‖², |vᵀEv| ≤ ε(N − 1)‖v‖² and ε ≤ (1 − c)/(N − 1) give vᵀ(G + E)v ≥ 0",
        [size > 1, low >= 1 - c, -noise <= eps * (size - 1), eps * (size - 1) <= 1 - c],
        low + noise >= 0,
    )
    needed, necessary = decide(
        "(1 − c) − ε(N − 1) ≥ 0 gives ε ≤ (1 − c)/(N − 1)",
        [size > 1, (1 - c) - eps * (size - 1) >= 0],
        eps <= (1 - c) / (size - 1),
    )
    # G v = (1 − c) v for signs v that balance inside every class, K = 3, n = 4, G symbolic.
    inside, beside = sp.symbols("c d", real=True)
    labels, signs = [i // 4 for i in range(12)], sp.Matrix([1, -1, 1, -1] * 3)
    gram = sp.Matrix(
        12, 12, lambda i, j: 1 if i == j else (inside if labels[i] == labels[j] else beside)
    )
    eigen = (gram * signs - (1 - inside) * signs).expand()
    exact = lagrange == 0 and eigen == sp.zeros(12, 1)
    return Proof(
        verdict=weakest(smallest, sure, needed) if exact else "unknown",
        method="z3 for the inequalities, sympy for the two identities, Rayleigh quotients by hand",
        scope="n, K, superclass sizes, c, d, e, ε symbolic in the inequalities; Lagrange's "
        f"identity expanded at N = {rows} and the eigenvector at K = 3, n = 4 (both are sums over "
        "pairs and classes at every size); the eigenvalues are those of the block spectrum",
        evidence=(
            lowest,
            f"N Σv² − (Σv)² − Σ_(i<j) (v_i − v_j)² at N = {rows}: {lagrange}; with |v| for v this "
            "is Σ_(i≠j) |v_i v_j| ≤ (N − 1)‖v‖²",
            sufficient,
            f"n even: v = ±1, half of each sign in every class: Gv − (1 − c)v = 0: {exact}, and "
            "E_ij = −ε v_i v_j (i ≠ j) gives vᵀ(G + E)v = N((1 − c) − ε(N − 1))",
            necessary,
            "XXᵀ is symmetric, so independent noise in entries (i, j) and (j, i) never is one",
            "asymptotic only, not proved here: independent symmetric noise, uniform on [−ε, ε], "
            "has norm ~ 2ε√(N/3), so with probability tending to one the threshold is "
            "(1 − c)√3/(2√N); for the symmetric part of fully independent noise it is √2 larger",
            _published_noise(),
        ),
    )


def _draw(rng: np.random.Generator) -> Instance:
    size, groups = int(rng.integers(1, 3)), int(rng.integers(1, 3))
    k = max(2, size * groups)
    e, d, c = np.sort(rng.uniform(0, 0.95, 3))
    instance = {
        "n": 2 * int(rng.integers(1, 4)),
        "k": k,
        "size": size if k % size == 0 else k,
        "c": float(c),
        "d": float(d),
        "e": float(e),
        "diagonal": False,
        "symmetric": True,
        "seed": int(rng.integers(2**32)),
    }
    ratio = rng.choice([rng.uniform(0.2, 0.999), 1.0, rng.uniform(1.001, 3.0)])
    return {**instance, "epsilon": float(ratio) * _threshold(instance)}


def _threshold(instance: Instance) -> float:
    return (1 - instance["c"]) / (instance["n"] * instance["k"] - 1)


def _noises(instance: Instance) -> list[np.ndarray]:
    """Noise within [−1, 1]: the worst pattern and random ones, or all extreme ones of few rows."""
    rows = instance["n"] * instance["k"]
    upper = np.triu_indices(rows, 1)
    if rows <= _EXHAUSTIVE:
        patterns = [np.array(p, dtype=float) for p in product((-1, 1), repeat=len(upper[0]))]
    else:
        rng = np.random.default_rng(instance["seed"])
        signs = np.where(np.arange(rows) % 2, -1.0, 1.0)
        patterns = [-np.outer(signs, signs)[upper], rng.uniform(-1, 1, len(upper[0]))]
        patterns += [rng.choice([-1.0, 1.0], len(upper[0])) for _ in range(3)]
    out = []
    for pattern in patterns:
        noise = np.zeros((rows, rows))
        noise[upper] = pattern
        noise += noise.T
        if instance["diagonal"]:
            np.fill_diagonal(noise, -1.0)
        if not instance["symmetric"]:
            noise[upper] *= 0.5
        out.append(noise)
    return out


def _is_gram(matrix: np.ndarray) -> bool:
    """Symmetric and positive semidefinite, up to rounding of the eigenvalues."""
    return bool(
        (matrix == matrix.T).all() and np.linalg.eigvalsh(matrix)[0] >= -1e-13 * len(matrix)
    )


def _compare(instance: Instance, threshold: float, *, strict: bool = False) -> Check:
    eps = instance["epsilon"]
    claim = eps < threshold if strict else eps <= threshold
    gram = _gram(*(instance[name] for name in ("n", "k", "size", "c", "d", "e")))
    found = all(_is_gram(gram + eps * noise) for noise in _noises(instance))
    return Check(claim == found, (eps - threshold) / threshold)


def _check(instance: Instance) -> Check:
    return _compare(instance, _threshold(instance))


def _below(rng: np.random.Generator, **changes: object) -> Instance:
    instance = dict(_draw(rng))
    return {**instance, "epsilon": 0.99 * _threshold(instance), **changes}


def _noisy_diagonal(rng: np.random.Generator) -> Instance:
    instance = {**_draw(rng), "diagonal": True}
    return {**instance, "epsilon": _threshold(instance)}


def _odd(rng: np.random.Generator) -> Instance:
    e, d, c = np.sort(rng.uniform(0, 0.9, 3))
    single = {"n": 1, "k": 3, "size": 3, "c": c, "d": 0.5 * d, "e": e, "seed": 0}
    instance = {**single, "diagonal": False, "symmetric": True}
    return {**instance, "epsilon": 1.01 * _threshold(instance)}


def _asymptotic(instance: Instance) -> float:
    return (1 - instance["c"]) * np.sqrt(3) / (2 * np.sqrt(instance["n"] * instance["k"]))


THEOREM = Theorem(
    name="realizability",
    title="When a noisy block matrix is a Gram matrix",
    source="D; the noisy matrix: C",
    kind="necessary and sufficient",
    hypotheses=(
        Hypothesis("block model", r"0 \le e \le d \le c < 1,\ N = Kn"),
        Hypothesis("symmetric noise", r"E = E^\top", lambda rng: _below(rng, symmetric=False)),
        Hypothesis("unit diagonal", r"E_{ii} = 0", _noisy_diagonal),
        Hypothesis("even classes (for necessity)", r"n \in 2\mathbb{N}", _odd),
    ),
    statement=r"G + E = XX^\top \text{ for some } X, \text{ for every } E \text{ with } "
    r"|E_{ij}| \le \varepsilon \iff \varepsilon \le \frac{1 - c}{N - 1}",
    prove=_prove,
    draw=_draw,
    check=_check,
    planted={
        "strict for non-strict": lambda i: _compare(i, _threshold(i), strict=True),
        "twice as much": lambda i: _compare(i, 2 * _threshold(i)),
        "the asymptotic threshold taken as sure": lambda i: _compare(i, _asymptotic(i)),
    },
)
