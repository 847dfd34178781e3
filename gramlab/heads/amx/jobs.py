"""How a part of a job is described, and how it says that it is done.

In memory that XLA gave for it: eight numbers (kind, N, d, K, most pairs of row tiles whose logits
are held, first and last pair, part), the addresses of up to seven operands and five results, and of
what all parts share.
"""

# What Numba compiles is called with fewer arguments than is written.
# pyright: reportCallIssue=false, reportPrivateImportUsage=false

from __future__ import annotations

import numpy as np
from numba import carray, njit

from gramlab.heads.amx.instructions import call, less_one, peek, pointer

__all__ = [
    "ALONG",
    "BY_LABEL",
    "CALL",
    "FOUND",
    "GIVEN",
    "JOB",
    "LOGITS",
    "MOMENTS",
    "OPERANDS",
    "PACK",
    "RESULTS",
    "ROWS",
    "SHARED",
    "SLOPE",
    "SPACE",
    "SUMS",
    "TILE",
    "UPDATE",
    "finish",
    "operand_at",
    "result_at",
    "set_sums",
]

LOGITS, MOMENTS, ALONG, PACK, UPDATE, SLOPE, BY_LABEL = range(7)  # kinds of jobs
OPERANDS, RESULTS = 7, 5  # of a job, at most
SUMS = 16  # float32 numbers that each part has for its sums: a cache line
TILE = 1024  # bytes
ROWS = 32  # of features, in two tiles beside each other
GIVEN, FOUND, SHARED, CALL = 64, 120, 160, 168  # where in a part's description these begin
JOB = 256  # bytes of it
SPACE = JOB + 64 + 64  # ... with two configurations of the registers


@njit
def operand_at(job, i):
    """Address of operand i."""
    return peek(job + GIVEN + 8 * i)


@njit
def result_at(job, i):
    """Address of result i."""
    return peek(job + FOUND + 8 * i)


@njit
def set_sums(job, part, one, other):
    """The sums of this part, in the second result of products and the last of steps."""
    last = RESULTS - 1 if peek(job) == UPDATE else 1
    numbers = carray(pointer(result_at(job, last) + 4 * SUMS * part), (2,), np.float32)
    numbers[0], numbers[1] = np.float32(one), np.float32(other)


@njit
def finish(job):
    """Say that this part is done, and if it is the last one that the results are there."""
    shared = peek(job + SHARED)
    if shared and less_one(shared) == 1:
        call(peek(shared + 8), shared + 16)
