"""What every benchmark measures with: one clock, one referee, one description of the machine.

The referee is `gramlab.heads.objective.SoftmaxObjective` in float64. It computes the relative
duality gap ‖∇L(W)‖²/‖∇L(0)‖² from the weights alone, so it does not matter who made them.
"""

from __future__ import annotations

import contextlib
import os
import platform
import signal
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
import psutil
import threadpoolctl

import gramlab
from gramlab import device
from gramlab.heads import bfloat16, tiles
from gramlab.heads.objective import SoftmaxObjective

PACKAGES = ("gramlab", "numpy", "scipy", "jax", "scikit-learn", "numba", "torch", "cyanure")


@dataclass(frozen=True)
class Settings:
    """What one call of run.py asks of every benchmark."""

    sources: tuple[str, ...] = ("digits",)
    target: float = 1e-10  # relative duality gap
    repeats: int = 3
    problem: str = ""  # only problems whose name holds this
    cap: float = 60.0  # seconds that one run of a peer may take
    quick: bool = False
    peers: str = ""  # only peers whose name holds this


# ---- Problems ---------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Problem:
    """Noisy one-hot labels on one feature matrix at one weight decay, with its referee."""

    name: str
    features: gramlab.Features
    given: np.ndarray
    weight_decay: float

    @cached_property
    def targets(self) -> np.ndarray:
        return gramlab.one_hot(self.given, self.features.n_classes)

    @cached_property
    def objective(self) -> SoftmaxObjective:
        # Of its own Features object: what the referee keeps there must not help a timed fit.
        deviations = self.targets - 1 / self.features.n_classes
        return SoftmaxObjective(fresh(self.features), deviations, self.weight_decay)

    @cached_property
    def start_norm(self) -> float:
        """‖∇L(0)‖."""
        zero = np.zeros((self.features.n_features, self.features.n_classes))
        return float(np.linalg.norm(self.objective.gradient(zero)))

    def gradient(self, weights: np.ndarray) -> np.ndarray:
        return self.objective.gradient(np.asarray(weights, dtype=np.float64))

    def relative_gap(self, weights: np.ndarray) -> float:
        """‖∇L(W)‖²/‖∇L(0)‖²."""
        return float((np.linalg.norm(self.gradient(weights)) / self.start_norm) ** 2)


def noisy(name: str, features, weight_decay: float, rate: float = 0.5, seed: int = 0) -> Problem:
    matrix = gramlab.corruption_matrix("symmetric", features.n_classes, rate)
    given = gramlab.corrupt_labels(features.labels, matrix, seed=seed).labels
    return Problem(name, features, given, weight_decay)


def fresh(features: gramlab.Features, dtype: npt.DTypeLike = None) -> gramlab.Features:
    """The same rows in a new object, which remembers nothing that was computed before."""
    x = features.x if dtype is None else features.x.astype(dtype, copy=False)
    return gramlab.Features(x, features.labels, n_classes=features.n_classes)


def prepared(source: str) -> dict[str, gramlab.Features]:
    """A source as it came, and with the paper's preparation; in float32, as extractors give it."""
    raw = gramlab.load_features(source)
    steps = raw.centered().unit_norm(dtype=np.float32)
    return {"raw": fresh(raw, np.float32), "centred, unit norm": fresh(steps)}


def named(source: str, steps: str, features: gramlab.Features) -> str:
    """Shown in tables: the stem only, because folders are nobody's business."""
    return (
        f"{Path(source).stem} ({steps}), N={features.n_samples}, d={features.n_features}, "
        f"K={features.n_classes}"
    )


# ---- Time -------------------------------------------------------------------------------------


class TimeLimit(Exception):
    """A run took longer than it was given."""


@contextlib.contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Interrupt the block after ``seconds``, where the system has alarms.

    The alarm is seen at the next Python instruction, so compiled code runs to its end first; the
    caller has to look at the clock as well.
    """
    can = hasattr(signal, "setitimer") and threading.current_thread() is threading.main_thread()
    if not can:
        yield
        return

    def ring(*_: Any) -> None:
        raise TimeLimit

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    began = time.perf_counter()
    result = work()
    return time.perf_counter() - began, result


def repeat(
    work: Callable[[Any], Any], repeats: int, prepare: Callable[[], Any] = lambda: None
) -> tuple[list[float], Any]:
    """Seconds of each run and the last result; ``prepare`` is run before each, untimed."""
    seconds = []
    for _ in range(repeats):
        ready = prepare()
        spent, result = timed(lambda ready=ready: work(ready))
        seconds.append(spent)
    return seconds, result


def spread(seconds: list[float]) -> dict[str, float | int]:
    return {
        "min": min(seconds),
        "median": statistics.median(seconds),
        "max": max(seconds),
        "runs": len(seconds),
    }


# ---- The machine ------------------------------------------------------------------------------


def cpu_model() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def machine() -> dict[str, Any]:
    """What a reader needs to judge the seconds. No host name, no paths."""
    versions = {}
    for name in PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    pools = {
        f"{pool['internal_api']} {pool.get('version') or ''}".strip() + f" x{pool['num_threads']}"
        for pool in threadpoolctl.threadpool_info()
    }
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "cpu": cpu_model(),
        "cores": usable,
        "device": device.describe()["device"],
        "python": platform.python_version(),
        "threads": sorted(pools),
        "versions": versions,
    }


def machine_words(facts: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
    threads = ", ".join(facts["threads"])
    return (
        f"{facts['cpu']}, {facts['cores']} cores, JAX on {facts['device']}, Python "
        f"{facts['python']}, {versions}; threads: {threads}"
    )


class Others:
    """What other programs took of the cores since this was made.

    Threaded products wait for their slowest thread, so one busy core can slow a solver tenfold,
    and not all solvers alike: ratios from a busy machine are no good either.
    """

    def __init__(self) -> None:
        self._before = self._now()

    def share(self) -> float:
        """0 to 1; time stolen by a hypervisor is counted as theirs."""
        total, busy, own = (b - a for a, b in zip(self._before, self._now(), strict=True))
        return min(max((busy - own) / total, 0.0), 1.0) if total > 0.0 else 0.0

    @staticmethod
    def _now() -> tuple[float, float, float]:
        times = psutil.cpu_times()._asdict()
        total = sum(spent for name, spent in times.items() if not name.startswith("guest"))
        own = psutil.Process().cpu_times()
        return total, total - times["idle"] - times.get("iowait", 0.0), own.user + own.system


@lru_cache
def pass_seconds(n: int, r: int, k: int, dtype: str) -> dict[str, float]:
    """The two products of one pass, X·(r, K) and Xᵀ·(n, K), by JAX, NumPy or in tiles.

    The best of several batches: the fastest the machine was seen to do, hence the hardest floor.
    """
    rng = np.random.default_rng(0)
    found = {}
    x, w, p = (rng.standard_normal(s) for s in ((n, r), (r, k), (n, k)))
    if dtype == "bfloat16":  # NumPy has none; as the solver lays them out, without its rounding
        z = jnp.asarray(x, jnp.float32)
        w, p = (jnp.asarray(a, jnp.bfloat16) for a in (w.T, p))
        both = jax.jit(
            lambda low, w, p: (bfloat16.times_rows(low, w), bfloat16.times_columns(low, p))
        )
        lows = {"jax": bfloat16.plain(z)}
        if tiles.available():
            lows["tiles"] = tiles.pack(z)
        for name, low in lows.items():
            found[name] = _best(lambda low=low: jax.block_until_ready(both(low, w, p)))
        return found
    x, w, p = (a.astype(dtype) for a in (x, w, p))

    def by_numpy() -> None:
        x @ w
        x.T @ p

    found["numpy"] = _best(by_numpy)
    with device.float64():
        on_device = [jax.device_put(array) for array in (x, w, p)]
        both = jax.jit(lambda x, w, p: (x @ w, x.T @ p))
        found["jax"] = _best(lambda: jax.block_until_ready(both(*on_device)))
    return found


def _best(work: Callable[[], Any]) -> float:
    once = min(timed(work)[0] for _ in range(2))  # the first run warms caches, and compiles
    count = max(1, min(200, int(0.05 / max(once, 1e-9))))
    best = once
    for _ in range(5):
        best = min(best, timed(lambda: [work() for _ in range(count)])[0] / count)
    return best


# ---- Words ------------------------------------------------------------------------------------


def table(head: list[str], rows: list[list[str]]) -> list[str]:
    """A Markdown table, with an empty line after it."""
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return lines + ["| " + " | ".join(row) + " |" for row in rows] + [""]


def seconds_words(found: dict[str, float] | None) -> str:
    """The median, and the range where there was more than one run."""
    if found is None:
        return "–"
    if found["runs"] == 1:
        return f"{found['median']:.3g}"
    return f"{found['median']:.3g} ({found['min']:.3g} to {found['max']:.3g})"


def ratio_words(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}×"
