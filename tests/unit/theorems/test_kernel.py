"""Rocq proofs: compiled, asked what they state and assume, recorded, and never taken on trust."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import pytest
import sympy as sp

from gramlab import cli
from gramlab.errors import InvalidSetting, OutputError, UnreadableSource
from gramlab.theorems import catalogue, kernel, record, registry
from gramlab.theorems.form import Check, Hypothesis, Rocq, Theorem
from gramlab.theorems.steps import proof, zero

PROVED = sorted(name for name, theorem in registry.items() if theorem.kernel)
GOOD = "Theorem evens : forall n : nat, n * 0 = 0.\nProof. induction n; auto. Qed.\n"
MODULE = """
from pathlib import Path
from gramlab.theorems.form import Check, Hypothesis, Rocq, Theorem

THEOREM = Theorem(
    name="evens", title="Evens", source="D", kind="identity", statement=r"0 n \\le 0",
    hypotheses=(Hypothesis("whole", "n"),),
    draw=lambda rng: {"n": 1}, check=lambda i: Check(True, 0.0),
    kernel=Rocq(Path(__file__).with_name("evens.v"), ("evens",)),
)
"""


def theorem(file: Path, *names: str, **more) -> Theorem:
    values = {
        "name": "evens",
        "title": "Times zero",
        "source": "D",
        "kind": "identity",
        "hypotheses": (Hypothesis("whole", r"n \in \mathbb{N}"),),
        "statement": r"0 n \le 0",
        "draw": lambda rng: {"n": 1},
        "check": lambda instance: Check(True, 0.0),
        "kernel": Rocq(file, names or ("evens",)),
    }
    return Theorem(**{**values, **more})


@pytest.fixture
def own(tmp_path):
    """Writes a Rocq file of one's own and gives its theorem."""

    def write(text: str, *names: str, **more) -> Theorem:
        file = tmp_path / "evens.v"
        file.write_text(text, encoding="utf-8")
        return theorem(file, *names, **more)

    return write


def compiled(one: Theorem) -> kernel.Checked:
    (found,) = kernel.check_proofs(kernel.find_coqc(), [one])
    return found


# ---- What the house has recorded ---------------------------------------------------------------


def test_twenty_theorems_are_checked_by_the_kernel_and_none_is_asserted():
    levels = [catalogue.prove(one).level for one in registry.values()]
    assert levels.count("kernel") >= 20
    assert levels.count("asserted") == 0


@pytest.mark.parametrize("name", PROVED)
def test_the_record_is_of_the_files_that_are_there(name):
    found = record.recorded(registry[name])
    assert found is not None, "run gramlab theorems --kernel --record"
    assert record.AXIOMS.issuperset(found.assumptions)


@pytest.mark.parametrize("name", PROVED)
def test_the_statement_stands_above_the_rocq_theorem(name):
    """So that whoever changes the one meets the other."""
    text = record.place(registry[name]).read_text(encoding="utf-8")
    assert record.commented(registry[name], text) == text, "run gramlab theorems --kernel --record"
    changed = dataclasses.replace(registry[name], statement=r"1 \le 2")
    assert record.commented(changed, text) != text


def test_the_record_holds_no_other_proof():
    kept = record.read_record(record.HOUSE)
    assert sorted(kept) == PROVED


def test_no_rocq_text_leaves_anything_open():
    for file in record.HOUSE.glob("*.v"):
        words = set(file.read_text(encoding="utf-8").replace(".", " ").split())
        assert words.isdisjoint({"Admitted", "Axiom", "Parameter", "admit"}), file.name


def test_what_the_kernel_covers_in_full_has_no_other_proof():
    for one in registry.values():
        whole = one.kernel is not None and not one.kernel.covers
        assert whole == (one.prove is None), one.name


# ---- Compiling ----------------------------------------------------------------------------------


def test_statement_and_axioms_as_the_kernel_prints_them(own, coqc):
    found = compiled(own(GOOD))
    assert (found.problem, found.file, found.theorem) == ("", "evens.v", "evens")
    assert found.found.statements == {"evens": "forall n : nat, n * 0 = 0"}
    assert found.found.assumptions == ()
    assert found.seconds > 0


def test_a_proof_with_what_it_requires(own, tmp_path, coqc):
    (tmp_path / "base.v").write_text("Definition two := 2.\n")
    text = "(* From Gramlab Require Import nothing. *)\nFrom Gramlab Require Import base.\n"
    one = own(text + "Theorem evens : two = 2. Proof. reflexivity. Qed.\n")
    assert list(record.sources(record.place(one))) == ["base", "evens"]
    assert compiled(one).found.statements == {"evens": "two = 2"}
    (tmp_path / "base.v").write_text("Definition two := .\n")
    assert compiled(one).problem.startswith(f"{tmp_path / 'base.v'}, line 1: ")


@pytest.mark.parametrize(
    ("text", "names", "sign"),
    [
        (GOOD.replace("auto", "fail"), ("evens",), ", line 2: Error: "),
        ("\n\nTheorem evens : nosuch.\n", ("evens",), ", line 3: Error: The reference nosuch"),
        (GOOD, ("evens", "odds"), "odds was not found"),
        (
            "Axiom a : 1 = 2.\nTheorem evens : 1 = 2. Proof. apply a. Qed.\n",
            ("evens",),
            "also evens.a;",
        ),
        ("Theorem evens : 1 = 2. Admitted.\n", ("evens",), "got also evens.evens;"),
        ("Require Import Gramlab.nosuch.", ("evens",), ", line 1: Error: "),
        ("Section S.\n" + GOOD, ("evens",), "Error: "),
        ("(* " + GOOD, ("evens",), "Error: "),
    ],
)
def test_a_proof_that_is_none_is_told_with_file_and_line(own, tmp_path, coqc, text, names, sign):
    found = compiled(own(text, *names))
    assert found.problem.startswith(str(tmp_path / "evens.v"))
    assert sign in found.problem
    assert "\n" not in found.problem


def test_an_axiom_cannot_take_the_name_of_one_that_is_allowed(own, tmp_path):
    (tmp_path / "Classical_Prop.v").write_text("Axiom classic : 1 = 2.\n")
    text = "From Gramlab Require Classical_Prop.\nTheorem evens : 1 = 2.\n"
    one = own(text + "Proof. exact Gramlab.Classical_Prop.classic. Qed.\n")
    with pytest.raises(
        InvalidSetting, match=r"no Rocq file may be called like .*Classical_Prop\.v"
    ):
        kernel.check_proofs(kernel.Coqc("coqc", "0"), [one])


@pytest.mark.parametrize("names", [(), "evens", ("evens. Axiom a : False",), ("",)])
def test_a_rocq_proof_names_at_least_one_theorem(own, names):
    one = own(GOOD, kernel=Rocq(own(GOOD).kernel.file, names))
    with pytest.raises(InvalidSetting, match=r"must name theorems of evens\.v, .* got "):
        catalogue.prove(one)


def test_a_rocq_file_that_is_no_text_is_told_in_one_line(own, tmp_path):
    one = own(GOOD)
    (tmp_path / "evens.v").write_bytes(b"(* caf\xe9 *)" + GOOD.encode())
    with pytest.raises(UnreadableSource, match=r"evens\.v' is damaged .*write it again, in UTF-8"):
        kernel.check_proofs(kernel.Coqc("coqc", "0"), [one])


def test_files_that_require_each_other_are_refused(own, tmp_path):
    (tmp_path / "base.v").write_text("From Gramlab Require Import evens.\n")
    one = own("From Gramlab Require Import base.\n" + GOOD)
    with pytest.raises(InvalidSetting, match=r"in a circle, got evens\.v, base\.v"):
        record.sources(record.place(one))


def test_two_files_of_one_name_are_refused(own, tmp_path):
    (tmp_path / "sums.v").write_text("")
    one = own("From Gramlab Require Import sums.\n" + GOOD)
    with pytest.raises(InvalidSetting, match=r"two Rocq files are called sums\.v"):
        kernel.check_proofs(kernel.Coqc("coqc", "0"), [one, registry["telescope"]])


# ---- Recorded ------------------------------------------------------------------------------------


def recorded(one: Theorem, *axioms: str) -> None:
    found = record.Recorded(dict.fromkeys(one.kernel.theorems, "forall"), axioms, "8.16.1")
    record.write_records([(one, found)], [one])


def test_a_recorded_proof_has_the_level_kernel_until_a_file_changes(own, tmp_path):
    one = own(GOOD)
    assert catalogue.prove(one).verdict == "unknown"
    recorded(one)
    found = catalogue.prove(one)
    assert (found.verdict, found.level) == ("proved", "kernel")
    assert "evens: forall" in found.evidence
    assert catalogue.run(one, 2).ok
    assert dataclasses.replace(found, scope="all").level == "asserted"
    own(GOOD + "\n")
    assert catalogue.prove(one).verdict == "unknown"
    assert not catalogue.run(one, 2).ok


def test_a_record_with_another_axiom_or_theorem_does_not_count(own):
    one = own(GOOD)
    recorded(one, "ClassicalDedekindReals.sig_forall_dec")
    assert catalogue.prove(one).level == "kernel"
    recorded(one, "ClassicalDedekindReals.sig_forall_dec", "mine")
    assert catalogue.prove(one).verdict == "unknown"
    recorded(own(GOOD, "odds"))
    assert catalogue.prove(one).verdict == "unknown"


def test_a_record_keeps_what_was_not_compiled_and_drops_what_is_no_more(own, tmp_path):
    one = own(GOOD)
    two, three = (dataclasses.replace(one, name=name) for name in ("two", "three"))
    found = record.Recorded({"evens": "forall"}, (), "8.16.1")
    record.write_records([(one, found), (two, found)], [one, two])
    record.write_records([(three, found)], [one, three])
    assert list(record.read_record(tmp_path)) == ["evens", "three"]


def test_a_refutation_has_the_verdict_of_a_false_statement(own):
    one = own(GOOD, expected="counterexample")
    recorded(one)
    assert catalogue.prove(one).verdict == "counterexample"


def test_a_part_leaves_the_steps_and_their_level(own):
    steps = lambda: proof("sympy", "all n", zero("0 = {}", sp.Integer(0)), "and so on")  # noqa: E731
    one = own(GOOD, prove=steps, kernel=Rocq("telescope.v", ("telescope",), "for n = 1"))
    assert catalogue.prove(one).level == "core"
    told = catalogue.run(one, 2).as_dict()["kernel"]
    assert (told["file"], told["covers"], told["recorded"]) == ("telescope.v", "for n = 1", None)


def test_neither_proof_nor_kernel(own, tmp_path):
    with pytest.raises(InvalidSetting, match="'evens' has no proof; give it"):
        catalogue.prove(own(GOOD, kernel=None))
    with pytest.raises(InvalidSetting, match="which is not there; give its whole path"):
        catalogue.prove(theorem(Path("no.v")))


@pytest.mark.parametrize("text", ["", "[]", '{"evens": 3}', '{"evens": {"coq": ""}}', "{"])
def test_a_damaged_record_is_told_in_one_line(own, tmp_path, text):
    one = own(GOOD)
    (tmp_path / record.RECORD).write_text(text)
    with pytest.raises(UnreadableSource, match=r"damaged .*remove it and run gramlab theorems"):
        catalogue.prove(one)


def test_comments_are_renewed_and_the_author_s_stay(own, tmp_path):
    one = own("(** Mine. *)\n" + GOOD)
    record.write_comments([one])
    file = tmp_path / "evens.v"
    assert file.read_text() == f"(** Mine. *)\n(** Registry, evens: 0 n ≤ 0 *)\n{GOOD}"
    record.write_comments([dataclasses.replace(one, statement=r"(x^*) \text{ of \"n\"}")])
    assert file.read_text() == f"(** Mine. *)\n(** Registry, evens: (x* ) of \\''n\\'' *)\n{GOOD}"
    with pytest.raises(InvalidSetting, match="must have a Theorem odds, got none"):
        record.write_comments([theorem(file, "odds")])


# ---- The command ---------------------------------------------------------------------------------


@pytest.fixture
def module(tmp_path):
    """The arguments for a module with one theorem, whose Rocq file is the given text."""

    def write(text: str) -> list[str]:
        (tmp_path / "evens.v").write_text(text, encoding="utf-8")
        file = tmp_path / "mine.py"
        file.write_text(MODULE, encoding="utf-8")
        return ["theorems", "--module", str(file)]

    return write


def test_the_command_compiles_shows_and_records(module, tmp_path, capsys, coqc):
    argv = module(GOOD)
    assert cli.main([*argv, "--kernel", "--record", "--json", str(tmp_path / "out.json")]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert "evens: forall n : nat, n * 0 = 0" in out
    assert str(tmp_path / record.RECORD) in out
    found = json.loads((tmp_path / "out.json").read_text())
    assert found["proofs"][0]["found"]["statements"] == {"evens": "forall n : nat, n * 0 = 0"}
    assert cli.main([*argv, "evens"]) == 0
    assert "Level      kernel: checked by a proof kernel" in capsys.readouterr().out
    assert cli.main([*argv, "evens", "--kernel"]) == 0
    assert capsys.readouterr().out.startswith("evens: evens.v, checked by Rocq's kernel")


def test_a_broken_proof_gives_exit_1_and_one_line(module, tmp_path, capsys, coqc):
    argv = module(GOOD.replace("auto", "fail"))
    assert cli.main([*argv, "--kernel", "--record"]) == 1
    out, err = capsys.readouterr()
    assert "NO" in out
    assert "the whole statement" not in out
    assert err.startswith(f"gramlab: error: {tmp_path / 'evens.v'}, line 3: Error: ")
    assert err.count("\n") == 1
    assert not (tmp_path / record.RECORD).exists()


def test_without_coqc_it_is_said_how_to_get_it(module, capsys, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert cli.main([*module(GOOD), "--kernel"]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert "apt-get install coq libcoq-coquelicot libcoq-interval" in err


def test_another_version_is_said_and_tried(module, tmp_path, capsys, monkeypatch, coqc):
    argv = module(GOOD)
    assert cli.main([*argv, "--kernel", "--record"]) == 0
    capsys.readouterr()
    monkeypatch.setattr(kernel, "find_coqc", lambda: kernel.Coqc(coqc, "9.9"))
    assert cli.main([*argv, "--kernel"]) == 0
    err = capsys.readouterr().err
    assert "this is Coq 9.9, the proofs are recorded from Coq 8.16.1" in err
    assert err.count("\n") == 1


def test_a_coqc_that_tells_no_version_is_refused(tmp_path, monkeypatch):
    broken = tmp_path / "coqc"
    broken.write_text("#!/bin/sh\necho broken >&2\nexit 3\n")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InvalidSetting, match="got 'broken'; install Coq again"):
        kernel.find_coqc()


@pytest.mark.parametrize(
    ("text", "error", "sign"),
    [
        ("no program", OutputError, "expected to run .*coqc, but: Exec format error; install Coq"),
        ('#!/bin/sh\n[ "$1" != --print-version ] || echo 8.16.1\n', InvalidSetting, "told nothing"),
    ],
)
def test_a_coqc_that_does_nothing_is_told(own, tmp_path, monkeypatch, text, error, sign):
    broken = tmp_path / "coqc"
    broken.write_text(text)
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(error, match=sign):
        compiled(own(GOOD))


def test_a_coqc_that_always_fails_is_told_of_the_file(own, tmp_path):
    broken = tmp_path / "coqc"
    broken.write_text("#!/bin/sh\nexit 3\n")
    broken.chmod(0o755)
    (found,) = kernel.check_proofs(kernel.Coqc(str(broken), "0"), [own(GOOD)])
    assert found.problem == f"{tmp_path / 'evens.v'}: coqc ended without a word"


def test_a_theorem_without_a_rocq_proof_is_told_those_that_have_one(capsys, monkeypatch):
    names = "telescope", "the-ball", "ridge-filter"
    there = {name: registry[name] for name in names}
    there["telescope"] = dataclasses.replace(there["telescope"], kernel=None)
    monkeypatch.setattr(catalogue, "registry", there)
    assert cli.main(["theorems", "telescope", "the-ball", "--kernel"]) == 2
    err = capsys.readouterr().err
    assert "with a Rocq proof, got telescope; there is one of ridge-filter, the-ball\n" in err
    assert err.count("\n") == 1


def test_a_record_is_of_what_the_kernel_finds(capsys):
    assert cli.main(["theorems", "--record"]) == 2
    assert "it must stand with --kernel" in capsys.readouterr().err


def test_a_story_without_a_record_says_how_to_make_it_and_names_no_part(module, capsys):
    assert cli.main([*module(GOOD), "evens", "--instances", "2"]) == 1
    out = capsys.readouterr().out
    assert "gramlab theorems --kernel --record makes it" in " ".join(out.split())
    assert "Rocq, " not in out
    assert "Rocq,\n" not in out
