"""Rocq proofs compiled on this machine: what the kernel states, assumes, and refuses."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from gramlab.errors import InvalidSetting, one_line
from gramlab.files.whole import changing
from gramlab.machine.hardware import cores
from gramlab.theorems.form import Theorem
from gramlab.theorems.record import AXIOMS, Recorded, place, required, sources, text_of

__all__ = ["Checked", "Coqc", "check_proofs", "find_coqc"]


_QUESTIONS = "gramlab_questions"  # the file in which the kernel is asked for axioms


@dataclass(frozen=True)
class Coqc:
    """The compiler of Rocq files: where it is, and its version."""

    path: str
    version: str


@dataclass(frozen=True)
class Checked:
    """What the kernel found of the Rocq proof of one theorem.

    Attributes
    ----------
    theorem, file
        Its name, and that of its Rocq file.
    found
        Statements and axioms as the kernel prints them; ``None`` where the proof does not compile.
    seconds
        What its file took, and the files that it requires; those are shared with other proofs.
    problem
        File, line and reason, or an axiom that may not be assumed; empty where all is well.
    """

    theorem: str
    file: str
    found: Recorded | None
    seconds: float
    problem: str


@dataclass(frozen=True)
class _Compiled:
    seconds: float
    failed: str  # which file did not compile: this one, or one that it requires; "" if none


def find_coqc() -> Coqc:
    """The Coq compiler of this machine.

    Raises
    ------
    InvalidSetting
        If there is none, or it does not tell its version.
    OutputError
        If it cannot be run.
    """
    path = shutil.which("coqc")
    if path is None:
        raise InvalidSetting(
            "expected coqc, which compiles Rocq proofs, but it is not on the PATH; install it, on "
            "Debian by apt-get install coq libcoq-coquelicot libcoq-interval, with opam by opam "
            "install coq coq-coquelicot coq-interval"
        )
    asked = [path, "--print-version"]
    with changing(f"run {path}", "install Coq again"):
        told = subprocess.run(asked, capture_output=True, text=True, check=False, errors="replace")
    version = told.stdout.split()[:1]
    if told.returncode or not version:
        raise InvalidSetting(
            f"expected the version of Coq from {path} --print-version, got "
            f"{told.stderr.strip() or told.stdout.strip()!r}; install Coq again"
        )
    return Coqc(path, version[0])


def check_proofs(
    coqc: Coqc,
    theorems: Iterable[Theorem],
    told: Callable[[int, int], None] = lambda done, total: None,
) -> list[Checked]:
    """Compile the Rocq proofs of theorems, and ask the kernel what they state and assume.

    The files are copied to a temporary folder, where as many are compiled at once as there are
    cores; ``told`` hears how many of how many files are done.

    Raises
    ------
    InvalidSetting
        If a theorem has no Rocq file, or two files have one name, or coqc does not tell of what
        it compiled.
    OutputError
        If coqc cannot be run.
    """
    chosen = list(theorems)
    files: dict[str, Path] = {}
    for theorem in chosen:
        for name, path in sources(place(theorem)).items():
            if files.setdefault(name, path) != path:
                raise InvalidSetting(
                    f"two Rocq files are called {name}.v ({str(files[name])!r} and {str(path)!r}); "
                    "give yours another name"
                )
    with TemporaryDirectory(prefix="gramlab-rocq-") as folder:
        work = _Work(coqc, Path(folder))
        for name, path in files.items():
            asked = _names(t for t in chosen if place(t) == path)
            work.write(name, text_of(path) + _told_by("statement", "Check", name, asked))
        needs = {n: set(required(text_of(path))) & files.keys() - {n} for n, path in files.items()}
        compiled = work.compile(needs, told)
        _ask_assumptions(work, [t for t in chosen if not compiled[place(t).stem].failed])
        return [_checked(work, theorem, compiled, files) for theorem in chosen]


def _names(theorems: Iterable[Theorem]) -> list[str]:
    return [name for one in theorems if one.kernel for name in one.kernel.theorems]


# ---- Asking --------------------------------------------------------------------------------------


def _told_by(kind: str, command: str, file: str, names: Iterable[str], prefix: str = "") -> str:
    """Commands that write what the kernel tells of each name into a file of its own."""
    asked = [f'Redirect "{file}.{n}.{kind}" {command} {prefix}{n}.' for n in dict.fromkeys(names)]
    return "\n".join(["", "Set Printing Width 100.", "Set Printing Depth 10000.", *asked, ""])


def _ask_assumptions(work: _Work, theorems: Sequence[Theorem]) -> None:
    """Ask what compiled proofs assume, where nothing is imported that could shorten a name.

    Rocq walks through all that a theorem rests on, so each core has a share of the files.
    """
    files = list(dict.fromkeys(place(theorem).stem for theorem in theorems))
    asking: dict[str, set[str]] = {}
    for number in range(min(cores(), len(files))):
        share, name = files[number :: cores()], f"{_QUESTIONS}_{number}"
        text = "".join(f"From Gramlab Require {file}.\n" for file in share)
        for file in share:
            asked = _names(one for one in theorems if place(one).stem == file)
            text += _told_by("assumptions", "Print Assumptions", file, asked, f"Gramlab.{file}.")
        work.write(name, text)
        asking[name] = set()  # what it requires is compiled
    failed = [one.failed for one in work.compile(asking).values() if one.failed]
    if failed:
        raise InvalidSetting(
            "expected coqc to tell the axioms of what it compiled, but: "
            f"{one_line(work.log(failed[0]), 400)}; install Coq again, with Coquelicot and "
            "Interval of one distribution"
        )


# ---- Compiling -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Work:
    """A folder of Rocq files, and the compiler that is run in it."""

    coqc: Coqc
    folder: Path

    def write(self, name: str, text: str) -> None:
        (self.folder / f"{name}.v").write_text(text, encoding="utf-8")

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text(encoding="utf-8", errors="replace")

    def compile(
        self,
        needs: Mapping[str, set[str]],
        told: Callable[[int, int], None] = lambda done, total: None,
    ) -> dict[str, _Compiled]:
        """Compile files, each once those that it needs are, until all are done or have failed."""
        done: dict[str, _Compiled] = {}
        running: dict[str, tuple[subprocess.Popen[bytes], float]] = {}
        try:
            while len(done) < len(needs):
                told(len(done), len(needs))
                for name in needs.keys() - done.keys() - running.keys():
                    failed = [done[n].failed for n in needs[name] & done.keys() if done[n].failed]
                    if failed:
                        done[name] = _Compiled(0.0, failed[0])
                    elif needs[name] <= done.keys() and len(running) < cores():
                        running[name] = self._started(name), time.monotonic()
                for name, (process, began) in list(running.items()):
                    if process.poll() is not None:
                        seconds = time.monotonic() - began
                        done[name] = _Compiled(seconds, name if process.returncode else "")
                        del running[name]
                time.sleep(0.01)
        finally:
            for process, _ in running.values():
                process.kill()
                process.wait()
        told(len(done), len(needs))
        return done

    def _started(self, name: str) -> subprocess.Popen[bytes]:
        command = [self.coqc.path, "-q", "-Q", ".", "Gramlab", f"{name}.v"]
        none = subprocess.DEVNULL
        with changing(f"run {self.coqc.path}", "install Coq again"):
            with open(self.folder / f"{name}.log", "wb") as log:
                return subprocess.Popen(
                    command, cwd=self.folder, stdout=log, stderr=log, stdin=none
                )

    def answer(self, file: Path, name: str, asked: str) -> str:
        """What the kernel told of a theorem."""
        path = self.folder / f"{file.stem}.{name}.{asked}.out"
        if not path.is_file():
            raise InvalidSetting(
                f"expected coqc to tell the {asked} of {name} in {str(file)!r}, but it told "
                "nothing; install Coq again"
            )
        return path.read_text(encoding="utf-8")

    def problem(self, path: Path) -> str:
        """File, line and reason of what does not compile, as Coq tells it."""
        log = self.log(path.stem)
        at = r'^File "[^"]*", line (\d+), characters [^\n]*:\n(Error:.*)'
        found = re.search(at, log, re.MULTILINE | re.DOTALL)
        if found is None:
            return f"{path}: {one_line(log, 400) or 'coqc ended without a word'}"
        line, reason = int(found[1]), " ".join(found[2].split())
        if line > text_of(path).count("\n") + 1:
            reason += " (`kernel` of a theorem must name theorems of this file)"
        return f"{path}, line {line}: {one_line(reason, 400)}; mend the proof there"


# ---- What the kernel says ------------------------------------------------------------------------


def _checked(
    work: _Work, theorem: Theorem, compiled: Mapping[str, _Compiled], files: Mapping[str, Path]
) -> Checked:
    file, names = place(theorem), _names([theorem])
    seconds = sum(compiled[name].seconds for name in sources(file))
    failed = compiled[file.stem].failed
    if failed:
        return Checked(theorem.name, file.name, None, seconds, work.problem(files[failed]))
    statements = {
        name: " ".join(work.answer(file, name, "statement").split()).removeprefix(f"{name} : ")
        for name in names
    }
    # "Axioms:", or that there are none; then each axiom at the beginning of a line.
    told = (work.answer(file, name, "assumptions") for name in names)
    lines = [line for text in told for line in text.splitlines()[1:]]
    axioms = sorted({line.split()[0] for line in lines if line[:1].strip()})
    more, problem = ", ".join(set(axioms) - AXIOMS), ""
    if more:
        problem = f"{file}: {', '.join(names)} must rest on the axioms of the real numbers alone, "
        problem += f"got also {more}; prove what is assumed or admitted"
    found = Recorded(statements, tuple(axioms), work.coqc.version)
    return Checked(theorem.name, file.name, found, seconds, problem)
