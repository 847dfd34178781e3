"""Kernels on a device: the one eigendecomposition serves its heads too."""

from __future__ import annotations

import numpy as np
import pytest

from gramlab import Features, SoftmaxHead, one_hot


def test_a_device_takes_the_known_eigenvectors(monkeypatch):
    import jax.numpy as jnp

    def refuse(*_, **__):
        raise AssertionError("a second eigendecomposition")

    monkeypatch.setattr(jnp.linalg, "eigh", refuse)
    rng = np.random.default_rng(0)
    labels = np.arange(223) % 12
    x = 9.0 * rng.standard_normal((12, 190))[labels] + rng.standard_normal((223, 190))
    x *= np.geomspace(1, 1e-3, 190)
    targets = one_hot(labels, 12)
    plain, kernel = Features(x, labels), Features.from_gram(x @ x.T, labels)
    head = SoftmaxHead(1e-4)
    fit = head.fit(kernel, targets)
    assert fit.certificate.relative_gap <= 1e-8
    with pytest.raises(AssertionError, match="second"):
        head.fit(plain, targets)
