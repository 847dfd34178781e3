"""What features hold and where they come from, as plain data."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from importlib import metadata
from typing import Any

import numpy as np

from gramlab.features import Features
from gramlab.features.preparation import constant_step
from gramlab.machine import hardware

__all__ = ["describe_features", "describe_run", "format_width"]


def describe_features(features: Features) -> dict[str, Any]:
    """Sizes, classes, norms of rows, fingerprint and provenance, for a first look.

    Rows are read in blocks, so features that are mapped from a file stay there.
    """
    norms = np.concatenate([np.linalg.norm(block, axis=1) for _, block in features.blocks()])
    return {
        "source": features.provenance["source"],
        "n_samples": features.n_samples,
        "n_features": features.n_features,
        "n_classes": features.n_classes,
        "n_test": 0 if features.test_x is None else len(features.test_x),
        "dtype": str(features.x.dtype),
        "bytes": features.x.nbytes,
        "class_names": list(features.class_names),
        "class_counts": features.class_counts,
        "superclasses": features.superclasses,
        "norms": {"min": norms.min(), "mean": norms.mean(), "max": norms.max()},
        "fingerprint": features.fingerprint,
        "provenance": features.provenance,
    }


def format_width(provenance: Mapping[str, Any], n_features: int) -> str:
    """What rows are, in words: "d = 64", or the rank of their kernel and how near they are to it.

    ``provenance`` is that of ``Features``, whose constant column is counted apart.
    """
    step = constant_step(provenance)
    more = "" if step is None else f" and the constant {step['intercept_scaling']:g}"
    kernel = next((step for step in provenance["steps"] if step["step"] == "from_gram"), None)
    if kernel is None:
        return f"d = {n_features - bool(more)}{more}"
    near = f"its Gram matrix to {kernel['gram_distance']:.1e}"
    if "test_distance" in kernel:  # large where the test values are of another kernel
        near += f", its test values to {kernel['test_distance']:.1e}"
    return f"a kernel of rank {kernel['rank']}{more} ({near})"


def describe_run(features: Features, seed: int) -> dict[str, Any]:
    """What the numbers of a run depend on besides its settings: data, device, versions."""
    packages = ("gramlab", "numpy", "scipy", "jax")
    return {
        "features": features.provenance,
        "data_sha256": features.fingerprint,
        "seed": seed,
        "dtype": "float64",
        "device": hardware.describe(),
        "versions": {
            "python": platform.python_version(),
            **{name: metadata.version(name) for name in packages},
        },
    }
