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


def test_a_platform_that_is_not_there_is_one_line():
    program = "import sys; from gramlab.cli import main; sys.exit(main(sys.argv[1:]))"
    shards = "import numpy, gramlab; gramlab.shard_features(numpy.eye(3))"
    done = run(
        f"import sys; sys.argv[1:] = ['check', 'digits', '--rounds', '1']; {program}",
        JAX_PLATFORMS="cpu,bogus",
    )
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert "'bogus'" in line
    assert "JAX_PLATFORMS" in line
    assert "DeviceError" in run(shards, JAX_PLATFORMS="cpu,bogus").stderr
