"""Features larger than memory: mapped files, blocks that are given back, the streamed head."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import examples, problem
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save_file

from gramlab.errors import InvalidLabels, InvalidSetting, UnreadableSource
from gramlab.features import Features
from gramlab.files.sources import load_features
from gramlab.files.tensors import open_features, open_tensors, save_features, save_tensors
from gramlab.heads.referee import SoftmaxObjective
from gramlab.machine import memory
from gramlab.numerics.content import sha256, to_json
from gramlab.spectrum import Spectrum
from gramlab.targets import OneHotRows, one_hot

ON_LINUX = sys.platform.startswith("linux")


def some_features(n=300, d=12, k=4, dtype=np.float32, test=True) -> Features:
    rng = np.random.default_rng(5)
    labels = np.arange(n) % k
    x = (rng.standard_normal((k, d))[labels] + rng.standard_normal((n, d))).astype(dtype)
    split = {"test_x": x[:7] + 1, "test_labels": labels[:7]} if test else {}
    groups = np.arange(k) // 2
    return Features(x, labels, **split, superclasses=groups, class_names=['"a"', "ü", "c", "d"])


def small_blocks(monkeypatch):
    monkeypatch.setattr(memory, "_MAPPED_BLOCK_BYTES", 1000)
    monkeypatch.setattr("gramlab.heads.problem._STREAM_BYTES", 1000)


# Opening


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_mapped_features_equal_those_read(tmp_path, monkeypatch, dtype):
    small_blocks(monkeypatch)
    path = save_features(some_features(dtype=dtype), tmp_path / "a.safetensors")
    features = open_features(path)
    assert features == load_features(path)
    assert features.is_mapped
    assert memory.is_mapped(features.test_x)
    assert not some_features().is_mapped
    assert not features.x.flags.writeable
    assert features.x.dtype == dtype
    assert features.fingerprint == sha256(
        np.array(features.x), features.labels, np.array(features.test_x), features.test_labels
    )
    assert features.superclasses.tolist() == [0, 0, 1, 1]
    again = np.concatenate([block for _, block in features.blocks()])
    assert again.tobytes() == features.x.astype(np.float64).tobytes()
    first, second = (next(iter(features.blocks(dtype=np.float64)))[1] for _ in range(2))
    assert np.shares_memory(first, second) == (dtype == np.float64)  # no kept copy
    assert features.unit_norm() == load_features(path).unit_norm()


def test_mapped_features_are_saved_to_the_same_bytes(tmp_path, monkeypatch):
    small_blocks(monkeypatch)
    for test in (True, False):
        path = save_features(some_features(dtype=np.float16, test=test), tmp_path / "a.safetensors")
        content = path.read_bytes()
        features = open_features(path)
        assert save_features(features, tmp_path / "b.safetensors").read_bytes() == content
        save_features(features, path)  # over the mapped file itself
        assert path.read_bytes() == content
        assert features == load_features(path)


def test_numpy_maps_stream_too_unless_what_is_written_lives_in_their_pages(tmp_path):
    np.save(tmp_path / "x.npy", some_features().x)
    labels = some_features().labels
    for mode, expected in (("r", True), ("c", False), (None, False)):
        x = np.load(tmp_path / "x.npy", mmap_mode=mode)
        if mode == "c":
            x[0, 0] = 7.0
        features = Features(x, labels)
        assert features.is_mapped is expected
        for _ in features.blocks(10):
            pass
        memory.release(x)
        assert features.x[0, 0] == (7.0 if mode == "c" else some_features().x[0, 0])


def test_changed_values_are_found_when_asked_for(tmp_path):
    path = save_features(some_features(), tmp_path / "a.safetensors")
    content = bytearray(path.read_bytes())
    content[-1] ^= 1  # in the last value of x
    path.write_bytes(content)
    with pytest.raises(UnreadableSource, match="differ from their fingerprint"):
        open_features(path)
    assert open_features(path, verify=False).n_samples == 300


def parts(path: Path) -> tuple[dict, bytes]:
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    return json.loads(content[8 : 8 + length]), content[8 + length :]


def join(header: object, data: bytes) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def edit(tensor: str, **changes):
    def apply(header: dict) -> None:
        header[tensor].update(changes)

    return apply


ATTACKS = {
    "negative shape": (edit("x", shape=[-300, -12]), "integer `-300`, expected usize"),
    "huge shape": (edit("x", shape=[2**62, 2**62]), "overflow computing buffer size"),
    "gigantic shape": (edit("x", shape=[10**4000, 10**4000]), "number out of range"),
    "fractional shape": (edit("x", shape=[300.0, 12]), "floating point `300.0`, expected usize"),
    "true for a length": (edit("x", shape=[True, 3600]), "boolean `true`, expected usize"),
    "too many axes": (edit("x", shape=[300, 12] + [1] * 70), "maximum supported dimension"),
    "shape is text": (edit("x", shape="300"), "expected a sequence"),
    "wrong size": (edit("x", shape=[300, 13]), "invalid shape, data type, or offset"),
    "negative offset": (edit("x", data_offsets=[-14400, 0]), "integer `-14400`, expected usize"),
    "reversed offsets": (edit("x", data_offsets=[14400, 0]), "invalid offset for tensor `x`"),
    "three offsets": (edit("x", data_offsets=[0, 1, 2]), "expected 2 elements"),
    "out of the file": (
        edit("x", data_offsets=[10**9, 10**9 + 14400]),
        "invalid offset for tensor `x`",
    ),
    "overlapping": (edit("x", data_offsets=[0, 14400]), "invalid offset for tensor"),
    "wrong dtype": (edit("x", dtype="I32"), "'x' is 2-D int32, expected 2-D floating"),
    "labels of another dtype": (edit("labels", dtype="F64"), "'labels' is 1-D float64"),
    "unknown dtype": (edit("x", dtype="F4"), "invalid shape, data type, or offset"),
    "dtype is a list": (edit("x", dtype=["F32"]), "invalid type: sequence"),
    "entry is a list": (lambda header: header.update(x=[1]), "invalid type: integer `1`"),
    "nameless metadata": (
        lambda header: header.update(__metadata__=3),
        "integer `3`, expected a map",
    ),
    "number as metadata": (
        lambda header: header.update(__metadata__={"a": 1}),
        "expected a string",
    ),
    "foreign": (lambda header: header.pop("__metadata__"), "not written by gramlab"),
    "metadata is no JSON": (
        lambda header: header.update(__metadata__={"gramlab": "{"}),
        "is damaged",
    ),
    "renamed": (lambda header: header.update(y=header.pop("x")), "no tensor 'x'"),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_headers_that_lie_are_refused(tmp_path, attack):
    path = save_features(some_features(), tmp_path / "a.safetensors")
    header, data = parts(path)
    change, message = ATTACKS[attack]
    change(header)
    path.write_bytes(join(header, data))
    with pytest.raises(UnreadableSource, match=message) as caught:
        open_features(path)
    assert str(tmp_path) not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_other_damage_is_refused(tmp_path):
    path = save_features(some_features(), tmp_path / "a.safetensors")
    content = path.read_bytes()
    header, data = parts(path)
    twice = json.dumps(header)[:-1].encode() + b',"x":' + json.dumps(header["x"]).encode() + b"}"
    for bad, message in [
        (b"", "header too small"),
        (content[:5], "header too small"),
        (content[:100], "invalid header length"),
        (content[:-1], "file not fully covered"),
        (content + b"\0", "file not fully covered"),
        ((2**64 - 1).to_bytes(8, "little") + content[8:], "header too large"),
        ((0).to_bytes(8, "little") + content[8:], "EOF while parsing"),
        (join(b"\xff\xfe", data), "invalid UTF-8"),
        (join(b"[" * 100_000, data), "invalid type: sequence"),
        (join(b"[]", data), "invalid type: sequence"),
        (join(b'{"x":{"dtype":"F32","shape":[' + b"9" * 5000 + b"]}}", data), "out of range"),
        (join(twice, data), "twice"),
    ]:
        path.write_bytes(bad)
        with pytest.raises(UnreadableSource, match=message):
            open_features(path)
    with pytest.raises(UnreadableSource, match="No such file"):
        open_features(tmp_path / "none.safetensors")
    with pytest.raises(UnreadableSource, match=r"must be a \.safetensors file to be mapped"):
        open_features(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes are POSIX")
def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.safetensors")
    with pytest.raises(UnreadableSource, match="not a regular file"):
        open_features(tmp_path / "a.safetensors")


def test_files_are_those_that_the_library_writes(tmp_path):
    tensors = {
        "x": np.arange(6, dtype=np.float16).reshape(3, 2),
        "wide": np.asfortranarray(np.arange(12.0).reshape(4, 3)),
        "flags": np.array([True, False, True]),
        "labels": np.arange(5)[::2],
        "none": np.empty((0, 4), np.float32),
        "bytes": np.arange(3, dtype=np.uint8),
    }
    save_tensors(tmp_path / "ours", tensors, {"ü": 1})
    metadata = {"gramlab": to_json({"ü": 1})}
    contiguous = {name: np.ascontiguousarray(array) for name, array in tensors.items()}
    save_file(contiguous, tmp_path / "theirs", metadata=metadata)
    assert (tmp_path / "ours").read_bytes() == (tmp_path / "theirs").read_bytes()
    found, mapped = open_tensors(tmp_path / "ours")
    assert found == metadata
    for name, array in tensors.items():
        assert mapped[name].dtype == array.dtype
        assert np.array_equal(mapped[name], array)


@examples(60)
@given(data=st.data())
def test_no_changed_byte_of_the_header_gets_through(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "fuzzed.safetensors"
    save_features(some_features(n=20), path)
    content = bytearray(path.read_bytes())
    end = 8 + int.from_bytes(content[:8], "little")
    place = data.draw(st.integers(0, end - 1))
    content[place] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    try:
        changed = open_features(path)
    except UnreadableSource:
        return
    assert changed == some_features(n=20)  # a space for another white space


# Targets in rows


def test_one_hot_rows_are_one_hot_targets_bit_for_bit():
    labels = np.random.default_rng(0).integers(0, 7, 50)
    rows = OneHotRows(labels, 7)
    expected = one_hot(labels, 7) - 1 / 7
    assert rows.shape == expected.shape
    assert len(rows) == 50
    for part in (slice(None), slice(3, 20), slice(40, 99), slice(9, 9)):
        assert rows[part].tobytes() == expected[part].tobytes()
    assert repr(rows) == "OneHotRows(50 rows, 7 classes)"
    with pytest.raises(TypeError, match="slice"):
        rows[3]  # pyright: ignore
    with pytest.raises(InvalidLabels):
        OneHotRows([0, 7], 7)
    with pytest.raises(InvalidSetting):
        OneHotRows([0, 0], 1)


# The objective and the head, in blocks


@pytest.fixture
def mapped_problem(tmp_path, monkeypatch):
    small_blocks(monkeypatch)
    features, targets = problem(240, 9, 4, seed=2)
    path = save_features(features, tmp_path / "a.safetensors")
    return open_features(path), features, targets


def test_streamed_objective_equals_the_one_in_memory(mapped_problem):
    streamed, held, targets = mapped_problem
    for make in (lambda: targets, lambda: one_hot(held.labels, 4)):
        plain = SoftmaxObjective(held, make() - 0.25, 1e-3)
        blockwise = SoftmaxObjective(streamed, make() - 0.25, 1e-3)
        for scale in (0.0, 1e-3, 1.0, 30.0):
            w = scale * np.random.default_rng(1).standard_normal((9, 4))
            assert blockwise.value(w) == pytest.approx(plain.value(w), rel=1e-13)
            rounding = plain.gradient_rounding(w, plain.logits(w))
            assert np.linalg.norm(blockwise.gradient(w) - plain.gradient(w)) <= 2 * rounding
            assert blockwise.gradient_rounding(w) == pytest.approx(rounding, rel=1e-12)
            one, two = plain.certificate(w), blockwise.certificate(w)
            for name, value in one.as_dict().items():
                assert two.as_dict()[name] == pytest.approx(value, rel=1e-6), name
            assert two.start_gradient_norm == pytest.approx(one.start_gradient_norm, rel=1e-12)
            assert two.max_row_norm == one.max_row_norm
            assert two.logit_rounding == one.logit_rounding


def test_lazy_targets_equal_arrays(mapped_problem):
    streamed, held, _ = mapped_problem
    array = SoftmaxObjective(streamed, one_hot(held.labels, 4) - 0.25, 1e-2)
    for features in (streamed, held):
        lazy = SoftmaxObjective(features, OneHotRows(held.labels, 4), 1e-2)
        w = np.random.default_rng(1).standard_normal((9, 4))
        assert np.allclose(lazy.gradient(w), array.gradient(w), rtol=1e-12, atol=1e-15)
        assert lazy.certificate(w).as_dict() == pytest.approx(array.certificate(w).as_dict())
        assert lazy.targets.tolist() == array.targets.tolist()


def test_value_keeps_its_digits_near_zero(mapped_problem):
    streamed, _, targets = mapped_problem
    objective = SoftmaxObjective(streamed, targets - 0.25, 1e-3)
    w = 1e-9 * np.random.default_rng(1).standard_normal((9, 4))
    slope = float(np.vdot(objective.gradient(np.zeros((9, 4))), w))
    assert objective.evaluate(w).value == pytest.approx(slope, rel=1e-6)


def test_spectrum_of_mapped_features_is_the_one_of_those_read(tmp_path, monkeypatch):
    small_blocks(monkeypatch)
    for n in (300, 8):  # rows many and few
        path = save_features(some_features(n=n), tmp_path / "a.safetensors")
        streamed, held = Spectrum.of(open_features(path)), Spectrum.of(load_features(path))
        error = streamed.certificate.eigenvalue_error + held.certificate.eigenvalue_error
        assert np.abs(streamed.eigenvalues - held.eigenvalues).max() <= error


# Memory

ALLOWED = 64_000_000
ROWS, WIDTH = 530_000, 128  # float32: 271 MB, more than four times what is allowed

LIMITED = """
import resource, sys
import numpy as np
import gramlab
from gramlab.machine import memory as module
from gramlab.files.tensors import open_features, save_features
from gramlab.features import Features
from gramlab.targets import OneHotRows

variant, folder, allowed = sys.argv[1], sys.argv[2], int(sys.argv[3])

def status(name):
    line = next(l for l in open("/proc/self/status") if l.startswith(name + ":"))
    return 1024 * int(line.split()[1])

def fit(features, target):
    head = gramlab.SoftmaxHead(1e-2, tolerance=target**2, max_passes=60)
    found = head.fit(features, OneHotRows(features.labels, features.n_classes))
    assert found.stats.converged, found.stats
    return found.certificate

# A small run first: what libraries hold for themselves is not what is measured.
small = np.random.default_rng(0).standard_normal((400, 128))
np.save(folder + "/small.npy", small)
small = Features(np.load(folder + "/small.npy", mmap_mode="r"), np.arange(400) % 3)
fit(open_features(save_features(small, folder + "/small.safetensors")), 1e-2)

base = status("VmRSS")
data = status("VmData")
resource.setrlimit(resource.RLIMIT_DATA, (data + allowed, data + allowed))
if variant == "nothing released":
    module.release = lambda array: None
x = np.load(folder + "/x.npy", mmap_mode="r")
labels = np.load(folder + "/labels.npy")
if variant == "read whole":
    try:
        np.array(x)
    except MemoryError:
        print("MemoryError", 0, 0)
        sys.exit()
features = Features(x, labels)
if variant == "streamed":
    features = open_features(save_features(features, folder + "/x.safetensors"))
certificate = fit(features, 1e-3)
print("fitted", status("VmHWM") - base, certificate.relative_gap, certificate.weights_bound)
"""


@pytest.fixture(scope="module")
def large_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("large")
    rng = np.random.default_rng(8)
    labels = rng.integers(0, 3, ROWS)
    means = rng.standard_normal((3, WIDTH)).astype(np.float32)
    np.save(folder / "labels.npy", labels)
    x = np.lib.format.open_memmap(folder / "x.npy", "w+", np.float32, (ROWS, WIDTH))
    for start in range(0, ROWS, 50_000):
        part = labels[start : start + 50_000]
        x[start : start + 50_000] = means[part]
        x[start : start + 50_000] += rng.standard_normal((len(part), WIDTH), dtype=np.float32)
    del x
    yield folder
    for file in folder.iterdir():
        file.unlink()


def limited(variant: str, folder: Path) -> list[str]:
    found = subprocess.run(
        [sys.executable, "-c", LIMITED, variant, str(folder), str(ALLOWED)],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
        check=False,
    )
    assert found.returncode == 0, found.stderr
    return found.stdout.split()


@pytest.mark.skipif(not ON_LINUX, reason="RLIMIT_DATA and VmHWM mean this on Linux only")
def test_a_file_four_times_the_allowed_memory_is_fitted(large_folder):
    assert ROWS * WIDTH * 4 >= 4 * ALLOWED
    word, peak, gap, bound = limited("streamed", large_folder)
    assert word == "fitted"
    assert 0 < int(peak) < ALLOWED
    assert float(gap) <= 1e-6
    assert np.isfinite(float(bound))


@pytest.mark.skipif(not ON_LINUX, reason="RLIMIT_DATA and VmHWM mean this on Linux only")
def test_the_limits_catch_what_reads_the_file_whole(large_folder):
    assert limited("read whole", large_folder)[0] == "MemoryError"
    # Without giving pages back, the fit goes through (the limit counts private memory, not pages
    # of a file), and the file stays resident: that is what the resident peak is for.
    word, peak, *_ = limited("nothing released", large_folder)
    assert word == "fitted"
    assert int(peak) > 2 * ALLOWED
