"""The one function that XLA calls: it gives out a job's parts and says when they are done.

Offsets are those of XLA's C interface (xla/ffi/api/c_api.h).
"""

# What Numba compiles is called with fewer arguments than is written.
# pyright: reportCallIssue=false, reportPrivateImportUsage=false

from __future__ import annotations

import numpy as np
from numba import carray, cfunc, njit, types

from gramlab.heads.amx.instructions import call, peek, pointer, poke, poke32
from gramlab.heads.amx.jobs import (
    BY_LABEL,
    CALL,
    FOUND,
    GIVEN,
    OPERANDS,
    PACK,
    RESULTS,
    ROWS,
    SHARED,
    SLOPE,
    UPDATE,
)
from gramlab.heads.amx.labels import by_label
from gramlab.heads.amx.looks import look
from gramlab.heads.amx.packing import pack
from gramlab.heads.amx.products import multiply
from gramlab.heads.amx.steps import update

__all__ = ["HANDLER"]

_MAJOR, _MINOR = np.int32(0), np.int32(3)  # of the interface whose offsets are used here
_FRAME, _API = 168, 168  # bytes of a call and of the functions that have futures

_MULTIPLY, _PACK, _UPDATE = multiply.address, pack.address, update.address
_LOOK, _BY_LABEL = look.address, by_label.address


@njit
def _data(operands, i):
    return peek(peek(operands + 8 * i) + 24)


@cfunc(types.int64(types.int64))
def _handle(frame):
    api, extension = peek(frame + 16), peek(frame + 8)
    if extension:  # XLA asks which version of its interface this is for
        version, found = peek(api + 32), peek(extension + 24) + 24
        known = version & 0xFFFFFFFF == _MAJOR  # later minor versions add, and change nothing
        poke32(found, _MAJOR)
        poke32(found + 4, np.int32(version >> 32) if known else _MINOR)
        return 0
    given, results = peek(frame + 72), peek(frame + 112)
    # kind, n, d, k, most, parts, bytes of a part
    numbers = carray(pointer(_data(given, 0)), (7,), np.int64)
    n, parts, size = numbers[1], numbers[5], numbers[6]
    pairs, task = -(-n // ROWS), _MULTIPLY
    if numbers[0] == PACK:
        task = _PACK
    elif numbers[0] == UPDATE:
        task = _UPDATE
    elif numbers[0] == SLOPE:
        task = _LOOK
    elif numbers[0] == BY_LABEL:
        task = _BY_LABEL
    shared = (_data(results, RESULTS) + 63) & ~63
    # Results are there when a future says so; parts but the first are done by XLA's threads.
    create, available, schedule = peek(api + 152), peek(api + 160), peek(api + 136)
    poke(shared, parts)
    poke(shared + 8, available)
    poke(shared + 16, 24)
    poke(shared + 24, 0)
    poke(shared + 32, 0)
    old = peek(frame) < _FRAME or peek(api) < _API  # than futures
    alone = parts == 1 or old or call(create, shared + 16) != 0
    for part in range(parts):
        job = shared + 64 + part * size
        for i in range(5):
            poke(job + 8 * i, numbers[i])
        poke(job + 40, pairs * part // parts)
        poke(job + 48, pairs * (part + 1) // parts)
        poke(job + 56, part)
        for i in range(OPERANDS):
            poke(job + GIVEN + 8 * i, _data(given, 1 + i))
        for i in range(RESULTS):
            poke(job + FOUND + 8 * i, _data(results, i))
        poke(job + SHARED, 0 if alone else shared)
    if not alone:
        poke(frame + 168, peek(shared + 32))
    for part in range(parts - 1, -1, -1):
        job = shared + 64 + part * size
        failed = np.int64(1)
        if part and not alone:
            poke(job + CALL, 40)
            poke(job + CALL + 8, 0)
            poke(job + CALL + 16, peek(frame + 24))
            poke(job + CALL + 24, task)
            poke(job + CALL + 32, job)
            failed = call(schedule, job + CALL)
        if failed:  # the first part, or no threads to be had
            call(task, job)
    return 0


HANDLER = _handle.address
