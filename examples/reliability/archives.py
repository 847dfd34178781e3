"""Damaged and hostile .npy and .npz files."""

from __future__ import annotations

import bz2
import io
import pickle
import struct
import zipfile
import zlib
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st
from scene import Scene, arrays

__all__ = ["damage", "hostile_npy", "npy_case", "npz_case", "small_integers"]

BOMB_BYTES = 3 << 30  # what it unpacks to: more than a worker may take

small_integers = st.sampled_from(
    [
        -(2**63),
        -(2**31),
        -2,
        -1,
        0,
        1,
        2,
        3,
        6,
        11,
        12,
        13,
        2**16,
        2**31,
        2**33,
        2**63,
        2**64,
        10**30,
    ]
)
_shapes = st.one_of(
    st.lists(small_integers, max_size=4).map(tuple),
    st.sampled_from(
        "(12|[12, 3]|12|(True, 3)|(12.0, 3)|((12,), 3)|None|(12L, 3L)|(1,)*99".split("|")
    ),
    st.integers(5, 70).map(lambda n: (1,) * n),
)
_descriptions = st.sampled_from(
    [
        *"<f4 <f8 >f8 <f2 <f16 <c8".split(),
        "|b1",
        "<i8",
        "<u8",
        "|O",
        "|V0",
        "|V12",
        "<U0",
        "<U3",
        "<U1000000000",
        "|S5",
        *"<M8[ns]|<m8|nonsense||f4,f4|<i16|(2,3)<f4|é".split("|"),
        "<f4" * 50,
    ]
)
_other_dtypes = ["f2", "f8", "g", ">f4", "c16", "?", "i1", "u8", "U5", "S3", "M8[s]", "O", "V4"]
_wild = st.sampled_from(
    [np.nan, np.inf, -np.inf, 1e308, -1e308, 1e-320, 3.4e38, 0.0, -1.0, 2.5, 2.0**53, 1e18, -0.0]
)


def damage(draw: Any, content: bytes) -> bytes:
    """Cut, flip, lengthen, or leave a file as it is."""
    how = draw(st.sampled_from(["as it is", "cut", "flip", "tail", "head", "hole", "empty"]))
    place = draw(st.integers(0, max(0, len(content) - 1)))
    if how == "cut":
        return content[:place]
    if how == "flip" and content:
        changed = bytearray(content)
        for _ in range(draw(st.integers(1, 3))):
            changed[draw(st.integers(0, len(content) - 1))] = draw(st.integers(0, 255))
        return bytes(changed)
    if how == "tail":
        return content + draw(st.binary(min_size=1, max_size=40))
    if how == "head":
        return draw(st.binary(min_size=1, max_size=40)) + content
    if how == "hole":
        return content[:place] + content[place + draw(st.integers(1, 64)) :]
    return b"" if how == "empty" else content


class Touch:
    """Runs when it is unpickled, and leaves a file outside."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def _header(version: tuple[int, int], text: bytes, length: int | None = None) -> bytes:
    size = len(text) if length is None else length
    packed = struct.pack("<H", size & 0xFFFF) if version[0] == 1 else struct.pack("<I", size)
    return b"\x93NUMPY" + bytes(version) + packed + text


def hostile_npy(draw: Any, array: np.ndarray, scene: Scene) -> bytes:
    """Bytes of an .npy file that come from an array, by some honest or hostile way."""
    how = draw(
        st.sampled_from("good dtype values shape forged text damaged pickle structured".split())
    )
    stream = io.BytesIO()
    if how == "dtype":
        try:
            array = array.astype(draw(st.sampled_from(_other_dtypes)))
        except (TypeError, ValueError):
            pass
    elif how == "values" and array.dtype.kind in "fiu":
        array = array.astype(np.float64)
        for _ in range(draw(st.integers(1, 3))):
            array.flat[draw(st.integers(0, array.size - 1))] = draw(_wild)
    elif how == "shape":
        wanted = draw(
            st.sampled_from([(0,), (0, 3), (3, 0), (), (1, 1, 36), (36,), (1, 2), (13, 3)])
        )
        array = np.resize(array, wanted)
    elif how == "structured":
        array = np.zeros(draw(st.integers(0, 12)), [("a", "f4"), ("b", "i8", (2,))])
    elif how == "pickle":
        array = np.array([Touch(scene.outside / "sprung")] * 12, dtype=object)
    elif how == "forged":
        shape = draw(_shapes)
        description = draw(_descriptions)
        order = draw(st.sampled_from(["False", "True", "None", "0"]))
        text = f"{{'descr': {description!r}, 'fortran_order': {order}, 'shape': {shape}, }}\n"
        version = (draw(st.sampled_from([1, 2, 3, 9])), draw(st.sampled_from([0, 0, 0, 1])))
        length = draw(st.sampled_from([None, None, None, 0, 60_000, 2**32 - 1]))
        return _header(version, text.encode(), length) + array.tobytes()
    elif how == "text":
        text = draw(
            st.one_of(
                st.sampled_from(
                    [
                        b"(" * 5000,
                        b"[" * 300,
                        b"{'descr': '<f8'",
                        b"'" * 7,
                        b"1+" * 3000 + b"1",
                        b"\\\n",
                        b"{'descr': '<f8', 'fortran_order': False, 'shape': (12, 3)" + b" " * 9,
                        b"\x00",
                        b"-" * 4000 + b"1",
                        b"{1L: 2",
                        b"9" * 6000,
                        b'"""',
                        b"\xff\xfe",
                        b"\n  x\n y",
                    ]
                ),
                st.binary(max_size=80),
                st.text(max_size=40).map(lambda t: t.encode("utf-8", "surrogatepass")),
            )
        )
        return _header((draw(st.sampled_from([1, 2])), 0), text) + array.tobytes()
    np.save(stream, array, allow_pickle=True)
    content = stream.getvalue()
    return damage(draw, content) if how == "damaged" else content


# ---- Archives ---------------------------------------------------------------------------------


@cache
def _zeros(size: int) -> tuple[bytes, int]:
    """Deflated zeros and their CRC, made of one piece repeated."""
    piece, count = 1 << 20, size >> 20
    machine = zlib.compressobj(9, zlib.DEFLATED, -15)
    once = machine.compress(bytes(piece)) + machine.flush(zlib.Z_FULL_FLUSH)
    crc, block = 0, bytes(piece)
    for _ in range(count):
        crc = zlib.crc32(block, crc)
    return once * count + machine.flush(zlib.Z_FINISH), crc


def _bomb(path: Path, key: str, size: int, head: bytes) -> None:
    """An archive whose one member ``key`` unpacks to a header and ``size`` zeros."""
    name = f"{key}.npy".encode()
    deflated, crc = _zeros(size)
    # The header goes into a stored block of its own before the deflated zeros.
    block = b"\x00" + struct.pack("<HH", len(head), len(head) ^ 0xFFFF) + head
    crc = _crc_after(head, size)
    body, full = block + deflated, size + len(head)
    fixed = struct.pack("<HHHHHIIIHH", 20, 0, 8, 0, 33, crc, len(body), full, len(name), 0)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for other, array in arrays().items():
            if other != key:
                stream = io.BytesIO()
                np.save(stream, array)
                archive.writestr(f"{other}.npy", stream.getvalue())
    content = path.read_bytes()
    end = content.rindex(b"PK\x05\x06")
    count, length, start = struct.unpack("<HII", content[end + 10 : end + 20])
    entry = b"PK\x01\x02" + struct.pack("<H", 20) + fixed
    entry += struct.pack("<HHHII", 0, 0, 0, 0, start) + name
    local = b"PK\x03\x04" + fixed + name + body
    tail = b"PK\x05\x06" + struct.pack("<HHHH", 0, 0, count + 1, count + 1)
    tail += struct.pack("<IIH", length + len(entry), start + len(local), 0)
    path.write_bytes(content[:start] + local + content[start:end] + entry + tail)


@cache
def _crc_after(head: bytes, size: int) -> int:
    crc, block = zlib.crc32(head), bytes(1 << 20)
    for _ in range(size >> 20):
        crc = zlib.crc32(block, crc)
    return crc


def _true_header(size: int) -> bytes:
    """Of float64 zeros that fill ``size`` bytes in 12 rows."""
    text = f"{{'descr': '<f8', 'fortran_order': False, 'shape': (12, {size // 96}), }}"
    return _header((1, 0), text.encode().ljust(117) + b"\n")


@cache
def _bz2_bomb() -> bytes:
    """A kilobyte that a bzip2 reader which asks for no limit unpacks to 1.3 GB at once."""
    machine, piece = bz2.BZ2Compressor(), bytes(1 << 24)
    return b"".join(machine.compress(piece) for _ in range(80)) + machine.flush()


def npz_case(draw: Any, scene: Scene) -> Path:
    """An .npz file in the inputs."""
    path = scene.inputs / draw(
        st.sampled_from(["a.npz", "a.NPZ", "é ü.npz", "-a.npz", "caf\udce9.npz"])
    )
    how = draw(
        st.sampled_from(["members"] * 8 + ["archive"] * 6 + ["bomb", "bz2", "head bomb", "names"])
    )
    if how == "bomb":
        key = draw(st.sampled_from(["train_features", "test_features", "train_labels"]))
        _bomb(path, key, BOMB_BYTES, _true_header(BOMB_BYTES))
        return path
    kinds = [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
    kind = draw(st.sampled_from(kinds))
    members: list[tuple[str, bytes]] = []
    harmed = draw(st.sampled_from([*arrays(), ""])) if how == "members" else ""
    for key, array in arrays().items():
        if how == "members" and draw(st.integers(0, 9)) == 0:
            continue
        if key == harmed or (how == "members" and draw(st.integers(0, 7)) == 0):
            members.append((key, hostile_npy(draw, array, scene)))
        else:
            stream = io.BytesIO()
            np.save(stream, array)
            members.append((key, stream.getvalue()))
    if how == "head bomb":
        bomb = b"\x93NUMPY\x02\x00" + struct.pack("<I", 200_000_000) + b" " * 30_000_000
        members[0] = (members[0][0], bomb)
    if how == "names":
        odd = ["../escape", "/tmp/x", "", ".", "a\\b", "train_features", "x" * 5000, "CON", "é"]
        members += [(name, b"x") for name in draw(st.lists(st.sampled_from(odd), max_size=4))]
        names = np.array(draw(st.lists(st.text(max_size=8), min_size=3, max_size=3)), dtype=object)
        stream = io.BytesIO()
        # NumPy refuses to encode what is no text; the raw form is what a hostile file would hold.
        raw = np.zeros((3, 8), "<u4")
        for row, text in enumerate(names.tolist()):
            raw[row, : len(text)] = [ord(letter) for letter in text]
        if draw(st.booleans()):
            raw[0, 0] = draw(
                st.sampled_from([0xD800, 0xDFFF, 0x110000, 0xFFFFFFFF, 0x1B, 0x202E, 7])
            )
        head = b"{'descr': '<U8', 'fortran_order': False, 'shape': (3,), }\n"
        members = [m for m in members if m[0] != "class_names"]
        members.append(("class_names", _header((1, 0), head) + raw.tobytes()))
    import warnings

    with warnings.catch_warnings(), zipfile.ZipFile(path, "w", kind) as archive:
        warnings.simplefilter("ignore")  # duplicate names are on purpose
        for key, content in members:
            archive.writestr(f"{key}.npy", content)
        if how == "archive" and draw(st.integers(0, 5)) == 0:
            archive.comment = draw(st.binary(max_size=50))
    if how == "bz2":
        _make_bz2(path)
    if how == "archive":
        content = bytearray(path.read_bytes())
        if draw(st.booleans()):
            content = _directory_damage(draw, content)
        path.write_bytes(damage(draw, bytes(content)))
    return path


def _make_bz2(path: Path) -> None:
    """A good archive, but its features are packed by bzip2 and unpack to far more than they say."""
    with zipfile.ZipFile(path, "w") as archive:
        for key, array in arrays().items():
            stream = io.BytesIO()
            np.save(stream, array)
            info = zipfile.ZipInfo(f"{key}.npy")
            content = stream.getvalue()
            archive.writestr(info, _bz2_bomb() if key == "train_features" else content)
    content = bytearray(path.read_bytes())
    for mark, place in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        at = content.find(mark)
        content[at + place : at + place + 2] = struct.pack("<H", zipfile.ZIP_BZIP2)
    path.write_bytes(bytes(content))


def _directory_damage(draw: Any, content: bytearray) -> bytearray:
    """Flags, methods, sizes and names of one entry, in the directory and beside the data."""
    for mark, offset in ((b"PK\x01\x02", 2), (b"PK\x03\x04", 0)):
        if not draw(st.booleans()):
            continue
        places = [i for i in range(len(content)) if content[i : i + 4] == mark]
        if not places:
            continue
        at = draw(st.sampled_from(places))
        what = draw(
            st.sampled_from(["flags", "method", "crc", "packed", "full", "name", "lengths"])
        )
        value = draw(st.sampled_from([0, 1, 8, 9, 12, 14, 93, 0x800, 0xFFFF, 2**31, 2**32 - 1]))
        field = {
            "flags": (6, 2),
            "method": (8, 2),
            "crc": (14, 4),
            "packed": (18, 4),
            "full": (22, 4),
        }
        if what == "name":
            start = at + 30 + (16 if offset else 0)
            content[start : start + 5] = draw(st.binary(min_size=5, max_size=5))
            flags = at + 6 + offset
            content[flags : flags + 2] = struct.pack("<H", draw(st.sampled_from([0, 0x800])))
        elif what == "lengths":
            start = at + 26 + offset
            content[start : start + 4] = draw(st.binary(min_size=4, max_size=4))
        else:
            start, size = field[what]
            start += at + offset
            content[start : start + size] = int(value).to_bytes(8, "little")[:size]
    return content


def npy_case(draw: Any, scene: Scene) -> tuple[Path, Path]:
    """Features and labels as .npy files."""
    kept = arrays()
    x, y = scene.inputs / "x.npy", scene.inputs / "y.npy"
    if draw(st.integers(0, 15)) == 0:  # another format under this suffix
        content = draw(
            st.sampled_from([b"PK\x05\x06" + bytes(18), pickle.dumps([1, 2]), b"PK\x03\x04", b""])
        )
        x.write_bytes(content)
    else:
        x.write_bytes(hostile_npy(draw, kept["train_features"], scene))
    good = draw(st.booleans())
    stream = io.BytesIO()
    np.save(stream, kept["train_labels"])
    y.write_bytes(stream.getvalue() if good else hostile_npy(draw, kept["train_labels"], scene))
    return x, y
