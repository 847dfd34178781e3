"""Products of bfloat16 numbers in the tile registers of AMX, compiled by Numba when first needed.

A tile register holds 16 rows of 32 bfloat16 numbers, or 16 × 16 float32 sums. Features lie in
memory as the registers take them, two tiles beside each other, so that four products follow four
loads. This is imported by ``heads.tiles`` alone, which knows whether it can be, and what is to be
computed. Addresses are plain integers.
"""

from __future__ import annotations

from gramlab.heads.amx.calls import HANDLER
from gramlab.heads.amx.jobs import (
    ALONG,
    BY_LABEL,
    LOGITS,
    MOMENTS,
    OPERANDS,
    PACK,
    RESULTS,
    SLOPE,
    SPACE,
    SUMS,
    TILE,
    UPDATE,
)

__all__ = [
    "ALONG",
    "BY_LABEL",
    "HANDLER",
    "LOGITS",
    "MOMENTS",
    "OPERANDS",
    "PACK",
    "RESULTS",
    "SLOPE",
    "SPACE",
    "SUMS",
    "TILE",
    "UPDATE",
]
