"""What every benchmark measures with: one clock, one referee, one description of the machine.

The referee is `gramlab.heads.referee.SoftmaxObjective` in float64. It computes the relative
duality gap ‖∇L(W)‖²/‖∇L(0)‖² from the weights alone, so it does not matter who made them.

A benchmark yields tables: dicts of the problem's name, text, rows (dicts of columns) and ratios.
"""

from __future__ import annotations

import contextlib
import platform
import signal
import statistics
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any

import jax
import numpy as np
import psutil
import threadpoolctl

import gramlab
from gramlab.heads.referee import SoftmaxObjective
from gramlab.machine import device, hardware

PACKAGES = ("gramlab", "numpy", "scipy", "jax", "scikit-learn", "torch", "cyanure")
WEIGHT_DECAY = 5e-4  # of the paper's Caltech-101

Table = dict[str, Any]


@dataclass(frozen=True)
class Settings:
    """What one call of run.py asks of every benchmark."""

    sources: Sequence[str] = ("digits",)
    target: float = 1e-10  # relative duality gap
    repeats: int = 3
    cap: float = 60.0  # seconds that one run of a peer may take
    quick: bool = False
    problem: str = ""  # only problems whose name holds this
    peers: str = ""  # only peers whose name holds this


@dataclass(frozen=True, eq=False)
class Problem:
    """Noisy labels on one feature matrix at one weight decay, with its referee."""

    name: str
    features: gramlab.Features
    given: np.ndarray
    weight_decay: float

    @property
    def labels(self) -> gramlab.OneHotRows:
        return gramlab.OneHotRows(self.given, self.features.n_classes)

    @cached_property
    def targets(self) -> np.ndarray:
        return gramlab.one_hot(self.given, self.features.n_classes)

    @cached_property
    def objective(self) -> SoftmaxObjective:
        # Of its own Features object: what the referee keeps there must not help a timed fit.
        return SoftmaxObjective(fresh(self.features), self.labels, self.weight_decay)

    def relative_gap(self, weights: np.ndarray) -> float:
        """‖∇L(W)‖²/‖∇L(0)‖²."""
        gradient = self.objective.gradient(np.asarray(weights, dtype=np.float64))
        return float(np.linalg.norm(gradient) / self.objective.start_norm) ** 2


def noisy(name: str, features: Any, weight_decay=WEIGHT_DECAY, rate=0.5, seed=0) -> Problem:
    """The problem with symmetric noise."""
    matrix = gramlab.corruption_matrix("symmetric", features.n_classes, rate)
    given = gramlab.corrupt_labels(features.labels, matrix, seed=seed).labels
    return Problem(f"{name}, λ={weight_decay:g}", features, given, weight_decay)


def fresh(features: gramlab.Features, dtype: Any = None) -> gramlab.Features:
    """The same rows in a new object, which remembers nothing that was computed before."""
    x = features.x if dtype is None else features.x.astype(dtype, copy=False)
    return gramlab.Features(x, features.labels, n_classes=features.n_classes)


def prepared(source: str) -> dict[str, gramlab.Features]:
    """A source as it came, and with the paper's preparation; in float32, as extractors give it.

    Of a source only its stem is shown, because folders are nobody's business.
    """
    raw = gramlab.load_features(source)
    unit = raw.centered().unit_norm(dtype=np.float32)
    found = {"raw": fresh(raw, np.float32), "centred, unit norm": fresh(unit)}
    return {named(f"{Path(source).stem} ({steps})", f): f for steps, f in found.items()}


def problems(sources: Iterable[str], weight_decays: Iterable[float]) -> Iterator[Problem]:
    for source in sources:
        for name, features in prepared(source).items():
            yield from (noisy(name, features, weight_decay) for weight_decay in weight_decays)


def named(what: str, features: gramlab.Features) -> str:
    return f"{what}, N={features.n_samples}, d={features.n_features}, K={features.n_classes}"


@contextlib.contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise TimeoutError in the block after ``seconds``; compiled code runs to its end first."""

    def ring(*_: Any) -> None:
        raise TimeoutError

    signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)


def spread(values: list[float]) -> dict[str, float]:
    median = statistics.median(values)
    return {"min": min(values), "median": median, "max": max(values), "runs": len(values)}


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    began = time.perf_counter()
    result = work()
    return time.perf_counter() - began, result


def repeat(
    work: Callable[[Any], Any], repeats: int, prepare: Callable[[], Any] = lambda: None
) -> tuple[dict[str, float], Any]:
    """Seconds of the runs and the last result; ``prepare`` is run before each, untimed."""
    seconds, result = [], None
    for _ in range(repeats):
        ready = prepare()
        spent, result = timed(lambda ready=ready: work(ready))
        seconds.append(spent)
    return spread(seconds), result


def machine() -> dict[str, str]:
    """What a reader needs to judge the seconds. No host name, no paths."""
    cpu = platform.processor() or platform.machine()
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
        cpu = models[0] if models else cpu
    versions = [f"Python {platform.python_version()}"]
    for name in PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions.append(f"{name} {metadata.version(name)}")
    pools = {f"{p['internal_api']} x{p['num_threads']}" for p in threadpoolctl.threadpool_info()}
    return {
        "machine": f"{cpu}, {hardware.cores()} cores, {device.describe()['device']}",
        "versions": ", ".join(versions),
        "threads": ", ".join(sorted(pools)),
    }


def core_seconds() -> np.ndarray:
    """Of all cores; busy ones; those spent by this process and its children."""
    times = psutil.cpu_times()._asdict()
    total = sum(spent for name, spent in times.items() if not name.startswith("guest"))
    busy = total - times["idle"] - times.get("iowait", 0.0)
    return np.array([total, busy, sum(psutil.Process().cpu_times()[:4])])


def share_of_others(since: np.ndarray) -> float:
    """What other programs took of the cores, 0 to 1; stolen time is counted as theirs.

    Threaded products wait for their slowest thread, so one busy core can slow a solver tenfold,
    and not all solvers alike: ratios from a busy machine are no good either.
    """
    total, busy, own = core_seconds() - since
    return min(max((busy - own) / total, 0.0), 1.0) if total > 0.0 else 0.0


@lru_cache
def pass_seconds(n: int, r: int, k: int, dtype: str) -> float:
    """Of the products X·(r, K) and Xᵀ·(n, K) of a pass, the best seen of JAX and NumPy."""
    rng = np.random.default_rng(0)
    x, w, p = (rng.standard_normal(s).astype(dtype) for s in ((n, r), (r, k), (n, k)))
    best = _best(lambda: (x @ w, x.T @ p))
    with device.float64():
        arrays = [jax.device_put(array) for array in (x, w, p)]
        both = jax.jit(lambda x, w, p: (x @ w, x.T @ p))
        return min(best, _best(lambda: jax.block_until_ready(both(*arrays))))


def _best(work: Callable[[], Any]) -> float:
    best = min(timed(work)[0] for _ in range(2))  # the first run warms caches, and compiles
    count = max(1, min(200, int(0.05 / max(best, 1e-9))))
    for _ in range(5):
        spent, _ = timed(lambda: deque((work() for _ in range(count)), maxlen=0))
        best = min(best, spent / count)
    return best


def words(value: Any) -> str:
    """A cell of a table; of several runs the median, and the range behind it."""
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.3g}"
    if not isinstance(value, dict):
        return str(value)
    around = f" ({value['min']:.3g} to {value['max']:.3g})" if value["runs"] > 1 else ""
    return f"{value['median']:.3g}{around}"


def markdown_table(rows: list[dict[str, Any]]) -> list[str]:
    """A Markdown table, with an empty line after it."""
    head = list(rows[0]) if rows else []
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return lines + ["| " + " | ".join(map(words, row.values())) + " |" for row in rows] + [""]
