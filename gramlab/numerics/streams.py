"""Random streams: explicit integer seeds, the same draws on every machine.

Random draws are counter-based: word i of a Philox-4x64-10 stream (Salmon et al., "Parallel random
numbers: as easy as 1, 2, 3", SC 2011) keyed by (seed, purpose). Only raw 64-bit words are used,
turned into numbers by integer shifts, so one seed gives the same labels on every machine.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

MAX_SEED = 2**64 - 1


def stream(seed: int, purpose: int) -> np.random.Philox:
    """Return the Philox stream of a seed and a purpose, at counter 0."""
    return np.random.Philox(key=np.array([seed, purpose], dtype=np.uint64))


def uniforms(words: npt.NDArray[np.uint64]) -> npt.NDArray[np.float64]:
    """Words as numbers in [0, 1), multiples of 2⁻⁵³."""
    return (words >> np.uint64(11)).astype(np.float64) * 2.0**-53
