"""Kernel values in ``.npz`` files: read as what they are, on the command line too."""

from __future__ import annotations

import json

import numpy as np
import pytest

from gramlab import cli, load_features
from gramlab.errors import GramAsFeaturesWarning, InvalidFeatures, InvalidLabels, UnreadableSource

N, K = 40, 4


def rows() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(4)
    centres = rng.standard_normal((K, 6))
    return tuple(centres[np.arange(n) % K] + 0.6 * rng.standard_normal((n, 6)) for n in (N, 12))


def write(path, **changes):
    x, test = rows()
    arrays = {
        "train_gram": x @ x.T,
        "train_labels": np.arange(N) % K,
        "test_gram": test @ x.T,
        "test_labels": np.arange(12) % K,
        "test_diagonal": np.square(test).sum(axis=1),
    } | changes
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})
    return path


def test_a_kernel_file_is_a_kernel(tmp_path):
    x, test = rows()
    names = np.array(["a", "b", "c", "d"])
    path = write(tmp_path / "k.npz", class_names=names, superclasses=np.array([0, 0, 1, 1]))
    features = load_features(path)
    assert features.is_gram
    assert features.provenance["source"] == "k.npz"
    assert features.class_names == ("a", "b", "c", "d")
    assert features.superclasses.tolist() == [0, 0, 1, 1]
    assert np.linalg.norm(features.x @ features.x.T - x @ x.T) <= features.gram_distance
    assert np.allclose(np.linalg.norm(features.test_x, axis=1), np.linalg.norm(test, axis=1))


@pytest.mark.parametrize(
    ("changes", "error", "said"),
    [
        ({"train_features": np.eye(N)}, UnreadableSource, "features: 'train_features'; save it"),
        ({"clean_labels": np.zeros(N)}, UnreadableSource, "features: 'clean_labels'; save it"),
        ({"train_gram": None}, UnreadableSource, "lacks train_gram, it has test_diagonal, "),
        ({"train_labels": None}, UnreadableSource, "lacks train_labels or labels or y"),
        ({"test_labels": None}, InvalidLabels, "in 'k.npz': test_gram and test_labels go together"),
        ({"train_gram": -np.eye(N)}, InvalidFeatures, "in 'k.npz': gram must be positive semidef"),
    ],
)
def test_what_is_no_kernel_is_named_with_the_file(tmp_path, changes, error, said):
    path = write(tmp_path / "k.npz", **changes)
    with pytest.raises(error) as caught:
        load_features(path)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_gram_matrix_under_the_name_of_features_is_told(tmp_path):
    x, _ = rows()
    np.savez(tmp_path / "k.npz", train_features=x @ x.T, train_labels=np.arange(N) % K)
    with pytest.warns(GramAsFeaturesWarning, match=r"train_gram in an \.npz file"):
        load_features(tmp_path / "k.npz")


def test_the_command_line_tells_it_in_one_line(tmp_path, capsys):
    x, _ = rows()
    np.savez(tmp_path / "k.npz", train_features=x @ x.T, train_labels=np.arange(N) % K)
    assert cli.main(["features", "info", str(tmp_path / "k.npz")]) == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("gramlab: warning: x is a symmetric 40 x 40 matrix")


@pytest.mark.parametrize("verb", ["check", "correlations"])
def test_verbs_say_of_a_kernel_what_they_say_of_its_features(tmp_path, capsys, verb):
    x, test = rows()
    labels = {"train_labels": np.arange(N) % K, "test_labels": np.arange(12) % K}
    np.savez(tmp_path / "f.npz", train_features=x, test_features=test, **labels)
    write(tmp_path / "k.npz")
    more = ["--rounds", "2", "--center", "--unit-norm"] if verb == "check" else []
    texts, results = [], []
    for name in ("f.npz", "k.npz"):
        out = tmp_path / "out.json"
        assert cli.main([verb, str(tmp_path / name), *more, "--json", str(out)]) == 0
        texts.append(" ".join(capsys.readouterr().out.split()))
        results.append(json.loads(out.read_text()))
    assert "d = 6, K = 4" in texts[0]
    assert "a kernel of rank 6 (its Gram matrix to " in texts[1]
    if verb == "check":
        for one, other in zip(*(found["rounds"] for found in results), strict=True):
            assert one["linearized"] == other["linearized"]
            assert one["exact"]["label_recovery"] == other["exact"]["label_recovery"]
            assert one["exact"]["test_accuracy"] == other["exact"]["test_accuracy"]
            # Rows of norm 1: a probability moves by less than the weights.
            apart = abs(one["distance"]["max_abs"] - other["distance"]["max_abs"])
            assert apart <= sum(row["chain"]["weights_bound"] for row in (one, other)) < 1e-2
    else:
        for key in ("within_mean", "other_class_mean", "largest_eigenvalue", "gap_after_k"):
            assert results[0][key] == pytest.approx(results[1][key], rel=1e-12)


@pytest.mark.parametrize("verb", ["correlations", "transition"])
def test_verbs_that_read_training_rows_alone_need_no_diagonal_of_the_test_points(
    tmp_path, capsys, verb
):
    found = []
    for diagonal in ({}, {"test_diagonal": None}):
        path = write(tmp_path / "k.npz", **diagonal)
        assert cli.main([verb, str(path), "--json", "-"]) == 0
        result = json.loads(capsys.readouterr().out)
        if verb == "transition":
            found.append(np.ravel(result["estimate"]["matrix"]))
        else:
            found.append([result["within_mean"], result["largest_eigenvalue"]])
    assert np.allclose(*found)
