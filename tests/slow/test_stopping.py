"""Every long command, stopped at random moments: whole files, exit codes, and how to go on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from gramlab.cli.output import made_folder
from gramlab.cli.stopping import Stopped

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals end the process there")

MOMENTS = 2  # of each kind and signal

# One command in a process of its own, undisturbed twice (the first time loads what it needs), then
# stopped at drawn file operations and at drawn times, then once more to the end.
PROGRAM = """
import contextlib, hashlib, io, json, os, random, signal, sys, threading, time
from pathlib import Path
from gramlab.cli import main

for number in (signal.SIGINT, signal.SIGTERM):  # which a job in the background may have ignored
    signal.signal(number, lambda number, frame: None)  # while no command runs, it is for nobody
argv, root, moments = json.loads(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
random.seed(argv[0])
seen, due = 0, None

def hook(event, arguments):
    global seen, due
    if event == "open" or event.startswith("os."):
        seen += 1
        if due is not None and seen >= due[0]:
            number, due = due[1], None
            os.kill(os.getpid(), number)

def run(out):
    global seen
    seen, words, began = 0, io.StringIO(), time.monotonic()
    with contextlib.redirect_stderr(words), contextlib.redirect_stdout(io.StringIO()):
        code = main([part.replace("OUT", str(out)) for part in argv])
    return code, words.getvalue(), time.monotonic() - began, seen

def files(out):
    return {
        str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in out.rglob("*") if path.is_file() and path.name != ".lock"
    } if out.exists() else {}

sys.addaudithook(hook)
first = run(root / "first")
code, words, seconds, operations = run(root / "whole")
print(json.dumps([code, words, files(root / "whole"), files(root / "first")]))
for number in (signal.SIGINT, signal.SIGTERM):
    for moment in range(2 * moments):
        out = root / "out"
        if moment < moments:
            due = (random.randint(1, operations), number)
        else:
            timer = threading.Timer(random.random() * 0.8 * seconds, os.kill, [os.getpid(), number])
            timer.daemon = True
            timer.start()
        try:
            code, words, _, _ = run(out)
        except BaseException as problem:
            code, words = None, repr(problem)
        if moment >= moments:
            timer.cancel()
            timer.join()
        due = None
        print(json.dumps([number, code, words, files(out)]), flush=True)
        if code == 0:  # it was done before it noticed, and the next moment starts from nothing
            import shutil
            shutil.rmtree(out)
print(json.dumps([*run(root / "out")[:2], files(root / "out")]))
sys.stdout.flush()
os._exit(0)
"""

SOLVE = ["--rate", "0.4", "--tolerance", "1e-10"]
STUDY = ["--recipe", "fig6a", "--rates", "0.3,0.5", "--seeds", "0,1", "--rounds", "2"]
# The command, and how it goes on after a stop.
COMMANDS = {
    "check": (["check", "SOURCE", "--rounds", "2", *SOLVE, "--out", "OUT"], "begins anew"),
    "study": (
        ["study", "SOURCE", *STUDY, "--methods", "distill", "--out", "OUT"],
        "goes on after the last finished cell",
    ),
    "diagnose": (
        ["diagnose", "SOURCE", "--folds", "2", "--max-rounds", "2", "--out", "OUT"],
        "run the same command again",
    ),
    "transition": (
        ["transition", "SOURCE", "--folds", "2", "--rounds", "2", "--out", "OUT"],
        "begins anew",
    ),
    "correlations": (["correlations", "SOURCE", "--out", "OUT"], "begins anew"),
    "population": (
        ["population", "--classes", "3", "--max-rounds", "5", "--out", "OUT"],
        "begins anew",
    ),
    "theorems": (
        ["theorems", "duality-gap", "--instances", "5", "--json", "OUT/found.json"],
        "begins anew",
    ),
    "import": (
        ["features", "import", "SOURCE", "--out", "OUT/mine.safetensors", "--json", "OUT/a.json"],
        "begins anew",
    ),
    "extract": (
        [
            "extract",
            "--backbone",
            "NETWORK",
            "--images",
            "PHOTOS",
            "--out",
            "OUT",
            "--preprocessing",
            "paper",
            "--shard-rows",
            "2",
            "--device",
            "cpu",
        ],
        "goes on at the first missing shard",
    ),
}
# What a stopped command may leave that a finished one does not have.
UNFINISHED = {"plan.json"}


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    rng = np.random.default_rng(0)
    path, labels, centres = tmp_path_factory.mktemp("source") / "tiny.npz", {}, None
    centres = rng.normal(size=(3, 8))
    labels = {"train": np.arange(60) % 3, "test": np.arange(12) % 3}
    arrays = {f"{split}_labels": y for split, y in labels.items()}
    for split, y in labels.items():
        arrays[f"{split}_features"] = centres[y] + rng.normal(size=(len(y), 8))
    np.savez(path, **arrays)
    return path


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> tuple[Path, Path]:
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    from PIL import Image

    root = tmp_path_factory.mktemp("pictures")
    transformers.utils.logging.disable_progress_bar()
    torch.manual_seed(0)
    config = transformers.ResNetConfig(
        embedding_size=4, hidden_sizes=[4, 6], depths=[1, 1], layer_type="basic"
    )
    transformers.ResNetModel(config).save_pretrained(root / "network")
    rng = np.random.default_rng(0)
    for name in ("ant", "bee"):
        (root / "photos" / name).mkdir(parents=True)
        for number in range(4):
            pixels = rng.integers(0, 256, (20, 20, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root / "photos" / name / f"{number}.png")
    return root / "network", root / "photos"


@pytest.mark.parametrize("name", COMMANDS)
def test_stopped_at_any_moment_whole_files_remain_and_the_same_command_goes_on(
    name, source, tmp_path, request
):
    argv, goes_on = COMMANDS[name]
    places = {"SOURCE": str(source)}
    if name == "extract":
        places["NETWORK"], places["PHOTOS"] = map(str, request.getfixturevalue("pictures"))
    argv = [places.get(part, part) for part in argv]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(argv), str(tmp_path), str(MOMENTS)],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    whole, *stops, again = map(json.loads, done.stdout.splitlines())
    code, words, files, first = whole
    assert (code, files) == (0, first), words  # two runs give equal bytes
    assert files
    assert len(stops) == 4 * MOMENTS
    noticed = 0
    for number, code, words, found in stops:
        assert "Traceback" not in words
        for path, content in found.items():
            assert content == files.get(path) or path in UNFINISHED, (path, words)
        if code == 0:  # too late to be noticed: then everything is there
            assert found == files
            continue
        noticed += 1
        assert code == 128 + number, words
        last = words.splitlines()[-1]
        assert last.startswith(f"gramlab: stopped by {signal.Signals(number).name}: files written")
        assert goes_on in last
    assert noticed >= 2 * MOMENTS  # every drawn file operation, and some of the times
    assert (again[0], again[2]) == (0, files), again[1]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("name", ["diagnose", "theorems"])
def test_a_process_that_is_stopped_ends_with_the_code_of_its_signal(name, number, tmp_path):
    program = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler);"
        "from gramlab.cli import main; sys.exit(main())"
    )
    argv = {
        "diagnose": [
            "diagnose",
            "digits",
            "--max-rounds",
            "200",
            "--out",
            str(tmp_path / "a" / "b"),
        ],
        "theorems": [
            "theorems",
            "--instances",
            "1000000",
            "--json",
            str(tmp_path / "a" / "b.json"),
        ],
    }[name]
    child = subprocess.Popen(
        [sys.executable, "-c", program, *argv],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        while not (tmp_path / "a").exists():
            assert child.poll() is None, child.communicate()
        child.send_signal(number)
        stdout, stderr = child.communicate(timeout=120)
    finally:
        child.kill()
    assert child.returncode == 128 + number
    assert stdout == ""
    assert stderr.startswith(f"gramlab: stopped by {signal.Signals(number).name}: ")
    assert "run the same command again, it begins anew" in stderr
    assert stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_stop_between_two_folders_takes_the_first_away(tmp_path, monkeypatch):
    honest = Path.mkdir

    def stopped_inside(self, *arguments, **options):
        if self.name == "b":
            raise Stopped(143, "SIGTERM")
        honest(self, *arguments, **options)

    def make(folder: Path) -> None:
        with made_folder(folder):
            pass

    def halfway(folder: Path) -> Path:
        folder.parent.mkdir()
        folder.mkdir()
        return folder

    monkeypatch.setattr("gramlab.cli.output.output_folder", halfway)
    monkeypatch.setattr(Path, "mkdir", stopped_inside)
    with pytest.raises(Stopped):
        make(tmp_path / "a" / "b")
    assert list(tmp_path.iterdir()) == []
