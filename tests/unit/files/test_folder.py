"""The feature folder: whole or unfinished; killed, filled up, damaged, contested."""

import hashlib
import json
import os
import resource
import shutil
import subprocess
import sys
import textwrap

import numpy as np
import pytest

from gramlab import Features, load_features
from gramlab.errors import InvalidSetting, OutputError, UnreadableSource
from gramlab.files.shards import (
    Broken,
    is_feature_folder,
    quarantine_damage,
    read_manifest,
    writing,
)
from gramlab.files.sources import read_folder

SPLITS = {"train": 25, "test": 7}
NAMES = ["cat", "dog"]
BROKEN_ROW = 13


def values(split, rows):
    """What a pure function of the row would give: any writer writes the same."""
    rng = np.random.default_rng([len(split), *rows])
    return rng.standard_normal((len(rows), 4)).astype(np.float32)


def fill(path, plan=None, splits=SPLITS, shard_rows=10, stop_after=None):
    """Write a folder as an extraction would; or stop after some shards, without a manifest."""
    with writing(path, plan or {"by": "test"}, splits, NAMES, shard_rows=shard_rows) as writer:
        for done, shard in enumerate(writer.missing()):
            if done == stop_after:
                return None
            rows = [
                r
                for r in range(shard.start, shard.stop)
                if (shard.split, r) != ("train", BROKEN_ROW)
            ]
            broken = [
                Broken("train", BROKEN_ROW, "cat/13.jpg", "OSError: truncated")
                for _ in range(shard.stop - shard.start - len(rows))
            ]
            places = np.array(rows)
            writer.put(shard, values(shard.split, rows), places % 2, places, broken)
        return writer.finish()


def hashes(path):
    """SHA-256 of every file that belongs to the folder (its lock and quarantine do not)."""
    files = (p for p in path.iterdir() if p.is_file() and p.name != ".lock")
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


@pytest.fixture
def finished(tmp_path):
    fill(tmp_path / "folder")
    return tmp_path / "folder"


def test_rows_come_back_in_order_with_the_broken_input_named(finished):
    found = load_features(finished)
    rows = [r for r in range(25) if r != BROKEN_ROW]
    expected = np.concatenate(
        [values("train", [r for r in rows if s <= r < s + 10]) for s in (0, 10, 20)]
    )
    assert isinstance(found, Features)
    assert np.array_equal(found.x, expected)
    assert found.x.dtype == np.float32
    assert np.array_equal(found.labels, np.array(rows) % 2)
    assert np.array_equal(found.test_x, values("test", list(range(7))))
    assert found.class_names == ("cat", "dog")
    manifest = read_manifest(finished)
    assert manifest.broken == (Broken("train", BROKEN_ROW, "cat/13.jpg", "OSError: truncated"),)
    assert (manifest.rows("train"), manifest.rows("test"), manifest.n_features) == (24, 7, 4)
    assert found.provenance["extraction"]["by"] == "test"
    assert str(finished.parent) not in json.dumps(found.provenance)


@pytest.mark.parametrize("stop_after", [0, 1, 3])
def test_a_stopped_writer_is_unfinished_and_its_successor_writes_the_same_bytes(
    tmp_path, finished, stop_after
):
    path = tmp_path / "again"
    fill(path, stop_after=stop_after)
    assert is_feature_folder(path)
    with pytest.raises(UnreadableSource, match=f"unfinished: {stop_after} of 4 shards"):
        load_features(path)
    kept = {p.name: p.stat().st_mtime_ns for p in path.glob("*.safetensors")}
    fill(path)
    assert hashes(path) == hashes(finished)
    now = {name: (path / name).stat().st_mtime_ns for name in kept}
    assert now == kept  # what was there was not written again


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"plan": {"by": "another"}}, 'by: "test" there, "another" asked'),
        ({"splits": {"train": 25}}, "splits.test: 7 there, null asked"),
        ({"shard_rows": 5}, "shard_rows: 10 there, 5 asked"),
    ],
)
@pytest.mark.parametrize("stop_after", [2, None])
def test_anything_that_differs_is_refused_by_name(tmp_path, change, named, stop_after):
    path = tmp_path / "folder"
    fill(path, stop_after=stop_after)
    before = hashes(path)
    with pytest.raises(InvalidSetting, match=named):
        fill(path, **change)
    assert hashes(path) == before


@pytest.mark.parametrize("place", [0, 9, 60, -200, -1])
def test_a_flipped_byte_is_found_named_and_made_again(finished, place):
    before = hashes(finished)
    path = finished / "train-00001-of-00003.safetensors"
    content = bytearray(path.read_bytes())
    content[place] ^= 4
    path.write_bytes(bytes(content))
    with pytest.raises(UnreadableSource, match="train-00001-of-00003"):
        load_features(finished)
    assert len(quarantine_damage(finished)) == 1
    fill(finished)
    assert hashes(finished) == before
    assert (finished / "quarantine" / path.name).read_bytes() == bytes(content)


@pytest.mark.parametrize("keep", [0, 7, 100, -1])
def test_a_truncated_shard_is_found_even_without_hashing(finished, keep):
    path = finished / "test-00000-of-00001.safetensors"
    path.write_bytes(path.read_bytes()[:keep])
    for verify in ("full", "sampled", "none"):
        with pytest.raises(UnreadableSource, match="test-00000-of-00001"):
            read_folder(finished, verify=verify)


def test_a_sampled_check_hashes_the_first_and_the_last(finished):
    middle = finished / "train-00001-of-00003.safetensors"
    content = bytearray(middle.read_bytes())
    content[-1] ^= 1
    middle.write_bytes(bytes(content))
    read_folder(finished, verify="sampled")  # says what it does: this one is not looked into
    with pytest.raises(UnreadableSource):
        read_folder(finished, verify="full")


def test_shards_of_other_features_or_places_are_not_taken(tmp_path, finished):
    other = tmp_path / "other"
    fill(other, plan={"by": "another"})
    name = "train-00000-of-00003.safetensors"
    shutil.copy(other / name, finished / name)
    with pytest.raises(UnreadableSource, match="made otherwise"):
        load_features(finished)
    shutil.copy(finished / "train-00002-of-00003.safetensors", finished / name)
    with pytest.raises(UnreadableSource, match="does not describe this shard"):
        read_folder(finished, verify="none")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": "x"}', None])
def test_a_damaged_manifest_is_refused_and_made_again(finished, text):
    before = hashes(finished)
    path = finished / "manifest.json"
    path.write_text(
        path.read_text().replace('"n_features": 4', '"n_features": 5') if text is None else text
    )
    with pytest.raises(UnreadableSource, match=r"manifest.json"):
        load_features(finished)
    fill(finished)
    assert hashes(finished) == before


def test_quarantine_by_name_makes_the_folder_unfinished_for_readers(finished):
    path = finished / "train-00000-of-00003.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    assert len(quarantine_damage(finished, move=True)) == 1
    with pytest.raises(UnreadableSource, match="missing"):
        load_features(finished)
    fill(finished)
    assert quarantine_damage(finished) == []


def test_two_writers_exclude_each_other_and_readers_do_not_wait(tmp_path, finished):
    with writing(finished, {"by": "test"}, SPLITS, NAMES, shard_rows=10) as writer:
        assert writer.finished
        with pytest.raises(OutputError, match="another process is writing it"):
            fill(finished)
        load_features(finished)
    fill(finished)


@pytest.mark.parametrize("wrong", ["lost", "twice", "infinite", "columns", "labels"])
def test_a_shard_must_account_for_every_input(tmp_path, wrong):
    with writing(tmp_path / "f", {}, {"train": 4}, NAMES, shard_rows=2) as writer:
        first, second = writer.missing()
        x, rows = np.ones((2, 3)), np.array([0, 1])
        if wrong == "columns":
            writer.put(first, x, rows, rows)
            writer.put(second, np.ones((2, 5)), rows, rows + 2)
            with pytest.raises(UnreadableSource, match="columns"):
                writer.finish()
            return
        given = {"lost": (x[:1], rows[:1]), "twice": (x, rows * 0)}.get(wrong, (x, rows))
        labels = rows[:1] if wrong == "labels" else given[1]
        x[1, 2] = np.inf if wrong == "infinite" else 1.0
        with pytest.raises(InvalidSetting, match="finite" if wrong == "infinite" else "once each"):
            writer.put(first, given[0], labels, given[1])
        assert writer.missing() == [first, second]
        with pytest.raises(OutputError, match="2 are missing"):
            writer.finish()


# ---- Killed, and out of space -------------------------------------------------------------------

DRIVER = """
import os, signal, sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from test_folder import fill, hashes
from gramlab import load_features
from gramlab.errors import UnreadableSource

root = Path(sys.argv[2])
fill(root / "reference")
reference, features = hashes(root / "reference"), load_features(root / "reference")
EVENTS = ("open", "os.rename", "os.remove", "os.mkdir", "os.listdir", "os.scandir")

def killed_before(event_number, path):
    # A child that dies without warning just before its n-th operation on the folder.
    child = os.fork()
    if child == 0:
        seen = 0
        def hook(event, arguments):
            nonlocal seen
            if event in EVENTS and str(path) in str(arguments[0]):
                seen += 1
                if seen == event_number:
                    os.kill(os.getpid(), signal.SIGKILL)
        sys.addaudithook(hook)
        fill(path)
        os._exit(0)
    return os.waitpid(child, 0)[1] != 0

number, lived = 0, False
states = set()
while not lived:
    number += 1
    path = root / f"killed-{number}"
    lived = not killed_before(number, path)
    try:
        state = "whole" if load_features(path) == features else "HALF-READ"
    except UnreadableSource as problem:
        state = "refused"
    states.add(state)
    assert state != "HALF-READ", number
    fill(path)
    assert hashes(path) == reference, number
    assert not list(path.glob(".partial-*")), number
print(number, *sorted(states))
"""


def test_killed_before_every_file_operation_nothing_is_lost_or_half_read(tmp_path):
    here = os.path.dirname(__file__)
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(DRIVER), here, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    operations, *states = done.stdout.split()
    assert int(operations) > 20  # the hook did see the writer work
    assert states == ["refused", "whole"]  # killed before and after the manifest


def test_a_full_disk_is_said_and_leaves_no_part_behind(tmp_path):
    """A limit on file size stands for the disk: the write fails half-way."""
    path = tmp_path / "folder"
    fill(path, stop_after=1)
    before = hashes(path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300, hard))
    try:
        with pytest.raises(OutputError, match=r"train-0000\d-of-00003|plan.json"):
            fill(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert hashes(path) == before
    assert not list(path.glob(".partial-*"))
    fill(path)
    load_features(path)
