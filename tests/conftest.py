"""Problems built from their answer, and the folder of real features where there is one."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

from gramlab.features import Features

settings.register_profile("thorough", max_examples=2000, deadline=None)
settings.register_profile("few", max_examples=10, deadline=None)
_EVERY_RUN = settings().max_examples

_ROOT = Path(__file__).resolve().parents[1]

# What the tests compile is kept for the processes of this session, and not in anybody's home.
if "PYTEST_XDIST_WORKER" not in os.environ:
    _CACHES = tempfile.TemporaryDirectory(prefix="gramlab-tests-")
    os.environ["XDG_CACHE_HOME"] = _CACHES.name
    atexit.register(_CACHES.cleanup)


# For ``hypothesis.find``: what is looked for is there, whatever a profile asks of properties.
SEARCH = settings(max_examples=2000, deadline=None, database=None)


def examples(count: int) -> settings:
    """``count`` examples in every run, and as many as a profile asks for where one was chosen.

    A number in a test's own ``settings`` would be its number in every profile.
    """
    asked = settings().max_examples
    return settings(max_examples=count if asked == _EVERY_RUN else asked, deadline=None)


def orthonormal(rows: int, columns: int, rng: np.random.Generator) -> np.ndarray:
    """A random matrix with orthonormal columns (rows >= columns)."""
    return np.linalg.qr(rng.standard_normal((rows, columns)))[0]


def with_spectrum(
    singular_values: np.ndarray, n: int, d: int, rng: np.random.Generator
) -> np.ndarray:
    """X (n, d) with prescribed singular values, otherwise random."""
    r = len(singular_values)
    return orthonormal(n, r, rng) * singular_values @ orthonormal(d, r, rng).T


def problem(
    n: int, d: int, k: int, seed: int, *, scale: float = 1.0, soft: bool = True
) -> tuple[Features, np.ndarray]:
    """Features and soft targets, with class structure."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % k
    x = scale * (rng.standard_normal((k, d))[labels] + 0.7 * rng.standard_normal((n, d)))
    targets = rng.dirichlet(np.full(k, 0.5), n) if soft else np.eye(k)[labels]
    return Features(x, labels, n_classes=k), targets


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """Real cached features, if they are at hand: GRAMLAB_DATA, or shared/data beside the clone."""
    folder = Path(os.environ.get("GRAMLAB_DATA") or _ROOT.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"no real features at {folder}: set GRAMLAB_DATA to their folder")
    return folder


@pytest.fixture(scope="session")
def coqc() -> str:
    """The compiler of Rocq proofs; without it a test is skipped, but never where all must run."""
    found = shutil.which("coqc")
    if found is None and os.environ.get("CI") != "true":
        pytest.skip("no coqc: apt-get install coq libcoq-coquelicot libcoq-interval")
    assert found is not None, "CI=true asks for all tests, and coqc is missing"
    return found
