"""Files that appear whole or not at all, and how files of others are read and called damaged."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from gramlab.errors import GramlabError, NotEnoughMemory, OutputError, UnreadableSource
from gramlab.machine.memory import check_memory

__all__ = [
    "atomic_path",
    "atomic_write",
    "changing",
    "check_regular",
    "damaged",
    "differences",
    "file_hash",
    "output_folder",
    "read_bytes",
    "read_json",
    "reading",
]


def damaged(
    what: str,
    problem: object,
    fix: str = "write it again or copy it again from where it came",
    form: str = "",
) -> UnreadableSource:
    """Say that a file is damaged: which ("source 'x.npz'"), why, and what to do.

    `form` is what it may not be instead ("no Parquet file"). Of a problem of several lines the
    first counts.
    """
    reason = f"no {problem}" if isinstance(problem, KeyError) else str(problem).partition("\n")[0]
    state = f"damaged or {form}" if form else "damaged"
    return UnreadableSource(f"{what} is {state} ({reason or type(problem).__name__}); {fix}")


@contextmanager
def reading(what: str, **words: str) -> Iterator[None]:
    """Call a file :func:`damaged`, whatever a damaged or hostile one makes its reader raise.

    What is said already (`UnreadableSource`), and files that would not fit (`NotEnoughMemory`),
    pass unchanged. `words` are ``fix`` and ``form``.
    """
    try:
        yield
    except (UnreadableSource, NotEnoughMemory):
        raise
    except Exception as problem:  # readers raise 20 classes, NumPy's lets out those of Python's
        raise damaged(what, problem, **words) from problem


@contextmanager
def changing(what: str, fix: str) -> Iterator[None]:
    """Say of a failing change in a folder what was to be done ("lock 'folder'"), why not, a fix."""
    try:
        yield
    except OSError as problem:
        if isinstance(problem, GramlabError):
            raise
        raise OutputError(
            f"expected to {what}, but: {problem.strerror or problem}; {fix}"
        ) from problem


def _write_error(path: Path, problem: BaseException) -> OutputError:
    """Say what could not be written, why, and the fix for that reason."""
    number = getattr(problem, "errno", None)
    if isinstance(problem, FileNotFoundError):
        fix = "create its folder first"
    elif isinstance(problem, PermissionError) or number == errno.EROFS:
        fix = "choose a folder you may write to"
    elif number in (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)):
        fix = "free some disk space or choose another disk"
    else:
        fix = "choose another path"
    reason = getattr(problem, "strerror", None) or str(problem) or type(problem).__name__
    return OutputError(f"expected to write {str(path)!r}, but: {reason}; {fix}")


def _final_path(path: str | os.PathLike[str], follow: bool) -> Path:
    """Where to write: what a link leads to if links are followed, else its own place; no device."""
    final = Path(path)
    if "\0" in str(final):
        raise OutputError(f"expected a file to write, but {str(path)!r} holds a null; rename it")
    try:
        if final.is_symlink():
            final = Path(os.path.realpath(final)) if follow else final
        special = final.exists() and not final.is_file() and (follow or not final.is_symlink())
    except (OSError, ValueError) as problem:
        raise _write_error(final, problem) from problem
    # Renaming over a device such as /dev/null would replace the device itself.
    if special or not final.name:
        kind = "a folder" if final.is_dir() else "not a regular file"
        raise OutputError(
            f"expected a file to write, but {str(path)!r} is {kind}; give the path of a file"
        )
    return final


def _sync_folder(folder: Path) -> None:
    """Make a rename durable where the system can."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    except OSError as problem:
        # Some file systems cannot sync a folder; the file itself is whole and synced by now.
        if problem.errno not in (errno.EINVAL, errno.ENOTSUP):
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
        # Some libraries make files that only their owner can read. The umask cannot be asked for
        # without changing it for a moment, so a file made the ordinary way tells.
        probe = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        mode = stat.S_IMODE(os.fstat(probe).st_mode)
        os.close(probe)
        temporary.unlink()
        yield temporary
        handle = os.open(temporary, os.O_RDWR)
        try:
            if hasattr(os, "fchmod"):
                os.fchmod(handle, mode)
            os.fsync(handle)
        finally:
            os.close(handle)
        os.replace(temporary, final)
        _sync_folder(final.parent)
    except GramlabError:
        raise
    except OSError as problem:
        raise _write_error(final, problem) from problem
    finally:
        # After a successful rename there is nothing left to remove.
        _remove(temporary)


def atomic_write(path: str | os.PathLike[str], data: bytes | str, *, follow: bool = False) -> Path:
    """Write a whole file, or leave what was there before; returns `path`.

    Text is encoded as UTF-8 and its line ends are kept; what UTF-8 cannot hold (a file name of
    another encoding) is written as its escape. `follow` and errors are those of
    :func:`atomic_path`.
    """
    content = data.encode("utf-8", "backslashreplace") if isinstance(data, str) else data
    with atomic_path(path, follow=follow) as temporary:
        with open(temporary, "xb") as file:
            file.write(content)
    return Path(path)


def output_folder(path: str | os.PathLike[str]) -> Path:
    """Create a folder for results, with its parents, and prove that it can be written to.

    Raises
    ------
    OutputError
        If the path is a file, or a file cannot be created in it.
    """
    folder = Path(path)
    probe = folder / f".partial-{secrets.token_hex(8)}"
    try:
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
    except GramlabError:
        raise
    except (OSError, ValueError, RecursionError) as problem:  # the last of a thousand folders
        raise _write_error(folder, problem) from problem
    return folder


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

    Raises
    ------
    OSError, ValueError, NotEnoughMemory
        If it cannot be read or is no regular file; is no JSON in UTF-8 or nested too deeply; would
        not fit. Within :func:`reading` all but the last are called damage.
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

    def short(value: Any) -> str:
        text = json.dumps(value)
        return text if len(text) <= 60 else f"{text[:57]}..."

    return [f"{name or 'settings'}: {short(there)} there, {short(wanted)} asked for"]
