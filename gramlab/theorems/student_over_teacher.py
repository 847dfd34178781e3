"""Two classes: the noise rates at which the teacher fails where the first student is perfect."""

import numpy as np
from flint import fmpq

from gramlab.theorems import _arguments as arguments
from gramlab.theorems import _block as blocks
from gramlab.theorems._block import block, draw_block, fixed
from gramlab.theorems._hypotheses import all_of
from gramlab.theorems.form import Check, Held, Hypothesis, Instance, Rocq, Theorem, variants


def _draw(rng: np.random.Generator) -> Instance:
    drawn = draw_block(rng, superclasses=1, classes=2, size=int(rng.choice([3, 10, 12])))
    n, d = drawn.n, int(rng.integers(0, 10))
    kind = rng.random()
    wrong = int(rng.integers(1, n))
    if kind < 0.2:
        wrong = {3: 1, 10: 1, 12: 4}[n]  # Δ = 1/3 or 4/5, where ρ² = 1 + 1/Δ has a rational root
    counts = ((n - wrong, wrong), (wrong, n - wrong))
    b = block(counts, m=2, c=19, d=d, mu=drawn.mu)
    if kind < 0.4:
        b = b.tied(2 if kind < 0.2 else 1)
    elif kind < 0.8 and 2 * wrong < n:  # inside the range
        high = float(1 + fmpq(n, n - 2 * wrong))
        power = high**0.5 + rng.uniform(0.05, 0.95) * (high - high**0.5)
        b = b.near_ratio(power, 500)
    return {"block": b}


def _compare(instance: Instance, variant: str = "") -> Check:
    """Both sides of the equivalence; the samples' margins come from dense exact solves."""
    b = instance["block"]
    p_a, p_b, _, _ = b.filters()
    rho, eta = p_b / p_a, fmpq(b.counts[0][1], b.n)
    last = 3 if variant == "second student in place of the first" else 2
    lower, upper = ((1 - 1 / (rho**t - 1)) / 2 for t in (1, last))
    above = eta > lower if variant == "a tie counted as right" else eta >= lower
    below = eta <= upper if variant == "upper end included" else eta < upper
    one, two = b.iterate(1), b.iterate(2)
    wrong = b.margins(one)[b.margins(b.one_hot) < 0]
    student = min(b.margins(two))
    found = all(wrong <= 0) and student > 0
    agrees = b.agrees(1, one) and b.agrees(2, two)
    return Check(found == (above and below), float(student)).also(agrees)


def _noise_rate(instance: Instance) -> Held:
    eta = instance["block"].class_means()[0, 1]
    return Held(bool(0 < eta < 1), f"η = {float(eta):.6g}")


_lopsided = fixed(((5, 4), (1, 8)), m=2, c=18, d=16, mu=(1, 6))
_clean = fixed(((4, 0), (0, 4)), m=2, c=6, d=5, mu=(1, 9), per=100)

THEOREM = Theorem(
    name="student-over-teacher",
    title="Teacher wrong, first student perfect",
    source="P (ends of the range D)",
    kind="necessary and sufficient",
    hypotheses=(
        Hypothesis("order", r"0 \le d < c < 1,\ \mu > 0", test=blocks.in_model),
        Hypothesis(
            "two balanced classes",
            r"K = 2 \text{ in one superclass},\ C_{12} = C_{21} = \eta",
            _lopsided,
            all_of(
                lambda i: Held(i["block"].n_classes == 2, f"K = {i['block'].n_classes}"),
                blocks.stays_inside,
                blocks.columns_sum_to_one,
            ),
        ),
        Hypothesis("some label wrong", r"0 < \eta < 1", _clean, _noise_rate),
    ),
    statement=r"\text{the teacher is right on no wrong label and the first student on all samples} "
    r"\iff \tfrac12 \Bigl(1 - \frac{1}{\rho - 1}\Bigr) \le \eta "
    r"< \tfrac12 \Bigl(1 - \frac{1}{\rho^2 - 1}\Bigr); \quad \text{at the lower end it ties}",
    kernel=Rocq("student_over_teacher.v", ("student_over_teacher",)),
    uses=("label-averaging",),
    draw=_draw,
    check=_compare,
    planted=variants(
        _compare,
        "a tie counted as right",
        "upper end included",
        "second student in place of the first",
    ),
    arguments=arguments.BLOCK,
    instance=arguments.block,
    runs=("gramlab.population.Population.linearized",),
)
