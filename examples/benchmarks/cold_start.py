"""CPU seconds of whole commands in fresh processes, with nothing compiled before and with all.

Each has a cache folder of its own: first empty, then as the first run left it. CPU seconds count
all threads, so a machine with more cores does not hide work.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
from _measure import Settings, Table, spread
from sklearn.datasets import load_wine
from sklearn.preprocessing import StandardScaler

COMMANDS = ("diagnose wine.npz", "check digits --out check")
OTHERWISE = ("JAX_COMPILATION_CACHE_DIR", "GRAMLAB_COMPILATION_CACHE")  # move or end the cache
PROGRAM = "import sys; from gramlab.cli import main; sys.exit(main(sys.argv[1:]))"


def cpu_seconds(command: str, folder: Path) -> float:
    """Of one command in that folder; what it says is read by nobody."""
    environment = {name: value for name, value in os.environ.items() if name not in OTHERWISE}
    environment["XDG_CACHE_HOME"] = str(folder / "cache")
    whole = [sys.executable, "-c", PROGRAM, *command.split()]
    before = psutil.Process().cpu_times()
    subprocess.run(whole, cwd=folder, env=environment, stdout=subprocess.DEVNULL, check=True)
    after = psutil.Process().cpu_times()
    return sum(after[2:4]) - sum(before[2:4])  # of children


def run(settings: Settings) -> Iterator[Table]:
    x, labels = load_wine(return_X_y=True)
    x, rows = StandardScaler().fit_transform(x), []
    for command in COMMANDS[: 1 if settings.quick else None]:
        found: dict[str, list[float]] = {"empty": [], "filled": []}
        for _ in range(settings.repeats):
            with tempfile.TemporaryDirectory() as temporary:
                path = Path(temporary) / "wine.npz"
                np.savez(path, train_features=x, train_labels=labels)
                for spent in found.values():
                    spent.append(cpu_seconds(command, path.parent))
        for state, spent in found.items():
            row = {"command": f"gramlab {command}", "cache": state, "CPU seconds": spread(spent)}
            rows.append(row)
    text = "Cache of compiled code empty or filled; wine is standardized."
    yield {"problem": "Whole commands", "text": text, "rows": rows, "ratios": {}}
