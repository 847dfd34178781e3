"""``gramlab check`` at several weight decays, and with a corruption matrix from a file."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from gramlab import cli, corruption_matrix, load_features
from gramlab.check import CheckSettings, run_check, run_path_check
from gramlab.errors import GramlabError, InvalidSetting
from gramlab.numerics.content import to_json

ASKED = ["--rounds", "2", "--unit-norm", "--rate", "0.4", "--seed", "3"]
SETTINGS = CheckSettings(rounds=2, unit_norm=True, rate=0.4, seed=3)


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    rng, labels = np.random.default_rng(0), np.arange(60) % 3
    path = tmp_path_factory.mktemp("data") / "tiny.npz"
    x = rng.standard_normal((3, 8))[labels] + rng.standard_normal((60, 8))
    np.savez(
        path, train_features=x, train_labels=labels, test_features=x[:9], test_labels=labels[:9]
    )
    return path


def found(capsys, *arguments: object) -> dict:
    assert cli.main(["check", *map(str, arguments), "--json", "-"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    "decays",
    [
        ["--weight-decay", "1e-2,1e-3"],
        ["--weight-decay", "1e-3", "1e-2"],
        ["--weight-decay", "1e-3", "--weight-decay", "1e-2"],
    ],
)
def test_several_weight_decays_are_a_path(decays, source, capsys):
    result = found(capsys, source, *ASKED, *decays)
    by_python = run_path_check(load_features(source), SETTINGS, [1e-3, 1e-2])
    assert result == json.loads(to_json(by_python.as_dict()))
    assert result["settings"]["weight_decay"] == [1e-3, 1e-2]
    assert len(result["cells"]) == 4


def test_a_cell_is_what_a_check_at_its_weight_decay_finds(source, capsys):
    path = found(capsys, source, *ASKED, "--weight-decay", "1e-3,1e-2")
    for decay in (1e-3, 1e-2):
        one = found(capsys, source, *ASKED, "--weight-decay", decay)
        assert one["settings"]["weight_decay"] == decay
        assert one["data"] == path["data"]
        cells = [cell for cell in path["cells"] if cell["weight_decay"] == decay]
        for row, cell in zip(one["rounds"], cells, strict=True):
            assert cell["linearized_recovery"] == row["linearized"]["label_recovery"]
            assert cell["linearized_test"] == row["linearized"]["test_accuracy"]
            # Warm and cold heads agree on what both certify.
            assert cell["certified_right"] <= 1.0 - row["certified"]["wrong"] + 1e-12
            assert row["certified"]["right"] <= 1.0 - cell["certified_wrong"] + 1e-12
            assert cell["undecided"] <= 0.01


def test_files_table_and_figure_of_a_path(source, tmp_path, capsys):
    out = tmp_path / "out"
    arguments = [*ASKED, "--weight-decay", "1e-3,1e-2", "--out", str(out)]
    assert cli.main(["check", str(source), *arguments, "--figure-format", "svg"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert {path.name for path in out.iterdir()} == {"results.json", "cells.csv", "regime_map.svg"}
    assert f"Wrote results.json, cells.csv and the figure regime_map to {out}" in shown
    assert "tiny.npz (unit norm): N = 60 training rows, 9 test rows" in shown
    assert "The error recursion held in every cell." in shown
    cells = json.loads((out / "results.json").read_text())["cells"]
    with (out / "cells.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["max_abs"]) for row in rows] == [cell["max_abs"] for cell in cells]
    assert list(rows[0]) == list(cells[0])
    assert cli.main(["check", str(source), *arguments[:-2]]) == 0
    assert "--out DIR writes a table and a figure" in " ".join(capsys.readouterr().out.split())


def test_a_broken_recursion_is_told(source, capsys, monkeypatch):
    monkeypatch.setattr("gramlab.comparison._recursion_tolerance", lambda *_: 0.0)
    assert cli.main(["check", str(source), *ASKED, "--weight-decay", "1e-3,1e-2"]) == 0
    captured = capsys.readouterr()
    assert "did NOT hold in round 1 at 0.001, round 2 at 0.001, round 1 at 0.01" in captured.err
    assert "held in every cell" not in captured.out


@pytest.mark.parametrize("suffix", ["csv", "npy"])
def test_a_matrix_from_a_file_is_that_noise(suffix, source, tmp_path, capsys):
    matrix, file = corruption_matrix("asymmetric", 3, 0.4), tmp_path / f"noise.{suffix}"
    np.save(file, matrix) if suffix == "npy" else np.savetxt(file, matrix, delimiter=",")
    kept = [word for word in ASKED if word not in ("--rate", "0.4")]
    own = found(capsys, source, *kept, "--noise-matrix", file, "--weight-decay", "1e-2")
    named = found(capsys, source, *ASKED, "--noise", "asymmetric", "--weight-decay", "1e-2")
    assert "noise_matrix" not in named["settings"]
    assert own.pop("settings") | {"noise": "asymmetric"} == named.pop("settings") | {
        "noise_matrix": matrix.tolist(),
        "rate": pytest.approx(0.4, rel=1e-15),
    }
    assert own == named


def test_the_report_says_how_to_give_the_matrix_again(source, tmp_path):
    matrix, out = tmp_path / "noise.csv", tmp_path / "out"
    np.savetxt(matrix, np.eye(3) * 0.7 + 0.1, delimiter=",")
    words = ["--rounds", "1", "--noise-matrix", str(matrix), "--out", str(out), "--quiet"]
    assert cli.main(["check", str(source), *words]) == 0
    page = (out / "report.html").read_text()
    assert (
        "gramlab check tiny.npz --weight-decay 0.0005 --rounds 1 --seed 0 --noise-matrix FILE"
        in page
    )
    assert "matrix, rate 20.0" in page


def write(folder: Path, name: str, content: object) -> str:
    path = folder / name
    if isinstance(content, str):
        path.write_text(content)
    else:
        np.save(path, content)
    return str(path)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.csv", "0.9,0.1,0\n0,1,0\n0,0,0.5\n", "a.csv must have rows that sum to 1, got sum 0.5"),
        ("a.csv", "1,0\n0,1\n", "one row and column for each of 3 classes, got shape (2, 2)"),
        ("a.csv", "1,0,0\n0,1,0\n", "must be square"),
        ("a.csv", "1,-1,1\n0,1,0\n0,0,1\n", "must be finite and nonnegative, got -1.0"),
        ("a.csv", "x,y\n1,0\n", "damaged or no table of numbers"),
        ("a.csv", "1,0\n1\n", "damaged or no table of numbers"),
        ("a.csv", " \n", "it is empty"),
        ("a.txt", "1", "has the suffix '.txt'; give a .csv file of numbers"),
        ("a.npy", "no array", "no plain .npy array"),
        ("a.npy", np.ones(3), "must hold a matrix of real numbers, got float64 of shape (3,)"),
        ("a.npy", np.array([["a"]]), "must hold a matrix of real numbers"),
    ],
)
def test_what_is_no_corruption_matrix_is_one_line(name, content, words, source, tmp_path, capsys):
    file = write(tmp_path, name, content)
    out = tmp_path / "out"
    arguments = ["--noise-matrix", file, "--out", str(out)]
    assert cli.main(["check", str(source), *arguments]) == 2
    captured = capsys.readouterr()
    assert words in captured.err
    assert captured.err.count("\n") == 1
    assert captured.out == ""
    assert not out.exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ["--noise", "symmetric"],
            "--noise-matrix must stand without --noise and --rate, got --noise",
        ),
        (["--rate", "0.5"], "--noise-matrix must stand without --noise and --rate, got --rate"),
        (["--json", "a.csv"], "expected --json apart from what is read"),
    ],
)
def test_a_matrix_stands_alone(arguments, words, source, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path, "a.csv", "1,0,0\n0,1,0\n0,0,1\n")
    assert cli.main(["check", str(source), "--noise-matrix", "a.csv", *arguments]) == 2
    assert words in capsys.readouterr().err
    assert (tmp_path / "a.csv").read_text() == "1,0,0\n0,1,0\n0,0,1\n"


def test_digits_are_not_shown_off_with_a_rate_beside_a_matrix(tmp_path, capsys, monkeypatch):
    file, asked = tmp_path / "c.npy", []
    np.save(file, corruption_matrix("symmetric", 10, 0.2))

    def reached(features, settings, progress, **more):
        asked.append(settings)
        raise GramlabError("the work would begin here")

    monkeypatch.setattr("gramlab.check.run_check", reached)
    assert cli.main(["check", "digits", "--noise-matrix", str(file)]) == 2
    assert "the work would begin here" in capsys.readouterr().err
    assert (asked[0].noise, asked[0].center) == ("matrix", True)
    assert asked[0].rate == pytest.approx(0.2, rel=1e-14)


@pytest.mark.parametrize(
    ("decays", "words"),
    [
        ("0,1", "--weight-decay must be finite and greater than 0, got 0.0"),
        ("1e-3,x", "--weight-decay must hold numbers"),
        ("1e-3,1e-3", "weight_decays must differ from each other, got 0.001 twice"),
        (",", "--weight-decay must hold at least one value"),
    ],
)
def test_weight_decays_that_are_none_are_one_line(decays, words, source, capsys):
    assert cli.main(["check", str(source), "--weight-decay", decays]) == 2
    captured = capsys.readouterr()
    assert words in captured.err
    assert captured.err.count("\n") == 1


def test_settings_take_a_matrix_in_place_of_kind_and_rate(source):
    matrix = np.eye(3) * 0.4 + 0.2
    settings = CheckSettings(noise_matrix=matrix, rounds=1)
    assert (settings.noise, settings.rate) == ("matrix", pytest.approx(0.4))
    assert settings == CheckSettings(noise_matrix=matrix.tolist(), rounds=1)
    result = run_check(load_features(source), settings)
    assert np.array_equal(result.given.matrix, matrix)
    for more in ({"noise": "asymmetric"}, {"rate": 0.3}):
        with pytest.raises(InvalidSetting, match="must stand without noise and rate"):
            CheckSettings(noise_matrix=matrix, **more)
    with pytest.raises(InvalidSetting, match="each of 3 classes"):
        run_check(load_features(source), CheckSettings(noise_matrix=np.eye(4)))
