"""A decision procedure that does not answer has said nothing: unknown is never true."""

from __future__ import annotations

from fractions import Fraction

import flint
import pytest
import z3

from gramlab import phase
from gramlab.theorems import _block, _decide_inequality, least_rounds, local_certificate, registry
from gramlab.theorems._decide_inequality import reals

x, y, a, b, c, d = reals("x y a b c d")
# Of degree 6 in 6 variables, and true: no answer within a millisecond.
HARD = (
    [v > 0 for v in (x, y, a, b, c, d)],
    x**6 + y**6 + a**6 + b**6 + c**6 + d**6 >= 6 * x * y * a * b * c * d,
)
TRUE, FALSE = ([x > 1], x * x > 1), ([x > 1], x * x > 2)


def ask_one(given, conclusion, timeout=20.0):
    return _decide_inequality.decide("claim", given, conclusion, int(1000 * timeout))


def ask_many(given, conclusion, timeout=20.0):
    verdict, lines = _block.decide({"claim": _block.entails(given, conclusion)}, timeout)
    return verdict, lines[0]


askers = pytest.mark.parametrize("ask", [ask_one, ask_many])


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


@askers
def test_an_answer_is_read_as_it_is(ask):
    verdict, line = ask(*TRUE)
    assert verdict == "proved"
    assert "unsatisfiable" in line
    verdict, line = ask(*FALSE)
    assert verdict == "counterexample"
    assert "fails at {'x':" in line


@askers
def test_a_timeout_says_nothing(ask):
    verdict, line = ask(*HARD, timeout=0.001)
    assert verdict == "unknown"
    assert "gives up" in line


@askers
@pytest.mark.parametrize("claim", [TRUE, FALSE])
def test_a_solver_without_an_answer_says_nothing(ask, claim, silent):
    verdict, line = ask(*claim)
    assert verdict == "unknown"
    assert line == "claim: z3 gives up (timeout)"
    assert Silent.asked == 1


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ([z3.unsat, z3.unsat], "proved"),
        ([z3.unsat, z3.unknown], "unknown"),
        ([z3.unknown, z3.unsat], "unknown"),
        ([z3.unknown, z3.sat], "counterexample"),
        ([z3.sat, z3.unknown], "counterexample"),
    ],
)
def test_goals_together(answers, expected, silent, monkeypatch):
    left = list(answers)
    monkeypatch.setattr(Silent, "check", lambda self: left.pop(0))
    monkeypatch.setattr(Silent, "model", lambda self: {}, raising=False)
    verdict, lines = _block.decide({"first": [x > 0], "second": [x < 0]})
    assert verdict == expected
    assert len(lines) == 2
    assert not left


@pytest.mark.parametrize("name", sorted(registry))
def test_no_theorem_is_proved_without_the_answers_it_asks_for(name, silent):
    proof = registry[name].prove()
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
        monkeypatch.setattr(phase, "_BALL_BITS", (512,))
        assert tie.decide(1) == (expected, "ball" if step else "rational")
        monkeypatch.setattr(phase, "_BALL_BITS", (8,))
        assert tie.decide(1) == (expected, "rational")


def test_a_ball_that_holds_an_integer_places_no_round(monkeypatch):
    wide = flint.arb(10, 30)
    monkeypatch.setattr(least_rounds, "_ball", lambda ratio, delta, precision: wide)
    assert registry["least-rounds"].prove().verdict == "unknown"
    with pytest.raises(ArithmeticError, match="could not be placed"):
        least_rounds._floor(Fraction(2), Fraction(1, 6))


def test_an_instance_in_wide_balls_is_not_established(monkeypatch):
    assert "‖W − W*‖_H/ν ≥" in local_certificate._far_away()
    exact = flint.arb
    monkeypatch.setattr(local_certificate.flint, "arb", lambda value: exact(value) + exact(0, 20))
    assert local_certificate._far_away() == "no instance past cν = 1 was established"
