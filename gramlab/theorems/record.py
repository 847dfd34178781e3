"""What a proof kernel checked: recorded beside the Rocq files, by the hash of their text.

A record says for each theorem what the kernel printed of its Rocq proof. It counts as long as the
files are those that were compiled; ``gramlab theorems --kernel --record`` writes it.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from gramlab.errors import InvalidSetting
from gramlab.files.whole import atomic_write, read_json, reading
from gramlab.numerics.content import sha256, to_json
from gramlab.theorems.form import Proof, Theorem
from gramlab.theorems.notation import as_unicode

__all__ = [
    "AXIOMS",
    "RECORD",
    "Recorded",
    "commented",
    "kernel_lines",
    "kernel_proof",
    "place",
    "read_record",
    "recorded",
    "required",
    "sources",
    "text_of",
    "write_comments",
    "write_records",
]

HOUSE = Path(__file__).with_name("rocq")
"""The folder of gramlab's own Rocq files."""

RECORD = "record.json"

AXIOMS = frozenset(
    {
        "ClassicalDedekindReals.sig_forall_dec",
        "ClassicalDedekindReals.sig_not_dec",
        "FunctionalExtensionality.functional_extensionality_dep",
        "Classical_Prop.classic",
    }
)
"""The axioms of the standard library's real numbers, and no other, may be assumed."""

_KEYS = {"file", "sources", "statements", "assumptions", "coq"}  # of each proof in a record
_NAME = re.compile(r"[^\W\d][\w']*(\.[^\W\d][\w']*)*")  # of a Rocq theorem, perhaps in a module
_REQUIRED = re.compile(r"From\s+Gramlab\s+Require\s+(?:Import\s|Export\s)?([\w\s]+)\.")


@dataclass(frozen=True)
class Recorded:
    """What the kernel printed of one Rocq proof.

    ``statements`` are those of its main theorems by name, ``assumptions`` the names of all axioms
    that they rest on, and ``coq`` is the version that compiled them.
    """

    statements: Mapping[str, str]
    assumptions: tuple[str, ...]
    coq: str


# ---- Files ---------------------------------------------------------------------------------------


def place(theorem: Theorem) -> Path:
    """The Rocq file of a theorem that has one.

    Raises
    ------
    InvalidSetting
        If the theorem names none, or it is not there, or no theorems of it are named.
    """
    if theorem.kernel is None:
        raise InvalidSetting(
            f"theorem {theorem.name!r} has no Rocq proof; give it `kernel`, a "
            "gramlab.theorems.form.Rocq"
        )
    path = HOUSE / theorem.kernel.file  # which is the file itself where it is a whole path
    if not path.is_file():
        raise InvalidSetting(
            f"theorem {theorem.name!r} names the Rocq file {str(path)!r}, which is not there; give "
            'its whole path, as Path(__file__).with_name("my_theorem.v") does'
        )
    names = theorem.kernel.theorems
    if not isinstance(names, tuple) or not names or not all(map(_NAME.fullmatch, names)):
        raise InvalidSetting(
            f"`kernel` of the theorem {theorem.name!r} must name theorems of {path.name}, as "
            f'("my_theorem",) does, got {names!r}; give a tuple of names'
        )
    return path


def sources(file: Path) -> dict[str, Path]:
    """A Rocq file and those that it requires of the library Gramlab, by name, required ones first.

    They are looked for beside the file and then among gramlab's own; Rocq itself complains of one
    that is in neither place.

    Raises
    ------
    InvalidSetting
        If files require each other in a circle, or one is called like a file of the standard
        library that has axioms, whose names would hide its own.
    UnreadableSource
        If one is no text.
    """
    found: dict[str, Path] = {}

    def visit(path: Path, above: tuple[Path, ...]) -> None:
        if path in above:
            circle = ", ".join(one.name for one in above[above.index(path) :])
            raise InvalidSetting(
                f"Rocq files must not require each other in a circle, got {circle} in "
                f"{str(path.parent)!r}; move what both need into a file of its own"
            )
        if path.stem in {axiom.split(".")[0] for axiom in AXIOMS}:
            raise InvalidSetting(
                f"no Rocq file may be called like one that has axioms of the real numbers, got "
                f"{str(path)!r}; rename it"
            )
        for name in required(text_of(path)):
            beside = (folder / f"{name}.v" for folder in (path.parent, HOUSE))
            needed = next((one for one in beside if one.is_file()), None)
            if needed is not None and name not in found:
                visit(needed, (*above, path))
        found[path.stem] = path

    visit(file, ())
    return found


def text_of(file: Path) -> str:
    """The text of a Rocq file.

    Raises
    ------
    UnreadableSource
        If it is no text.
    """
    with reading(f"Rocq file {str(file)!r}", fix="write it again, in UTF-8"):
        return file.read_text(encoding="utf-8")


def required(text: str) -> list[str]:
    """Names of the files that ``From Gramlab Require`` of a Rocq text names."""
    return [name for names in _REQUIRED.findall(_without_comments(text)) for name in names.split()]


def _without_comments(text: str) -> str:
    """The text less its comments, which may hold others."""
    kept, depth = [], 0
    for piece in re.split(r"(\(\*|\*\))", text):
        depth += piece == "(*"
        if depth == 0:
            kept.append(piece)
        depth -= piece == "*)" and depth > 0
    return "".join(kept)


def _hash(file: Path) -> str:
    """Hash of a file and of all that it requires, with their names."""
    parts = (part for name, path in sources(file).items() for part in (name, path.read_bytes()))
    return sha256(*parts)


# ---- The comment above a Rocq theorem ------------------------------------------------------------


def commented(theorem: Theorem, text: str) -> str:
    """A Rocq text with the registry's statement as the comment right above the first main theorem.

    Raises
    ------
    InvalidSetting
        If the text has no such theorem.
    """
    main = theorem.kernel.theorems[0] if theorem.kernel else theorem.name
    found = re.search(rf"^([ \t]*)(?:Theorem|Lemma|Corollary)\s+{re.escape(main)}\b", text, re.M)
    if found is None:
        raise InvalidSetting(
            f"the Rocq file of the theorem {theorem.name!r} must have a Theorem {main}, got none; "
            "name its main theorems in `kernel`"
        )
    above, below = text[: found.start()], text[found.start() :]
    # A comment ends at the first end mark, so the pattern runs over no other.
    old = r"[ \t]*\(\*\* Registry, (?:(?!\*\)).)*\*\)\n\Z"
    return re.sub(old, "", above, flags=re.DOTALL) + _comment(theorem, found[1]) + below


def _comment(theorem: Theorem, indent: str) -> str:
    told = f"Registry, {theorem.name}: {as_unicode(theorem.statement)}"
    if theorem.expected == "counterexample":
        told = told.replace(":", ", which is false:", 1)
    if theorem.kernel and theorem.kernel.covers:
        told += f" (of this: {theorem.kernel.covers})"
    for mark, plain in (('"', "''"), ("(*", "( *"), ("*)", "* )")):  # which Rocq would read
        told = told.replace(mark, plain)
    lines = textwrap.wrap(told, 92 - len(indent), break_long_words=False, break_on_hyphens=False)
    return f"{indent}(** {f'{chr(10)}{indent}    '.join(lines)} *)\n"


def write_comments(theorems: Iterable[Theorem]) -> None:
    """Bring the statements of the registry above the Rocq theorems, where they are not yet.

    Raises
    ------
    InvalidSetting
        If a file lacks the theorem that it should have.
    OutputError
        If it cannot be written.
    """
    for theorem in theorems:
        path = place(theorem)
        text = text_of(path)
        wanted = commented(theorem, text)
        if wanted != text:
            atomic_write(path, wanted)


# ---- The record ----------------------------------------------------------------------------------


def read_record(folder: Path) -> dict[str, Any]:
    """What is recorded of the proofs in a folder, by theorem; empty where there is no record.

    Raises
    ------
    UnreadableSource
        If it is damaged.
    """
    path = folder / RECORD
    if not path.exists():
        return {}
    with reading(
        f"record {str(path)!r}", fix="remove it and run gramlab theorems --kernel --record"
    ):
        found = read_json(path)
        if not all(_KEYS <= entry.keys() for entry in found.values()):
            raise ValueError("it is no record of proofs")
        return found


def recorded(theorem: Theorem) -> Recorded | None:
    """What the record says of a theorem's Rocq proof.

    ``None`` if it has none, or was compiled from other texts than now stand there, or rests on
    other axioms than those of the real numbers.
    """
    if theorem.kernel is None:
        return None
    file = place(theorem)
    entry = read_record(file.parent).get(theorem.name)
    if entry is None or entry["sources"] != _hash(file):
        return None
    same = tuple(entry["statements"]) == theorem.kernel.theorems
    if not same or not AXIOMS.issuperset(entry["assumptions"]):
        return None
    return Recorded(entry["statements"], tuple(entry["assumptions"]), entry["coq"])


def write_records(
    proofs: Sequence[tuple[Theorem, Recorded]], known: Iterable[Theorem]
) -> list[Path]:
    """Record what the kernel printed of proofs, in the folders that they are in.

    What was recorded there before of others stays, if they are among the ``known`` theorems.

    Raises
    ------
    OutputError
        If a record cannot be written.
    """
    written = []
    for folder in dict.fromkeys(place(theorem).parent for theorem, _ in proofs):
        there = {one.name for one in known if one.kernel and place(one).parent == folder}
        entries = {name: one for name, one in read_record(folder).items() if name in there}
        for theorem, found in proofs:
            if place(theorem).parent == folder:
                made = {"file": place(theorem).name, "sources": _hash(place(theorem))}
                entries[theorem.name] = {**made, **asdict(found)}
        written.append(atomic_write(folder / RECORD, to_json(dict(sorted(entries.items())))))
    return written


# ---- As a proof ----------------------------------------------------------------------------------


def kernel_proof(theorem: Theorem) -> Proof | None:
    """The recorded Rocq proof, where it covers all of a theorem; else ``None``.

    It is unknown where the record is of other files than those that are there.
    """
    rocq = theorem.kernel
    if rocq is None or rocq.covers:
        return None
    found = recorded(theorem)
    how = f"Rocq's kernel checks {place(theorem).name}"
    if found is None:
        line = "no record is of these files; gramlab theorems --kernel --record makes it"
        return Proof("unknown", how, "the whole statement", (line,))
    proof = Proof(theorem.expected, how, "the whole statement", tuple(kernel_lines(theorem)))
    object.__setattr__(proof, "level", "kernel")  # no argument, which anybody could pass
    return proof


def kernel_lines(theorem: Theorem) -> list[str]:
    """What a reader is told of the recorded Rocq proof of a theorem; empty where there is none."""
    found = recorded(theorem)
    if found is None:
        return []
    axioms = ", ".join(found.assumptions) or "none"
    return [
        *(f"{name}: {statement}" for name, statement in found.statements.items()),
        f"axioms: {axioms}",
        f"Coq {found.coq}; gramlab theorems {theorem.name} --kernel compiles it here",
    ]
