"""One process at a time changes a folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gramlab.errors import OutputError

__all__ = ["locked"]

_LOCK = ".lock"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other processes from changing ``folder``; the lock ends with the process that has it.

    Raises
    ------
    OutputError
        If another process has it, or the lock cannot be made there.
    """
    from filelock import FileLock, Timeout

    if (folder / _LOCK).is_symlink():  # opening it would make or empty what it leads to
        raise OutputError(
            f"expected to lock {str(folder)!r}, but {_LOCK!r} in it is a link; remove that link"
        )
    lock = FileLock(folder / _LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout as problem:
        raise OutputError(
            f"expected to write {str(folder)!r}, but another process is writing it; wait for it, "
            "or choose another folder"
        ) from problem
    except OSError as problem:
        raise OutputError(
            f"expected to lock {str(folder)!r}, but: {problem.strerror or problem}; choose a "
            "folder you may write to"
        ) from problem
    try:
        yield
    finally:
        lock.release()
