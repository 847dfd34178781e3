"""JAX as the caller has it: strict settings stay, forked children and absent platforms are told."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import contextmanager

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gramlab import (
    Features,
    GeneralizedCrossEntropyHead,
    PublishedSgdHead,
    SoftmaxHead,
    open_features,
    save_features,
    shard_features,
)
from gramlab.machine import device

STRICT = {
    "jax_numpy_dtype_promotion": "strict",
    "jax_numpy_rank_promotion": "raise",
    "jax_transfer_guard": "disallow",
    "jax_debug_nans": True,
    "jax_debug_infs": True,
}
RNG = np.random.default_rng(0)
LABELS = np.arange(90) % 3
TARGETS = np.eye(3)[LABELS]
FEATURES = Features(RNG.standard_normal((90, 4)) + RNG.standard_normal((3, 4))[LABELS], LABELS)
LARGE = Features(RNG.standard_normal((4000, 60)), np.arange(4000) % 10)


@contextmanager
def strictness():
    before = {name: getattr(jax.config, name) for name in STRICT}
    try:
        for name, value in STRICT.items():
            jax.config.update(name, value)
        yield
        assert {name: getattr(jax.config, name) for name in STRICT} == STRICT
    finally:
        for name, value in before.items():
            jax.config.update(name, value)


def from_a_file(folder):
    save_features(FEATURES, folder / "x.safetensors")
    return SoftmaxHead(1e-2).fit(open_features(folder / "x.safetensors"), TARGETS)


@pytest.mark.parametrize(
    "fit",
    [
        lambda _: SoftmaxHead(1e-2).fit(FEATURES, TARGETS),
        lambda _: SoftmaxHead(1e-2, tolerance=1e-20).fit(FEATURES, TARGETS),
        lambda _: SoftmaxHead(1e-2, certified_share=1.0).fit(FEATURES, TARGETS),
        lambda _: SoftmaxHead(1e-4, tolerance=1e-12).fit(LARGE, np.eye(10)[LARGE.labels]),
        lambda _: SoftmaxHead(1e-2).fit(shard_features(FEATURES.x), TARGETS),
        from_a_file,
        lambda _: GeneralizedCrossEntropyHead(1e-2).fit(FEATURES, TARGETS),
        lambda _: PublishedSgdHead(1e-2, epochs=2).fit(FEATURES, TARGETS),
    ],
    ids="small tight certified large sharded mapped generalized sgd".split(),
)
def test_a_strict_caller_gets_the_same_fit_and_stays_strict(fit, tmp_path):
    expected = fit(tmp_path).weights
    with strictness():
        np.testing.assert_allclose(fit(tmp_path).weights, expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    "careless",
    [
        lambda: jnp.arange(3, dtype="int32") + jnp.arange(3, dtype="int16"),
        lambda: jnp.eye(3) + jnp.arange(3.0),
        lambda: jnp.asarray(np.ones(3)) + np.ones(3),
        lambda: jnp.log(-jnp.ones(3)),
        lambda: 1.0 / jnp.zeros(3),
    ],
    ids=["types", "ranks", "transfers", "nan", "infinite"],
)
def test_strictness_is_felt_outside_gramlabs_context_only(careless):
    careless()
    with strictness():
        with pytest.raises(Exception, match=r"(?i)promotion|disallowed|nan|inf"):
            careless()
        with device.float64():
            careless()


def run(program, **environment):
    return subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


FORKS = """
import multiprocessing
import numpy as np
import gramlab
x = np.random.default_rng(0).standard_normal((30, 4))
def work():
    try:
        print(gramlab.shard_features(x), flush=True)
    except gramlab.GramlabError as problem:
        print(type(problem).__name__, problem, flush=True)
def child():
    process = multiprocessing.get_context("fork").Process(target=work)
    process.start()
    process.join(60)
    process.kill()
for step in (child, work, child, work):
    step()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no processes are forked here")
def test_a_child_forked_too_late_is_told_and_one_in_time_works():
    early, parent, late, again = run(FORKS).stdout.splitlines()
    assert early == parent == again
    assert parent.startswith("<ShardedFeatures")
    assert late.startswith("DeviceError")
    assert "spawn" in late


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no processes are forked here")
def test_a_child_of_a_process_where_the_caller_used_jax_is_told_too():
    started = FORKS.replace("import gramlab", "import gramlab, jax\njax.numpy.zeros(1)")
    early, parent, late, again = run(started).stdout.splitlines()
    assert early.startswith("DeviceError")
    assert "spawn" in early
    assert late.startswith("DeviceError")
    assert parent == again
    assert parent.startswith("<ShardedFeatures")


CHECK = """
import sys
from gramlab.cli import main
sys.exit(main(["check", "digits", "--rounds", "1", "--quiet", *sys.argv[1:]]))
"""
TWICE = """
import numpy, gramlab
shards = lambda: gramlab.shard_features(numpy.eye(3))
for call in 2 * (shards, lambda: gramlab.PublishedSgdHead(1e-2)):
    try:
        call()
    except gramlab.GramlabError as problem:
        print(type(problem).__name__, problem)
"""


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("JAX_PLATFORMS", "cpu,bogus", "'bogus'"),
        ("JAX_PLATFORMS", " cpu", "' cpu'"),
        ("JAX_PLATFORMS", "tpu", "'tpu'"),
        ("JAX_PLATFORMS", "METAL", "'METAL'"),
        ("JAX_ENABLE_X64", "maybe", "'maybe'"),
        ("JAX_LOG_COMPILES", "2", "'2'"),
        ("JAX_DEFAULT_MATMUL_PRECISION", "exact", '"exact"'),
        ("JAX_NUM_CPU_DEVICES", "many", '"many"'),
        ("XLA_FLAGS", "--nope", "Unknown flag in XLA_FLAGS: --nope"),
        ("XLA_FLAGS", "/no/such/file", 'Could not open file "/no/such/file"'),
        ("XLA_FLAGS", "--xla_fuel=a --xla_gpu_autotune_level=x", "interpret value x for flag"),
    ],
)
def test_what_jax_does_not_take_from_the_environment_is_one_line(name, value, told):
    done = run(CHECK, **{name: value})
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert told in line
    assert name.partition("_")[0] + "_" in line
    first, *others = run(TWICE, **{name: value}).stdout.splitlines()
    assert told in first
    assert all(line.startswith("DeviceError") for line in (first, *others))


def test_the_platform_is_looked_at_before_the_work():
    program = f"import gramlab.check.chain as chain\nchain.Spectrum = None\n{CHECK}"
    assert "'bogus'" in run(program, JAX_PLATFORMS="bogus").stderr
    assert "'--nope'" in run(program, XLA_FLAGS="--nope").stderr


def test_flags_that_xla_takes_pass():
    flags = "--xla_force_host_platform_device_count=3"
    program = "from gramlab.machine import device\nprint(device.count())"
    assert run(program, XLA_FLAGS=flags).stdout == "3\n"
    assert run(program, XLA_FLAGS=flags, JAX_PLATFORMS="bogus").stdout == ""


LIMITED = """
import resource
import numpy as np
import gramlab
from gramlab.machine import device, memory
from gramlab.heads import resident
rng = np.random.default_rng(0)
features = gramlab.Features(rng.standard_normal((4000, 60)), np.arange(4000) % 10)
used = memory.psutil.Process().memory_info().vms
resource.setrlimit(resource.RLIMIT_AS, 2 * (used + int(GIGABYTES * 1e9),))
try:
    fit = gramlab.SoftmaxHead(1e-3).fit(features, gramlab.one_hot(features.labels, 10))
    print(fit.stats.converged)
except gramlab.GramlabError as problem:
    print(type(problem).__name__, problem)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="addresses are not limited there")
@pytest.mark.parametrize("gigabytes", [0.15, 0.3, 0.6, 0.9, 1.2])
def test_too_few_addresses_for_jax_are_one_line(gigabytes):
    done = run(LIMITED.replace("GIGABYTES", f"{gigabytes}"), GRAMLAB_COMPILATION_CACHE="off")
    (line,) = done.stdout.splitlines()
    assert line.startswith("DeviceError expected")
    assert "ulimit -v" in line
    assert "MALLOC_ARENA_MAX=1" in line


@pytest.mark.skipif(sys.platform != "linux", reason="addresses are not limited there")
def test_what_is_said_to_be_enough_for_jax_is():
    environment = {"GRAMLAB_COMPILATION_CACHE": "off", "MALLOC_ARENA_MAX": "1"}
    few = run(LIMITED.replace("GIGABYTES", "0.2"), **environment).stdout
    needed = float(few.split("expected ")[1].split(" MB")[0])
    enough = LIMITED.replace("GIGABYTES", f"{needed / 1e3 + 0.02}")
    assert run(enough, **environment).stdout == "True\n"
    assert "MALLOC_ARENA_MAX" not in few


FIGURE = """
import os
from gramlab.figures import Figure, figure_png
import matplotlib
print(len(figure_png(Figure())) > 100, repr(os.environ.get("MPLBACKEND")))
import matplotlib.pyplot
matplotlib.pyplot.figure()
print(matplotlib.get_backend())
"""


@pytest.mark.parametrize(
    ("backend", "chosen"), [("nonsense", "agg"), ("", "agg"), ("svg", "svg"), ("pdf", "pdf")]
)
def test_figures_are_drawn_whatever_the_backend(backend, chosen):
    done = run(FIGURE, MPLBACKEND=backend)
    assert done.stdout.splitlines() == [f"True {backend!r}", chosen], done.stderr


def test_a_backend_chosen_in_the_program_stays():
    done = run(f"import matplotlib\nmatplotlib.use('svg')\n{FIGURE}", MPLBACKEND="pdf")
    assert done.stdout.splitlines() == ["True 'pdf'", "svg"], done.stderr


def test_settings_that_matplotlib_cannot_read_are_one_line():
    done = run("import gramlab.figures", MATPLOTLIBRC=sys.executable)
    assert "InvalidSetting: expected Matplotlib" in done.stderr.splitlines()[-1]
