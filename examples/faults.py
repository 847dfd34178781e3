r"""Everything that can go wrong with a feature folder, done to one: the table of docs/features.md.

    python examples/faults.py --out docs/generated

A small random network and a handful of drawn images, one of them broken, are extracted once
undisturbed. Then writers are killed (SIGKILL, no warning) at every image and before every file
operation, the disk fills up, shards are cut and bytes flipped, and two writers start at once. After
each fault two things are looked at: what a reader gets, and what the same command, run again,
leaves. A reader must get the whole features or a refusal; the rerun must leave the same bytes.

The full disk is a small file system in memory, mounted in a namespace of its own (Linux; left out
where that is not allowed, and said). ``--every 5`` does only every fifth of the faults.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch
import transformers
from PIL import Image

import gramlab
from gramlab.errors import GramlabError, OutputError, UnreadableSource
from gramlab.extract import Backbone, extract_features, open_image_folder
from gramlab.files.shards import quarantine_damage
from gramlab.files.whole import atomic_write, output_folder

SIDE, PER_CLASS, SHARD_ROWS, BATCH = 32, 7, 4, 3
FILE_EVENTS = ("open", "os.rename", "os.remove", "os.mkdir", "os.listdir", "os.scandir")


class Extraction:
    """A small extraction and what it leaves undisturbed."""

    def __init__(self, root: Path) -> None:
        torch.set_num_threads(1)  # forked children must find no pool of threads
        torch.manual_seed(0)
        config = transformers.ResNetConfig(
            embedding_size=4, hidden_sizes=[4, 6], depths=[1, 1], layer_type="basic"
        )
        transformers.utils.logging.disable_progress_bar()
        transformers.ResNetModel(config).save_pretrained(root / "network")
        rng = np.random.default_rng(0)
        for name in ("ant", "bee"):
            (root / "images" / name).mkdir(parents=True)
            for i in range(PER_CLASS):
                pixels = rng.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(root / "images" / name / f"{i}.png")
        cut = root / "images" / "bee" / "3.png"
        cut.write_bytes(cut.read_bytes()[:900])
        self.backbone = Backbone.load(root / "network", preprocessing="paper", device="cpu")
        self.images = open_image_folder(root / "images")
        self.count = 2 * PER_CLASS
        self.run(root / "undisturbed")
        self.bytes = hashes(root / "undisturbed")
        self.features = gramlab.load_features(root / "undisturbed")

    def run(self, out: Path, on_image: Callable[[str], None] = lambda stage: None) -> None:
        stage = ""

        def begin(name: str, total: int) -> None:
            nonlocal stage
            stage = name

        extract_features(
            self.backbone,
            self.images.train_and_test(),
            self.images.class_names,
            out,
            batch_size=BATCH,
            shard_rows=SHARD_ROWS,
            on_stage=begin,
            on_images=lambda done: on_image(stage),
        )

    def outcome(self, out: Path) -> str:
        """What a reader gets now."""
        try:
            return "whole" if gramlab.load_features(out) == self.features else "HALF-READ"
        except UnreadableSource:
            return "refused"

    def mended(self, out: Path) -> bool:
        """Whether the same command, run again, leaves what an undisturbed one leaves."""
        kept = {p.name: p.stat().st_mtime_ns for p in whole_shards(out, self.bytes)}
        self.run(out)
        untouched = all((out / name).stat().st_mtime_ns == at for name, at in kept.items())
        return hashes(out) == self.bytes and untouched and not list(out.glob(".partial-*"))


def hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of every file that belongs to the folder; its lock and quarantine do not."""
    files = (p for p in folder.iterdir() if p.is_file() and p.name != ".lock")
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def whole_shards(folder: Path, reference: dict[str, str]) -> list[Path]:
    if not folder.is_dir():
        return []
    found = hashes(folder)
    return [folder / n for n in found if n.endswith("s") and found[n] == reference.get(n)]


class Table:
    """Faults done, what readers got, and how many reruns left the same bytes."""

    def __init__(self) -> None:
        self.rows: dict[str, dict[str, int]] = {}

    def add(self, fault: str, outcome: str, mended: bool) -> None:
        row = self.rows.setdefault(fault, {"done": 0, "whole": 0, "refused": 0, "HALF-READ": 0})
        row.setdefault("mended", 0)
        row["done"] += 1
        row[outcome] += 1
        row["mended"] += mended

    def markdown(self) -> str:
        lines = [
            "| fault | done | reader: refused | reader: whole | reader: half-read | "
            "rerun: same bytes |",
            "|---|---|---|---|---|---|",
        ]
        for fault, r in self.rows.items():
            cells = [r["done"], r["refused"], r["whole"], r["HALF-READ"]]
            lines.append(f"| {fault} | {' | '.join(map(str, cells))} | {r['mended']} |")
        return "\n".join(lines) + "\n"


def in_child(work: Callable[[], None]) -> int:
    """Do ``work`` in a forked process; its wait status."""
    child = os.fork()
    if child == 0:
        try:
            work()
        except GramlabError:
            os._exit(3)
        except BaseException as problem:
            print(f"child: {problem!r}", file=sys.stderr, flush=True)
            os._exit(4)
        os._exit(0)
    return child


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def killed_at_images(work: Extraction, root: Path, every: int, table: Table) -> None:
    for stage, fault in (
        ("looking at the train images", "kill -9 at an image, hashing the images"),
        ("computing features", "kill -9 at an image, computing"),
    ):
        for number in range(1, work.count + 1, every):
            out, seen = root / f"{fault[-6:]}-{number}", 0

            def on_image(now: str, stage: str = stage, number: int = number) -> None:
                nonlocal seen
                seen += now == stage
                if seen == number:
                    die()

            status = os.waitpid(in_child(lambda: work.run(out, on_image)), 0)[1]  # noqa: B023
            assert os.WIFSIGNALED(status), status
            table.add(fault, work.outcome(out), work.mended(out))


def killed_at_files(work: Extraction, root: Path, every: int, table: Table) -> None:
    number, lived = 1, False
    while not lived:
        out, seen = root / f"operation-{number}", 0

        def hook(event: str, arguments: tuple) -> None:
            nonlocal seen
            if event in FILE_EVENTS and str(out) in str(arguments[0]):  # noqa: B023
                seen += 1
                if seen == number:  # noqa: B023
                    die()

        def work_and_die() -> None:
            sys.addaudithook(hook)
            work.run(out)  # noqa: B023

        status = os.waitpid(in_child(work_and_die), 0)[1]
        lived = not os.WIFSIGNALED(status)
        assert not lived or status == 0, status
        if not lived:
            fault = "kill -9 before a file operation (shards, manifest)"
            table.add(fault, work.outcome(out), work.mended(out))
        number += every


def damages(name: str, content: bytes, every: int) -> Iterator[tuple[str, bytes]]:
    if name.endswith(".safetensors"):
        for keep in (0, 7, len(content) // 2, len(content) - 1):
            yield "shard cut short", content[:keep]
    kind = "byte flipped in a shard" if name.endswith("s") else "byte flipped in the manifest"
    for place in range(0, len(content), 7 * every):
        changed = bytearray(content)
        changed[place] ^= 1 << (place % 8)
        yield kind, bytes(changed)


def damaged(work: Extraction, root: Path, every: int, table: Table) -> None:
    out = root / "damaged"
    work.run(out)
    for name in sorted(work.bytes):
        content = (out / name).read_bytes()
        for fault, bad in damages(name, content, every):
            (out / name).write_bytes(bad)
            outcome = work.outcome(out)
            if name.endswith(".safetensors"):
                with suppress(UnreadableSource):
                    assert len(quarantine_damage(out)) == 1  # named, and no other shard
            table.add(fault, outcome, work.mended(out))


def two_writers(work: Extraction, root: Path, every: int, table: Table) -> None:
    for number in range(0, 10, every):
        out = root / f"two-{number}"
        children = [in_child(lambda: work.run(out)) for _ in range(2)]  # noqa: B023
        codes = sorted(os.waitstatus_to_exitcode(os.waitpid(c, 0)[1]) for c in children)
        # One writes; the other is refused, or comes later and finds the folder finished.
        assert codes in ([0, 3], [0, 0]), codes
        table.add("two writers at once", work.outcome(out), work.mended(out))


def full_disk(work: Extraction, disk: Path, every: int, table: Table) -> None:
    """``disk`` is a file system of its own; it is made larger until the work fits."""

    def resize(size: int) -> None:
        subprocess.run(["mount", "-o", f"remount,size={size}k", str(disk)], check=True)

    pages = 1
    while True:
        resize(4 * pages)
        out = disk / "folder"
        try:
            work.run(out)
            break
        except OutputError as problem:
            said = str(problem)
        assert "No space left" in said, said
        assert not list(disk.rglob(".partial-*"))
        outcome = work.outcome(out)
        resize(4096)
        table.add("disk full (ENOSPC)", outcome, work.mended(out))
        for path in sorted(disk.rglob("*"), reverse=True):
            path.unlink() if path.is_file() else path.rmdir()
        pages += every


def on_a_small_disk(every: int) -> dict[str, dict[str, int]] | None:
    """Run ``full_disk`` in a namespace where this process may mount; None where it may not."""
    with tempfile.TemporaryDirectory() as place:
        mount = 'mount -t tmpfs -o size=4k tmpfs "$0" || exit 77; exec "$@"'
        here = [sys.executable, __file__, "--full-disk", place, "--every", str(every)]
        command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", mount, place]
        try:
            done = subprocess.run([*command, *here], capture_output=True, text=True, check=False)
        except OSError:
            return None
        if done.returncode == 77 or "unshare" in done.stderr:
            return None
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", default="out/faults")
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--full-disk", help=argparse.SUPPRESS)
    options = parser.parse_args()
    table = Table()
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        work = Extraction(root)
        if options.full_disk:
            full_disk(work, Path(options.full_disk), options.every, table)
            print(json.dumps(table.rows))
            return
        for faults in (killed_at_images, killed_at_files, damaged, two_writers):
            faults(work, root, options.every, table)
    small_disk = on_a_small_disk(options.every)
    table.rows |= small_disk or {}
    for fault, row in table.rows.items():
        assert row["HALF-READ"] == 0, fault
        assert row["mended"] == row["done"], fault
    text = table.markdown()
    if small_disk is None:
        text += "\nThe full disk was left out: this machine does not let a process mount one.\n"
    atomic_write(output_folder(options.out) / "faults.md", text)
    print(text)


if __name__ == "__main__":
    main()
