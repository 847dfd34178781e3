"""``gramlab population``: reference numbers, files, and how it refuses."""

from __future__ import annotations

import json
import math
from fractions import Fraction

import numpy as np
import pytest

from gramlab import ClassBlockModel, cli
from gramlab.numerics.content import to_json
from gramlab.population.check import check_population, plane_diagram

SMALL = ["--max-rounds", "8"]
GRIDS = {
    "rate": ["--rates", "0,0.1,0.25,0.5,0.8"],
    "weight_decay": ["--weight-decays", "1e-6", "1e-5", "1e-4", "1e-3"],
    "round": ["--rounds", "1,2,5,8"],
}
KEYS = {
    "settings", "eigenvalues", "mu", "factors", "rho", "condition", "minimum_rounds",
    "first_perfect_round", "undecided", "exact_certificate", "averaging_weights", "held_out",
    "partial_labels",
}  # fmt: skip


def found(capsys, *arguments: str) -> dict:
    assert cli.main(["population", *arguments, "--json", "-"]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    return json.loads(captured.out)


def test_reference_numbers(capsys):
    result = found(capsys)
    assert set(result) == KEYS
    assert round(result["minimum_rounds"], 3) == 11.123
    assert result["first_perfect_round"] == {"linearized": 12, "exact": 14}
    assert [round(result["factors"][p], 10) for p in "AB"] == [0.8823529412, 0.9994690735]
    assert round(result["rho"], 10) == 1.1327316167
    assert result["mu"] == pytest.approx(0.08, rel=1e-14)
    assert [(round(e["value"], 9), e["multiplicity"]) for e in result["eigenvalues"]] == [
        (0.6, 1996),
        (150.6, 3),
        (350.6, 1),
    ]
    assert sum(e["multiplicity"] for e in result["eigenvalues"]) == 2000
    proof = result["exact_certificate"]
    assert (proof["round"], proof["perfect"]) == (14, True)
    assert proof["least_margin"] > proof["margin_bound"] > 0
    assert [row["round"] for row in result["averaging_weights"]] == [1, 2, 3, 5, 12, 14]
    for row in result["averaging_weights"]:
        assert sum(row[name] for name in row if name != "round") == pytest.approx(1, abs=1e-14)
    assert result["held_out"] == "right"
    assert result["partial_labels"] == {
        "row_maximum": "holds",
        "side_condition": "holds",
        "student": "right",
    }


def test_python_finds_what_the_command_finds(capsys):
    grid = ["--rates", "0,0.1,0.3", "--weight-decays", "1e-5,1e-3"]
    result = found(capsys, *SMALL, "--phase", "rate-decay", *grid)
    model = ClassBlockModel(4, 500, 0.4, 0.1)
    setting = {"rate": 0.5, "weight_decay": 1e-5, "max_rounds": 8}
    checked = check_population(model, "symmetric", **setting)
    grids = {"rates": [0, 0.1, 0.3], "weight_decays": [1e-5, 1e-3]}
    diagram = plane_diagram(model, "rate-decay", "symmetric", **setting, round=2, **grids)
    assert result.pop("settings")["max_rounds"] == 8
    assert json.loads(to_json(checked.as_dict() | {"phase": diagram.as_dict()})) == result
    assert (checked.linearized, checked.exact) == (None, None)  # 12 and 14, as above


def test_the_table_says_it_in_words(capsys):
    assert cli.main(["population"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    for words in (
        "t > t* = 11.1231",
        "First perfect round: linear 12, exact 14",
        "150.6 3 class differences inside a superclass",
        "Held-out points are predicted right",
        "row maximum C_kk > max C_kl holds (0.5, 0.1667)",
    ):
        assert words in shown


@pytest.mark.parametrize(
    ("arguments", "expected", "words"),
    [
        (["--noise", "pair-flip", "--rate", "0.3"], ("holds", "tie"), "ends in an exact tie"),
        (["--classes", "2", "--rate", "0.3"], ("holds", "tie"), "ends in an exact tie"),
        (["--rate", "0.75"], ("tie", "holds"), "in no round"),
        # The side condition holds and does not suffice: r = 1/(ρ − 1) is below C_kl − C_kj.
        (
            ["--noise", "asymmetric", "--rate", "0.4", "--weight-decay", "1"],
            ("holds", "holds"),
            "ends in an exact tie",
        ),
        (["--rate", "0.9"], ("fails", "holds"), "perfection is not promised"),
        (["--rate", "0"], ("holds", "tie"), "nothing to gain"),
        (
            ["--noise", "superclass", "--superclass-size", "2", "--rate", "0.1"],
            ("holds", "tie"),
            "ends in an exact tie",
        ),
    ],
)
def test_partial_label_conditions_and_their_ties(arguments, expected, words, capsys):
    result = found(capsys, *arguments, *SMALL)
    conditions = result["partial_labels"]
    assert (conditions["row_maximum"], conditions["side_condition"]) == expected
    assert result["condition"]["attainable"] == (expected[0] == "holds")
    assert (result["minimum_rounds"] is None) == (expected[0] != "holds")
    assert cli.main(["population", *arguments, *SMALL]) == 0
    assert words in " ".join(capsys.readouterr().out.split())


def test_no_cell_of_late_rounds_differs_by_rounding(capsys):
    """Rounds at which the signal is below what float64 carries beside it."""
    arguments = "--classes 10 --samples-per-class 5000 --within 0.6 --superclass 0.5 --rate 0.4"
    arguments += " --noise asymmetric --weight-decay 0.01 --max-rounds 24 --phase rate-round"
    arguments += " --rates 0,0.05,0.2,0.4,0.6,0.7,0.8,0.9 --rounds 1,2,4,8,16,23,24"
    phase = found(capsys, *arguments.split())["phase"]
    assert (len(phase["theory"]), len(phase["theory"][0])) == (7, 8)
    assert not any(map(any, phase["disagree"]))
    assert not any(map(any, phase["undecided"]))
    assert 0 < sum(map(sum, phase["theory"])) < 56


def test_the_usual_axes_of_a_plane():
    model = ClassBlockModel(2, 5, 0.4)
    values = {"rate": 0.2, "weight_decay": 1e-3, "round": 1, "max_rounds": 0}
    plane = plane_diagram(model, "rate-decay", "symmetric", **values)
    assert plane.x == tuple(Fraction(i, 40) for i in range(40))
    assert (len(plane.y), float(plane.y[0]), float(plane.y[-1])) == (21, 1e-7, 1e-2)
    rounds = plane_diagram(model, "decay-round", "symmetric", **values | {"max_rounds": 3}).y
    assert rounds == (1, 2, 3)


def test_undecided_rounds_are_told(capsys, monkeypatch):
    from gramlab.population.types import TypePredictions

    right = TypePredictions.verdict.fget
    monkeypatch.setattr(
        TypePredictions,
        "verdict",
        property(lambda self: (right(self) and self.logits is None) or None),
    )
    monkeypatch.setattr(TypePredictions, "perfect", property(lambda self: False))
    result = found(capsys, *SMALL)
    assert result["undecided"] == {"linearized": [], "exact": list(range(1, 9))}
    assert result["exact_certificate"]["undecided"] is True
    assert cli.main(["population", *SMALL]) == 0
    assert "Undecided: round 1, 2, 3, 4, 5 and 3 more." in " ".join(capsys.readouterr().out.split())


def test_noise_that_is_not_balanced_still_has_its_rounds(capsys):
    arguments = ["--noise", "asymmetric", "--classes", "6", "--superclass-size", "3"]
    arguments += ["--superclass", "0.3", "--between", "0.1", "--max-rounds", "12"]
    result = found(capsys, *arguments)
    assert result["condition"]["balanced"] is False
    assert result["minimum_rounds"] is result["held_out"] is result["partial_labels"] is None
    assert result["first_perfect_round"] == {"linearized": 6, "exact": 9}
    assert cli.main(["population", *arguments]) == 0
    assert "not balanced" in capsys.readouterr().out


def test_an_own_matrix_takes_the_place_of_noise_and_rate(tmp_path, capsys):
    """A matrix that a kind of noise makes is found to be that noise, but for partial labels."""
    file, matrix = tmp_path / "c.csv", (0.1 + 0.6 * np.eye(4)).round(1)
    np.savetxt(file, matrix, delimiter=",")
    plane = ["--phase", "decay-round", *GRIDS["weight_decay"], *GRIDS["round"], *SMALL]
    own = found(capsys, "--noise-matrix", str(file), *plane)
    named = found(capsys, "--rate", "0.3", *plane)
    settings = own["settings"]
    assert (settings["noise"], settings["noise_matrix"]) == ("matrix", matrix.tolist())
    assert settings["rate"] == pytest.approx(0.3, rel=1e-15)
    assert own["partial_labels"] is None
    for name in ("condition", "minimum_rounds", "first_perfect_round", "undecided", "held_out"):
        assert own[name] == named[name], name
    for name in ("x", "y", "theory", "exact", "undecided", "decided_by"):
        assert own["phase"][name] == named["phase"][name], name
    np.save(tmp_path / "c.npy", [[0.7, 0.3, 0, 0], [0, 0.7, 0.3, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    tilted = found(capsys, "--noise-matrix", str(tmp_path / "c.npy"), "--max-rounds", "9")
    assert tilted["condition"]["balanced"] is False
    assert "label masses [0.7, 1.0, 1.3, 1.0]" in tilted["condition"]["reason"]
    for arguments, words in (
        (["--rate", "0.2"], "--noise-matrix must stand without --noise and --rate, got --rate"),
        (["--classes", "5"], "one row and column for each of 5 classes, got shape (4, 4)"),
        (["--phase", "rate-round", "--json", "-"], "choose the plane decay-round"),
    ):
        assert cli.main(["population", "--noise-matrix", str(file), *arguments]) == 2
        assert words in capsys.readouterr().err


def test_superclasses_of_one_class_use_their_own_eigenvalue(capsys):
    """Class differences then lie between superclasses, where the eigenvalue is another."""
    arguments = ["--superclass-size", "1", "--superclass", "0.39", "--between", "0.05"]
    result = found(capsys, *arguments, "--samples-per-class", "5", "--weight-decay", "1e-3")
    least = result["minimum_rounds"]
    assert result["first_perfect_round"]["linearized"] == math.floor(least) + 1 == 16


@pytest.mark.parametrize(
    ("plane", "axes"),
    [
        ("rate-round", ("rate", "round")),
        ("rate-decay", ("rate", "weight_decay")),
        ("decay-round", ("weight_decay", "round")),
    ],
)
def test_phase_diagrams_are_written_whole_and_alike(plane, axes, tmp_path, capsys):
    first, second = tmp_path / "deep" / "a", tmp_path / "b"
    for folder in (first, second):
        arguments = ["--phase", plane, *SMALL, "--weight-decay", "1e-4", "--round", "1"]
        for axis in axes:
            arguments += GRIDS[axis]
        arguments += ["--out", str(folder), "--json", str(folder / "again.json")]
        assert cli.main(["population", *arguments]) == 0
        assert f"Wrote results.json, phase.png and phase.csv to {folder}" in capsys.readouterr().out
    names = sorted(path.name for path in first.iterdir())
    assert names == ["again.json", "phase.csv", "phase.png", "results.json"]
    for name in names:
        assert (first / name).read_bytes() == (second / name).read_bytes(), name
    assert (first / "phase.png").read_bytes().startswith(b"\x89PNG")
    assert (first / "again.json").read_bytes() == (first / "results.json").read_bytes()
    phase = json.loads((first / "results.json").read_text())["phase"]
    assert (phase["x_axis"], phase["y_axis"]) == axes
    lines = (first / "phase.csv").read_text().splitlines()
    assert lines[0] == f"{axes[0]},{axes[1]},theory,exact,decided_by,undecided"
    assert len(lines) - 1 == len(phase["x"]) * len(phase["y"])
    wanted = [bool(int(line.split(",")[2])) for line in lines[1:]]
    assert wanted == [cell for row in phase["theory"] for cell in row]
    assert any(wanted)
    assert not all(wanted)


def test_quiet_writes_files_and_no_words(tmp_path, capsys):
    assert cli.main(["population", *SMALL, "--quiet", "--out", str(tmp_path)]) == 0
    assert capsys.readouterr() == ("", "")
    assert [path.name for path in tmp_path.iterdir()] == ["results.json"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--superclass-size", "3"], "must divide n_classes = 4, got 3"),
        (["--within", "0.1"], "superclass < within"),
        (["--within", "nan"], "within must be finite"),
        (["--between", "0.05"], "without superclass_size"),
        (["--rate", "1"], "--rate must be at least 0 and less than 1"),
        (["--weight-decay", "0"], "--weight-decay must be finite and greater than 0"),
        (["--weight-decay", "1e-200"], "weight_decay must be between"),
        (["--classes", "1"], "--classes must be an integer of at least 2"),
        (["--classes", "100000"], "at most 1000"),
        (["--samples-per-class", "0"], "--samples-per-class must be"),
        (["--max-rounds", "0"], "--max-rounds must be"),
        (["--round", "0"], "--round must be"),
        (["--noise", "random"], "'random' is not one of"),
        (["--phase", "round-rate", "--out", "x"], "'round-rate' is not one of"),
        (["--phase", "rate-round"], "--out DIR or --json"),
        (["--rates", "0.1"], "--rates must go with --phase, got none"),
        (["--phase", "rate-round", "--rates", "0.3,0.1", "--out", "x"], "rate must be increasing"),
        (["--phase", "rate-round", "--rounds", "1.5", "--out", "x"], "must hold whole numbers"),
        (
            ["--phase", "rate-round", "--weight-decays", "1e-3", "--out", "x"],
            "weight_decays must be left out for the plane rate-round",
        ),
        (["--noise-matrix", "no.csv"], "matrix 'no.csv' is not there"),
        (["--noise", "superclass", "--superclass-size", "1"], "only single classes"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(arguments, words, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["population", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert words in captured.err
    assert captured.err.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_refused_phase_diagram_leaves_nothing_behind(tmp_path, capsys):
    arguments = ["--noise", "asymmetric", "--superclass-size", "2", "--superclass", "0.2"]
    out = tmp_path / "new"
    assert (
        cli.main(["population", *arguments, *SMALL, "--phase", "rate-round", "--out", str(out)])
        == 2
    )
    assert "not balanced" in capsys.readouterr().err
    assert not out.exists()


def test_a_file_in_the_way_is_named(tmp_path, capsys):
    (tmp_path / "results.json").mkdir()
    assert cli.main(["population", *SMALL, "--out", str(tmp_path)]) == 2
    captured = capsys.readouterr()
    assert "results.json" in captured.err
    assert captured.err.count("\n") == 1
