"""Which theorem rests on which, and what a refutation does to those above it."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from gramlab import cli
from gramlab.errors import InvalidSetting
from gramlab.theorems import catalogue, registry
from gramlab.theorems.dependence import check_uses, rests_on
from gramlab.theorems.form import Check
from gramlab.theorems.record import place, sources, text_of

NAMES = "telescope", "the-ball", "shrinking-weights"


def test_the_registry_rests_on_what_is_proved_and_not_on_itself():
    check_uses(registry)
    for theorem in registry.values():
        for base in rests_on(theorem, registry):
            assert registry[base].expected == "proved"


def declared(file: Path) -> dict[str, set[str]]:
    """The words in statement and proof of all that a Rocq file declares, by its name."""
    start = re.compile(r"^\s*(?:Theorem|Lemma|Corollary|Definition|Fixpoint|Ltac)\s+", re.MULTILINE)
    text = re.sub(r"\(\*.*?\*\)", "", text_of(file), flags=re.DOTALL)
    word = re.compile(r"[\w']+(?!\.\w)\b")  # no name of a file
    return {name: set(words) for name, *words in map(word.findall, start.split(text)[1:])}


def test_a_theorem_says_which_others_its_rocq_proof_uses():
    proved = [one for one in registry.values() if one.kernel]
    main = {(place(one).stem, name): one for one in proved for name in one.kernel.theorems}
    for one in proved:
        words = {file: declared(path) for file, path in sources(place(one)).items()}
        waiting, seen = [(place(one).stem, name) for name in one.kernel.theorems], set()
        while waiting:
            at = file, name = waiting.pop()
            if main.get(at, one) is not one:
                assert main[at].name in rests_on(one, registry), one.name
            elif at not in seen:
                seen.add(at)
                for word in words[file].get(name, set()):
                    there = [other for other in words if word in words[other]]
                    waiting += [(f, word) for f in ([file] if file in there else there)]


def test_bases_come_first_and_once():
    found = rests_on(registry["least-rounds"], registry)
    assert found == ["closed-form", "block-spectrum", "label-averaging", "population-accuracy"]


def known(**changed) -> dict:
    """Three theorems of the registry, with what is told of one of them changed."""
    made = {name: registry[name] for name in NAMES}
    for name, values in changed.items():
        dashed = name.replace("_", "-")
        made[dashed] = dataclasses.replace(made[dashed], **values)
    return made


def test_what_rests_on_a_refuted_theorem_is_not_proved():
    fails = {"check": lambda instance: Check(False, -1.0)}
    three = known(telescope=fails, shrinking_weights={"uses": ("the-ball",)})
    reports = catalogue.run_all(list(three.values()), three, instances=2)
    found = {report.theorem.name: report for report in reports}
    assert [report.ok for report in reports] == [False] * 3
    assert found["telescope"].verdict == "proved"  # by its proof; the instances refute it
    for name in ("the-ball", "shrinking-weights"):
        assert found[name].verdict == "rests on a refuted theorem"
        assert found[name].refuted_bases == ("telescope",)
        assert found[name].holds_alone
        assert found[name].as_dict()["proof"]["verdict"] == "rests on a refuted theorem"


def test_bases_are_run_although_they_were_not_chosen():
    three = known(telescope={"expected": "counterexample"})
    (report,) = catalogue.run_all([three["the-ball"]], three, instances=2)
    assert report.refuted_bases == ("telescope",)
    (report,) = catalogue.run_all([registry["the-ball"]], registry, instances=2)
    assert report.ok


@pytest.mark.parametrize("uses", [("telescope",), ("the-ball",)])
def test_no_theorem_rests_on_itself(uses):
    with pytest.raises(InvalidSetting, match="no theorem may rest on itself, got telescope uses"):
        check_uses(known(telescope={"uses": uses}))


def test_what_is_used_must_be_there():
    with pytest.raises(InvalidSetting, match="'telescope' uses 'nothing', which is unknown"):
        check_uses(known(telescope={"uses": ("nothing",)}))


def test_the_command_says_what_a_theorem_rests_on(capsys, monkeypatch):
    fails = {"check": lambda instance: Check(False, -1.0)}
    monkeypatch.setattr(catalogue, "registry", known(telescope=fails))
    assert cli.main(["theorems", "the-ball", "--instances", "2"]) == 1
    out, err = capsys.readouterr()
    assert "Verdict    rests on a refuted theorem: telescope" in out
    assert "rests on: telescope" in out
    assert err == "gramlab: error: 1 of 1 fail: the-ball\n"
    assert cli.main(["theorems", "--instances", "2"]) == 1
    out = " ".join(capsys.readouterr().out.split())
    assert "1 resting on a refuted theorem; 2 fail" in out
    assert "the-ball shaken 2 0" in out
