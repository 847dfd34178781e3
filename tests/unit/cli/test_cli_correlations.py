"""``gramlab correlations``: its numbers, its files, its table, and how it refuses."""

from __future__ import annotations

import json
import math
import re
import shlex
from typing import get_args

import numpy as np
import pytest

from gramlab import cli
from gramlab.check.correlations import measure_correlations
from gramlab.cli import correlations as verb
from gramlab.features import Features
from gramlab.files.sources import load_features
from gramlab.numerics.content import to_json
from gramlab.numerics.rounding import UNIT_ROUNDOFF
from gramlab.population.block_fit import fit_block_model
from gramlab.spectrum import Spectrum
from gramlab.spectrum.correlations import class_correlations, class_subspace_angles
from gramlab.spectrum.superclasses import METHODS, find_superclasses

GROUPS = np.array([0, 0, 1, 1, 2])


def write_source(path, *, d: int = 12, groups=GROUPS, **changes):
    """Five classes, in pairs that resemble each other; ``changes`` replace arrays."""
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 5
    parents = 2.0 * rng.standard_normal((3, d))[GROUPS] + rng.standard_normal((5, d))
    arrays = {
        "train_features": parents[labels] + 0.8 * rng.standard_normal((60, d)) + 1.0,
        "train_labels": labels,
        "class_names": np.array(["ant", "bee", "cod", "dab", "elm"]),
    } | changes
    if groups is not None:
        arrays["coarse_of_class"] = groups
    np.savez(path, **arrays)
    return str(path)


@pytest.fixture
def source(tmp_path_factory) -> str:
    return write_source(tmp_path_factory.mktemp("source") / "tiny.npz")


def found(capsys, *arguments: str) -> dict:
    assert cli.main(["correlations", *arguments, "--json", "-"]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    return json.loads(captured.out)


@pytest.mark.parametrize("center", [True, False])
def test_the_numbers_are_those_of_dense_cosines(source, center, capsys):
    result = found(capsys, source, *([] if center else ["--no-center"]))
    with np.load(source) as arrays:
        x, labels = arrays["train_features"], arrays["train_labels"]
    x = x - x.mean(axis=0) if center else x
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    gram, off = unit @ unit.T, ~np.eye(60, dtype=bool)
    same = labels[:, None] == labels
    close = 100 * 60 * UNIT_ROUNDOFF
    of_class = {"true": GROUPS, "found": np.array(result["found_superclass_of_class"])}
    wanted = {"within": same & off, "other_class": ~same}
    for kind, groups in of_class.items():
        near = groups[labels][:, None] == groups[labels]
        wanted |= {f"{kind}_superclass": near & ~same, f"{kind}_between": ~near}
    for key, where in wanted.items():
        assert abs(result[f"{key}_mean"] - gram[where].mean()) <= close, key
        # A standard deviation, not a variance; the square root is taken of a difference.
        assert abs(result[f"{key}_standard_deviation"] ** 2 - gram[where].var()) <= close, key
    # The spectrum and the distance, from the dense Gram matrix.
    values = np.linalg.eigvalsh(gram)[::-1]
    assert abs(result["largest_eigenvalue"] - values[0]) <= result["gap_error_at_most"]
    assert abs(result["gap_after_k"] - (values[4] - values[5])) <= result["gap_error_at_most"]
    near = GROUPS[labels][:, None] == GROUPS[labels]
    levels = [gram[wanted[w]].mean() for w in ("within", "true_superclass", "true_between")]
    block = np.where(same, levels[0], np.where(near, levels[1], max(levels[2], 0.0)))
    block[np.diag_indices(60)] = 1.0
    distance = np.linalg.norm(gram - block, 2)
    assert abs(result["true_block_distance"] - distance) <= close * values[0]
    relative = result["true_block_distance_relative"]
    assert abs(relative - distance / values[0]) <= close
    assert result["true_block_distance"] <= result["true_block_distance_at_most"]
    means = {
        (a, b): gram[np.ix_(labels == a, labels == b)].mean() for a in range(5) for b in range(a)
    }
    best = sorted(means.values(), reverse=True)
    shown = [pair["correlation"] for pair in result["closest_pairs"]]
    assert len(shown) == 10
    assert np.abs(np.array(shown) - best).max() <= close


def test_the_numbers_are_those_of_the_library(source, capsys):
    result = found(capsys, source, "--superclass-method", "authors", "--cut", "0.7")
    with np.load(source) as arrays:
        features = Features(
            arrays["train_features"], arrays["train_labels"], superclasses=GROUPS
        ).centered()
    features = features.unit_norm()
    matrix = class_correlations(features).matrix
    groups = find_superclasses(matrix, method="authors", cut=0.7)
    assert result["found_superclass_of_class"] == groups.labels.tolist()
    assert result["superclass_threshold"] == groups.threshold
    assert (result["superclass_method"], result["superclass_cut"]) == ("authors", 0.7)
    assert result["principal_angles"] == class_subspace_angles(features).tolist()
    assert result["gap_after_k"] == Spectrum.of(features).gap(5)
    assert result["true_block_distance"] == fit_block_model(features).distance


def test_python_finds_what_the_command_finds(source, capsys):
    result = found(capsys, source, "--no-center")
    assert result.pop("source") == "tiny.npz"
    stages = []
    measured = measure_correlations(load_features(source), center=False, stage=stages.append)
    assert json.loads(to_json(measured.as_dict())) == result
    assert stages == ["class correlations", "spectrum", "distance to a block model"]
    assert len(measured.as_dict(pairs=3)["closest_pairs"]) == 3
    assert measured.true is not None
    assert measured.true.fit.distance == result["true_block_distance"]


def test_the_true_superclasses_are_found_where_they_are_plain(source, capsys):
    result = found(capsys, source, "--cut", "0.6")
    assert result["found_superclass_members"] == [["ant", "bee"], ["cod", "dab"], ["elm"]]
    assert result["adjusted_rand_index"] == 1.0
    assert (result["n_found_superclasses"], result["n_true_superclasses"]) == (3, 3)
    for key in ("superclass_mean", "between_mean", "block_distance"):
        assert result[f"found_{key}"] == result[f"true_{key}"]


def test_json_is_flat_and_the_same_twice(source, tmp_path, capsys):
    for name in ("a", "b"):
        assert cli.main(["correlations", source, "--out", str(tmp_path / name)]) == 0
        text = capsys.readouterr().out
        assert f"Wrote results.json and 3 figures to {tmp_path / name}\n" in text
        assert max(map(len, text.splitlines()[:-1])) <= 80
    files = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert files == [
        "class_angles.png",
        "class_correlations.png",
        "eigenvalue_gap.png",
        "results.json",
    ]
    for name in files:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    result = json.loads((tmp_path / "a" / "results.json").read_text())
    assert not any(isinstance(value, dict) for value in result.values())


@pytest.mark.parametrize(("kind", "start"), [("pdf", b"%PDF-"), ("svg", b"<?xml")])
def test_figures_are_of_the_kind_asked_for(source, tmp_path, capsys, kind, start):
    command = ["correlations", source, "--figure-format", kind, "--out", str(tmp_path)]
    assert cli.main(command) == 0
    capsys.readouterr()
    stems = ("class_angles", "class_correlations", "eigenvalue_gap")
    assert {path.name for path in tmp_path.iterdir()} == {
        "results.json",
        *(f"{stem}.{kind}" for stem in stems),
    }
    for stem in stems:
        assert (tmp_path / f"{stem}.{kind}").read_bytes().startswith(start)
    assert cli.main([*command, "--figure-format", "jpg"]) == 2
    assert "--figure-format" in capsys.readouterr().err


def test_the_table_holds_what_the_json_holds(source, capsys):
    result = found(capsys, source, "--cut", "0.6")
    assert cli.main(["correlations", source, "--cut", "0.6"]) == 0
    text = capsys.readouterr().out
    for key in ("within", "other_class", "found_superclass", "true_between"):
        mean, spread = result[f"{key}_mean"], result[f"{key}_standard_deviation"]
        assert re.search(rf" {mean:.4f} +{spread:.4f}$", text, re.MULTILINE), key
    for words in (
        "   0  ant, bee\n",
        "adjusted Rand index 1.000 against the 3 true ones",
        f"{math.degrees(result['principal_angles'][0]):.1f}° to ",
        f"‖G − B‖ = {result['true_block_distance']:.4g} with the true superclasses",
        "Nothing was written; --out DIR",
    ):
        assert " ".join(words.split()) in " ".join(text.split()), words


def test_without_true_superclasses_there_is_nothing_to_compare_with(tmp_path, capsys):
    source = write_source(tmp_path / "plain.npz", groups=None)
    result = found(capsys, source)
    assert all(value is None for key, value in result.items() if key.startswith("true_"))
    assert result["adjusted_rand_index"] is result["n_true_superclasses"] is None
    assert cli.main(["correlations", source]) == 0
    text = capsys.readouterr().out
    assert "true" not in text
    assert "Rand" not in text


def test_more_classes_than_directions_leave_the_angles_out(tmp_path, capsys):
    source = write_source(tmp_path / "narrow.npz", d=3)
    result = found(capsys, source, "--out", str(tmp_path / "out"))
    assert result["principal_angles"] is None
    assert result["gap_after_k"] == 0.0
    assert not (tmp_path / "out" / "class_angles.png").exists()
    assert cli.main(["correlations", source]) == 0
    assert "are not determined" in capsys.readouterr().out


def test_one_superclass_of_all_leaves_nothing_between(source, capsys):
    result = found(capsys, source, "--cut", "1")
    assert result["n_found_superclasses"] == 1
    assert result["found_between_mean"] is None
    assert cli.main(["correlations", source, "--cut", "1"]) == 0
    assert re.search(r"^e  another found superclass +- +-$", capsys.readouterr().out, re.MULTILINE)


def test_quiet_writes_files_and_no_words(source, tmp_path, capsys):
    out = ["--out", str(tmp_path), "--json", str(tmp_path / "again.json")]
    assert cli.main(["correlations", source, "--quiet", *out]) == 0
    assert capsys.readouterr() == ("", "")
    assert (tmp_path / "again.json").read_bytes() == (tmp_path / "results.json").read_bytes()


def test_the_methods_are_those_of_the_library():
    assert list(get_args(verb.SuperclassMethod)) == list(METHODS)


@pytest.mark.parametrize("example", verb.EXAMPLES)
def test_the_examples_are_understood(example, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_source(tmp_path / "features.npz")
    assert cli.main(shlex.split(example)[1:]) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--cut", "0"], "--cut must be finite and greater than 0"),
        (["--cut", "1.5"], "--cut must be at most 1, got 1.5"),
        (["--superclass-method", "ward"], "'ward' is not one of"),
    ],
)
def test_a_bad_setting_is_one_line(arguments, words, source, tmp_path, capsys):
    out = tmp_path / "out"
    assert cli.main(["correlations", source, *arguments, "--out", str(out)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert words in captured.err
    assert captured.err.count("\n") == 1
    assert not out.exists()


def test_a_class_without_rows_is_named(tmp_path, capsys):
    names = np.array(["ant", "bee", "cod", "dab", "elm", "fir"])
    source = write_source(tmp_path / "six.npz", class_names=names, groups=None)
    assert cli.main(["correlations", source, "--out", str(tmp_path / "out")]) == 2
    captured = capsys.readouterr()
    assert "for class 5" in captured.err
    assert captured.err.count("\n") == 1
    assert not (tmp_path / "out").exists()
