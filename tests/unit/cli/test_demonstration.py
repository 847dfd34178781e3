"""The digits as a demonstration: settings of their own where none are given, and what they show."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import gramlab
from gramlab import cli
from gramlab.check import CheckSettings
from gramlab.cli.check import DEMONSTRATION
from gramlab.dynamics import dynamics
from gramlab.errors import GramlabError

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def asked(monkeypatch, capsys):
    """The settings that a command line comes to; the check itself is not run."""

    def of(*arguments: str) -> CheckSettings:
        seen = []

        def stop(features, settings, progress):
            seen.append(settings)
            raise GramlabError("stopped here")

        monkeypatch.setattr("gramlab.check.run_check", stop)
        assert cli.main(["check", *arguments]) == 2
        assert "stopped here" in capsys.readouterr().err
        return seen[0]

    return of


def test_digits_alone_are_the_demonstration(asked):
    assert asked("digits") == CheckSettings(**DEMONSTRATION)


@pytest.mark.parametrize(
    ("options", "holds"),
    [
        # A value is given even where it is the default of other sources.
        ("--weight-decay 5e-4 --rate 0.5 --rounds 5", CheckSettings(center=True, unit_norm=True)),
        ("--no-center --no-unit-norm", CheckSettings(weight_decay=3e-4, rate=0.6, rounds=8)),
        ("--seed 3", CheckSettings(**DEMONSTRATION, seed=3)),
    ],
)
def test_who_gives_options_gets_what_they_give(options, holds, asked):
    assert asked("digits", *options.split()) == holds


def test_other_sources_keep_the_defaults_of_python(asked, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("mine.npz", "digits.npz"):
        np.savez(name, train_features=np.eye(4, 3), train_labels=[0, 1, 0, 1])
        assert asked(name) == CheckSettings()


def test_the_first_line_says_preparation_and_what_was_chosen(capsys):
    argv = ["check", "digits", "--rounds", "1", "--rate", "0.3", "--weight-decay", "10"]
    assert cli.main(argv) == 0
    first = " ".join(capsys.readouterr().out.partition("Gram spectrum")[0].split())
    assert first.startswith("digits (centred, unit norm): N = 1437")
    assert first.endswith("Set for this demonstration, as not given: --center --unit-norm.")
    assert cli.main([*argv, "--no-center", "--no-unit-norm"]) == 0
    first = " ".join(capsys.readouterr().out.partition("Gram spectrum")[0].split())
    assert first.startswith("digits (raw): N = 1437")
    assert "demonstration" not in first


def test_help_and_pages_name_the_settings(capsys):
    assert cli.main(["check", "--help"]) == 0
    words = "--center --unit-norm --weight-decay 0.0003 --rate 0.6 --rounds 8"
    assert words in " ".join(capsys.readouterr().out.split())
    for page in ("docs/quickstart.md", "CONTRIBUTING.md"):
        text = " ".join((ROOT / page).read_text(encoding="utf-8").split())
        assert words.replace("0.0003", "3e-4") in text, page


@pytest.fixture(scope="module")
def curves():
    """What the picture draws, of the theory and of the exact heads: (rounds, three curves)."""
    features = gramlab.load_features("digits").centered().unit_norm()
    k, decay, rounds = features.n_classes, DEMONSTRATION["weight_decay"], DEMONSTRATION["rounds"]
    noise = gramlab.corruption_matrix("symmetric", k, DEMONSTRATION["rate"])
    given = gramlab.corrupt_labels(features.labels, noise, seed=0).labels
    targets = gramlab.one_hot(given, k)

    def of(head):
        found = dynamics(
            gramlab.distill(head(decay), features, targets, rounds), given, features.labels
        )
        return np.array([(one.clean_true, one.flipped_true, one.flipped_given) for one in found])

    return of(gramlab.LinearizedHead), of(gramlab.SoftmaxHead)


def test_what_the_pages_say_of_the_picture_holds_for_all_of_its_curves(curves):
    """README, index and quickstart, beside what the heads are from their optima: 1e-4 or less."""
    theory, exact = curves
    for clean, flipped, given in (theory.T, exact.T):
        apart = clean - flipped
        assert np.all(apart > 0)
        assert np.all(np.diff(apart) < 0), "clean and mislabelled rows come together"
        assert np.all(flipped > 2 * given), "more than twice, from the teacher on"
    assert np.all(exact[:, :2] > theory[:, :2] + 0.01), "true labels get more than in theory"
    assert np.all(exact[:, 2] < theory[:, 2] - 1e-3), "wrong ones less"
    apart = exact[:, 0] - exact[:, 1]
    assert (round(apart[0], 3), round(apart[-1], 3)) == (0.053, 0.015)
    # Planted: exchanged, the two heads do not pass.
    assert not np.all(theory[:, :2] > exact[:, :2] + 0.01)
