"""Memory of a diagnosis of moderate size, in a process of its own: within what is asked before."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

CHILD = """
import json, numpy as np
from pathlib import Path
import gramlab
from gramlab.diagnosis import DiagnosisSettings, diagnose
from gramlab.diagnosis.cost import bytes_needed

def blobs(n, d):
    rng, labels = np.random.default_rng(0), np.arange(n) % 5
    x = rng.standard_normal((5, d))[labels] + 2.0 * rng.standard_normal((n, d))
    labels[::5] = rng.integers(0, 5, len(labels[::5]))
    return gramlab.Features(x, labels)

def resident(kind):
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith(kind)).split()[1])

settings = DiagnosisSettings(folds=3, max_rounds=1, explained=10)
diagnose(blobs(6000, 32), settings)  # libraries are loaded, and code is compiled
features = blobs(N, D)
before = resident("VmRSS")
Path("/proc/self/clear_refs").write_text("5")
diagnose(features, settings)
used = resident("VmHWM") - before
print(json.dumps({"used": used, "asked": bytes_needed(N, D + 1, 5, settings)}))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="peaks are read from /proc")
def test_a_diagnosis_takes_six_times_its_features_at_most_and_no_more_than_it_asked_for():
    n, d = 20_000, 512
    script = f"N, D = {n}, {d}\n{CHILD}"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["used"] <= found["asked"] <= 6 * 8 * n * (d + 1)
