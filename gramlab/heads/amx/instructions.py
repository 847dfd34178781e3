"""Machine instructions and memory as Numba does not have them: tiles, addresses, bits, atoms."""

# What Numba compiles is called with fewer arguments than is written.
# pyright: reportCallIssue=false, reportPrivateImportUsage=false

from __future__ import annotations

from collections.abc import Callable

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

__all__ = [
    "bits",
    "call",
    "configuration",
    "configure",
    "fetch",
    "less_one",
    "load0",
    "load1",
    "load2",
    "load3",
    "load4",
    "load5",
    "load6",
    "load7",
    "number",
    "peek",
    "pointer",
    "poke",
    "poke32",
    "store0",
    "store1",
    "store2",
    "store3",
    "times046",
    "times147",
    "times256",
    "times357",
    "zero0",
    "zero1",
    "zero2",
    "zero3",
]

_I8, _I32, _I64 = ir.IntType(8), ir.IntType(32), ir.IntType(64)
_POINTER = ir.PointerType(_I8)


def _operation(result, operands: tuple, build: Callable) -> Callable:
    """What Numba calls with up to two operands and ``build`` writes in LLVM's language."""
    signature = result(*operands)

    def lowered(context, builder, _, arguments):
        found = build(builder, *arguments)
        return context.get_dummy_value() if result == types.void else found

    if not operands:
        return intrinsic(lambda typing: (signature, lowered))
    if len(operands) == 1:
        return intrinsic(lambda typing, first: (signature, lowered))
    return intrinsic(lambda typing, first, second: (signature, lowered))


def _called(builder, name: str, kinds: list, values: list) -> None:
    function = ir.FunctionType(ir.VoidType(), kinds)
    builder.call(cgutils.get_or_insert_function(builder.module, function, name), values)


def _instruction(name: str, tiles: tuple[int, ...], operands: str) -> Callable:
    """An instruction on those tile registers, of operands "p" (an address) and "i" (a number)."""
    kinds = [_I8] * len(tiles) + [_POINTER if kind == "p" else _I64 for kind in operands]

    def build(builder, *arguments):
        values = [ir.Constant(_I8, tile) for tile in tiles]
        for kind, value in zip(operands, arguments, strict=True):
            values.append(builder.inttoptr(value, _POINTER) if kind == "p" else value)
        _called(builder, f"llvm.x86.{name}", kinds, values)

    return _operation(types.void, (types.int64,) * len(operands), build)


configure = _instruction("ldtilecfg", (), "p")
configuration = _instruction("sttilecfg", (), "p")
zero0, zero1, zero2, zero3 = (_instruction("tilezero", (i,), "") for i in range(4))
load0, load1, load2, load3, load4, load5, load6, load7 = (
    _instruction("tileloadd64", (i,), "pi") for i in range(8)
)
store0, store1, store2, store3 = (_instruction("tilestored64", (i,), "pi") for i in range(4))
# Sums 0 and 1 are of rows 4, sums 2 and 3 of rows 5; sums 0 and 2 of columns 6, 1 and 3 of 7.
times046 = _instruction("tdpbf16ps", (0, 4, 6), "")
times147 = _instruction("tdpbf16ps", (1, 4, 7), "")
times256 = _instruction("tdpbf16ps", (2, 5, 6), "")
times357 = _instruction("tdpbf16ps", (3, 5, 7), "")


def _at(builder, address, kind: ir.Type):
    return builder.inttoptr(address, ir.PointerType(kind))


def _prefetch(builder, address) -> None:
    hints = [ir.Constant(_I32, hint) for hint in (0, 3, 1)]  # to read, nearest, of data
    kinds = [_POINTER, _I32, _I32, _I32]
    _called(builder, "llvm.prefetch.p0", kinds, [_at(builder, address, _I8), *hints])


def _call_of(builder, function, argument):
    return builder.call(_at(builder, function, ir.FunctionType(_I64, [_I64])), [argument])


def _less(builder, address):
    one = ir.Constant(_I64, 1)
    return builder.atomic_rmw("sub", _at(builder, address, _I64), one, "acq_rel")


_ADDRESS = types.int64
pointer = _operation(types.voidptr, (_ADDRESS,), lambda b, at: _at(b, at, _I8))
# The eight bytes at an address; eight or four written there.
peek = _operation(types.int64, (_ADDRESS,), lambda b, at: b.load(_at(b, at, _I64)))
poke = _operation(
    types.void, (_ADDRESS, types.int64), lambda b, at, value: b.store(value, _at(b, at, _I64))
)
poke32 = _operation(
    types.void, (_ADDRESS, types.int32), lambda b, at, value: b.store(value, _at(b, at, _I32))
)
bits = _operation(types.uint32, (types.float32,), lambda b, number: b.bitcast(number, _I32))
number = _operation(types.float32, (types.uint32,), lambda b, bits: b.bitcast(bits, ir.FloatType()))
# A C function of one pointer that returns one.
call = _operation(types.int64, (_ADDRESS, _ADDRESS), _call_of)
# Begin to bring a cache line near; any address will do.
fetch = _operation(types.void, (_ADDRESS,), _prefetch)
# Subtract one from the number there, at once for all threads; what it was.
less_one = _operation(types.int64, (_ADDRESS,), _less)
