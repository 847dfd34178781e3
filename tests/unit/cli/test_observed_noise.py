"""--given and --truth: labels that were observed are judged as the same labels planted are."""

from __future__ import annotations

import csv
import json
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gramlab import cli, corrupt_labels, corruption_matrix

RATE = ("--noise", "asymmetric", "--rate", "0.3", "--seed", "5")
QUICK = ("--max-rounds", "1", "--no-recorrupt", "--folds", "3")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """clean.npz with true labels, noisy.npz with given ones, and both as files of their own."""
    path, rng = tmp_path_factory.mktemp("observed"), np.random.default_rng(0)
    labels, test = np.arange(90) % 3, np.arange(12) % 3
    centres = 1.5 * rng.standard_normal((3, 6))
    given = corrupt_labels(labels, corruption_matrix("asymmetric", 3, 0.3), seed=5).labels
    arrays: dict[str, Any] = {
        "train_features": centres[labels] + rng.standard_normal((90, 6)),
        "test_features": centres[test] + rng.standard_normal((12, 6)),
        "test_labels": test,
    }
    np.savez(path / "clean.npz", train_labels=labels, **arrays)
    np.savez(path / "noisy.npz", train_labels=given, **arrays)
    np.savez(path / "both.npz", given=given, truth=labels)
    (path / "given.txt").write_text("\n".join(map(str, given)) + "\n")
    return path


def found(capsys, *words: object) -> dict[str, Any]:
    assert cli.main([*map(str, words), "--json", "-"]) == 0
    return json.loads(capsys.readouterr().out)


def observed(capsys, folder: Path, verb: str, *words: object) -> dict[str, Any]:
    """The results with the labels beside the clean source, and the same beside the noisy one."""
    one = found(capsys, verb, folder / "clean.npz", "--given", folder / "given.txt", *words)
    other = found(capsys, verb, folder / "noisy.npz", "--truth", f"{folder}/both.npz:truth", *words)
    for results in (one, other):
        results.get("provenance", {}).pop("features", None)
        results.get("provenance", {}).pop("data_sha256", None)
    return one | {"source": None} if one | {"source": None} == other | {"source": None} else {}


def test_transition_is_judged_by_the_matrix_that_was_realized(folder, capsys):
    words = ["--weight-decay", "1e-2", "--folds", "3", "--rounds", "2"]
    planted = found(capsys, "transition", folder / "clean.npz", *RATE, *words)
    seen = observed(capsys, folder, "transition", *words, "--seed", "5")
    assert seen["estimate"] == planted["estimate"]
    with np.load(folder / "both.npz") as file:
        given, true = file["given"], file["truth"]
    share = [[float((given[true == k] == j).mean()) for j in range(3)] for k in range(3)]
    assert seen["trial"]["truth"] == share
    rate = float((given != true).mean())
    assert (seen["settings"]["noise"], seen["settings"]["rate"]) == ("observed", rate)
    assert seen["trial"]["noise_rate"] == pytest.approx(rate, rel=1e-15)


@pytest.mark.parametrize("decays", ["1e-2", "1e-2,1e-1"])
def test_check_finds_what_it_finds_in_planted_noise(decays, folder, capsys):
    words = ["--weight-decay", decays, "--rounds", "2", "--seed", "5"]
    planted = found(capsys, "check", folder / "clean.npz", *RATE[:4], *words)
    seen = observed(capsys, folder, "check", *words)
    part = "cells" if "," in decays else "rounds"
    assert seen[part] == planted[part]
    assert seen["data"] == planted["data"]
    assert seen["settings"] == planted["settings"] | {
        "noise": "observed",
        "rate": planted["data"]["realized_rate"],
    }


def test_diagnose_finds_what_it_finds_in_planted_noise(folder, capsys):
    planted = found(capsys, "diagnose", folder / "clean.npz", *RATE, *QUICK)
    seen = observed(capsys, folder, "diagnose", "--seed", "5", *QUICK)
    for part in ("advice", "suspects", "trial", "tried", "fits"):
        assert seen[part] == planted[part], part
    assert seen["trial"]["realized_rate"] == seen["settings"]["rate"] > 0.2
    assert seen["settings"]["noise"] == "observed"


@pytest.mark.parametrize("recipe", ["fig6a", "approximation", "block", "ablation"])
def test_a_study_has_observed_noise_as_its_one_draw(recipe, folder, tmp_path, capsys):
    words = ["--recipe", recipe, "--weight-decay", "1e-2", "--seeds", "5"]
    words += [] if recipe == "ablation" else ["--rounds", "2"]
    plan = [*words, "--noise", "asymmetric", "--rates", "0.3", "--out", tmp_path / "planted"]
    planted = found(capsys, "study", folder / "clean.npz", *plan)
    out = ["--given", folder / "given.txt", "--out", tmp_path / "seen"]
    seen = found(capsys, "study", folder / "clean.npz", *words[:4], *words[6:], *out)
    rate = max(row["realized_rate"] for row in seen["rows"] if (row.get("share") or 1.0) == 1.0)
    ours = {"noise": "observed", "rate": rate, "seed": 0}
    assert seen["settings"]["rates"] == [rate]
    # Ties, and what the published losses start from, are drawn from the seed; which rows of a
    # share are kept is not, but the labels that are planted in them are drawn anew.
    drawn = ("top2-gce", "top2-ce", "ablation")
    pairs = zip(seen["rows"], planted["rows"], strict=True)
    for row, same in pairs:
        assert {name: row[name] for name in ours} == ours
        if row["method"] not in drawn and (row.get("share") or 1.0) == 1.0:
            assert row == same | ours
    assert {row["noise"] for row in seen["rows"]} == {"observed"}
    assert "--given given.txt --recipe" in seen["command"]
    assert not {"--noise", "--rates", "--seeds"} & {*shlex.split(seen["command"])}


def test_other_given_labels_are_other_cells(folder, tmp_path, capsys):
    words = ["--recipe", "fig6a", "--weight-decay", "1e-2", "--rounds", "1", "--methods", "distill"]
    keep = ["--cells", tmp_path / "cells"]
    with np.load(folder / "both.npz") as file:
        swapped = file["given"].copy()
    wrong = np.flatnonzero(swapped != np.arange(90) % 3)
    i, j = wrong[0], next(row for row in wrong if swapped[row] != swapped[wrong[0]])
    swapped[[i, j]] = np.arange(90)[[i, j]] % 3
    right = np.flatnonzero(swapped == np.arange(90) % 3)[:2]
    swapped[right] = (swapped[right] + 1) % 3
    np.save(tmp_path / "swapped.npy", swapped)
    rows = [
        found(capsys, "study", folder / "clean.npz", *words, *keep, "--given", file, "--out", out)
        for file, out in (
            (folder / "given.txt", tmp_path / "a"),
            (tmp_path / "swapped.npy", tmp_path / "b"),
        )
    ]
    assert rows[0]["rows"][0]["rate"] == rows[1]["rows"][0]["rate"], "told apart by labels alone"
    assert rows[0]["rows"] != rows[1]["rows"]


VERBS = {
    "check": ["--rounds", "1"],
    "transition": ["--folds", "2"],
    "diagnose": [*QUICK],
    "study": ["--recipe", "fig6a", "--dry-run"],
}


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--given", "both.npz"], "'both.npz' needs the name of one, it holds given, truth"),
        (["--given", "both.npz:worse"], "has no array 'worse', it holds given, truth"),
        (["--truth", "short.txt"], "one label for each of 90 training rows, got 2"),
        (["--given", "odd.npy"], "by number from 0 to 2, got '7' in row 4"),
        (["--given", "given.txt", "--truth", "given.txt"], "must not stand together, got both"),
        (["--given", "given.txt", "--json", "given.txt"], "expected --json apart from what is"),
        (["--given", "both.npz:given", "--json", "both.npz"], "expected --json apart from what"),
        (["--given", ""], "--given must be a path or name, got ''"),
    ],
)
def test_what_is_refused_is_one_line(verb, words, said, folder, capsys, monkeypatch):
    monkeypatch.chdir(folder)
    (folder / "short.txt").write_text("1\n2\n")
    odd = np.arange(90) % 3
    odd[4] = 7
    np.save(folder / "odd.npy", odd)
    assert cli.main([verb, "clean.npz", *VERBS[verb], *words]) == 2
    captured = capsys.readouterr()
    assert said in captured.err
    assert captured.err.count("\n") == 1
    assert captured.out == ""


@pytest.mark.parametrize(
    ("verb", "words", "said"),
    [
        ("check", ["--rate", "0.3"], "--given must stand without --noise, --rate, --noise-matrix"),
        ("check", ["--exact-counts"], "got --exact-counts beside it"),
        ("transition", ["--noise", "symmetric"], "got --noise beside it"),
        ("diagnose", ["--rate", "0.3"], "--given must stand without --noise and --rate, got"),
        ("study", ["--rates", "0.3"], "--given must stand without --noise, --rates and --seeds"),
        ("study", ["--seeds", "1"], "got --seeds beside it"),
    ],
)
def test_planted_noise_has_no_place_beside_it(verb, words, said, folder, capsys):
    given = ["--given", str(folder / "given.txt")]
    assert cli.main([verb, str(folder / "clean.npz"), *VERBS[verb], *given, *words]) == 2
    assert said in capsys.readouterr().err


def test_pages_say_that_a_file_of_labels_goes_with_the_command(folder, tmp_path):
    for verb in ("check", "diagnose"):
        words = [str(folder / "clean.npz"), *VERBS[verb], "--given", str(folder / "given.txt")]
        assert cli.main([verb, *words, "--out", str(tmp_path / verb), "--quiet"]) == 0
        page = (tmp_path / verb / "report.html").read_text()
        assert "# with --given FILE, or --truth FILE" in page
        assert "--noise observed" not in page


# ---- diagnose of files of other tools ---------------------------------------------------------


def test_tables_call_rows_as_the_file_does(folder, tmp_path):
    with np.load(folder / "noisy.npz") as file:
        x, y = file["train_features"], file["train_labels"]
    lines = ["photo,kind," + ",".join("abcdef")]
    lines += [
        f"p{i}.jpg,{'uvw'[k]}," + ",".join(map(str, r))
        for i, (r, k) in enumerate(zip(x, y, strict=True))
    ]
    lines.insert(1, "lone.jpg,t,1,2,3,4,5,6")
    (tmp_path / "t.csv").write_text("\n".join(lines) + "\n")
    out = tmp_path / "out"
    words = ["--label-column", "kind", "--id-column", "photo", *QUICK, "--quiet"]
    assert cli.main(["diagnose", str(tmp_path / "t.csv"), *words, "--out", str(out)]) == 0
    with open(out / "suspects.csv", newline="") as file:
        suspects = list(csv.DictReader(file))
    with open(out / "labels.csv", newline="") as file:
        labels = list(csv.DictReader(file))
    assert len(labels) == 91
    assert labels[0] == {
        "id": "lone.jpg",
        "is_label_issue": "False",
        "label_quality": "",
        "given_label": "",
        "predicted_label": "",
        "set_aside": "only row of its class",
        "predicted_probability": "",
    }
    assert suspects
    for row in suspects:
        assert row["id"] == f"p{int(row['row']) - 1}.jpg" == labels[int(row["row"])]["id"]
        assert labels[int(row["row"])]["is_label_issue"] == "True"
        assert row["given_name"] == row["given_label"] == "uvw"[y[int(row["row"]) - 1]]
    results = json.loads((out / "results.json").read_text())
    assert results["data"]["set_aside"] == {"only row of its class": [0]}
    assert results["data"]["class_names"] == list("uvw")
    assert [row["row"] for row in results["suspects"]["rows"]] == [int(r["row"]) for r in suspects]
    assert results["data"]["set_aside_ids"] == {"only row of its class": ["lone.jpg"]}
    assert (
        "set aside: 1 (only row of its class): 0 (lone.jpg)." in (out / "report.html").read_text()
    )


def test_labels_from_a_file_are_those_of_the_source(folder, tmp_path, capsys):
    with np.load(folder / "noisy.npz") as file:
        np.save(tmp_path / "x.npy", file["train_features"])
    labels = ["--labels", f"{folder}/both.npz:given"]
    own = found(capsys, "diagnose", tmp_path / "x.npy", *labels, *QUICK)
    same = found(capsys, "diagnose", folder / "noisy.npz", *QUICK)
    assert own["suspects"] == same["suspects"]
