"""examples/total_decay.py: factors with a known answer, and a small run from its command line."""

from __future__ import annotations

import importlib
import math
from pathlib import Path

import numpy as np
import pytest

import gramlab

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(autouse=True)
def examples_path(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "examples"))


@pytest.fixture
def page():
    return importlib.import_module("total_decay_page")


@pytest.fixture
def example():
    return importlib.import_module("total_decay")


def test_a_factor_is_read_off_a_line_whose_answer_is_known(page):
    # One training scores ln Λ: a score of ln(1.5 Λ) is worth 1.5 Λ, wherever the points are.
    decays = [1.0, 2.0, 3.0, 4.0, 8.0]
    rising = [(decay, math.log(decay)) for decay in decays]
    for total in decays[:-1]:
        found = page.equivalent_decay(rising, total, math.log(1.5 * total))
        assert found.side == 1
        assert found.factor == pytest.approx(1.5, rel=1e-14)
    falling = [(decay, -score) for decay, score in rising]
    found = page.equivalent_decay(falling, 4.0, -math.log(5.0))
    assert (found.side, found.factor) == (-1, pytest.approx(1.25, rel=1e-14))
    assert page.equivalent_decay(rising, 2.0, math.log(2.0)).factor == pytest.approx(1.0)


def test_a_factor_is_withheld_off_the_line_and_where_it_turns(page):
    line = [(1.0, 0.1), (2.0, 0.3), (4.0, 0.9), (8.0, 0.5), (16.0, 0.5), (32.0, 0.2)]
    assert page.equivalent_decay(line, 2.0, 0.95) is None  # above its part
    assert page.equivalent_decay(line, 2.0, 0.05) is None  # below
    assert page.equivalent_decay(line, 4.0, 0.8) is None  # at the top: either side
    assert page.equivalent_decay(line, 8.0, 0.4) is None  # next to a flat piece
    assert page.equivalent_decay(line[:1], 1.0, 0.1) is None
    # 0.4 is met on both sides of the top: the part of 2 has it below 4.
    rising = page.equivalent_decay(line, 2.0, 0.4)
    assert rising.side == 1
    assert 1.0 < rising.factor < 2.0
    assert page.equivalent_decay(line, 1.0, 0.9).factor == pytest.approx(4.0)


class Fit:
    """A head of the linear theory: it predicts 1/K + V/K."""

    def __init__(self, weight_decay: float, classes: int) -> None:
        self.weight_decay = weight_decay
        self.logits = np.random.default_rng(0).standard_normal((5, classes))
        self.deviations = self.logits / classes

    def training_logits(self) -> np.ndarray:
        return self.logits


def test_of_one_eigenvalue_the_predicted_factor_is_known(example):
    # Orthogonal rows: one eigenvalue s, where h^t = h' at ((1 + x)^t − 1) μ/x, x = μ/s.
    n, k, decay, t = 6, 3, 0.25, 3
    features = gramlab.Features(2.0 * np.eye(n), np.arange(n) % k)
    x = k * n * decay / 4.0
    rounds = [Fit(decay, k)] * t
    found = example.predicted(rounds, Fit(t * decay, k), features)
    assert found["predicted_level"] == pytest.approx(((1 + x) ** t - 1) / (t * x), rel=1e-9)


def test_predicted_factors_match_the_filters_they_are_said_to(example):
    rng = np.random.default_rng(1)
    labels = np.arange(40) % 4
    x = rng.standard_normal((4, 6))[labels] + 0.5 * rng.standard_normal((40, 6))
    features, decay, t = gramlab.Features(x, labels), 1e-2, 4
    targets = gramlab.one_hot(labels, 4)
    rounds = gramlab.distill(gramlab.LinearizedHead(decay), features, targets, t)
    once = gramlab.LinearizedHead(t * decay).fit(features, targets)
    found = example.predicted(rounds, once, features)

    def read(matrix):
        """The true labels that a filter keeps, and a row's own weight beside them."""
        deviations = np.eye(4)[labels] - 0.25
        kept = float(np.sum(deviations * (matrix @ deviations)))
        return kept, float(np.trace(matrix)) / kept

    gram = x @ x.T

    def filtered(decays):  # slow twin: the matrices themselves
        out = np.eye(40)
        for one in decays:
            out = out @ gram @ np.linalg.inv(gram + 4 * 40 * one * np.eye(40))
        return out

    level, ratio = read(filtered([decay] * t))
    factor = found["predicted_level"]
    assert factor > 1.0
    assert read(filtered([factor * t * decay]))[0] == pytest.approx(level, rel=1e-8)
    factor = found["predicted_ratio"]
    assert factor > 1.0
    assert read(filtered([factor * t * decay]))[1] == pytest.approx(ratio, rel=1e-8)


def test_a_small_run_writes_its_page_and_picture_and_a_rerun_computes_nothing(
    example, page, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(example, "ROUNDS", 2)
    out = [f"--{name}={tmp_path}" for name in ("out", "images")]
    digits = gramlab.load_features("digits")
    train, test = {"x": digits.x[::10], "y": digits.labels[::10]}, digits.test_x[::10]
    few = {"test_features": test, "test_labels": digits.test_labels[::10]}
    np.savez(tmp_path / "few.npz", **train, **few)
    asked = [f"{tmp_path}/few.npz", "--weight-decays", "1e-3", "2e-3", *out]
    example.main(asked)
    assert capsys.readouterr().out.count("λ = ") == 2
    names = ["few.npz", "total_decay.csv", "total_decay.md", "total_decay_few.png"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    before = [(tmp_path / name).read_bytes() for name in names]
    example.main(asked)
    assert "λ = " not in capsys.readouterr().out
    assert [(tmp_path / name).read_bytes() for name in names] == before
    kept = importlib.import_module("kept_rows").KeptRows(tmp_path / names[1], *example.KEY)
    (row,) = (
        row
        for row in kept.rows.values()
        if (row["head"], row["kind"], row["weight_decay"]) == ("exact", "rounds", 1e-3)
    )
    # The ball's claims are those of the library, and hold.
    features = gramlab.load_features(tmp_path / "few.npz").centered().unit_norm()
    targets = gramlab.one_hot(example.given_labels(features, "", 0), 10)
    head = gramlab.SoftmaxHead(1e-3, tolerance=example.TOLERANCE)
    rounds = gramlab.distill(head, features, targets, 2)
    assert row["total_weight_decay"] == rounds.total_weight_decay
    assert row["ball_holds"] is True
    assert row["false_rows"] == 0
    assert row["recovery"] == (rounds[1].labels == features.labels).mean()
    same, other = rounds.equivalent().same_class()
    assert same <= row["found_same"] + 2 * row["undecided"]
    assert [row["ball_same"], row["ball_other"]] == pytest.approx([same, other], abs=0.01)
    # A planted false claim is counted.
    rows = [dict(one) for one in kept.rows.values()]
    (claims,) = [line for line in page.balls(rows) if line.startswith("| few")]
    assert [cell.strip() for cell in claims.split("|")[3:7]] == ["2", "2", "0", "0"]
    for one in rows:
        if one["kind"] == "rounds" and one["head"] == "exact":
            one["ball_same"] = 1.0
    (claims,) = [line for line in page.balls(rows) if line.startswith("| few")]
    assert int(claims.split("|")[5]) == sum(
        one["found_same"] < 1.0 for one in rows if one.get("found_same") is not None
    )


def test_given_labels_come_from_a_named_array(example, tmp_path):
    features = gramlab.Features(np.eye(4), np.arange(4))
    np.savez(tmp_path / "g.npz", people=np.array([3, 2, 1, 0]), short=np.array([1]))
    assert example.given_labels(features, f"{tmp_path}/g.npz:people", 0).tolist() == [3, 2, 1, 0]
    for name, message in (("nobody", "must name an array"), ("short", "must hold 4 labels")):
        with pytest.raises(SystemExit, match=message):
            example.given_labels(features, f"{tmp_path}/g.npz:{name}", 0)


def test_the_page_is_what_its_table_says(example, page):
    path = ROOT / "docs" / "generated" / "total_decay.csv"
    kept = importlib.import_module("kept_rows").KeptRows(path, *example.KEY)
    text = path.with_suffix(".md").read_text(encoding="utf-8")
    assert page.markdown(kept.rows.values()).strip() == text.strip()
    rows = list(kept.rows.values())
    # Every claim of every ball was held against one training, and none is false.
    asked = [row for row in rows if row["head"] == "exact" and row["kind"] == "rounds"]
    assert all(row["ball_holds"] is True and row["false_rows"] == 0 for row in asked)
