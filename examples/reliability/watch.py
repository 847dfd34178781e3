"""One case under watch: what it wrote, what it said, how long it took, how much memory it took."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import resource
import signal
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from loss import lost
from scene import Scene, snapshot

__all__ = ["Verdict", "Watch"]

SECONDS = 60  # a case takes milliseconds, a few that compute take seconds
MEMORY_BYTES = 2 << 30  # address space that a case may add to what the process had before it
GROWTH_BYTES = 1 << 30  # resident memory that a case may add
CODES = (0, 1, 2)
_LONGEST_LINE = 4000
_FORMULA = tuple("=+-@\uff1d\uff0b\uff0d\uff20")
_NUMBER = re.compile(r"[+-]?([\d.]+(e[+-]?\d+)?|inf|nan)")
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
# (event, positions of the paths that it changes)
_CHANGES = {
    "os.rename": (0, 1),
    "os.remove": (0,),
    "os.mkdir": (0,),
    "os.rmdir": (0,),
    "os.symlink": (1,),
    "os.link": (1,),
    "os.truncate": (0,),
    "os.chmod": (0,),
    "os.mkfifo": (0,),
}


class Hang(BaseException):
    """The time is up."""


@dataclass
class Verdict:
    """What came of a case; ``faults`` is empty where everything held."""

    kind: str
    argv: list[str]
    code: int | None = None
    error: str = ""
    seconds: float = 0.0
    growth: int = 0
    said: str = ""
    warned: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def as_json(self) -> str:
        return json.dumps(asdict(self))


class Watch:
    """Runs cases in one folder of this process and says what they did.

    Parameters
    ----------
    root
        An empty folder that belongs to this object.
    main
        Takes the arguments of the command line and gives an exit code.
    seconds, growth
        Limits of a case.
    """

    def __init__(
        self,
        root: Path,
        main: Callable[[Sequence[str]], int],
        *,
        seconds: float = SECONDS,
        growth: int = GROWTH_BYTES,
    ) -> None:
        self.scene = Scene(root)
        self._main, self._seconds, self._growth = main, seconds, growth
        self._written: list[str] | None = None
        sys.addaudithook(self._audit)

    def run(self, kind: str, build: Callable[[Any, Scene], list[str]], draw: Any) -> Verdict:
        """Build a case and run it."""
        self.scene.clear()
        argv = build(draw, self.scene)
        return self.judged(kind, argv)

    def judged(self, kind: str, argv: Sequence[str]) -> Verdict:
        """Run a command in the scene as it stands."""
        found = Verdict(kind, list(argv))
        before = snapshot(self.scene.root, self._skipped)
        out_before = {p for p in snapshot(self.scene.out, lambda path: False)}
        resident = _reset_peak()
        out, err = io.BytesIO(), io.BytesIO()
        streams = (
            io.TextIOWrapper(out, "utf-8", errors="strict", write_through=True),
            io.TextIOWrapper(err, "utf-8", errors="backslashreplace", write_through=True),
        )
        self._written = []
        began = time.perf_counter()
        with warnings.catch_warnings(record=True) as warned, _time_limit(self._seconds):
            warnings.simplefilter("always")
            try:
                with redirect_stdout(streams[0]), redirect_stderr(streams[1]):
                    found.code = self._main(list(argv))
            except Hang:
                found.faults.append(f"hang: no end after {self._seconds:g} s")
                found.error = _where()
            except BaseException as problem:
                found.faults.append(f"traceback: {type(problem).__name__}: {problem}"[:400])
                found.error = _where()
        found.seconds = time.perf_counter() - began
        written, self._written = self._written, None
        found.growth = max(0, _peak() - resident)
        found.said = err.getvalue().decode("utf-8", "replace")
        found.warned = sorted({f"{w.category.__name__}: {w.message}"[:200] for w in warned})
        found.faults += self._outside(before, written)
        found.faults += self._half(out_before)
        found.faults += self._words(found, out.getvalue().decode("utf-8", "replace"))
        found.faults += self._cells(out_before)
        if self.scene.put is not None and found.code == 0:
            found.faults += lost(self.scene.put, self.scene.out / "o.safetensors")
        if found.growth > self._growth:
            found.faults.append(f"memory: {found.growth >> 20} MiB more than before")
        found.said = found.said[:2000]
        return found

    # ---- What is looked at ------------------------------------------------------------------

    def _skipped(self, path: str) -> bool:
        if any(kept in Path(path).parents for kept in self.scene.kept):
            return False
        return self.scene.is_allowed(os.path.dirname(path)) or Path(path) == self.scene.out

    def _outside(self, before: dict[str, Any], written: list[str]) -> Iterator[str]:
        after = snapshot(self.scene.root, self._skipped)
        for path in sorted(before.keys() | after.keys()):
            if before.get(path) != after.get(path):
                gone = "gone" if path not in after else "changed"
                yield f"outside: {path} {'appeared' if path not in before else gone}"
        yield from written

    def _half(self, before: set[str]) -> Iterator[str]:
        """Parts of files that were left, and files that are not whole."""
        for path in snapshot(self.scene.root, lambda path: False):
            name = os.path.basename(path)
            if name.startswith(".partial-") and path not in before and not os.path.islink(path):
                yield f"half: {path} was left"
            if path not in before and self.scene.is_allowed(path) and os.path.isfile(path):
                # What lies in quarantine is there because it is damaged.
                problem = "" if "quarantine" in Path(path).parts else _not_whole(Path(path))
                if problem and str(self.scene.out) in path:
                    yield f"half: {path} {problem}"

    def _cells(self, before: set[str]) -> Iterator[str]:
        """Cells of tables that a spreadsheet would run, where commas or semicolons part them."""
        for path in snapshot(self.scene.out, lambda path: False):
            if not path.endswith(".csv") or path in before or not os.path.isfile(path):
                continue
            text = Path(path).read_text(encoding="utf-8")
            for separator in ",;":
                for line in csv.reader(io.StringIO(text, newline=""), delimiter=separator):
                    for cell in line:
                        shown = "".join(c for c in cell if c.isprintable()).lstrip(' "')
                        if shown[:1] in _FORMULA and not _NUMBER.fullmatch(shown):
                            yield f"words: a cell {cell[:50]!r} that begins a formula"

    def _words(self, found: Verdict, shown: str = "") -> Iterator[str]:
        if "Traceback" in found.said:
            yield "traceback: on stderr"
        if not all(line.isprintable() for line in f"{found.said}\n{shown}".split("\n")):
            yield "words: control characters for the terminal"
        if found.code is None:
            return
        if found.code not in CODES or (found.code == 1 and "theorems" not in found.argv):
            yield f"code: {found.code}"
        lines = found.said.splitlines()
        if found.code == 2 and not (lines and lines[-1].startswith("gramlab: error: ")):
            yield "words: no error in one line"
        if found.code == 2 and any(len(line) > _LONGEST_LINE for line in lines):
            yield f"words: a line of {max(map(len, lines))} characters"

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Note a write to any place of the machine that is not this case's own."""
        if self._written is None or threading.current_thread() is not threading.main_thread():
            return
        noted, self._written = self._written, None  # what follows is not to be seen by itself
        try:
            paths: list[Any] = []
            if event == "open" and isinstance(arguments[0], (str, bytes)):
                mode, flags = arguments[1], arguments[2]
                writes = bool(flags & _WRITES) if isinstance(flags, int) else False
                if isinstance(mode, str) and any(letter in mode for letter in "wax+"):
                    writes = True
                if writes:
                    kept = getattr(os, "O_NOFOLLOW", 0) & (flags if isinstance(flags, int) else 0)
                    paths = [_own(arguments[0]) if kept else os.path.realpath(arguments[0])]
            elif event in _CHANGES:
                paths = [
                    _own(arguments[i])
                    for i in _CHANGES[event]
                    if isinstance(arguments[i], (str, bytes, os.PathLike))
                ]
            for path in paths:
                name = os.fsdecode(path)
                # A folder that is there already is not made, whoever asks for it.
                made = event == "os.mkdir" and os.path.isdir(name)
                if name != os.devnull and not made and not self.scene.is_allowed(name):
                    noted.append(f"outside: {event} {name}"[:300])
        finally:
            self._written = noted


def _own(path: Any) -> str:
    """The path itself, where links on the way are followed and one at its end is not."""
    name = os.fsdecode(path)
    return os.path.join(os.path.realpath(os.path.dirname(name) or "."), os.path.basename(name))


def _not_whole(path: Path) -> str:
    content = path.read_bytes()
    if path.suffix == ".json":
        with suppress(ValueError, RecursionError):
            json.loads(content)
            return ""
        return "is no JSON"
    if path.suffix == ".png":
        return "" if content.endswith(b"IEND\xaeB`\x82") else "is no whole PNG"
    if path.suffix == ".html":
        return "" if content.rstrip().endswith(b"</html>") else "is no whole page"
    if path.suffix == ".safetensors":
        from gramlab.files.tensors import open_tensors
        from gramlab.files.whole import reading

        try:
            with reading(path.name):
                open_tensors(path)
        except OSError as problem:
            return str(problem)
    return ""


def _where() -> str:
    """The last lines of the traceback, without the folder of the machine."""
    lines = traceback.format_exc(limit=-8).splitlines()
    return "\n".join(lines)[-2500:]


@contextmanager
def _time_limit(seconds: float) -> Iterator[None]:
    def up(number: int, frame: object) -> None:
        raise Hang

    before = signal.signal(signal.SIGALRM, up)
    # Again and again: compiled code and finalizers may swallow the first.
    signal.setitimer(signal.ITIMER_REAL, seconds, 1.0)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)


def _status(name: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise KeyError(name)


def _reset_peak() -> int:
    """Resident bytes now; the peak is counted from here on."""
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")
    return _status("VmRSS")


def _peak() -> int:
    return _status("VmHWM")


def limit_memory(more: int = MEMORY_BYTES) -> None:
    """Let this process have ``more`` address space than it has now, and not a byte beyond."""
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    resource.setrlimit(resource.RLIMIT_AS, (_status("VmSize") + more, hard))
