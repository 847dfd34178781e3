"""A decision procedure that does not answer has said nothing: unknown is never true."""

from __future__ import annotations

from fractions import Fraction

import flint
import pytest
import sympy as sp
import z3

from gramlab.errors import InvalidSetting
from gramlab.population import phase
from gramlab.theorems import registry
from gramlab.theorems.catalogue import prove
from gramlab.theorems.steps import (
    holds,
    implications,
    implies,
    positive,
    proof,
    reals,
    vanish,
    zero,
)

x, y, a, b, c, d = reals("x y a b c d")
# Of degree 6 in 6 variables, and true: no answer within a millisecond.
HARD = (
    [v > 0 for v in (x, y, a, b, c, d)],
    x**6 + y**6 + a**6 + b**6 + c**6 + d**6 >= 6 * x * y * a * b * c * d,
)
TRUE, FALSE = ([x > 1], x * x > 1), ([x > 1], x * x > 2)


def ask(given, conclusion, timeout=20.0):
    step = implies("claim", given, conclusion, timeout)
    return step.verdict, step.line


class Silent:
    """A solver that is never done."""

    asked = 0

    def __init__(self, *logic):
        pass

    def set(self, *options):
        pass

    def add(self, *goals):
        pass

    def check(self):
        Silent.asked += 1
        return z3.unknown

    def reason_unknown(self):
        return "timeout"


@pytest.fixture
def silent(monkeypatch):
    monkeypatch.setattr(Silent, "asked", 0)
    monkeypatch.setattr(z3, "Solver", Silent)
    monkeypatch.setattr(z3, "SolverFor", Silent)


def test_an_answer_is_read_as_it_is():
    verdict, line = ask(*TRUE)
    assert verdict == "proved"
    assert "unsatisfiable" in line
    verdict, line = ask(*FALSE)
    assert verdict == "counterexample"
    assert "fails at {'x':" in line


def test_each_claim_of_many_is_decided_alone():
    given, conclusion = TRUE
    found = implications(given, {"one": conclusion, "two": FALSE[1]})
    assert [step.verdict for step in found] == ["proved", "counterexample"]
    assert found[0] == implies("one", given, conclusion)


def test_a_timeout_says_nothing():
    verdict, line = ask(*HARD, timeout=0.001)
    assert verdict == "unknown"
    assert "gives up" in line


@pytest.mark.parametrize("claim", [TRUE, FALSE])
def test_a_solver_without_an_answer_says_nothing(claim, silent):
    verdict, line = ask(*claim)
    assert verdict == "unknown"
    assert line == "claim: z3 gives up (timeout)"
    assert Silent.asked == 1


ANSWERS = [
    (z3.unsat, "proved", "z3 finds the negation unsatisfiable"),
    (z3.sat, "counterexample", "fails at {}"),
    (z3.unknown, "unknown", "z3 gives up (timeout)"),
]


@pytest.mark.parametrize("first", ANSWERS)
@pytest.mark.parametrize("second", ANSWERS)
def test_a_proof_is_as_good_as_its_weakest_step(first, second, silent, monkeypatch):
    """A step that fails spoils the proof; it does not refute the statement."""
    # Where the negation is refuted, z3 is asked whether the premises can be.
    left = [
        answer
        for one in (first, second)
        for answer in ([one[0], z3.sat] if one[0] == z3.unsat else [one[0]])
    ]
    monkeypatch.setattr(Silent, "check", lambda self: left.pop(0))
    monkeypatch.setattr(Silent, "model", lambda self: {}, raising=False)
    steps = implies("first", [], x > 0), implies("second", [], x < 0)
    assert [step.verdict for step in steps] == [first[1], second[1]]
    found = proof("z3", "all x", "by hand", *steps)
    assert found.verdict == ("proved" if first[1] == second[1] == "proved" else "unknown")
    assert found.evidence == ("by hand", f"first: {first[2]}", f"second: {second[2]}")
    assert not left


def read(step):
    return step.verdict, step.line, step.decided


def test_exact_steps_are_told_with_what_was_found():
    s = sp.Symbol("s")
    good = zero("s − s = {} and so on {}", s - s, [s - s, sp.Integer(0)])
    assert read(good) == ("proved", "s − s = 0 and so on [0, 0]", True)
    found = zero("residuals {}", [sp.Integer(0), s])
    assert read(found) == ("unknown", "residuals [0, s]", True)
    assert read(holds("a", True)) == ("proved", "a: True", False)
    found = holds("found {}, which B^{t−1} needs", False)
    assert read(found) == ("unknown", "found False, which B^{t−1} needs", False)
    assert zero("(s + 1)² − … = {}", (s + 1) ** 2 - s**2 - 2 * s - 1).line.endswith("= 0")
    found = vanish("a", [s - s, sp.sin(s) ** 2 + sp.cos(s) ** 2 - 1])
    assert read(found) == ("proved", "a: True", True)
    assert read(vanish("a {} b", [s - s, s])) == ("unknown", "a False b", True)
    assert proof("m", "s", good, holds("a", True)).verdict == "proved"
    assert proof("m", "s", good, holds("a", False)).verdict == "unknown"


def test_exact_numbers_are_positive_or_not():
    s, mu = sp.Symbol("s", nonnegative=True), sp.Symbol("mu", positive=True)
    for good in (1, Fraction(1, 3), flint.fmpq(1, 3), flint.arb(1, "0.5"), s + mu):
        assert read(positive("a", 2, good)) == ("proved", "a: True", True)
    for bad in (0, Fraction(-1, 3), flint.fmpq(0), flint.arb(1, 1), s, sp.Symbol("x") + mu):
        assert read(positive("a", 2, bad)) == ("unknown", "a: False", True)


@pytest.mark.parametrize(
    ("make", "sign"),
    [
        (lambda: zero("nothing"), "zero must have at least one residual"),
        (lambda: zero("nothing {}", []), "zero must have at least one residual"),
        (lambda: vanish("nothing", []), "vanish must have at least one residual"),
        (lambda: positive("nothing"), "positive must have at least one quantity"),
        (lambda: positive("rounded", 0.1), "positive takes exact numbers, got a float"),
        (lambda: positive("said", True), "positive takes exact numbers, got a bool"),
    ],
)
def test_a_step_that_decides_nothing_is_refused_in_one_line(make, sign):
    with pytest.raises(InvalidSetting, match=sign) as refused:
        make()
    assert "\n" not in str(refused.value)


def test_from_a_contradiction_nothing_is_proved():
    verdict, line = ask([x > 1, x < 0], y > 3)
    assert verdict == "unknown"
    assert line == "claim: what is given contradicts itself"
    assert ask([x > 1, x < 2], x > 0)[0] == "proved"


def test_nothing_is_proved_by_hand_alone():
    assert proof("by hand", "all x", "it is plain").verdict == "unknown"


@pytest.mark.parametrize("name", sorted(registry))
def test_no_theorem_is_proved_without_the_answers_it_asks_for(name, silent):
    proof = prove(registry[name])
    if Silent.asked:
        assert proof.verdict == "unknown", proof.evidence
    else:
        assert "z3" not in proof.method


# ---- Ball arithmetic -----------------------------------------------------------------------------


def test_a_ball_around_the_threshold_does_not_place_a_cell(monkeypatch):
    """Too few bits to tell: exact rational arithmetic decides, both ways."""
    near = Fraction(1, 10**40)
    for step, expected in ((near, True), (-near, False), (0, False)):
        tie = phase.Condition(own=Fraction(3, 4) + step, other=Fraction(1, 4), excess=Fraction(2))
        monkeypatch.setattr(phase, "BITS", (512,))
        assert tie.decide(1) == (expected, "ball" if step else "rational")
        monkeypatch.setattr(phase, "BITS", (8,))
        assert tie.decide(1) == (expected, "rational")
