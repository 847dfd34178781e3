"""Files that appear whole or not at all, deterministic JSON, and content hashes."""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import secrets
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from gramlab.errors import GramlabError, InvalidSetting, OutputError
from gramlab.memory import check_memory

_HASH_BLOCK_BYTES = 1 << 24
# Of Python objects: "0," becomes a list entry of 8 bytes, "{}," a mapping of 64.
_JSON_BYTES_PER_BYTE = 30


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

    Parameters
    ----------
    path : str or path-like
        The final path. Its folder must exist. An existing file is replaced.
    follow : bool
        What to do with a link of that name: write what it leads to, and keep the link; by default
        the link itself is replaced, so that nothing outside the folder is written.

    Yields
    ------
    Path
        A temporary path in the same folder with the same suffix, not yet existing. After the
        block it is synced to disk, given the mode of an ordinary new file, and renamed; when the
        block raises, it is removed.

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
    """Write a whole file, or leave what was there before.

    The data go to a temporary name in the same folder, are synced to disk, and are then renamed.

    Parameters
    ----------
    path : str or path-like
        Where to write. Its folder must exist.
    data : bytes or str
        The content; text is encoded as UTF-8 and its line ends are kept. What UTF-8 cannot hold
        (a file name of another encoding) is written as its escape.
    follow : bool
        Write what a link of that name leads to; by default the link is replaced.

    Returns
    -------
    Path
        `path`.

    Raises
    ------
    OutputError
        If the file cannot be written; no partial file is left.
    """
    content = data.encode("utf-8", "backslashreplace") if isinstance(data, str) else data
    with atomic_path(path, follow=follow) as temporary:
        # Mode 0o666 is cut down by the umask, as for any ordinary new file.
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        with open(handle, "wb") as file:
            file.write(content)
    return Path(path)


def output_folder(path: str | os.PathLike[str]) -> Path:
    """Create a folder for results and prove that it can be written to.

    Parameters
    ----------
    path : str or path-like
        The folder; missing parents are created.

    Returns
    -------
    Path

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


def _plain(value: Any, where: str) -> Any:
    """Turn a value into what JSON knows; `where` is its place, for the message."""
    if isinstance(value, (np.generic, np.ndarray)):
        value = value.tolist()
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, Mapping):
        result: dict[str, Any] = {}
        for key, item in value.items():
            if not isinstance(key, (str, int, np.integer)) or isinstance(key, bool):
                raise InvalidSetting(
                    f"JSON keys must be text or integers, got {key!r} at {where}; rename that key"
                )
            text = str(key)
            if text in result:
                raise InvalidSetting(
                    f"JSON keys must differ as text, got {text!r} twice at {where}; rename one"
                )
            result[text] = _plain(item, f"{where}.{text}")
        return result
    if isinstance(value, Sequence) and not isinstance(value, (bytes, bytearray, memoryview)):
        return [_plain(item, f"{where}[{index}]") for index, item in enumerate(value)]
    raise InvalidSetting(
        f"JSON holds numbers, text, lists and mappings, got {type(value).__name__} at {where}; "
        "convert it first"
    )


def to_json(obj: object) -> str:
    """Write an object as JSON text, the same text for the same object everywhere.

    Keys keep their order, numpy scalars and arrays become numbers and lists, nan and inf become
    null, non-ASCII letters are escaped, and the text ends with a line break.

    Parameters
    ----------
    obj : object
        Mappings, sequences, numbers, text, paths, None and numpy values.

    Returns
    -------
    str

    Raises
    ------
    InvalidSetting
        If a value or key has no JSON form (its place is named), or values are nested too deeply.
    """
    try:
        return json.dumps(_plain(obj, "$"), indent=2, allow_nan=False) + "\n"
    except RecursionError as problem:
        raise InvalidSetting(
            "JSON values must not be nested hundreds of levels deep; flatten them"
        ) from problem


def read_bytes(path: str | os.PathLike[str], memory_per_byte: int = 1) -> bytes:
    """Read a whole file that somebody else may have put there.

    Parameters
    ----------
    path : str or path-like
        The file; a pipe or a device, from which reading might never end, is refused.
    memory_per_byte : int
        Bytes of memory that the caller will make of each byte.

    Returns
    -------
    bytes

    Raises
    ------
    OSError
        If it is missing, no regular file, or cannot be read.
    NotEnoughMemory
        If it would not fit.
    """
    there = os.stat(path)
    if stat.S_ISDIR(there.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(there.st_mode):
        raise OSError(errno.EINVAL, "not a regular file")
    check_memory(
        memory_per_byte * there.st_size, f"reading {Path(path).name!r}", "remove that file"
    )
    return Path(path).read_bytes()


def read_json(path: str | os.PathLike[str]) -> Any:
    """Read a JSON file that may be damaged or hostile.

    Parameters
    ----------
    path : str or path-like
        The file; a pipe or a device, from which reading might never end, is refused.

    Returns
    -------
    object
        What it holds.

    Raises
    ------
    OSError
        If it is missing, no regular file, or cannot be read.
    ValueError
        If it is no JSON in UTF-8, or is nested too deeply.
    NotEnoughMemory
        If it is so large that its content would not fit.
    """
    content = read_bytes(path, _JSON_BYTES_PER_BYTE)
    try:
        return json.loads(content)
    except RecursionError as problem:
        raise ValueError("it is nested too deeply") from problem


def sha256(*parts: np.ndarray | bytes | str | None) -> str:
    """Hash arrays and bytes so that equal content, and only equal content, gives equal hashes.

    Each part is preceded by its kind, dtype, shape and length, so parts cannot run into each
    other. Array content counts in C order and little-endian form, whatever its memory layout;
    contiguous arrays are not copied, others are copied in blocks of rows.

    Parameters
    ----------
    *parts : np.ndarray, bytes, str or None
        What to hash, in order. None stands for a part that is absent.

    Returns
    -------
    str
        64 hexadecimal digits.

    Raises
    ------
    InvalidSetting
        If an array holds Python objects.
    """
    digest = hashlib.sha256()
    for index, part in enumerate(parts):
        if part is None:
            digest.update(b"none;")
        elif isinstance(part, np.ndarray):
            _hash_array(digest, part, index)
        else:
            kind = "text" if isinstance(part, str) else "bytes"
            # File names of another encoding hold lone surrogates, which count as what they are.
            content = part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part
            digest.update(f"{kind}:{len(content)};".encode("ascii"))
            digest.update(content)
    return digest.hexdigest()


def _hash_array(digest: Any, array: np.ndarray, index: int) -> None:
    """Feed one array to a running hash."""
    if array.dtype.hasobject:
        raise InvalidSetting(
            f"arrays to hash must hold plain values, got dtype {array.dtype} for part {index}; "
            "convert it to numbers or fixed-width text"
        )
    little = array.dtype.newbyteorder("<")
    shape = ",".join(str(length) for length in array.shape)
    digest.update(f"array:{little.str}:{shape};".encode("ascii"))
    if array.size == 0 or array.dtype.itemsize == 0:
        return
    if array.flags.c_contiguous and array.dtype == little:
        digest.update(array.reshape(-1).view(np.uint8))
        return
    rows = array.reshape(1) if array.ndim == 0 else array
    row_bytes = max(1, rows[:1].size * rows.dtype.itemsize)
    step = max(1, _HASH_BLOCK_BYTES // row_bytes)
    for start in range(0, rows.shape[0], step):
        block = np.ascontiguousarray(rows[start : start + step].astype(little, copy=False))
        digest.update(block.reshape(-1).view(np.uint8))
