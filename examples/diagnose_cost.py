"""What a diagnosis costs: seconds and peak memory by stage, on made-up features.

Seconds are those of the clock, and in brackets those of all cores together.

    python examples/diagnose_cost.py 20000 512 20

The rows are those of Gaussian classes of unequal spread, with 30 % class-dependent noise in their
labels. The last line compares the peak of resident memory with what was resident before the
diagnosis, in units of the bytes of the features in float64. Peaks by stage are read on Linux alone.
"""

from __future__ import annotations

import resource
import sys
import time
from pathlib import Path

import numpy as np

import gramlab
from gramlab.diagnosis import DiagnosisSettings, diagnose
from gramlab.machine.memory import format_bytes


def made_up(n: int, d: int, k: int, seed: int = 0) -> gramlab.Features:
    """Rows of k Gaussian classes in d dimensions, whose labels are partly wrong."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % k
    centres = 0.3 * rng.standard_normal((k, d))
    spread = np.linspace(1.0, 6.0, k)
    x = np.empty((n, d), dtype=np.float32)
    for start in range(0, n, 1000):
        part = slice(start, start + 1000)
        own = labels[part]
        x[part] = centres[own] + spread[own, None] * rng.standard_normal((len(own), d))
    matrix = gramlab.corruption_matrix("asymmetric", k, 0.3)
    given = gramlab.corrupt_labels(labels, matrix, seed=seed).labels
    return gramlab.Features(x, given, n_classes=k)


class Meter:
    """Prints the seconds and the peak of resident memory of every stage."""

    def __init__(self) -> None:
        self.began = self.since = _seconds()
        self.name, self.peak = "", 0

    def __call__(self, name: str) -> None:
        """Begin a stage."""
        now, found = _seconds(), _peak()
        self.peak = max(self.peak, found)
        if self.name:
            clock, cores = now - self.since
            what = f"{format_bytes(found):>10}  {self.name}"
            print(f"{clock:8.1f} s ({cores:8.1f} s) {what}", flush=True)
        self.name, self.since = name, now


def _seconds() -> np.ndarray:
    """Of the clock, and of all cores together."""
    return np.array([time.monotonic(), time.process_time()])


def _peak() -> int:
    """Peak of resident memory since the last call; elsewhere than on Linux, of the process."""
    status, reset = Path("/proc/self/status"), Path("/proc/self/clear_refs")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
    reset.write_text("5")
    return 1024 * int(lines["VmHWM"].split()[0])


def main() -> None:
    """Diagnose rows x features of so many classes."""
    n, d, k = map(int, sys.argv[1:4]) if len(sys.argv) > 3 else (5000, 128, 20)
    features = made_up(n, d, k)
    before, meter = _peak(), Meter()
    result = diagnose(features, DiagnosisSettings(), stage=meter)
    meter("")
    used = (meter.peak - before) / (8.0 * result.features.x.size)
    clock, cores = _seconds() - meter.began
    print(f"{n} rows x {d} features, {k} classes: {clock:.0f} s ({cores:.0f} s), at most")
    print(f"{format_bytes(meter.peak)} resident, {used:.1f} times the features over the start")


if __name__ == "__main__":
    main()
