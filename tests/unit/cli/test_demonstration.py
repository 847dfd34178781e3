"""The digits as a demonstration: settings of their own where none are given, and what they show."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from conftest import problem

import gramlab
from gramlab import cli
from gramlab.check import CheckSettings, run_check
from gramlab.cli.check import DEMONSTRATION
from gramlab.errors import GramlabError

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def asked(monkeypatch, capsys):
    """The settings that a command line comes to; the check itself is not run."""

    def of(*arguments: str) -> CheckSettings:
        seen = []

        def stop(features, settings, progress, **beside):
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


def test_the_first_line_says_preparation_and_what_was_chosen(monkeypatch, capsys):
    few, _ = problem(30, 4, 3, seed=0)  # in place of the digits
    monkeypatch.setattr(
        "gramlab.check.run_check", lambda _, *how, **beside: run_check(few, *how, **beside)
    )

    def first(*options: str) -> str:
        assert cli.main(["check", "digits", "--rounds", "1", "--rate", "0.3", *options]) == 0
        return " ".join(capsys.readouterr().out.partition("Gram spectrum")[0].split())

    chosen = "Set for this demonstration, as not given: --center --unit-norm --weight-decay 0.0003."
    assert first().startswith("digits (centred, unit norm): N = 30")
    assert first().endswith(f"weight decay 0.0003. {chosen}")
    own = first("--no-center", "--no-unit-norm", "--weight-decay", "1e-2")
    assert own.startswith("digits (raw): N = 30")
    assert own.endswith("weight decay 0.01.")


def test_help_and_pages_name_the_settings(capsys):
    assert cli.main(["check", "--help"]) == 0
    words = "--center --unit-norm --weight-decay 0.0003 --rate 0.6 --rounds 8"
    assert words in " ".join(capsys.readouterr().out.split())
    for page in ("docs/quickstart.md", "CONTRIBUTING.md"):
        text = " ".join((ROOT / page).read_text(encoding="utf-8").split())
        assert words.replace("0.0003", "3e-4") in text, page


def test_correlations_look_at_what_check_sees_when_both_prepare_alike(capsys):
    """The command that the help names: same rows, so the same cosines and gap to rounding."""
    assert cli.main(["correlations", "digits", "--json", "-", "--quiet"]) == 0
    theirs = json.loads(capsys.readouterr().out)
    features = gramlab.load_features("digits").centered().unit_norm()
    spectrum = gramlab.Spectrum.of(features)
    known = 2 * spectrum.certificate.eigenvalue_error
    assert abs(theirs["gap_after_k"] - spectrum.gap(10)) <= known + theirs["gap_error_at_most"]
    for argv, words in (
        (["correlations", "digits"], "digits (centred, unit norm)"),
        (["correlations", "digits", "--no-center"], "digits (unit norm)"),
    ):
        assert cli.main(argv) == 0
        assert capsys.readouterr().out.startswith(words)
