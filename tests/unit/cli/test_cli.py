"""The command line: what it prints and writes, how it refuses, how it stops."""

from __future__ import annotations

import inspect
import io
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

import gramlab
from gramlab import cli
from gramlab.cli import check as check_verb
from gramlab.cli import options, stopping, text
from gramlab.cli.progress import Progress
from gramlab.errors import GramlabError

ROOT = Path(__file__).resolve().parents[3]
PROGRAM = "import sys; from gramlab.cli import main; sys.exit(main())"
WHOLE = ["--rounds", "2", "--seed", "3", "--center", "--unit-norm", "--rate", "0.4"]


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-c", PROGRAM, *map(str, arguments)]


def run(*arguments: object, **more) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments), capture_output=True, text=True, timeout=120, check=False, **more
    )


def write_npz(path: Path, n: int = 60, d: int = 8, k: int = 3, **changes) -> Path:
    """A small source with a test split; ``changes`` replace arrays, None leaves one out."""
    rng = np.random.default_rng(0)
    labels, test_labels = np.arange(n) % k, np.arange(12) % k
    centres = rng.normal(size=(k, d))
    arrays = {
        "train_features": centres[labels] + rng.normal(size=(n, d)),
        "train_labels": labels,
        "test_features": centres[test_labels] + rng.normal(size=(12, d)),
        "test_labels": test_labels,
    } | changes
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})
    return path


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


@pytest.fixture
def source(tmp_path_factory) -> Path:
    return write_npz(tmp_path_factory.mktemp("source") / "tiny.npz")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """One full run in a process of its own: the process, its folder of results, its JSON file."""
    folder = tmp_path_factory.mktemp("whole")
    source = write_npz(folder / "tiny.npz")
    done = run(
        "check",
        source,
        *WHOLE,
        "--out",
        folder / "a" / "out",
        "--json",
        folder / "b" / "found.json",
    )
    return done, source, folder / "a" / "out", folder / "b" / "found.json"


@pytest.fixture(scope="module")
def found(whole) -> dict:
    return json.loads(whole[3].read_text())


def summary(found: dict, *written: str) -> str:
    """What is printed of these results."""
    return text.render("check", "", written=written, name="tiny.npz", **check_verb.summary(found))


# ---- What it writes ---------------------------------------------------------------------------


def test_a_run_writes_every_file_and_says_so(whole):
    done, _, out, file = whole
    assert (done.returncode, done.stderr) == (0, "")
    names = files(out)
    assert {"results.json", "report.html"} < names
    figures = {name for name in names if name.endswith(".png")}
    assert len(figures) >= 4
    assert names == figures | {"results.json", "report.html"}
    for name in figures:
        assert (out / name).read_bytes().startswith(b"\x89PNG")
    assert "<html" in (out / "report.html").read_text(encoding="utf-8")
    assert (out / "results.json").read_bytes() == file.read_bytes()
    assert f"Wrote results.json, report.html and {len(figures)} figures to {out}\n" in done.stdout
    assert f"Wrote {file}\n" in done.stdout


def test_two_runs_give_equal_bytes(whole, tmp_path, capsys):
    _, source, out, file = whole
    argv = ["check", source, *WHOLE, "--out", tmp_path, "--json", tmp_path / "found.json"]
    assert cli.main([str(part) for part in argv]) == 0
    assert "Wrote" in capsys.readouterr().out
    assert files(tmp_path) == files(out) | {"found.json"}
    for name in files(out):
        assert (tmp_path / name).read_bytes() == (out / name).read_bytes(), name
    assert (tmp_path / "found.json").read_bytes() == file.read_bytes()


def test_a_report_keeps_its_pictures_beside_vector_figures(whole, tmp_path):
    _, source, out, _ = whole
    argv = ["check", source, *WHOLE, "--out", tmp_path, "--figure-format", "pdf", "--quiet"]
    assert cli.main([str(part) for part in argv]) == 0
    assert files(tmp_path) == {name.replace(".png", ".pdf") for name in files(out)}
    assert (tmp_path / "report.html").read_bytes() == (out / "report.html").read_bytes()


def test_json_to_stdout_is_all_there_is(whole, capsys):
    _, source, _, file = whole
    assert cli.main(["check", str(source), *WHOLE, "--json", "-"]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    assert captured.out == file.read_text()
    json.loads(captured.out)


def test_json_has_the_keys_that_others_rely_on(found):
    scores = {"train_accuracy", "label_recovery", "test_accuracy"}
    assert {"rounds", "partial_label_student", "spectrum", "settings", "provenance"} <= set(found)
    assert [row["round"] for row in found["rounds"]] == [1, 2]
    for row in found["rounds"]:
        assert scores <= set(row["linearized"])
        assert scores | {"certificate"} <= set(row["exact"])
        assert {"relative_gap", "weights_bound"} <= set(row["exact"]["certificate"])
        assert {"max_abs", "frobenius"} <= set(row["distance"])
        assert 0.0 <= row["argmax_agreement"] <= 1.0
        assert sum(row["certified"].values()) == pytest.approx(1.0, abs=1e-12)
        assert set(row["certified"]) == {"right", "wrong", "undecided"}
    assert {"versions", "device", "dtype", "data_sha256", "seed"} <= set(found["provenance"])
    assert found["settings"] == {
        "noise": "symmetric",
        "rate": 0.4,
        "weight_decay": 5e-4,
        "rounds": 2,
        "seed": 3,
        "center": True,
        "unit_norm": True,
        "exact_counts": False,
        "tolerance": 1e-8,
        "certified_share": 0.99,
        "certify": "chain",
    }


def test_quiet_prints_nothing(source, capsys):
    assert cli.main(["check", str(source), "--rounds", "1", "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")


def test_without_files_it_says_how_to_get_them(source, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["check", str(source), "--rounds", "1"]) == 0
    assert "--out DIR" in capsys.readouterr().out
    assert files(tmp_path) == set()


def test_a_repeated_run_replaces_the_files_and_keeps_others(source, tmp_path, capsys):
    (tmp_path / "results.json").write_text("old")
    (tmp_path / "notes.txt").write_text("mine")
    argv = ["check", str(source), "--rounds", "1", "--quiet", "--out", str(tmp_path)]
    assert cli.main(argv) == 0
    assert json.loads((tmp_path / "results.json").read_text())["command"] == "check"
    assert (tmp_path / "notes.txt").read_text() == "mine"
    assert capsys.readouterr().out == ""


# ---- What it prints ---------------------------------------------------------------------------


def test_the_table_holds_what_the_json_holds(whole, found):
    shown = whole[0].stdout
    assert shown.startswith("tiny.npz (centred, unit norm): N = 60 training rows, 12 test rows")
    assert f"corrupted {100 * found['data']['realized_rate']:.2f} %" in " ".join(shown.split())
    assert f"gap {found['spectrum']['gap']['value']:.4g} after eigenvalue 3" in shown
    for row in found["rounds"]:
        shares = [
            row[head][score]
            for head in ("linearized", "exact")
            for score in ("label_recovery", "test_accuracy")
        ]
        cells = [str(row["round"]), *(text.format_percent(share) for share in shares)]
        assert re.search(r"^\s+" + r"\s+".join(map(re.escape, cells)), shown, re.MULTILINE)
        assert f"{row['exact']['certificate']['relative_gap']:.1e}" in shown
        assert f"{row['chain']['weights_bound']:.1e}" in shown
    student = found["partial_label_student"]["exact"]
    assert re.search(rf"^\s+PLL.*\s{student['solver']['passes']:.0f}$", shown, re.MULTILINE)
    assert "Every exact head was polished until at least 99 %" in shown
    assert "The error recursion held in every round" in shown


@pytest.mark.parametrize(
    ("kind", "about", "undecided"),
    [("chain", "the true iterate", "12.50 %"), ("round", "the optimum for the targets", "25.00 %")],
)
def test_it_says_what_certified_is_about_and_what_the_other_certificate_leaves(
    kind, about, undecided, found
):
    left = {"own": {"certified": {"undecided": 0.125}}, "chain": {"certified": {"undecided": 0.25}}}
    settings = found["settings"] | {"certify": kind}
    rounds = [row | {name: row[name] | left[name] for name in left} for row in found["rounds"]]
    shown = " ".join(summary(found | {"settings": settings, "rounds": rounds}).split())
    assert f"Certified: the class of {about}" in shown
    assert f"(--certify {kind})" in shown
    assert f"at most {undecided} are undecided" in shown


def test_certify_is_passed_on(source, capsys):
    argv = ["check", str(source), "--rounds", "2", "--json", "-", "--certify"]
    for kind, other in (("round", "own"), ("chain", "chain")):
        assert cli.main([*argv, kind]) == 0
        found = json.loads(capsys.readouterr().out)
        assert found["settings"]["certify"] == kind
        assert [row["certified"] for row in found["rounds"]] == [
            row[other]["certified"] for row in found["rounds"]
        ]
    assert cli.main([*argv, "both"]) == 2


@pytest.mark.parametrize(
    ("arguments", "seen"),
    [
        ("--cite", "stdout"),
        ("--help", "stdout"),
        ("check --help", "stdout"),
        ("features -h", "stdout"),
        ("features info no-such-source", "stdout"),
        ("check no-such-source --out out", "stdout"),
        ("check no-such-source --quiet --json -", "stdout"),
        ("check no-such-source --quiet", "no-such-source"),
        ("theorems --quiet --instances 0", "--instances"),
    ],
)
def test_a_closed_stdout_is_seen_before_the_work_where_it_is_needed(
    arguments, seen, monkeypatch, capsys, tmp_path
):
    monkeypatch.chdir(tmp_path)
    with monkeypatch.context() as closed:
        closed.setattr(sys, "stdout", None)
        assert cli.main(arguments.split()) == 2
    (said,) = capsys.readouterr().err.splitlines()
    assert seen in said
    assert ("closed; leave it open" in said) == (seen == "stdout")
    assert not any(tmp_path.iterdir())


def test_a_closed_stderr_is_no_fault_of_the_program(monkeypatch, capsys):
    with monkeypatch.context() as closed:
        closed.setattr(sys, "stderr", None)
        assert cli.main(["features", "info", "no-such-source"]) == 2
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(("width", "tables"), [(160, 2), (100, 2), (80, 3), (60, 4), (40, 7)])
def test_the_table_is_cut_between_groups_to_fit(found, monkeypatch, width, tables):
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    lines = summary(found).splitlines()
    assert max(map(len, lines)) <= width
    assert len([line for line in lines if line.startswith("round")]) == tables
    assert not any(line.endswith(" ") or "\x1b" in line for line in lines)


def test_what_is_unknown_is_a_dash(found, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    row = found["rounds"][0] | {"round": 7, "argmax_agreement": float("nan")}
    row |= {"exact": row["exact"] | {"test_accuracy": None}}
    spectrum = found["spectrum"] | {
        "correlations": {
            "within": {"mean": float("nan"), "standard_deviation": float("nan")},
            "superclass": None,
            "between": {"mean": 0.25, "standard_deviation": 0.125},
        }
    }
    shown = summary(found | {"rounds": [row], "spectrum": spectrum})
    cells = next(line for line in shown.splitlines() if line.strip().startswith("7 ")).split()
    # The columns: round, theory (2), exact (2), distance, agreement, certified (3), and so on.
    assert [number for number, cell in enumerate(cells) if cell == "-"] == [4, 6]
    assert "within -, superclass -, between 0.250 (sd 0.125)" in " ".join(shown.split())


@pytest.mark.parametrize(
    ("share", "words"),
    [
        (0.0, "0.00"),
        (1e-6, "<0.01"),
        (0.5, "50.00"),
        (0.99994, "99.99"),
        (0.999999, ">99.99"),
        (1.0, "100.00"),
    ],
)
def test_a_share_is_never_rounded_to_none_or_all(share, words):
    assert text.format_percent(share) == words


@pytest.fixture
def polish(found):
    """Prints of one head after another: its name, share undecided, result, polish, at the floor."""

    def say(*heads: tuple, share: float = 0.99, n: int = 100) -> str:
        rows = []
        for name, undecided, result, polished, floor in heads:
            row = found["rounds"][0] | {"round": name, "certified": {"undecided": undecided}}
            solver = row["exact"]["solver"] | {"result": result, "polish": polished}
            solver |= {"at_float64_floor": floor}
            rows.append(row | {"exact": row["exact"] | {"solver": solver}})
        changed = {
            "settings": found["settings"] | {"certified_share": share},
            "data": found["data"] | {"n_samples": n},
            "rounds": rows[:-1],
            "partial_label_student": rows[-1],
        }
        return " ".join(summary(found | changed).split())

    return say


def test_it_says_which_heads_were_not_polished_and_why(polish):
    shown = polish(
        (1, 0.01, "converged", "", False),
        (2, 0.02, "float64 floor", "", True),
        (3, 0.5, "converged", "", True),
        (4, 0.03, "converged", "float64 floor", True),
        ("PLL", 0.04, "converged", "pass limit", False),
    )
    assert "1 of 5 exact heads were polished until at least 99 %" in shown
    assert "Round 2, 3, 4 stopped at the float64 floor: at least 50.00 % certified." in shown
    assert "Round PLL stopped at the pass limit: at least 96.00 % certified." in shown


@pytest.mark.parametrize("share", [0.9, 0.93, 0.97, 0.99, 1.0])
def test_exactly_the_share_asked_for_is_enough(share, polish):
    n = 100
    most = round((1.0 - share) * n)
    enough = (1, most / n, "converged", "", False)
    short = (1, (most + 1) / n, "converged", "", False)
    assert "Every exact head" in polish(enough, enough, share=share, n=n)
    assert "1 of 2 exact heads" in polish(short, enough, share=share, n=n)


def test_a_broken_error_recursion_is_not_overlooked(source, capsys, monkeypatch):
    from gramlab.check import CheckResult

    honest = CheckResult.as_dict

    def broken(self) -> dict:
        found = honest(self)
        found["rounds"][1]["error_recursion"]["holds"] = False
        return found

    monkeypatch.setattr(CheckResult, "as_dict", broken)
    assert cli.main(["check", str(source), "--rounds", "2"]) == 0
    out, err = capsys.readouterr()
    assert err.startswith("gramlab: warning: the error recursion did NOT hold in round 2 (")
    assert err.count("\n") == 1
    assert "did NOT hold in round 2" in " ".join(out.split())
    assert "held in every round" not in out


def test_a_head_that_does_not_converge_is_a_warning_in_one_line(source, capsys):
    argv = ["check", str(source), "--rounds", "1", "--tolerance", "1e-300"]
    assert cli.main(argv) == 0
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2  # the head of round 1 and the partial-label student
    for line in lines:
        assert line.startswith("gramlab: warning: reached the rounding floor of float64")


class Screen(io.StringIO):
    """A terminal that keeps what is drawn on it."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def test_progress_is_drawn_on_a_terminal_and_taken_away(monkeypatch):
    screen = Screen()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    with Progress(quiet=False, tolerance=1e-8) as progress:
        progress.stage("exact head, round 1 of 5")
        progress.solving(12.0, 1e-2)
        progress._bars.refresh()
        half = progress._bars.tasks[0]
        assert half.completed == pytest.approx(0.5, rel=8 * np.finfo(float).eps)
        assert half.total == 1.0
        progress.solving(30.0, 1e-5)
        assert progress._bars.tasks[0].completed == 1.0
        progress._bars.refresh()
        progress.stage("comparison")
        assert progress._bars.tasks[0].total is None
    drawn = screen.getvalue()
    for part in ("exact head, round 1 of 5", "gap 1e-04, 12 passes", "30 passes, polishing"):
        assert part in drawn
    assert drawn.endswith("\x1b[2K")  # the line is erased


@pytest.fixture
def no_terminal(monkeypatch):
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(("stream", "quiet"), [(io.StringIO, False), (Screen, True)])
def test_a_short_run_is_silent_when_quiet_or_no_terminal(monkeypatch, stream, quiet, no_terminal):
    screen = stream()
    monkeypatch.setattr(sys, "stderr", screen)
    with Progress(quiet=quiet, tolerance=1e-8) as progress:
        progress.stage("Gram spectrum")
        progress.solving(1.0, 0.5)
    assert screen.getvalue() == ""


def test_without_a_terminal_a_long_check_tells_where_it_is(
    source, capsys, monkeypatch, no_terminal
):
    arguments = ["check", str(source), "--rounds", "2", "--weight-decay", "1e-3"]
    monkeypatch.setattr(Progress, "interval", 0.0)
    assert cli.main(arguments) == 0
    lines = capsys.readouterr().err.splitlines()
    for stage in ("loading features", "Gram spectrum", "closed form", "comparison"):
        (line,) = [line for line in lines if line.startswith(f"gramlab: {stage}: ")]
        assert re.fullmatch(r"gramlab: [\w ]+: \d+ s", line)
    head = [line for line in lines if line.startswith("gramlab: exact head, round 2 of 2: ")]
    told = r".*: \d+ % done, gap \de-\d+, \d+ passes.*, [\d.]+ passes/s, \d+ s"
    assert re.fullmatch(told, head[-1])
    assert cli.main([*arguments, "--quiet"]) == 0
    assert capsys.readouterr().err == ""


# ---- Help, version, citation ------------------------------------------------------------------


def test_help_is_light_and_a_wrong_setting_too():
    heavy = "jax matplotlib sklearn jinja2".split()
    for arguments, code in ((["--help"], 0), (["check", "digits", "--rate", "2"], 2)):
        program = (
            f"import sys; from gramlab.cli import main; code = main({arguments!r});"
            f"print([code, *(m for m in {heavy!r} if m in sys.modules)])"
        )
        begun = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", program],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.stdout.splitlines()[-1] == f"[{code}]", done.stdout + done.stderr
        # 0.5 s on an idle machine; JAX and scikit-learn alone would be seen above.
        assert time.monotonic() - begun < 20.0


def test_help_shows_an_example_of_each_verb_and_the_exit_codes(capsys):
    assert cli.main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= 80
    verbs = [verb.name for verb in cli.app.registered_commands]
    assert "check" in verbs
    assert "theorems" in verbs
    for verb in verbs:
        assert f"  gramlab {verb} " in shown
    for code in ("0", "1", "2", "130", "141"):
        assert re.search(rf"^ +{code}  ", shown, re.MULTILINE), code
    assert "143" in shown


def test_help_of_check_names_every_option(capsys):
    assert cli.main(["check", "--help"]) == 0
    shown = capsys.readouterr().out
    for option in (
        "--noise --rate --weight-decay --rounds --seed --center --no-center --unit-norm "
        "--no-unit-norm --exact-counts --tolerance --certified-share --certify --out --json --quiet"
    ).split():
        assert re.search(rf"{option}\b", shown), option
    assert "Exit codes:" in shown
    assert "  gramlab check digits " in shown


@pytest.mark.parametrize("example", check_verb.EXAMPLES)
def test_the_examples_are_understood(example, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    def reached(*arguments):
        raise GramlabError("the work would begin here")

    monkeypatch.setattr("gramlab.files.sources.load_features", reached)
    assert cli.main(shlex.split(example)[1:]) == 2
    assert capsys.readouterr().err == "gramlab: error: the work would begin here\n"
    assert files(tmp_path) == set()


def test_version(capsys):
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"gramlab {gramlab.__version__}\n"


def test_citation_agrees_with_the_citation_file(capsys):
    assert cli.main(["--cite"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    filed = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    for title in re.findall(r'title: "([^"]+)"', filed):
        assert title in shown, title
    for key in ("family-names", "given-names", "url", "value", "version", "year"):
        for value in re.findall(rf'{key}: "?([^"\n]+)"?$', filed, re.MULTILINE):
            if value != "1.2.0":  # the version of the file's own format
                assert value in shown, value


def test_defaults_are_those_of_python():
    from gramlab.check import CheckSettings

    parameters = inspect.signature(check_verb.check).parameters
    for name, default in vars(CheckSettings()).items():
        own = parameters[name].default
        assert (float(*own) if name == "weight_decay" else own) == default, name  # that is a list


def test_every_option_is_named_as_the_parameter_that_it_becomes():
    """Options are passed on by their names: one that no callee knows would be lost."""
    from gramlab.check import CheckSettings
    from gramlab.cli import diagnose, extract, population, study, transition
    from gramlab.diagnosis import DiagnosisSettings
    from gramlab.extract import Backbone, extract_features, open_dataset
    from gramlab.importing import read_source
    from gramlab.population.check import check_population, plane_diagram
    from gramlab.study.plan import make_plan
    from gramlab.study.recipes import Recipe
    from gramlab.transition import estimate_transition

    images = {"images", "dataset", "recipe", "test_share", "seed"}
    planted, steps = {"noise", "rate", "noise_matrix"}, {"center", "unit_norm", "constant"}
    columns = {*inspect.signature(read_source).parameters}
    model = (gramlab.ClassBlockModel, check_population, plane_diagram)
    extraction = (Backbone.load, extract_features, open_dataset)
    for verb, calls, passed_on in (
        (check_verb.check, (CheckSettings,), set()),
        (diagnose.diagnose, (DiagnosisSettings,), columns),
        (transition.transition, (estimate_transition,), planted | steps),
        (population.population, model, {"classes", "phase"}),
        (study.study, (Recipe.narrowed, make_plan), {"cells", "dry_run"}),
        (extract.extract, extraction, images),
    ):
        known = {name for call in calls for name in inspect.signature(call).parameters}
        known |= {"given_file", "truth_file", "groups_file"}  # whose contents are passed on
        known |= passed_on | {"context", "source", "out", "figure_format", "json", "quiet"}
        assert set(inspect.signature(verb).parameters) <= known, verb


def test_the_kinds_of_noise_are_those_of_the_library():
    kinds = get_args(options.NoiseKind)
    for kind in kinds:
        matrix = gramlab.corruption_matrix(kind, 4, 0.3, superclasses=[0, 0, 1, 1])
        assert matrix.shape == (4, 4)
    with pytest.raises(GramlabError) as refused:
        gramlab.corruption_matrix("no such kind", 4, 0.3)
    for kind in kinds:
        assert kind in str(refused.value)


# ---- What it refuses --------------------------------------------------------------------------


def features(value: float = 0.0, row: int = 0, column: int = 0) -> np.ndarray:
    x = np.random.default_rng(1).normal(size=(60, 8))
    x[row, column] = value
    return x


class Payload:
    """Runs when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self):
        return Path.touch, (self.marker,)


def truncated(path: Path) -> Path:
    write_npz(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path


def flipped(path: Path) -> Path:
    gramlab.save_features(gramlab.Features(features(), np.arange(60) % 3), path)
    content = bytearray(path.read_bytes())
    content[-200] ^= 1
    path.write_bytes(bytes(content))
    return path


def labels(value: int = 0, row: int = 0, n: int = 60) -> np.ndarray:
    y = np.arange(n) % 3
    y[row] = value
    return y


def no_archive(path: Path) -> Path:
    path.write_bytes(b"hello")
    return path


def writes(**changes):
    return lambda path: write_npz(path, **changes)


# How to make the source, and what the refusal must say.
BAD_SOURCES = {
    "nan": (
        writes(train_features=features(np.nan, 7, 5)),
        ["must be finite", "row 7, column 5"],
    ),
    "inf": (
        writes(train_features=features(-np.inf, 0, 3)),
        ["must be finite", "row 0, column 3"],
    ),
    "nan in the test split": (
        writes(test_features=np.full((12, 8), np.nan)),
        ["test_x must be finite", "row 0, column 0"],
    ),
    "empty": (
        writes(train_features=np.zeros((0, 8)), train_labels=np.zeros(0, dtype=int)),
        ["(0, 8)"],
    ),
    "no columns": (writes(train_features=np.zeros((60, 0))), ["(60, 0)"]),
    "one class": (writes(train_labels=np.zeros(60, dtype=int)), ["two classes"]),
    "negative label": (writes(train_labels=labels(-1, 4)), ["-1 at row 4"]),
    "label past the names": (
        writes(train_labels=labels(3, 4), class_names=np.array(["a", "b", "c"])),
        ["in 0 .. 2", "3 at row 4"],
    ),
    "missing class": (
        writes(train_labels=2 * labels(), test_labels=None, test_features=None),
        ["no training row of class 1"],
    ),
    "mismatched lengths": (writes(train_labels=labels(n=59)), ["60", "59"]),
    "mismatched test split": (writes(test_labels=labels(n=11)), ["12", "11"]),
    "no labels": (writes(train_labels=None), ["train_labels"]),
    "truncated": (truncated, ["is damaged"]),
    "no archive": (no_archive, ["is damaged"]),
}


def refused(capsys, *argv: object) -> str:
    """Run what must be refused; the one line that says why."""
    assert cli.main([str(part) for part in argv]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("gramlab: error: ")
    assert err.endswith("\n")
    assert err.count("\n") == 1, err
    assert "Traceback" not in err
    return err


@pytest.mark.parametrize("name", BAD_SOURCES)
def test_a_bad_source_is_refused_in_one_line(name, tmp_path, capsys):
    make, parts = BAD_SOURCES[name]
    source = make(tmp_path / "bad.npz")
    before = files(tmp_path)
    err = refused(
        capsys, "check", source, "--out", tmp_path / "a" / "b", "--json", tmp_path / "c" / "d.json"
    )
    assert "'bad.npz'" in err
    for part in parts:
        assert part in err
    assert files(tmp_path) == before, "nothing may be left"


def test_a_missing_class_is_allowed_where_the_classes_are_named(tmp_path, capsys):
    source = write_npz(
        tmp_path / "named.npz",
        train_labels=2 * labels(),
        class_names=np.array(["a", "b", "c", "d", "e"]),
    )
    assert cli.main(["check", str(source), "--rounds", "1"]) == 0
    assert "K = 5" in capsys.readouterr().out


def test_a_pickle_is_refused_and_does_not_run(tmp_path, capsys):
    marker = tmp_path / "ran"
    payload = np.array([Payload(marker)] * 60, dtype=object)
    for name in ("train_labels", "class_names"):
        source = write_npz(tmp_path / "bad.npz", **{name: payload})
        assert "pickled" in refused(capsys, "check", source, "--out", tmp_path / "out")
        assert files(tmp_path) == {"bad.npz"}
    # The payload is live: opened carelessly, it would have left its mark.
    with np.load(source, allow_pickle=True) as careless, pytest.raises(TypeError):
        careless["class_names"].astype(int)
    assert marker.exists()


def test_a_flipped_byte_in_a_cache_is_found(tmp_path, capsys):
    source = flipped(tmp_path / "bad.safetensors")
    assert "damaged" in refused(capsys, "check", source, "--out", tmp_path / "out")
    assert files(tmp_path) == {"bad.safetensors"}


def test_a_source_that_is_none(tmp_path, capsys):
    (tmp_path / "x.csv").write_text("1,2\n")
    assert "'digit'" in refused(capsys, "check", "digit")
    assert "not found" in refused(capsys, "check", tmp_path / "absent.npz")
    assert "is a folder" in refused(capsys, "check", tmp_path)
    assert ".csv" in refused(capsys, "check", tmp_path / "x.csv")


BAD_SETTINGS = {
    "--weight-decay=0": "--weight-decay",
    "--weight-decay=-1": "--weight-decay",
    "--weight-decay=nan": "--weight-decay",
    "--weight-decay=inf": "--weight-decay",
    "--rate=1.0": "--rate",
    "--rate=-0.1": "--rate",
    "--rate=nan": "--rate",
    "--rate=half": "--rate",
    "--rounds=0": "--rounds",
    "--rounds=1.5": "--rounds",
    "--seed=-1": "--seed",
    "--tolerance=0": "--tolerance",
    "--tolerance=nan": "--tolerance",
    "--certified-share=0": "--certified-share",
    "--certified-share=1.01": "--certified-share",
    "--certified-share=nan": "--certified-share",
    "--noise=loud": "pair-flip",
    "--no-such-option": "--no-such-option",
    "--json": "--json",
}


@pytest.mark.parametrize("setting", BAD_SETTINGS)
def test_a_bad_setting_is_refused_in_one_line(setting, source, tmp_path, capsys):
    err = refused(capsys, "check", source, "--out", tmp_path / "out", setting)
    assert BAD_SETTINGS[setting] in err
    assert files(tmp_path) == set()


@pytest.mark.parametrize("verb", ["diagnose", "transition"])
def test_a_bad_weight_decay_is_named_as_the_option_that_it_is(verb, capsys):
    err = refused(capsys, verb, "no-such-source", "--weight-decay", "0")
    assert err.startswith("gramlab: error: --weight-decay must be finite and greater than 0")


def test_bad_usage_is_refused_in_one_line(capsys):
    assert "see gramlab --help" in refused(capsys, "chekc")
    assert "see gramlab check --help" in refused(capsys, "check")
    assert "see gramlab check --help" in refused(capsys, "check", "digits", "digits")
    refused(capsys, "--no-such-option")


def test_superclass_noise_needs_superclasses(source, tmp_path, capsys):
    argv = ["check", source, "--noise", "superclass", "--out", tmp_path / "out"]
    assert "superclasses" in refused(capsys, *argv)
    assert files(tmp_path) == set()


def test_superclass_noise_works_with_superclasses(tmp_path, capsys):
    source = write_npz(tmp_path / "four.npz", k=4, superclasses=np.array([0, 0, 1, 1]))
    assert cli.main(["check", str(source), "--noise", "superclass", "--rounds", "1"]) == 0
    assert re.search(r"superclass -?\d", " ".join(capsys.readouterr().out.split()))


@pytest.mark.parametrize("place", ["file", "under a file", "null", "kernel"])
@pytest.mark.parametrize("option", ["--out", "--json"])
def test_an_unwritable_output_is_refused_at_once(option, place, tmp_path, capsys, monkeypatch):
    (tmp_path / "file").write_text("kept")
    target = {
        "file": tmp_path / "file",
        "under a file": tmp_path / "file" / "out",
        "null": f"{tmp_path}/a\0b/c",
        "kernel": Path("/proc/gramlab/out"),
    }[place]
    if option == "--json" and place == "file":
        target = tmp_path  # a folder where a file is wanted
    if place == "kernel" and not Path("/proc/self").exists():
        pytest.skip("no /proc here")

    def late(*arguments):
        raise AssertionError("the features were loaded before the output was checked")

    monkeypatch.setattr("gramlab.files.sources.load_features", late)
    refused(capsys, "check", "digits", option, target)
    assert files(tmp_path) == {"file"}
    assert (tmp_path / "file").read_text() == "kept"


def test_a_folder_that_was_there_stays(tmp_path, capsys):
    (tmp_path / "out").mkdir()
    refused(capsys, "check", "digit", "--out", tmp_path / "out" / "new")
    assert files(tmp_path) == {"out"}


def test_a_refusal_in_a_process_of_its_own(tmp_path):
    source = BAD_SOURCES["nan"][0](tmp_path / "bad.npz")
    done = run("check", source, "--out", tmp_path / "out")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("gramlab: error: ")
    assert done.stderr.count("\n") == 1
    assert files(tmp_path) == {"bad.npz"}


def test_a_fault_of_the_program_keeps_its_traceback(source, monkeypatch, tmp_path):
    def faulty(*arguments):
        raise ZeroDivisionError("a fault")

    monkeypatch.setattr("gramlab.files.sources.load_features", faulty)
    with pytest.raises(ZeroDivisionError, match="a fault"):
        cli.main(["check", str(source), "--out", str(tmp_path / "out")])
    assert files(tmp_path) == set()


# ---- How it stops -----------------------------------------------------------------------------


@pytest.mark.skipif(os.name == "nt", reason="a signal to a child process is a POSIX notion")
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_signal_stops_a_run_and_leaves_nothing_half_done(name, source, tmp_path):
    out = tmp_path / "out"
    child = subprocess.Popen(
        command("check", source, "--rounds", 1_000_000, "--out", out),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        deadline = time.monotonic() + 60.0
        while not out.exists():
            assert child.poll() is None, child.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        time.sleep(1.0)  # any moment will do: loading, importing or solving
        child.send_signal(signal.Signals[name])
        stdout, stderr = child.communicate(timeout=60)
    finally:
        child.kill()
    assert child.returncode == 128 + signal.Signals[name]
    assert stdout == ""
    assert stderr == (
        f"gramlab: stopped by {name}: files written so far are whole; run the same command again, "
        "it begins anew\n"
    )
    assert files(tmp_path) == set()


@pytest.mark.skipif(os.name == "nt", reason="os.kill ends the process there")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_writing_leaves_whole_files_only(
    number, whole, tmp_path, capsys, monkeypatch
):
    from gramlab.files import whole as files_whole

    _, source, complete, _ = whole
    (tmp_path / "results.json").write_text("of an older run")
    honest, calls = files_whole.atomic_path, []

    @contextmanager
    def interrupted(path, **how):
        with honest(path, **how) as temporary:
            calls.append(path)
            if len(calls) == 3:
                Path(temporary).write_bytes(b"half a figure")
                os.kill(os.getpid(), number)
                time.sleep(5.0)
            yield temporary

    monkeypatch.setattr(files_whole, "atomic_path", interrupted)
    handlers = [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)]
    assert cli.main(["check", str(source), *WHOLE, "--out", str(tmp_path)]) == 128 + number
    assert [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)] == handlers
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"gramlab: stopped by {signal.Signals(number).name}: ")
    assert err.count("\n") == 1
    # Two whole figures; the third left no trace, nor do results.json and what would follow.
    assert len(files(tmp_path)) == 2
    for name in files(tmp_path):
        assert (tmp_path / name).read_bytes() == (complete / name).read_bytes()


@pytest.mark.skipif(os.name == "nt", reason="signals are a POSIX notion")
def test_an_ignored_signal_stays_ignored():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with stopping.signals_raise():
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
            os.kill(os.getpid(), signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.skipif(os.name == "nt", reason="os.kill ends the process there")
def test_a_signal_that_a_finalizer_swallows_is_not_lost(capsys):
    class Finalized:
        def __del__(self):
            os.kill(os.getpid(), signal.SIGTERM)
            for _ in range(1000):  # the signal is handled in here, and Python drops the exception
                pass

    def lose_one():
        with stopping.signals_raise():
            Finalized()
            for _ in range(1000):
                time.sleep(0.01)

    hook = sys.unraisablehook
    with pytest.raises(stopping.Stopped) as stopped:
        lose_one()
    assert stopped.value.exit_code == 143
    assert sys.unraisablehook is hook
    assert capsys.readouterr().err == ""


@pytest.mark.skipif(os.name == "nt", reason="os.kill ends the process there")
def test_a_signal_in_whose_place_compiled_code_puts_its_own_error_is_not_lost():
    path_module = pytest.importorskip("matplotlib._path")

    class Box:
        """Gets the signal while it is being converted, and what that raises is replaced."""

        def __array__(self, *_, **__):
            os.kill(os.getpid(), signal.SIGTERM)
            for _ in range(1000):
                pass
            return np.zeros((2, 2))

    def replace_it():
        path_module.count_bboxes_overlapping_bbox(Box(), np.zeros((0, 2, 2)))

    with pytest.raises(stopping.Stopped) as stopped, stopping.signals_raise():
        replace_it()
    assert stopped.value.exit_code == 143
    assert isinstance(stopped.value.__cause__, ValueError)
    with pytest.raises(ValueError, match="of its own"), stopping.signals_raise():
        raise ValueError("an error of its own, without a signal")


@pytest.mark.skipif(os.name == "nt", reason="no SIGPIPE there")
@pytest.mark.parametrize("asked", ["--cite", "--help"])
def test_a_reader_that_goes_away_is_no_error(asked):
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as closed:
        done = subprocess.run(
            command(asked), stdout=closed, stderr=subprocess.PIPE, text=True, check=False
        )
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("asked", ["--cite", "--help", "check -h", "features info --help"])
def test_a_full_disk_behind_stdout_is_an_error_in_one_line(asked):
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            command(*asked.split()), stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 2
    assert done.stderr.startswith("gramlab: error: expected to write to stdout, but: ")
    assert done.stderr.count("\n") == 1


def test_a_narrow_encoding_does_not_break_the_table(found, monkeypatch):
    buffer = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(buffer, encoding="ascii"))
    text.emit(f"Käse, {summary(found, 'Größe')}")
    assert buffer.getvalue().startswith(b"K\\xe4se, tiny.npz")
    assert b"Wrote Gr\\xf6\\xdfe\n" in buffer.getvalue()


def test_features_that_do_not_fit_the_device_are_said_to_be_read_in_blocks(monkeypatch, capsys):
    from gramlab.machine import device

    arguments = ["check", "digits", "--rounds", "1", "--unit-norm", "--weight-decay", "1e-3"]
    assert cli.main(arguments) == 0
    plain = capsys.readouterr().out
    monkeypatch.setattr(device, "shortage", lambda needed: "2 GB needed on GPU 0, 1 GB free")
    assert cli.main(arguments) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "Rows were read in blocks, none kept on the device" in said
    assert "2 GB needed on GPU 0, 1 GB free" in said
    assert "read in blocks" not in plain


@pytest.mark.parametrize("seen", [True, False])
def test_what_counts_shows_how_many_how_fast_and_how_long(seen, monkeypatch, no_terminal):
    screen = Screen() if seen else io.StringIO()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setattr(Progress, "interval", 0.0)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    with Progress(quiet=False, unit="images") as progress:
        progress.stage("computing features", 10)
        for _ in range(4):
            progress.advance()
    shown = screen.getvalue()
    told = r"computing features.*4/10, 0 s left, \d+\.\d images/s"
    assert re.search(rf"{told}.*0:00:\d\d" if seen else rf"{told}, 0 s", shown), shown


def test_python_m_is_the_program():
    done = subprocess.run(
        [sys.executable, "-m", "gramlab", "--version"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, f"gramlab {gramlab.__version__}\n")
