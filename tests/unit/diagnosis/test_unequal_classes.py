"""Classes of unequal size, every label right: the constant column, on by default."""

from __future__ import annotations

import json

import numpy as np
import pytest

import gramlab
from gramlab import cli
from gramlab.diagnosis import DiagnosisSettings, diagnose
from gramlab.diagnosis.selection import decay_grid
from gramlab.errors import InvalidFeatures
from gramlab.report import diagnosis_report

SHORT = {"folds": 3, "max_rounds": 1, "recorrupt": False}


@pytest.fixture(scope="module")
def rows():
    """Three classes that stand apart, of 280, 15 and 5 rows."""
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], (280, 15, 5))
    means = 2.0 * rng.standard_normal((3, 6))
    return gramlab.Features(means[labels] + 0.7 * rng.standard_normal((300, 6)), labels)


def test_right_labels_are_no_suspects(rows):
    found = diagnose(rows, DiagnosisSettings(**SHORT))
    assert found.features == rows.prepared(center=True, unit_norm=True, constant=True)
    assert found.as_dict()["settings"]["constant"] is True
    noise = found.estimate.noise_rate
    assert noise.low == 0.0
    assert noise.value < 0.01
    assert len(found.suspects) <= 3
    # Planted: centred rows without the column, whose heads cannot express the classes' sizes.
    without = diagnose(rows, DiagnosisSettings(**SHORT, constant=False))
    assert without.features == rows.prepared(center=True, unit_norm=True)
    agree = [one.advice.chosen.agreement for one in (found, without)]
    assert agree[0] > 0.95
    assert agree[1] < agree[0] - 0.1
    page = diagnosis_report(without, {}, {})
    assert "--no-constant" in page
    assert "d = 6" in page
    assert "d = 6 and the constant 1" in diagnosis_report(found, {}, {})


def test_the_command_says_that_it_is_there(rows, tmp_path, capsys):
    path = tmp_path / "f.npz"
    np.savez(path, train_features=rows.x, train_labels=rows.labels)
    words = ["diagnose", str(path), "--folds", "2", "--max-rounds", "1", "--no-recorrupt"]
    assert cli.main([*words, "--json", str(tmp_path / "f.json")]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "centred, unit norm, a constant column): N = 300 rows, d = 6 and the const" in shown
    found = json.loads((tmp_path / "f.json").read_text())
    assert found["settings"]["constant"] is True
    assert found["provenance"]["features"]["steps"][-1]["step"] == "with_constant"
    assert cli.main([*words, "--no-constant"]) == 0
    assert "f.npz (centred, unit norm): N = 300 rows, d = 6, K" in capsys.readouterr().out


def test_features_that_have_it_are_taken_as_they_are_or_refused(rows, tmp_path, capsys):
    ready = rows.prepared(center=True, unit_norm=True, constant=True)
    with pytest.raises(InvalidFeatures, match="--no-center --no-unit-norm --no-constant"):
        diagnose(ready)
    steps = {"center": False, "unit_norm": False, "constant": False}
    assert diagnose(ready, DiagnosisSettings(**SHORT, **steps)).features == ready
    path = gramlab.save_features(ready, tmp_path / "ready.safetensors")
    assert cli.main(["diagnose", str(path)]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "with_constant must be the last step of features, got centered after it" in err
    assert cli.main(["features", "info", str(path)]) == 0
    assert "steps        centered, unit_norm, with_constant\n" in capsys.readouterr().out


def test_weight_decays_lie_where_the_classes_are(rows):
    for scaling in (0.1, 1.0, 100.0):
        after = rows.centered().with_constant(scaling)
        assert decay_grid(after) == pytest.approx(decay_grid(rows.centered()), rel=1e-12)
