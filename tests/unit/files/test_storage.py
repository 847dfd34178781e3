"""Files appear whole or not at all; JSON and hashes are the same everywhere."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import stat
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gramlab.errors import InvalidSetting, NotEnoughMemory, OutputError, UnreadableSource
from gramlab.files import whole
from gramlab.files.whole import atomic_path, atomic_write, output_folder, read_json
from gramlab.numerics.content import sha256, to_json


def test_written_file_holds_exactly_the_content(tmp_path):
    path = tmp_path / "a.json"
    assert atomic_write(path, "zwölf\r\n") == path
    assert path.read_bytes() == "zwölf\r\n".encode()
    atomic_write(str(path), b"\x00\xff")
    assert path.read_bytes() == b"\x00\xff"
    assert os.listdir(tmp_path) == ["a.json"]


@pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX")
def test_written_file_obeys_the_umask(tmp_path):
    before = os.umask(0o027)
    try:
        atomic_write(tmp_path / "a", b"")
    finally:
        os.umask(before)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("step", ["open", "fsync", "replace"])
@pytest.mark.parametrize(
    ("number", "fix"), [(errno.ENOSPC, "free some disk space"), (errno.EACCES, "you may write to")]
)
def test_any_failing_step_keeps_the_old_file_and_leaves_nothing(
    tmp_path, monkeypatch, step, number, fix
):
    path = tmp_path / "results.json"
    path.write_text("old")

    def fail(*args, **kwargs):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(whole.os, step, fail)
    with pytest.raises(OutputError) as caught:
        atomic_write(path, "new")
    monkeypatch.undo()
    assert "results.json" in str(caught.value)
    assert os.strerror(number) in str(caught.value)
    assert fix in str(caught.value)
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["results.json"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError, UnreadableSource])
def test_interrupted_block_leaves_nothing_and_the_error_passes(tmp_path, error):
    def write_half():
        with atomic_path(tmp_path / "a.png") as temporary:
            temporary.write_bytes(b"half")
            raise error("stop")

    with pytest.raises(error, match="stop"):
        write_half()
    assert os.listdir(tmp_path) == []


def test_killed_writer_leaves_no_file_under_the_final_name(tmp_path):
    program = (
        "import os, sys\n"
        "from gramlab.files.whole import atomic_path\n"
        "with atomic_path(sys.argv[1]) as temporary:\n"
        "    temporary.write_bytes(b'half')\n"
        "    os._exit(9)\n"
    )
    path = tmp_path / "a.safetensors"
    done = subprocess.run([sys.executable, "-c", program, str(path)], check=False)
    assert done.returncode == 9
    assert not path.exists()


def test_temporary_path_is_beside_the_file_with_its_suffix(tmp_path):
    with atomic_path(tmp_path / "figure.tar.gz") as temporary:
        assert temporary.parent == tmp_path
        assert temporary.suffix == ".gz"
        assert not temporary.exists()
        temporary.write_bytes(b"x")
    assert os.listdir(tmp_path) == ["figure.tar.gz"]


@pytest.mark.skipif(not hasattr(os, "O_DIRECTORY"), reason="needs folders that can be synced")
def test_content_is_on_disk_before_the_name_and_the_name_before_the_return(tmp_path, monkeypatch):
    calls = []
    fsync, replace = os.fsync, os.replace

    def spy_fsync(handle):
        calls.append("folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else "file")
        fsync(handle)

    def spy_replace(source, target):
        calls.append("rename")
        replace(source, target)

    monkeypatch.setattr(whole.os, "fsync", spy_fsync)
    monkeypatch.setattr(whole.os, "replace", spy_replace)
    atomic_write(tmp_path / "a", b"x")
    assert calls == ["file", "rename", "folder"]


def test_block_that_writes_nothing_is_an_error(tmp_path):
    with pytest.raises(OutputError, match=r"a\.png"), atomic_path(tmp_path / "a.png"):
        pass
    assert os.listdir(tmp_path) == []


def test_missing_folder_folder_and_impossible_names_are_refused(tmp_path):
    with pytest.raises(OutputError, match="create its folder first"):
        atomic_write(tmp_path / "missing" / "a", b"")
    with pytest.raises(OutputError, match="is a folder"):
        atomic_write(tmp_path, b"")
    with pytest.raises(OutputError):
        atomic_write("", b"")
    with pytest.raises(OutputError):
        atomic_write(tmp_path / "a\0b", b"")
    with pytest.raises(OutputError, match="too long"):
        atomic_write(tmp_path / ("a" * 300), b"")
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(os.name != "posix", reason="devices and links are POSIX")
def test_devices_are_refused_and_links_are_followed_only_if_asked(tmp_path):
    with pytest.raises(OutputError, match="not a regular file"):
        atomic_write(os.devnull, b"x")
    assert not Path(os.devnull).is_file()
    real, link = tmp_path / "real", tmp_path / "link"
    link.symlink_to(real)
    atomic_write(link, b"x", follow=True)
    assert link.is_symlink()
    assert real.read_bytes() == b"x"
    # A link to a folder is replaced too, and one that leads nowhere does not make what it names.
    for target in (real, tmp_path, tmp_path / "nowhere"):
        link.unlink(missing_ok=True)
        link.symlink_to(target)
        atomic_write(link, b"y")
        assert not link.is_symlink()
        assert link.read_bytes() == b"y"
    assert real.read_bytes() == b"x"
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes are POSIX")
def test_json_is_read_from_regular_files_of_a_modest_depth_only(tmp_path, monkeypatch):
    path = tmp_path / "a.json"
    path.write_text('{"a": [1, null]}')
    assert read_json(path) == {"a": [1, None]}
    path.write_text("[" * 100_000)
    with pytest.raises(ValueError, match="nested too deeply"):
        read_json(path)
    path.write_bytes(b'"\xff"')
    with pytest.raises(ValueError, match="utf-8"):
        read_json(path)
    os.mkfifo(tmp_path / "pipe")  # reading it would never end
    with pytest.raises(OSError, match="not a regular file"):
        read_json(tmp_path / "pipe")
    monkeypatch.setattr("gramlab.machine.memory.bytes_available", lambda: 29)
    path.write_text("1")
    with pytest.raises(NotEnoughMemory, match=r"'a\.json'"):
        read_json(path)


def test_json_that_is_nested_too_deeply_is_refused_and_not_a_fault():
    value = []
    for _ in range(2000):
        value = [value]
    with pytest.raises(InvalidSetting, match="nested"):
        to_json(value)


def test_text_that_is_no_unicode_is_written_as_its_escape(tmp_path):
    atomic_write(tmp_path / "a", "caf\udce9")
    assert (tmp_path / "a").read_text() == "caf\\udce9"


def test_output_folder_is_created_with_its_parents_and_left_empty(tmp_path):
    folder = output_folder(tmp_path / "a" / "b")
    assert folder.is_dir()
    assert os.listdir(folder) == []
    assert output_folder(str(folder)) == folder


def test_output_folder_refuses_files_and_what_cannot_be_written(tmp_path, monkeypatch):
    file = tmp_path / "file"
    file.write_bytes(b"")
    with pytest.raises(OutputError, match="is a file"):
        output_folder(file)
    with pytest.raises(OutputError):
        output_folder(file / "below")

    def refuse(*args, **kwargs):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(whole.os, "open", refuse)
    with pytest.raises(OutputError, match=r"Permission denied; choose a folder you may write to"):
        output_folder(tmp_path / "out")


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a folder even root cannot use")
def test_output_folder_that_even_root_cannot_create():
    with pytest.raises(OutputError, match="/proc/gramlab"):
        output_folder("/proc/gramlab")


# JSON


def test_numpy_values_become_plain_json_in_their_order():
    text = to_json(
        {
            "z": np.float32(0.5),
            "a": np.arange(3),
            "flag": np.bool_(True),
            "rows": [(1, np.inf), (np.nan, -np.inf)],
            "none": None,
            3: Path("b"),
            "name": np.str_("ü"),
        }
    )
    assert text.endswith("}\n")
    assert text.isascii()
    assert list(json.loads(text).items()) == [
        ("z", 0.5),
        ("a", [0, 1, 2]),
        ("flag", True),
        ("rows", [[1, None], [None, None]]),
        ("none", None),
        ("3", "b"),
        ("name", "ü"),
    ]


@settings(deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(-1e300, 1e300) | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner),
        max_leaves=8,
    )
)
def test_plain_values_survive_the_round_trip(value):
    assert json.loads(to_json(value)) == value


@pytest.mark.parametrize(
    ("value", "where"),
    [
        ({"a": [1, {"b": {1, 2}}]}, "$.a[1].b"),
        ({"a": b"x"}, "$.a"),
        ({"a": 1j}, "$.a"),
        ({(1, 2): 1}, "$"),
        ({"a": {1: 0, "1": 0}}, "$.a"),
        ({"a": np.array([object()])}, "$.a[0]"),
    ],
)
def test_values_without_json_form_are_named_by_their_place(value, where):
    with pytest.raises(InvalidSetting) as caught:
        to_json(value)
    assert f"at {where};" in str(caught.value)


# Hashes


def test_hash_is_the_documented_one():
    a = np.arange(6, dtype=np.int64).reshape(2, 3)
    stream = b"array:<i8:2,3;" + a.astype("<i8").tobytes() + b"bytes:2;hi" + b"none;" + b"text:1;x"
    assert sha256(a, b"hi", None, "x") == hashlib.sha256(stream).hexdigest()


@settings(deadline=None)
@given(
    hnp.arrays(
        st.sampled_from([np.float16, np.float64, np.int64, np.bool_]),
        hnp.array_shapes(min_dims=0, max_dims=3, min_side=0),
    )
)
def test_hash_ignores_memory_layout_only(array):
    expected = sha256(array)
    spread = np.zeros((*array.shape, 2), dtype=array.dtype)
    spread[..., 0] = array
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gramlab.machine.memory._BLOCK_BYTES", 16)
        assert sha256(np.asarray(array, order="F")) == expected
        assert sha256(spread[..., 0]) == expected
        assert sha256(array.astype(array.dtype.newbyteorder(">"))) == expected
    assert sha256(array[None]) != expected
    assert sha256(array, None) != expected


def test_hash_tells_values_dtypes_shapes_and_boundaries_apart():
    zeros = np.zeros(4)
    negative = zeros.copy()
    negative[2] = -0.0
    parts = [
        (zeros,),
        (negative,),
        (zeros.astype(np.int64),),
        (zeros.reshape(2, 2),),
        (zeros[:2], zeros[2:]),
        (zeros.tobytes(),),
        (b"ab", b"c"),
        (b"a", b"bc"),
        ("ab", "c"),
        (),
        (None,),
    ]
    assert len({sha256(*part) for part in parts}) == len(parts)


def test_hash_refuses_python_objects():
    with pytest.raises(InvalidSetting, match="object for part 1"):
        sha256(b"", np.array([None]))


def test_hashing_a_contiguous_array_makes_no_copy():
    x = np.zeros((1000, 1000))
    tracemalloc.start()
    try:
        sha256(x)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 100_000


def test_files_have_the_mode_of_any_new_file(tmp_path):
    """Whatever the library that wrote them thinks of sharing."""
    before = os.umask(0o027)
    try:
        with atomic_path(tmp_path / "private.bin") as temporary:
            handle = os.open(temporary, os.O_WRONLY | os.O_CREAT, 0o600)
            os.write(handle, b"x")
            os.close(handle)
        atomic_write(tmp_path / "plain.txt", "x")
    finally:
        os.umask(before)
    for name in ("private.bin", "plain.txt"):
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o640
