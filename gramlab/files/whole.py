"""Files that appear whole or not at all, tables among them, and how files of others are read."""

from __future__ import annotations

import csv
import errno
import hashlib
import importlib.util
import json
import os
import re
import secrets
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from gramlab.errors import (
    GramlabError,
    InvalidSetting,
    NotEnoughMemory,
    OutputError,
    UnreadableSource,
    shows,
)
from gramlab.machine.memory import check_memory
from gramlab.validation import missing_extra

Table = Mapping[str, Sequence[Any]]  # columns of one length by name


@contextmanager
def reading(
    what: str, *, form: str = "", fix: str = "write it again or copy it again from where it came"
) -> Iterator[None]:
    """Call a file damaged, whatever a damaged or hostile one makes its reader raise.

    Says which (`what`: "source 'x.npz'"), what it may not be instead (`form`: "no Parquet file"),
    the first line of why, and what to do (`fix`). What is said already (`UnreadableSource`), and
    files that would not fit (`NotEnoughMemory`), pass unchanged.
    """
    try:
        yield
    except (UnreadableSource, NotEnoughMemory):
        raise
    except Exception as problem:  # readers raise 20 classes, NumPy's lets out those of Python's
        reason = str(problem).partition("\n")[0] or type(problem).__name__
        reason = f"no {reason}" if isinstance(problem, KeyError) else reason
        state = f"damaged or {form}" if form else "damaged"
        raise UnreadableSource(f"{what} is {state} ({reason}); {fix}") from problem


_FIXES: dict[int | None, str] = {
    errno.ENOENT: "create its folder first",
    errno.EACCES: "choose a folder you may write to",
    errno.EPERM: "choose a folder you may write to",
    errno.EROFS: "choose a folder you may write to",
    errno.ENOSPC: "free some disk space or choose another disk",
    getattr(errno, "EDQUOT", errno.ENOSPC): "free some disk space or choose another disk",
}


@contextmanager
def changing(what: str, fix: str = "", also: tuple[type[Exception], ...] = ()) -> Iterator[None]:
    """Say of a failing change what was to be done ("lock 'folder'"), why it was not, and the fix.

    Without `fix` the reason gives one. Errors of gramlab pass; `also` are classes beside OSError.
    """
    try:
        yield
    except GramlabError:
        raise
    except (OSError, *also) as problem:
        reason = getattr(problem, "strerror", None) or str(problem) or type(problem).__name__
        fix = fix or _FIXES.get(getattr(problem, "errno", None), "choose another path")
        raise OutputError(f"expected to {what}, but: {reason}; {fix}") from problem


def _final_path(path: str | os.PathLike[str], follow: bool) -> Path:
    """Where to write: what a link leads to if links are followed, else its own place; no device."""
    final = Path(path)
    if "\0" in str(final):
        raise OutputError(f"expected a file to write, but {str(path)!r} holds a null; rename it")
    with changing(f"write {str(final)!r}"):
        if follow and final.is_symlink():
            final = Path(os.path.realpath(final))
        special = final.exists() and not final.is_file() and (follow or not final.is_symlink())
    # Renaming over a device such as /dev/null would replace the device itself.
    if special or not final.name:
        kind = "a folder" if final.is_dir() else "not a regular file"
        raise OutputError(
            f"expected a file to write, but {str(path)!r} is {kind}; give the path of a file"
        )
    return final


def _sync(path: Path, flags: int, mode: int | None = None) -> None:
    """Bring a file or folder to the disk; a file gets its mode before."""
    handle = os.open(path, flags)
    try:
        if mode is not None and hasattr(os, "fchmod"):
            os.fchmod(handle, mode)
        os.fsync(handle)
    except OSError as problem:
        # Some file systems cannot sync a folder; the file in it is whole and synced by then.
        if mode is not None or problem.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(handle)


def _remove(path: Path) -> None:
    """Take a temporary file away, also if a signal comes at this very moment."""
    try:
        path.unlink(missing_ok=True)
    except OSError:
        pass
    except BaseException:
        with suppress(OSError):
            path.unlink(missing_ok=True)
        raise


@contextmanager
def atomic_path(path: str | os.PathLike[str], *, follow: bool = False) -> Iterator[Path]:
    """Let a library write a file that appears under its name only when it is complete.

    The library gets a temporary path in the same folder (which must exist) with the same suffix,
    not yet existing. After the block it is synced to disk, given the mode of an ordinary new file,
    and renamed; when the block raises, it is removed. A link of that name is replaced, so that
    nothing outside the folder is written, or with `follow` kept, and what it leads to is written.

    Raises
    ------
    OutputError
        If the file cannot be written, was not written, or `path` is a folder or a device. Errors
        of gramlab pass unchanged.
    """
    final = _final_path(path, follow)
    temporary = final.with_name(f".partial-{secrets.token_hex(8)}{final.suffix}")
    try:
        with changing(f"write {str(final)!r}"):
            # Some libraries make files that only their owner can read. The umask cannot be asked
            # for without changing it for a moment, so a file made the ordinary way tells.
            probe = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
            mode = stat.S_IMODE(os.fstat(probe).st_mode)
            os.close(probe)
            temporary.unlink()
            yield temporary
            _sync(temporary, os.O_RDWR, mode)
            os.replace(temporary, final)
            if hasattr(os, "O_DIRECTORY"):
                _sync(final.parent, os.O_RDONLY | os.O_DIRECTORY)
    finally:
        _remove(temporary)  # after the rename there is nothing left to remove


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "backslashreplace")


def atomic_write(path: str | os.PathLike[str], data: bytes | str, *, follow: bool = False) -> Path:
    """Write a whole file, or leave what was there before; returns `path`.

    Text is encoded as UTF-8 and its line ends are kept; what UTF-8 cannot hold (a file name of
    another encoding) is written as its escape. `follow` and errors are those of
    :func:`atomic_path`.
    """
    content = _utf8(data) if isinstance(data, str) else data
    with atomic_path(path, follow=follow) as temporary, open(temporary, "xb") as file:
        file.write(content)
    return Path(path)


def output_folder(path: str | os.PathLike[str]) -> Path:
    """Create a folder for results, with its parents, and prove that it can be written to."""
    folder = Path(path)
    probe = folder / f".partial-{secrets.token_hex(8)}"
    # RecursionError: it would be the last of a thousand folders.
    with changing(f"write {str(folder)!r}", also=(ValueError, RecursionError)):
        if folder.exists() and not folder.is_dir():
            raise OutputError(
                f"expected a folder for the output, but {str(folder)!r} is a file; "
                "choose another path or remove it"
            )
        folder.mkdir(parents=True, exist_ok=True)
        # Trying beats asking: access bits do not tell about read-only disks, quotas or root.
        try:
            os.close(os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        finally:
            _remove(probe)
    return folder


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep others from writing a folder meanwhile; OutputError if another process has it.

    The lock is that of the file ``.lock``, which is gone afterwards; it ends with the process, so
    the file of one that was killed locks nothing.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(folder / ".lock")
    if (folder / ".lock").is_symlink():  # opening it would make or empty what it leads to
        raise OutputError(
            f"expected to lock {str(folder)!r}, but '.lock' in it is a link; remove that link"
        )
    with changing(f"lock {str(folder)!r}", "choose a folder you may write to"):
        try:
            lock.acquire(timeout=0)
        except Timeout as problem:
            raise OutputError(
                f"expected to write {str(folder)!r}, but another process is writing it; wait for "
                "it, or choose another folder"
            ) from problem
    try:
        yield
    finally:
        with suppress(OSError):  # while it is locked: who opens it now finds it unlinked, or taken
            (folder / ".lock").unlink()
        lock.release()


def set_aside(path: Path, name: str) -> None:
    """Move a file into the folder `name` beside it, where earlier ones of its name may be."""
    place = path.parent / name
    if place.is_symlink():
        raise OutputError(
            f"expected to move {path.name!r} to {str(place)!r}, but that is a link, which may lead "
            "out of the folder; remove the link"
        )
    with changing(f"move {str(path)!r} to {name!r}", "remove it, or free some disk space"):
        place.mkdir(exist_ok=True)
        target, number = place / path.name, 1
        while target.exists():
            target, number = place / f"{path.name}.{number}", number + 1
        os.replace(path, target)


def check_regular(path: str | os.PathLike[str]) -> int:
    """Size of a file to be read; OSError for pipes and devices too, which might never end."""
    there = os.stat(path)
    if stat.S_ISDIR(there.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(there.st_mode):
        raise OSError(errno.EINVAL, "not a regular file")
    return there.st_size


def read_bytes(path: str | os.PathLike[str], memory_per_byte: int = 1) -> bytes:
    """Read a whole regular file that somebody else may have put there.

    Refused with `NotEnoughMemory` if `memory_per_byte` bytes for each byte of it are not free.
    """
    needed = memory_per_byte * check_regular(path)
    check_memory(needed, f"reading {Path(path).name!r}", "remove that file")
    return Path(path).read_bytes()


def read_json(path: str | os.PathLike[str]) -> Any:
    """Read a JSON file that may be damaged or hostile.

    OSError or ValueError, which :func:`reading` calls damage, if it is no regular file, no JSON in
    UTF-8 or nested too deeply; NotEnoughMemory if it would not fit.
    """
    # Of Python objects: "0," becomes a list entry of 8 bytes, "{}," a mapping of 64.
    content = read_bytes(path, memory_per_byte=30)
    try:
        return json.loads(content)
    except RecursionError as problem:
        raise ValueError("it is nested too deeply") from problem


def file_hash(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a file, as 64 hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def differences(there: Any, wanted: Any, name: str = "") -> list[str]:
    """Where two JSON records differ, in words: ``name: … there, … asked for``; values are cut."""
    if isinstance(there, dict) and isinstance(wanted, dict):
        found = []
        for key in dict.fromkeys([*wanted, *there]):
            inner = f"{name}.{key}" if name else str(key)
            found += differences(there.get(key), wanted.get(key), inner)
        return found
    if there == wanted:
        return []
    old, new = (
        text if len(text) <= 60 else f"{text[:57]}..." for text in map(json.dumps, (there, wanted))
    )
    return [f"{name or 'settings'}: {old} there, {new} asked for"]


def csv_text(columns: Table) -> str:
    """A table as CSV: a header, then one line a row; floats by their shortest exact form.

    Text that a spreadsheet might run as a formula gets an apostrophe in front, which spreadsheets
    take as "this is text" and other readers as it stands; Parquet keeps every text as it is. So
    does CSV for the rest. As OWASP has it (CSV injection), a formula begins with = + - @, also in
    full width, and a cell also behind a separator or line end, where another locale splits the
    line; blanks, quotes and what is not printable do not hide it. A tab or carriage return in front
    is enough, a number is none. InvalidSetting if two columns differ in length.
    """
    _check_lengths(columns)
    lines: list[str] = []  # one for each call of the writer, which quotes what its line end holds
    sink: Any = SimpleNamespace(write=lines.append)
    writer = csv.writer(sink, lineterminator="\r\n")
    writer.writerow(map(_safe_cell, columns))
    writer.writerows(map(_safe_cell, row) for row in zip(*columns.values(), strict=True))
    return "".join(f"{line[:-2]}\n" for line in lines)


def _safe_cell(cell: Any) -> Any:
    """A value that no spreadsheet takes for a formula."""
    if not isinstance(cell, str):
        return cell
    first, *rest = re.split(r"(?<=[;\t\r\n])", cell)
    marked = "'" if cell.startswith(("\t", "\r", "\n")) and not _is_number(cell) else _mark(cell)
    return "".join([marked, first, *(_mark(part) + part for part in rest)])


def _mark(text: str) -> str:
    """An apostrophe if the first letter that shows begins a formula, else nothing."""
    shown = (letter for letter in text if shows(letter) and letter not in ' ";,|')
    begins = next(shown, None) in set("=+-@\uff1d\uff0b\uff0d\uff20")
    return "'" if begins and not _is_number(text) else ""


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def write_csv(path: str | os.PathLike[str], columns: Table) -> Path:
    """Write :func:`csv_text` in UTF-8, whole or not at all."""
    return atomic_write(path, csv_text(columns))


def can_write_parquet() -> bool:
    """Whether pyarrow is installed."""
    return importlib.util.find_spec("pyarrow") is not None


def write_parquet(
    path: str | os.PathLike[str], columns: Table, types: Mapping[str, str] | None = None
) -> Path:
    """Write a table as Parquet, whole or not at all.

    ``types`` names Arrow types (``"float64"``, …) of columns of which not all is known (``None``).
    InvalidSetting if columns differ in length, one holds values of several kinds, or pyarrow is not
    installed.
    """
    _check_lengths(columns)
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as problem:
        raise missing_extra("writing Parquet", "study", problem) from problem
    arrays = {}
    for name, values in columns.items():
        plain = [_utf8(v).decode() if isinstance(v, str) else v for v in values]
        try:
            arrays[name] = pyarrow.array(plain, type=(types or {}).get(name))
        except (pyarrow.ArrowException, TypeError, ValueError) as problem:
            raise InvalidSetting(
                f"column {name!r} must hold one kind of value in all rows for Parquet ({problem}): "
                "write .json instead"
            ) from problem
    # The absolute one: Arrow takes a path like a:b for the address of a file system.
    with atomic_path(Path(path).absolute()) as temporary:
        parquet.write_table(pyarrow.table(arrays), temporary)
    return Path(path)


def _check_lengths(columns: Table) -> None:
    first = next(iter(columns), "")
    for name, values in columns.items():
        if len(values) != len(columns[first]):
            raise InvalidSetting(
                f"columns must be of one length, got {len(columns[first])} of {first!r} and "
                f"{len(values)} of {name!r}; give every row a value in every column"
            )
