"""Hostile input under watch: a short sweep, and proof that the watch sees what it is there for."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest

RELIABILITY = Path(__file__).resolve().parents[2] / "examples" / "reliability"

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the watch reads /proc")

CASES = 240

# A program that runs planted commands under the watch, in a process of its own: an audit hook stays
# for as long as its process lives.
PLANTED = """
import json, os, sys, time
from pathlib import Path
import numpy as np

import gramlab
from loss import Column, Put
from watch import Watch

root = Path(sys.argv[1])

def honest(argv):
    Path("whole.json").write_text("{}")
    print("gramlab: error: refused", file=sys.stderr)
    return 2

def traceback(argv):
    raise ZeroDivisionError("a fault")

def printed(argv):
    print("Traceback (most recent call last):", file=sys.stderr)
    return 0

def outside(argv):
    (watch.scene.outside / "kept.txt").write_text("overwritten")
    return 0

def elsewhere(argv):
    with open(root.parent / "elsewhere", "w"):
        return 0

def through_a_link(argv):
    Path("link").symlink_to(watch.scene.outside / "new")
    Path("link").write_text("through the link")
    return 0

def removed(argv):
    (watch.scene.outside / "kept.json").unlink()
    return 0

def hang(argv):
    while True:
        try:
            time.sleep(60)
        except Exception:
            pass

def half(argv):
    Path(".partial-0123456789abcdef.json").write_text("{")
    return 0

def broken(argv):
    Path("results.json").write_text('{"half": ')
    return 0

def memory(argv):
    bytearray(200 << 20)
    return 0

def code(argv):
    return 3

def words(argv):
    print("something went wrong", file=sys.stderr)
    return 2

def colours(argv):
    print("gramlab: error: \\x1b[31mred", file=sys.stderr)
    return 2

def imported(argv, rows=slice(None), merged=False):
    x, texts = np.arange(12.0).reshape(6, 2), ["01", "1", "\u00e9", "e\u0301", "01", "1"]
    watch.scene.put = Put([Column("f", x), Column("label", texts=texts)])
    names = ["1", "\u00e9"] if merged else ["01", "1", "\u00e9"]
    labels = [max(i - merged, 0) for i in (0, 1, 2, 2, 0, 1)]
    told = {"spellings": {"\u00e9": ["e\u0301", "\u00e9"]}}
    features = gramlab.Features(x[rows], labels[rows], class_names=names, provenance=told)
    gramlab.save_features(features, watch.scene.out / "o.safetensors")
    return 0

def row(argv):
    return imported(argv, slice(5))

def classes(argv):
    return imported(argv, merged=True)

def unasked(argv):
    code = imported(argv)
    watch.scene.put.columns[0].other = True
    return code

def column(argv):
    code = imported(argv)
    watch.scene.put.columns.append(Column("g", np.arange(6.0)))
    return code

def shown(argv):
    print("class \u202egnp")
    return 0

def formula(argv):
    Path("a.csv").write_text("name,a; =1+1")
    return 0

watch = Watch(root, lambda argv: globals()[argv[0]](argv), seconds=1.0, growth=100 << 20)
for name in sys.argv[2:]:
    print(watch.run("planted", lambda draw, scene: [name], None).as_json(), flush=True)
"""

FAULTS = {
    "honest": None,
    "traceback": "traceback: ZeroDivisionError: a fault",
    "printed": "traceback: on stderr",
    "outside": "outside: ",
    "elsewhere": "outside: open ",
    "through_a_link": "outside: ",
    "removed": "outside: ",
    "hang": "hang: ",
    "half": "half: ",
    "broken": "half: ",
    "memory": "memory: ",
    "code": "code: 3",
    "words": "words: no error in one line",
    "colours": "words: control characters",
    "imported": None,
    "row": "loss: ",
    "classes": "loss: ",
    "column": "loss: ",
    "unasked": "loss: 'f' may be labels",
    "shown": "words: control characters",
    "formula": "words: a cell ' =1+1' that begins a formula",
}


@pytest.fixture(scope="module")
def planted(tmp_path_factory) -> dict[str, list[str]]:
    root = tmp_path_factory.mktemp("planted") / "scene"
    root.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", PLANTED, str(root), *FAULTS],
        cwd=RELIABILITY,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return {v["argv"][0]: v["faults"] for v in map(json.loads, done.stdout.splitlines())}


@pytest.mark.parametrize("name", FAULTS)
def test_the_watch_sees_what_is_planted_and_nothing_else(planted, name):
    if FAULTS[name] is None:
        assert planted[name] == []
    else:
        assert any(fault.startswith(FAULTS[name]) for fault in planted[name]), planted[name]


def test_a_short_sweep_finds_nothing(tmp_path):
    pytest.importorskip("torch")
    pytest.importorskip("pyarrow")
    done = subprocess.run(
        [sys.executable, str(RELIABILITY / "run.py"), "--cases", str(CASES), "--out", tmp_path],
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-3000:]
    with open(tmp_path / "reliability.csv", newline="", encoding="utf-8") as file:
        counts = list(csv.DictReader(file))
    assert sum(int(c["cases"]) for c in counts) >= CASES - len(counts)
    assert sum(int(c["refused"]) for c in counts) > CASES / 2  # the cases are hostile
    assert sum(int(c["accepted"]) for c in counts) > CASES / 50  # and not only noise
