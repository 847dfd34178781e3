"""Noise of classes of unequal size, with the intercept that their heads need."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

import gramlab
from gramlab import cli
from gramlab.transition import estimate_transition


def test_right_labels_of_unequal_classes_are_no_noise(tmp_path, capsys):
    rng = np.random.default_rng(0)
    means = 2.0 * rng.standard_normal((3, 6))
    labels = np.repeat([0, 1, 2], (300, 10, 5))
    rows = gramlab.Features(means[labels] + 0.7 * rng.standard_normal((315, 6)), labels)
    centred = rows.centered().unit_norm()
    found = estimate_transition(centred.with_constant(), labels).noise_rate
    assert found.low == 0.0
    assert found.value < 1e-3
    # Without the column the class offsets of the calibration have to do.
    without = estimate_transition(centred, labels).noise_rate
    assert without.low == 0.0
    page = (Path(__file__).parents[3] / "docs" / "transition.md").read_text(encoding="utf-8")
    assert f"the estimate is {without.value:.0%} without".replace("%", " %") in page
    path = tmp_path / "f.npz"
    np.savez(path, train_features=rows.x, train_labels=labels)
    words = ["transition", str(path), "--json", "-"]
    values = {}
    for constant, flags in ((True, []), (False, ["--no-constant"])):
        assert cli.main([*words, *flags]) == 0
        result = json.loads(capsys.readouterr().out)
        assert result["settings"]["constant"] is constant
        values[constant] = result["estimate"]["noise_rate"]["value"]
    assert values == {True: found.value, False: without.value}
    assert cli.main(["transition", str(path), "--weight-decay", "1e-3"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "Rows: centred, unit norm, a constant column." in shown
