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
from gramlab.theorems.steps import positive, proof

NAMES = "softmax-remainder-sharp", "softmax-remainder", "telescope", "the-ball"
FAILS = {"check": lambda instance: Check(False, -1.0)}
NO_KERNEL = {"kernel": None, "prove": lambda: proof("exact", "one case", positive("1 > 0", 1))}


def test_the_registry_rests_on_what_is_proved_and_not_on_itself():
    check_uses(registry)
    for theorem in registry.values():
        for base in rests_on(theorem, registry, on_paper=True):
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
    found = rests_on(registry["least-rounds"], registry, on_paper=True)
    assert found == ["closed-form", "block-spectrum", "label-averaging", "population-accuracy"]


def known(**changed) -> dict:
    """Three theorems of the registry, with what is told of one of them changed."""
    made = {name: registry[name] for name in NAMES}
    for name, values in changed.items():
        dashed = name.replace("_", "-")
        made[dashed] = dataclasses.replace(made[dashed], **values)
    return made


def test_what_rests_on_a_refuted_theorem_is_not_proved():
    above = {"uses": ("softmax-remainder",), **NO_KERNEL}
    four = known(softmax_remainder_sharp=FAILS, telescope=above)
    reports = catalogue.run_all([four[name] for name in NAMES[:3]], four, instances=2)
    found = {report.theorem.name: report for report in reports}
    assert [report.ok for report in reports] == [False] * 3
    base = found["softmax-remainder-sharp"]
    assert base.verdict == "proved"  # by its proof; the instances refute it
    for name in ("softmax-remainder", "telescope"):
        assert found[name].verdict == "rests on a refuted theorem"
        assert found[name].refuted_bases == ("softmax-remainder-sharp",)
        assert found[name].holds_alone
        assert found[name].as_dict()["proof"]["verdict"] == "rests on a refuted theorem"


def test_a_rocq_proof_falls_only_with_the_files_that_it_requires():
    part = dataclasses.replace(registry["the-ball"].kernel, covers="a part")
    for changed, shaken in [({}, False), ({"kernel": part, "prove": NO_KERNEL["prove"]}, True)]:
        four = known(telescope=FAILS, the_ball=changed)
        (report,) = catalogue.run_all([four["the-ball"]], four, instances=2)
        assert bool(report.refuted_bases) is shaken
        assert report.ok is not shaken
        assert report.as_dict()["uses"] == ["telescope"]
        assert report.as_dict()["rests_on"] == ["telescope"] * shaken


def test_an_unknown_proof_has_no_level():
    unknown = {**NO_KERNEL, "prove": lambda: proof("exact", "one case", positive("0 > 0", 0))}
    report = catalogue.run(known(telescope=unknown)["telescope"], instances=2)
    assert report.as_dict()["proof"]["level"] is None
    assert "unknown, 0 of 2" in repr(report)


def test_bases_are_run_although_they_were_not_chosen():
    four = known(softmax_remainder_sharp={"expected": "counterexample"})
    (report,) = catalogue.run_all([four["softmax-remainder"]], four, instances=2)
    assert report.refuted_bases == ("softmax-remainder-sharp",)
    (report,) = catalogue.run_all([registry["softmax-remainder"]], registry, instances=2)
    assert report.ok


@pytest.mark.parametrize("uses", [("telescope",), ("the-ball",)])
def test_no_theorem_rests_on_itself(uses):
    with pytest.raises(InvalidSetting, match="no theorem may rest on itself, got telescope uses"):
        check_uses(known(telescope={"uses": uses}))


def test_what_is_used_must_be_there():
    with pytest.raises(InvalidSetting, match="'telescope' uses 'nothing', which is unknown"):
        check_uses(known(telescope={"uses": ("nothing",)}))


def test_the_command_says_what_a_theorem_rests_on(capsys, monkeypatch):
    monkeypatch.setattr(
        catalogue, "registry", known(softmax_remainder_sharp=FAILS, telescope=FAILS)
    )
    assert cli.main(["theorems", "softmax-remainder", "--instances", "2"]) == 1
    out, err = capsys.readouterr()
    assert "Verdict    rests on a refuted theorem: softmax-remainder-sharp" in out
    assert "rests on: softmax-remainder-sharp" in out
    assert err == "gramlab: error: 1 of 1 fail: softmax-remainder\n"
    assert cli.main(["theorems", "the-ball", "--instances", "2"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "argued on paper from: telescope, which the Rocq proof does not need" in out
    assert "rests on:" not in out
    assert cli.main(["theorems", "--instances", "2"]) == 1
    out = " ".join(capsys.readouterr().out.split())
    assert "1 resting on a refuted theorem; 3 fail" in out
    assert "softmax-remainder shaken 2 0" in out
