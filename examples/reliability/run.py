r"""Ten thousand cases nobody should meet: hostile files, names, options and outputs, under watch.

    python examples/reliability/run.py --out docs/generated            # all 10,000
    python examples/reliability/run.py --out out --cases 500         # the same kinds, fewer of each
    python examples/reliability/run.py --out out --kinds npz,folder

Each case is built by Hypothesis from a fixed seed and met by a command of the command line, or by
a function of the package, in a worker process that may add 2 GiB of address space to what it has
when it is ready; what the environment says is met by fresh processes. After each case the worker
asks: was there a traceback; did it end; did anything outside the output folder change, appear or
go (files beside it, and every path that Python opened for writing, renamed, made or removed);
was part of a file left; did resident memory grow by more than 1 GiB; was the exit code a documented
one, a refusal one line, all that was shown printable, no cell of a table a formula; does a file
that was imported hold all that the case put in, and nothing unasked that may be labels. A worker
that dies or goes silent is a case that failed, and another one takes over.

Needs Linux, and the extras "extract" and "study". The table is reliability.md, with every count in
reliability.csv; the exit code is 1 if any case failed.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import select
import shlex
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from kinds import KINDS, WORDS

from gramlab.files.whole import atomic_write, output_folder

HERE = Path(__file__).resolve().parent
SILENCE_SECONDS = 300.0  # a case has 60; beyond this not even its alarm came through
_AT_ONCE = 2500  # cases of a worker
_FAULTS = ("traceback", "hang", "outside", "half", "memory", "code", "words", "crash", "loss")


def shares(total: int) -> dict[str, int]:
    """Cases of each kind for a sweep of ``total``."""
    whole = sum(count for count, _ in KINDS.values())
    return {kind: max(1, round(count * total / whole)) for kind, (count, _) in KINDS.items()}


def worked(plan: dict[str, int], seed: int, root: Path, through: str) -> Iterator[dict[str, Any]]:
    """What came of every case, from as many workers as it takes."""
    left, number = dict(plan), 0
    while any(left.values()):
        part: dict[str, int] = {}
        for kind, count in left.items():
            part[kind] = min(count, _AT_ONCE - sum(part.values()))
        part = {kind: count for kind, count in part.items() if count}
        number += 1
        for verdict in _worker(part, seed + number, root / f"worker-{number}", through):
            left[verdict["kind"]] -= 1
            yield verdict


def _worker(part: dict[str, int], seed: int, root: Path, through: str) -> Iterator[dict[str, Any]]:
    """Cases of one worker; a last one in its name if it dies or goes silent."""
    words = [f"{kind}:{count}:{seed}" for kind, count in part.items()]
    root.mkdir()
    home = root / "home"
    home.mkdir()
    environment = os.environ | {
        "HOME": str(home),
        "MPLCONFIGDIR": str(home),
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "MALLOC_ARENA_MAX": "2",
        "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }
    command = [
        *shlex.split(through),
        sys.executable,
        "-X",
        "faulthandler",
        str(HERE / "worker.py"),
        str(root / "scene"),
    ]
    with open(root / "stderr", "w+b") as errors:
        child = subprocess.Popen(
            [*command, "--plan", *words],
            stdout=subprocess.PIPE,
            stderr=errors,
            env=environment,
            start_new_session=True,
        )
        assert child.stdout is not None
        done: dict[str, int] = dict.fromkeys(part, 0)
        silent = False
        try:
            with child.stdout as lines:
                ready = lines.readline()  # it may have to wait for its turn
                while ready:
                    there, _, _ = select.select([lines], [], [], SILENCE_SECONDS)
                    line = lines.readline() if there else b""
                    if not line:
                        silent = not there
                        break
                    verdict = json.loads(line)
                    done[verdict["kind"]] += 1
                    yield verdict
        finally:
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()
        errors.seek(0)
        last = errors.read().decode("utf-8", "replace")[-3000:]
    if done != part:
        if not ready:
            raise SystemExit(f"the worker did not start:\n{last}")
        kind = next(kind for kind in part if done[kind] < part[kind])
        fault = "hang: the worker went silent" if silent else f"crash: exit {child.returncode}"
        yield {
            "kind": kind,
            "argv": [],
            "code": None,
            "error": last,
            "seconds": 0.0,
            "growth": 0,
            "said": "",
            "warned": [],
            "faults": [fault],
        }


def summed(found: list[dict[str, Any]]) -> dict[str, Any]:
    """Counts of one kind."""
    counts: dict[str, Any] = {
        "cases": len(found),
        "refused": sum(v["code"] == 2 for v in found),
        "accepted": sum(v["code"] in (0, 1) for v in found),
    }
    for fault in _FAULTS:
        counts[fault] = sum(any(f.startswith(fault) for f in v["faults"]) for v in found)
    counts["failed"] = sum(bool(v["faults"]) for v in found)
    counts["most_memory_mib"] = max((v["growth"] >> 20 for v in found), default=0)
    counts["slowest_seconds"] = round(max((v["seconds"] for v in found), default=0.0), 1)
    return counts


def markdown(counts: dict[str, dict[str, Any]]) -> str:
    """The table."""
    lines = [
        "| what was hostile | cases | refused in one line | accepted | traceback | hang | "
        "written outside | part of a file | memory | silent loss | most memory added |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    rows = [(WORDS[kind], c) for kind, c in counts.items()]
    total = {
        key: max(c[key] for c in counts.values())
        if key == "most_memory_mib"
        else sum(c[key] for c in counts.values())
        for key in next(iter(counts.values()))
    }
    for words, c in [*rows, ("**all**", total)]:
        bad = c["traceback"] + c["crash"] + c["code"] + c["words"]
        cells = [c["cases"], c["refused"], c["accepted"], bad, c["hang"], c["outside"], c["half"]]
        line = " | ".join(f"{cell:,}" for cell in [*cells, c["memory"], c["loss"]])
        lines.append(f"| {words} | {line} | {c['most_memory_mib']:,} MiB |")
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", default="out/reliability")
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--through", default="", help="start workers through this, such as nice")
    options = parser.parse_args()
    plan = {k: n for k, n in shares(options.cases).items() if k in options.kinds.split(",")}
    found: dict[str, list[dict[str, Any]]] = {kind: [] for kind in plan}
    with tempfile.TemporaryDirectory() as place:
        for verdict in worked(plan, options.seed, Path(place), options.through):
            found[verdict["kind"]].append(verdict)
            for fault in verdict["faults"]:
                print(f"{verdict['kind']}: {fault}\n  {verdict['argv']}\n{verdict['error']}")
            if sum(map(len, found.values())) % 500 == 0:
                print(f"{sum(map(len, found.values()))} cases", flush=True)
    counts = {kind: summed(verdicts) for kind, verdicts in found.items()}
    folder = output_folder(options.out)
    text = markdown(counts)
    atomic_write(folder / "reliability.md", text)
    with open(folder / "reliability.csv", "w", newline="", encoding="utf-8") as file:
        names = ["kind", *next(iter(counts.values()))]
        lines = csv.DictWriter(file, names, lineterminator="\n")
        lines.writeheader()
        lines.writerows({"kind": kind} | of_kind for kind, of_kind in counts.items())
    print(text)
    return int(any(c["failed"] for c in counts.values()))


if __name__ == "__main__":
    sys.exit(main())
