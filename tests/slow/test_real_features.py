"""The chain on real cached features (GRAMLAB_DATA); skipped with a reason without them."""

from __future__ import annotations

import numpy as np
import pytest

import gramlab
from gramlab.check import CheckSettings, run_check

pytestmark = pytest.mark.data


def opened(folder, name):
    path = folder / name
    if not path.is_file():
        pytest.skip(f"{name} is not in {folder}")
    return gramlab.load_features(path)


def test_fifty_thousand_rows_certified(data_folder):
    features = opened(data_folder, "cifar10_resnet56cifar.npz")
    result = run_check(features, CheckSettings(rounds=2))
    for found, fit in zip(result.comparison, result.exact, strict=True):
        assert fit.certificate.relative_gap <= 1e-8
        assert found.certified.undecided <= 0.01
        assert found.recursion_error <= found.recursion_tolerance


def test_superclasses_of_groceries(data_folder):
    features = opened(data_folder, "grocery81_mobilenetv2.npz").centered().unit_norm()
    found = gramlab.class_correlations(features)
    assert found.superclass is not None
    # Measured for the data set's own notes: same class 0.44, same coarse class 0.29, else -0.01.
    assert np.round([found.within[0], found.superclass[0], found.between[0]], 1).tolist() == [
        0.4,
        0.3,
        0.0,
    ]


def test_caltech_teacher_is_certified(data_folder):
    features = opened(data_folder, "caltech101_mobilenetv2.npz").centered().unit_norm()
    given = gramlab.corrupt_labels(
        features.labels, gramlab.corruption_matrix("symmetric", 101, 0.5), seed=0
    )
    targets = gramlab.one_hot(given.labels, 101)
    fit = gramlab.SoftmaxHead(1e-4, certified_share=0.99).fit(features, targets)
    assert fit.certificate.relative_gap <= 1e-8
    accuracy = (fit.predict(features.test_x) == features.test_labels).mean()
    # Centred unit features at this weight decay: about 91 % (±2 points over draws of the noise).
    assert 0.88 < accuracy < 0.94
