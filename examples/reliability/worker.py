"""A process that does cases of one kind, one line of JSON to stdout for each. Started by run.py."""

from __future__ import annotations

import argparse
import faulthandler
import gc
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from hypothesis import HealthCheck, Phase, Verbosity, given, seed, settings
from hypothesis import strategies as st
from kinds import KINDS
from outputs import source
from records import study_template
from watch import MEMORY_BYTES, Watch, limit_memory

import gramlab
from gramlab.cli import main as gramlab_main


def called(argv: Sequence[str]) -> int:
    """The command line; or, for a first word with @, the function of the package of that name."""
    if not argv or not argv[0].startswith("@"):
        return gramlab_main(list(argv))
    if argv[0] == "@environment":
        end = list(argv).index("--")
        values = dict(value.split("=", 1) for value in argv[1:end])
        program = [sys.executable, "-m", "gramlab", *argv[end + 1 :]]
        done = subprocess.run(program, env=os.environ | values, capture_output=True, check=False)
        sys.stdout.write(done.stdout.decode())
        sys.stderr.write(done.stderr.decode())
        return done.returncode
    try:
        if argv[0] == "@open":
            gramlab.open_features(argv[1])
        else:
            how = {"@load": "full"}.get(argv[0], argv[0][1:])
            gramlab.load_features(argv[1], verify=how)
    except gramlab.GramlabError as problem:
        print(f"gramlab: error: {problem}", file=sys.stderr)
        return 2
    return 0


def warm(watch: Watch) -> None:
    """Load what the commands load, so that a case pays for itself only."""
    from outputs import _WRITERS

    watch.scene.clear()
    good = str(source(watch.scene))
    for verb, options in _WRITERS.items():
        first = [] if verb == "population" else [good]
        out = str(watch.scene.out / verb)
        assert gramlab_main([verb, *first, *options, "--out", out, "--quiet"]) == 0
    assert gramlab_main(["diagnose", good, "--folds", "2", "--max-rounds", "1", "--quiet"]) == 0
    assert gramlab_main(["theorems", "duality-gap", "--instances", "1", "--quiet"]) == 0
    assert gramlab_main(["check", "digits", "--rounds", "1", "--quiet"]) == 0
    study_template()
    import pyarrow.parquet
    import torch

    assert torch.zeros(1) is not None
    assert pyarrow.parquet is not None


def sweep(watch: Watch, kind: str, count: int, number: int) -> None:
    """Do ``count`` cases; the same ones for the same ``number``."""
    build, done = KINDS[kind][1], 0
    while done < count:

        @seed(number)
        @settings(
            max_examples=count - done,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
            verbosity=Verbosity.quiet,
        )
        @given(st.data())
        def one(data: st.DataObject) -> None:
            nonlocal done
            found = watch.run(kind, build, data.draw)
            done += 1
            sys.stdout.write(found.as_json() + "\n")
            sys.stdout.flush()
            if done % 50 == 0:
                gc.collect()

        one()
        number += 1_000_003


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("root", type=Path)
    parser.add_argument("--plan", nargs="+", help="kind:count:seed")
    options = parser.parse_args()
    faulthandler.enable()
    sys.dont_write_bytecode = True
    watch = Watch(options.root, called)
    warm(watch)
    if any(part.startswith("images") for part in options.plan):
        from pictures import network

        network()
    limit_memory(MEMORY_BYTES)
    print("ready", flush=True)
    for part in options.plan:
        kind, count, number = part.split(":")
        sweep(watch, kind, int(count), int(number))
    sys.stdout.flush()
    os._exit(0)  # XLA's threads under a memory limit need not be asked


if __name__ == "__main__":
    main()
