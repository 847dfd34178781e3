"""``gramlab theorems``: the table, the story, the JSON, and that nothing false passes for true."""

from __future__ import annotations

import dataclasses
import json
import re
import shlex
import subprocess
import sys

import numpy as np
import pytest
import sympy as sp

from gramlab import cli
from gramlab.cli import theorems as verb
from gramlab.cli.text import format_value
from gramlab.theorems import catalogue, steps
from gramlab.theorems.form import Check, Hypothesis, Proof, Theorem

KEYS = {"name", "title", "kind", "source", "statement", "hypotheses", "proof", "check", "ok"}
KEYS |= {"paper", "runs", "arguments", "uses", "kernel", "rests_on", "refuted_bases"}


def proof(verdict="proved", level="core") -> Proof:
    """A proof of that verdict and level, decided as far as the level says."""
    method, scope, line = "by hand", "every real x", "a square is not negative"
    if level == "asserted":
        return Proof(verdict, method, scope, (line,))
    make = steps.refutation if verdict == "counterexample" else steps.proof
    return make(method, scope, steps.zero(line, sp.Integer(verdict == "unknown")))


def square(x: complex, limit: float = 0.0) -> Check:
    value = (x * x).real
    return Check(value >= limit, value - limit)


TRUE = Theorem(
    name="squares",
    title="Squares are not negative",
    source="D, school",
    kind="lower bound",
    hypotheses=(
        Hypothesis("real", r"x \in \mathbb{R}"),
        Hypothesis("not imaginary", r"\Im x = 0", lambda rng: {"x": 1j * rng.uniform(1, 2)}),
    ),
    statement=r"x^2 \ge 0",
    prove=proof,
    draw=lambda rng: {"x": rng.standard_normal()},
    check=lambda instance: square(instance["x"]),
    planted={"at least 1/10": lambda instance: square(instance["x"], 0.1)},
    paper=("Lemma 7",),
    runs=("gramlab.squares",),
    arguments={"x": "any number"},
    instance=lambda x: {"x": x},
)
FALSE = dataclasses.replace(
    TRUE,
    name="large-squares",
    title="Squares are at least one",
    paper=(),
    statement=r"x^2 \ge 1",
    hypotheses=TRUE.hypotheses[:1],
    prove=lambda: proof("counterexample"),
    check=lambda instance: square(instance["x"], 1.0),
    planted={"never refuted": lambda instance: Check(True, 1.0)},
    expected="counterexample",
)
BAD_CHECK = dataclasses.replace(FALSE, name="bad", prove=proof, expected="proved")
ASSERTED = dataclasses.replace(TRUE, name="asserted", prove=lambda: proof(level="asserted"))
UNDECIDED = dataclasses.replace(TRUE, name="undecided", prove=lambda: proof("unknown"))
OPEN = dataclasses.replace(UNDECIDED, name="open", expected="unknown")


@pytest.fixture
def registry(monkeypatch):
    """Puts the given theorems in the place of the registry."""

    def put(*theorems: Theorem) -> None:
        monkeypatch.setattr(catalogue, "registry", {t.name: t for t in theorems})

    monkeypatch.setenv("COLUMNS", "80")
    return put


def words(text: str) -> str:
    return " ".join(text.split())


# ---- The table --------------------------------------------------------------------------------


def test_one_table_over_the_registry(registry, capsys):
    registry(TRUE, FALSE)
    assert cli.main(["theorems", "--instances", "50", "--seed", "3"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert max(map(len, out.splitlines())) <= 80
    report = catalogue.run(TRUE, 50, 3)
    slack = re.escape(format_value(report.tightest_slack, ".1e"))
    assert re.search(rf"^squares +proved +50 +0 +{slack}  yes$", out, re.MULTILINE)
    failures = catalogue.run(FALSE, 50, 3).failures
    assert failures > 0
    assert re.search(rf"^large-squares +counterexample +50 +{failures} .*  yes$", out, re.MULTILINE)
    header = next(line for line in out.splitlines() if line.startswith("theorem "))
    row = next(line for line in out.splitlines() if line.startswith("squares "))
    ends = [[part.end() for part in re.finditer(r"\S+", line)][2:5] for line in (header, row)]
    assert ends[0] == ends[1]  # draws, failed, slack
    assert "Squares are not negative; Lemma 7" in out
    assert "lower bound; D, school; every real x" in out
    assert "counterexample, as it should be; lower bound; D, school" in out
    assert (
        "2 theorems: 0 checked by a proof kernel, 0 decided by a machine, 1 decided in the core "
        "with steps by hand, 0 asserted, 1 refuted by a counterexample, 0 unknown, 0 resting on a "
        "refuted theorem; 0 fail"
    ) in words(out)
    assert "seed 3" in out


@pytest.mark.parametrize("width", ["40", "72", "200"])
def test_the_table_keeps_to_the_width_it_is_given(registry, capsys, monkeypatch, width):
    registry(dataclasses.replace(TRUE, prove=lambda: Proof("proved", "m", "far " * 60, ("e",))))
    monkeypatch.setenv("COLUMNS", width)
    assert cli.main(["theorems"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= max(int(width), 78)
    assert lines[3].endswith("…")


# ---- One story --------------------------------------------------------------------------------


def test_the_whole_story_of_one(registry, capsys):
    registry(TRUE, FALSE)
    assert cli.main(["theorems", "squares", "--instances", "20"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("squares: Squares are not negative\n")
    for part in (
        "Verdict proved",
        "Kind lower bound",
        "Source D, school — D: derived for this project",
        "Level core: a machine decided the core, steps by hand remain",
        "Paper Lemma 7",
        "Statement x² ≥ 0",
        "- real: x ∈ ℝ",
        "- not imaginary: Im x = 0 (needed: without it the conclusion fails, on draw 1)",
        "method: by hand",
        "scope: every real x",
        "- a square is not negative",
        "Check 20 instances from seed 0, 0 failures, tightest slack",
        "Runs gramlab.squares",
        'Arguments of gramlab.theorems.check("squares", ...)',
        "- x: any number",
    ):
        assert part in words(out), part
    rng = np.random.default_rng(0)
    draw = next(i for i in range(1, 21) if rng.standard_normal() ** 2 < 0.1)
    assert f"- at least 1/10: refuted on draw {draw}" in out


def test_statements_in_latex_where_asked(registry, capsys):
    registry(TRUE)
    assert cli.main(["theorems", "squares", "--latex", "--instances", "2"]) == 0
    out = words(capsys.readouterr().out)
    assert r"Statement x^2 \ge 0" in out
    assert r"- real: x \in \mathbb{R}" in out


def test_what_only_its_author_says_is_never_proved(registry, capsys):
    registry(ASSERTED)
    assert cli.main(["theorems"]) == 0
    out = capsys.readouterr().out
    assert re.search(r"^asserted +asserted .*  open$", out, re.MULTILINE)
    assert "asserted by its author; lower bound" in out
    assert "0 decided in the core with steps by hand, 1 asserted" in words(out)
    assert cli.main(["theorems", "asserted"]) == 0
    out = words(capsys.readouterr().out)
    assert "Verdict asserted by its author" in out
    assert "Verdict proved" not in out
    refuted = dataclasses.replace(FALSE, prove=lambda: proof("counterexample", "asserted"))
    registry(refuted)
    assert cli.main(["theorems", "large-squares"]) == 0
    out = words(capsys.readouterr().out)
    assert "Verdict counterexample, asserted by its author, as it should be" in out


# ---- Of the paper, and of one's own ------------------------------------------------------------


def test_theorems_by_their_place_in_the_paper(registry, capsys):
    registry(TRUE, FALSE)
    assert cli.main(["theorems", "--paper", "lemma 7", "--instances", "2"]) == 0
    out = capsys.readouterr().out
    assert "1 theorem: " in words(out)
    assert "large-squares" not in out
    assert cli.main(["theorems", "--paper", "Lemma 8"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert err.endswith("no theorem is known to be the paper's 'Lemma 8'; known are Lemma 7\n")


def test_theorems_of_one_s_own(registry, capsys, tmp_path):
    registry(TRUE, FALSE)
    file = tmp_path / "my_theorems.py"
    source = "from test_cli_theorems import ASSERTED as THEOREM"
    file.write_text(source, encoding="utf-8")
    assert cli.main(["theorems", "--module", str(file), "--instances", "2"]) == 0
    out = words(capsys.readouterr().out)
    assert "1 theorem: " in out
    assert "asserted asserted" in out
    assert cli.main(["theorems", "asserted", "--module", str(file), "--instances", "2"]) == 0
    assert capsys.readouterr().out.startswith("asserted: Squares are not negative")


@pytest.mark.parametrize(
    ("source", "sign"),
    [
        ("1 / 0", "ZeroDivisionError"),
        ("import sys; sys.exit(3)", "SystemExit: 3"),
        (
            "from test_cli_theorems import FALSE\nimport dataclasses\n"
            "THEOREM = dataclasses.replace(FALSE, prove=lambda: None)",
            "`prove` of the theorem 'large-squares' must return",
        ),
        ("x = 1", "must have a THEOREM"),
        (
            "from test_cli_theorems import TRUE\nimport dataclasses\n"
            "THEOREM = dataclasses.replace(TRUE)",
            "two theorems are called 'squares'",
        ),
    ],
)
def test_a_module_that_does_not_serve_is_refused_in_one_line(
    registry, capsys, tmp_path, source, sign
):
    registry(TRUE)
    file = tmp_path / "my_theorems.py"
    file.write_text(source, encoding="utf-8")
    assert cli.main(["theorems", "--module", str(file)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert sign in err


def test_a_story_of_a_false_statement(registry, capsys):
    registry(TRUE, FALSE)
    assert cli.main(["theorems", "large-squares", "--instances", "9"]) == 0
    out = words(capsys.readouterr().out)
    assert "Verdict counterexample, as it should be" in out
    assert "failures are as they should be, the statement is false" in out
    assert "- never refuted: NOT refuted in 9 draws" in out


# ---- JSON -------------------------------------------------------------------------------------


def test_json_holds_a_report_for_each(registry, tmp_path, capsys):
    registry(TRUE, FALSE)
    file = tmp_path / "new" / "found.json"
    assert cli.main(["theorems", "--instances", "30", "--json", str(file)]) == 0
    assert capsys.readouterr().out.endswith(f"\nWrote {file}\n")
    kept = json.loads(file.read_text())
    found = kept["theorems"]
    assert kept["counts"] == {
        **dict.fromkeys(("kernel", "decided", "asserted", "unknown"), 0),
        **{"core": 1, "counterexample": 1, "rests on a refuted theorem": 0},
    }
    assert [one["name"] for one in found] == ["squares", "large-squares"]
    for one, theorem in zip(found, (TRUE, FALSE), strict=True):
        assert set(one) == KEYS
        assert set(one["proof"]) == {
            *("verdict", "expected", "level", "method", "scope", "evidence")
        }
        assert set(one["check"]) == {"instances", "failures", "tightest_slack"}
        assert one == catalogue.run(theorem, 30, 0).as_dict()


def test_json_of_one_to_stdout_is_all_there_is(registry, capsys):
    registry(TRUE, FALSE)
    assert cli.main(["theorems", "squares", "--json", "-"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert [one["name"] for one in json.loads(out)["theorems"]] == ["squares"]


def test_quiet_prints_nothing(registry, tmp_path, capsys):
    registry(TRUE)
    file = tmp_path / "found.json"
    assert cli.main(["theorems", "--quiet", "--json", str(file)]) == 0
    assert capsys.readouterr() == ("", "")
    assert file.exists()


# ---- What fails -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("planted", "sign"),
    [
        (BAD_CHECK, "proved"),
        (UNDECIDED, "unknown, where proved was expected"),
        (
            dataclasses.replace(FALSE, prove=proof),
            "proved, where counterexample was expected",
        ),
    ],
    ids=["a conclusion that fails", "unknown", "a false statement proved"],
)
@pytest.mark.parametrize("one", [False, True])
def test_a_theorem_that_fails_gives_exit_1(registry, capsys, tmp_path, planted, sign, one):
    registry(TRUE, planted)
    file = tmp_path / "found.json"
    argv = ["theorems", *([planted.name] if one else []), "--json", str(file)]
    assert cli.main(argv) == 1
    out, err = capsys.readouterr()
    count = 1 if one else 2
    assert err == f"gramlab: error: 1 of {count} fail: {planted.name}\n"
    assert sign in out
    found = json.loads(file.read_text())["theorems"]
    assert [one["ok"] for one in found] == [True, False][-count:]
    if not one:
        assert re.search(rf"^{planted.name} .*  NO$", out, re.MULTILINE)
        assert "1 fail" in words(out)


def test_unknown_is_never_shown_as_true(registry, capsys):
    registry(OPEN)
    assert cli.main(["theorems"]) == 0
    out = capsys.readouterr().out
    assert re.search(r"^open +unknown .*  open$", out, re.MULTILINE)
    assert "0 decided by a machine, 0 decided in the core" in words(out)
    assert "yes" not in out


def test_an_unknown_name_lists_the_names(registry, capsys):
    registry(TRUE, FALSE)
    assert cli.main(["theorems", "cubes"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert err.startswith("gramlab: error: unknown theorem 'cubes'")
    assert "large-squares, squares" in err


@pytest.mark.parametrize(
    ("arguments", "sign"),
    [
        (["--instances", "0"], "--instances"),
        (["--seed", "-1"], "--seed"),
        (["--json", "."], "--json"),
        (["--instances", "many"], "--instances"),
        (["squares", "--paper", "Lemma 7"], "leave one out"),
    ],
)
def test_wrong_settings_are_refused_in_one_line(registry, capsys, arguments, sign):
    registry(TRUE)
    assert cli.main(["theorems", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert sign in err


# ---- Help -------------------------------------------------------------------------------------


def test_help_is_light():
    heavy = "jax sympy z3 flint matplotlib sklearn".split()
    program = (
        "import sys; from gramlab.cli import main; code = main(['theorems', '--help']);"
        f"print([code, *(m for m in {heavy!r} if m in sys.modules)])"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=False
    )
    assert done.stdout.splitlines()[-1] == "[0]", done.stdout + done.stderr
    for option in (
        "NAME",
        "--instances",
        "--seed",
        "--json",
        "--quiet",
        "--paper",
        "--latex",
        "--kernel",
        "--record",
        "Exit codes:",
    ):
        assert option in done.stdout


@pytest.mark.parametrize("example", verb.EXAMPLES)
def test_the_examples_run(example, capsys):
    arguments = shlex.split(example)[1:]
    if "--instances" not in arguments:
        arguments += ["--instances", "1"]
    assert cli.main(arguments) == 0
    assert capsys.readouterr().out
