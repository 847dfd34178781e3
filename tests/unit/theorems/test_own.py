"""Theorems of others: from a module, from an installed package, from the author alone."""

from __future__ import annotations

import dataclasses
import re
from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np
import pytest
import sympy as sp

from gramlab.errors import InvalidSetting
from gramlab.theorems import catalogue, check, find, registry
from gramlab.theorems.form import Argument, Check, Proof
from gramlab.theorems.steps import Step, holds, positive, proof, refutation, zero

OWN = """
from __future__ import annotations

from dataclasses import dataclass

from gramlab.theorems.form import Check, Held, Hypothesis, Proof, Theorem


@dataclass
class Unused:
    x: complex


THEOREM = Theorem(
    name="squares",
    title="Squares are not negative",
    source="D",
    kind="lower bound",
    hypotheses=(
        Hypothesis("real", r"x \\in \\mathbb{R}", test=lambda i: Held(i["x"].imag == 0, "Im x")),
    ),
    statement=r"x^2 \\ge 0",
    prove=lambda: Proof("proved", "none", "every x", ("it is plain",)),
    draw=lambda rng: {"x": complex(rng.standard_normal())},
    check=lambda i: Check((i["x"] ** 2).real >= 0, (i["x"] ** 2).real),
    planted={"at least one": lambda i: Check((i["x"] ** 2).real >= 1, 0.0)},
    arguments={"x": "a number"},
    instance=lambda x: {"x": complex(x)},
)
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    """Writes a module, into the folder one works in."""
    monkeypatch.chdir(tmp_path)
    catalogue._installed.cache_clear()

    def write(text: str, name: str = "my_theorems.py"):
        (tmp_path / name).write_text(text, encoding="utf-8")
        return tmp_path / name

    yield write
    catalogue._installed.cache_clear()


def test_a_module_by_its_file(own):
    (theorem,) = catalogue.from_module(str(own(OWN)))
    assert theorem.name == "squares"
    assert find("squares", [theorem]) is theorem
    assert catalogue.run(theorem, 20).ok
    assert check(theorem, x=2).holds
    assert not check(theorem, x=2j).applies
    assert check(theorem, x=2j).holds is None


def test_arguments_that_read_make_the_instance(own):
    (theorem,) = catalogue.from_module(str(own(OWN)))
    doubled = Argument("a number", lambda name, value, sizes: 2 * value, key="x")
    other = Argument("another; twice the first unless told", default=lambda made: made["x"])
    seen = []
    theorem = dataclasses.replace(
        theorem,
        check=lambda i: Check(seen.append(dict(i)) is None, 0.0),
        arguments={"n": doubled, "y": other, "z": Argument("any; 3 unless told", default=3)},
        instance=None,
    )
    assert check(theorem, n=1 + 0j).holds
    assert check(theorem, n=1 + 0j, y=None, z=4).holds
    assert seen == [{"x": 2 + 0j, "y": 2 + 0j, "z": 3}, {"x": 2 + 0j, "y": 2 + 0j, "z": 4}]
    assert catalogue.run(theorem, 2).as_dict()["arguments"]["n"] == "a number"
    for wrong, sign in [({}, "missing a required"), ({"n": 1j, "x": 1}, "unexpected keyword")]:
        with pytest.raises(InvalidSetting, match=f"{sign}.*it takes n: a number; y: another"):
            check(theorem, **wrong)
    mixed = dataclasses.replace(theorem, arguments={"n": doubled, "m": "taken as it is"})
    assert check(mixed, n=1 + 0j, m="m").holds
    assert seen[-1] == {"x": 2 + 0j, "m": "m"}
    squared = dataclasses.replace(theorem, instance=lambda x, y, z: {"x": x * y * z})
    assert check(squared, n=1 + 0j).holds
    assert seen[-1] == {"x": 12 + 0j}


def test_a_module_by_its_name(own):
    own(OWN + "THEOREMS = [THEOREM]\n", "theorems_by_name.py")
    assert [one.name for one in catalogue.from_module("theorems_by_name")] == ["squares"]


@pytest.mark.parametrize(
    ("text", "sign"),
    [
        ("import no_such_module_at_all", "No module named 'no_such_module_at_all'"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("def", "SyntaxError"),
        ("x = 1", "must have a THEOREM of type"),
        ("import sys; sys.exit(3)", "SystemExit: 3"),
        ("THEOREM = 3", "got int"),
        ("THEOREMS = []", "got list"),
    ],
)
def test_a_module_that_offers_none_is_told_in_one_line(own, text, sign):
    with pytest.raises(InvalidSetting) as refused:
        catalogue.from_module(str(own(text)))
    assert sign in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("prove", "sign"),
    [
        ("None", "got NoneType"),
        ("'proved'", "got str"),
        ("1 / 0", "raises ZeroDivisionError: division by zero"),
        ("__import__('sys').exit(3)", "raises SystemExit: 3"),
    ],
)
def test_a_prove_that_gives_no_proof_is_told_in_one_line(own, prove, sign):
    text = OWN.replace('Proof("proved", "none", "every x", ("it is plain",))', prove)
    (theorem,) = catalogue.from_module(str(own(text)))
    with pytest.raises(InvalidSetting, match="`prove` of the theorem 'squares'") as refused:
        catalogue.run(theorem, 2)
    assert sign in str(refused.value)
    assert "\n" not in str(refused.value)


def test_theorems_and_reports_are_shown_in_a_line():
    report = catalogue.run(registry["perturbation"], 2)
    assert repr(report).startswith("<Report perturbation: proved (kernel), 0 of 2 instances fail")
    for shown in [repr(report), *map(repr, registry.values())]:
        assert len(shown) <= 600
        assert "\n" not in shown
    long = dataclasses.replace(registry["perturbation"], title="far\n" * 900)
    assert len(repr(long)) <= 600
    assert "\n" not in repr(long)


@pytest.mark.parametrize("name", ["no_such_module", "no/such/file.py", "", ".", "a b"])
def test_a_module_that_is_not_there(own, name):
    with pytest.raises(InvalidSetting, match="cannot be imported") as refused:
        catalogue.from_module(name)
    assert "\n" not in str(refused.value)


def test_two_theorems_of_one_name(own):
    (theorem,) = catalogue.from_module(str(own(OWN)))
    clash = dataclasses.replace(theorem, name="perturbation")
    with pytest.raises(InvalidSetting, match="two theorems are called 'perturbation'"):
        catalogue.everything([clash])
    with pytest.raises(InvalidSetting, match="two theorems are called 'squares'"):
        catalogue.everything([theorem, dataclasses.replace(theorem, title="Again")])


def test_an_installed_package_adds_its_theorems(own, monkeypatch):
    own(OWN, "installed_theorems.py")
    monkeypatch.syspath_prepend(".")
    point = EntryPoint("squares", "installed_theorems:THEOREM", catalogue.GROUP)
    monkeypatch.setattr(catalogue, "entry_points", lambda group: [point])
    assert find("squares").title == "Squares are not negative"
    assert set(catalogue.everything()) == {*registry, "squares"}
    assert check("squares", x=1).holds


@pytest.mark.parametrize(
    ("value", "sign"),
    [("gramlab.nothing:X", "cannot be loaded"), ("gramlab:one_hot", "must have a THEOREM")],
)
def test_an_installed_package_that_is_broken_is_named(own, monkeypatch, value, sign):
    point = EntryPoint("broken", value, catalogue.GROUP)
    monkeypatch.setattr(catalogue, "entry_points", lambda group: [point])
    assert find("perturbation") is registry["perturbation"]
    with pytest.raises(InvalidSetting, match="entry point 'broken'") as refused:
        catalogue.everything()
    assert sign in str(refused.value)


def test_the_paper_has_it_at():
    found = catalogue.from_paper("theorem 4.1", registry.values())
    assert {one.name for one in found} == {"population-accuracy", "least-rounds"}
    assert catalogue.from_paper("Eq. 10", registry.values()) == [registry["population-accuracy"]]
    with pytest.raises(InvalidSetting, match=r"known are Appendix D\.3, Theorem 2\.1"):
        catalogue.from_paper("Theorem 9", registry.values())


# ---- What stands behind a verdict ----------------------------------------------------------------


TRUE = zero("0 = {}", sp.Integer(0))


def test_levels_tell_who_decided():
    assert Proof("proved", "by hand", "all", ("plain",)).level == "asserted"
    assert proof("sympy", "all x", TRUE).level == "decided"
    assert proof("sympy", "all x", TRUE, "and so on").level == "core"
    assert proof("sympy", "all x", TRUE, holds("a", True)).level == "core"
    assert proof("sympy; induction by hand", "all x", TRUE).level == "core"
    assert proof("sympy", "all x. By hand: the rest", TRUE).level == "core"
    assert proof("none", "all x", "it is plain").level == "asserted"


def test_no_level_is_taken_on_its_author_s_word():
    assert proof("m", "all x", holds("I say so", True)).level == "asserted"
    assert proof("m", "all x", Step("proved", "I say so")).level == "asserted"
    with pytest.raises(TypeError):
        Proof("proved", "m", "all x", ("I say so",), "kernel")
    with pytest.raises(TypeError):
        Step("proved", "I say so", True)
    made = proof("m", "all x", TRUE)
    assert dataclasses.replace(made, evidence=("I say so",)).level == "asserted"
    assert dataclasses.replace(TRUE, line="I say so").decided is False
    with pytest.raises((ValueError, TypeError), match="level"):  # TypeError from Python 3.13 on
        dataclasses.replace(made, level="kernel")


def test_a_refutation_is_of_decided_claims():
    found = refutation("exact", "one case", positive("a = 1 > 0", 1))
    assert (found.verdict, found.level) == ("counterexample", "decided")
    assert refutation("exact", "one case", positive("a", 0)).verdict == "unknown"
    assert refutation("exact", "one case", "look at it").verdict == "unknown"
    assert refutation("exact", "one case", Step("unknown", "?")).verdict == "unknown"


@pytest.mark.parametrize("name", sorted(registry))
def test_nothing_of_the_registry_is_only_asserted(name):
    found = catalogue.prove(registry[name])
    induction = any("induction" in line for line in found.evidence)
    assert not (induction and found.level == "decided")
    by_hand = "by hand" in f"{found.method} {found.scope}".lower()
    assert found.level in {"kernel", "core", "decided"}
    assert not (by_hand and found.level == "decided")


def test_the_example_of_the_guide_is_a_theorem(own):
    """As the tests of the registry hold its theorems to the form."""
    guide = Path(__file__).parents[3] / "docs" / "own_theorems.md"
    text = re.search(r"my_theorems\.py -->\n```python\n(.*?)```", guide.read_text(), re.DOTALL)[1]
    (theorem,) = catalogue.from_module(str(own(text)))
    report = catalogue.run(theorem, 60)
    assert report.ok
    assert report.proof.level == "core"
    assert report.tightest_slack <= theorem.tight_within
    assert None not in catalogue.refuted(theorem, 60, 0).values()
    assert None not in catalogue.dropped(theorem, 60, 0).values()
    rng = np.random.default_rng(0)
    for hypothesis in theorem.hypotheses:
        assert hypothesis.test(theorem.draw(rng)).holds
        assert hypothesis.without is None or not hypothesis.test(hypothesis.without(rng)).holds
    found = check(theorem, gram=np.diag([2.0, 1.0, 0.0]), mu=0.5, rounds=3)
    assert found.applies
    assert found.holds
