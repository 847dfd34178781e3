"""Content, the same everywhere: equal values give equal JSON text and equal hashes."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gramlab.errors import InvalidSetting
from gramlab.machine.memory import row_blocks


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
            text = str(key)
            known = isinstance(key, (str, int, np.integer)) and not isinstance(key, bool)
            if not known or text in result:
                raise InvalidSetting(
                    "JSON keys must be text or integers, different as text, got "
                    f"{key!r}{' again' * known} at {where}; rename that key"
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

    The object may hold mappings, sequences, numbers, text, paths, None and numpy values. Keys keep
    their order, nan and inf become null, non-ASCII letters are escaped, and the text ends with a
    line break.

    Raises InvalidSetting if a value or key has no JSON form (its place is named), or values are
    nested too deeply.
    """
    try:
        return json.dumps(_plain(obj, "$"), indent=2, allow_nan=False) + "\n"
    except RecursionError as problem:
        raise InvalidSetting(
            "JSON values must not be nested hundreds of levels deep; flatten them"
        ) from problem


def sha256(*parts: np.ndarray | bytes | str | None) -> str:
    """Hash arrays and bytes so that equal content, and only equal content, gives equal hashes.

    Each part is preceded by its kind, dtype, shape and length, so parts cannot run into each
    other. Array content counts in C order and little-endian form, whatever its memory layout;
    contiguous arrays are not copied, others are copied in blocks of rows, and the pages of mapped
    ones are given back.

    None stands for a part that is absent. Returns 64 hexadecimal digits.

    Raises InvalidSetting if an array holds Python objects.
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
    if array.nbytes == 0:
        return
    rows = array.reshape(-1) if array.flags.c_contiguous else np.atleast_1d(array)
    for _, block in row_blocks(rows):
        digest.update(np.ascontiguousarray(block, little).reshape(-1).view(np.uint8))


def checksum(record: Mapping[str, Any], *parts: np.ndarray | None) -> str:
    """Hash a record (its "checksum" does not count) and arrays, to be kept in the record itself."""
    counted = {key: value for key, value in record.items() if key != "checksum"}
    return sha256(to_json(counted), *parts)
