"""Rows over devices and over processes: the results of one device, within the certificates.

Simulated devices and processes need settings from before JAX starts, so they are subprocesses that
write what they found; the comparison is made here, with fits on one device.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import problem

import gramlab
from gramlab.errors import InvalidFeatures, InvalidSetting, InvalidTargets
from gramlab.heads.referee import SoftmaxObjective
from gramlab.spectrum import Spectrum
from gramlab.targets import relative_weights

TESTS = Path(__file__).resolve().parents[1]
N, D, K = 203, 12, 5  # N is a multiple of no number of devices used here
SPLIT = 71  # rows of the first of two processes
DECAYS = (1e-1, 1e-3)  # solved on the rows as they are, and in the eigenbasis
TOLERANCE = 1e-12
TIMEOUT = 120
SKIPPED = 77

COMMON = """
import json, re, sys
import numpy as np, jax
import gramlab
from conftest import problem
from gramlab.machine import device
from gramlab.errors import GramlabError
from gramlab.heads import solver
from gramlab.heads.loss import CrossEntropy
from gramlab.heads.resident import ShardedRows
from gramlab.heads.sharded import ShardedObjective

N, D, K = 203, 12, 5
features, targets = problem(N, D, K, seed=3)
found = {}

def refusal(call):
    try:
        call()
    except GramlabError as error:
        return [type(error).__name__, str(error)]

weights = np.random.default_rng(0).uniform(0, 2, N)

def certified(s, part):
    w = np.arange(N)[part] % 4
    objective = ShardedObjective.of(s, targets[part], 1e-2, sample_weight=w)
    return objective.certificate(1e-3 * np.outer(np.ones(D), np.arange(K))).as_dict()

def fitted(s, part, decay, weights=None):
    weights = None if weights is None else weights[part]
    head = gramlab.SoftmaxHead(decay, sample_weight=weights, tolerance=1e-12)
    fit = head.fit(s, targets[part])
    again = head.fit(s, fit.as_targets(), start=fit.weights)
    return {
        "weights": fit.weights.tolist(),
        "bits": fit.weights.tobytes().hex(),
        "probabilities": fit.probabilities.tolist(),
        "bound": fit.certificate.weights_bound,
        "certificate": fit.certificate.as_dict(),
        "relative_gap": fit.certificate.relative_gap,
        "max_row_norm": fit.certificate.max_row_norm,
        "converged": fit.stats.converged,
        "second": again.weights.tolist(),
        "second_bound": again.certificate.weights_bound,
    }

def distilled(s, part):
    head = gramlab.SoftmaxHead(1e-1, tolerance=1e-12)
    rounds = gramlab.distill(head, s, targets[part], 3, momentum=True)
    plain = gramlab.distill(head, s, targets[part], 2)
    ball = plain.equivalent()
    return {
        "weights": rounds[-1].weights.tolist(),
        "bound": rounds.chain[-1].weights_bound,
        "entropy": [one.value for one in plain.entropy],
        "shares": [ball.decides(), *ball.same_class(), ball.check().same_class],
    }

def with_constant(s):
    s = s.with_constant(2.0)
    return {"rows": s.own_rows(s.x).tolist(), "square_norm": s.square_norm}

def spectrum(s):
    of = gramlab.Spectrum.of(s)
    return {
        "eigenvalues": of.eigenvalues.tolist(),
        "error": of.certificate.eigenvalue_error,
        "basis": of.basis.tobytes().hex(),
    }
"""

ONE_PROCESS = """
s = gramlab.shard_features(features.x, features.labels)
found["devices"] = sorted(shard.device.id for shard in s.x.addressable_shards)
found["shards"] = sorted({shard.data.shape for shard in s.x.addressable_shards})
found["labels"] = s.labels.tolist()
found["fits"] = [fitted(s, slice(None), decay) for decay in (1e-1, 1e-3)]
found["weighted"] = fitted(s, slice(None), 1e-3, weights)
found["certified"] = certified(s, slice(None))
found["distilled"] = distilled(s, slice(None))
found["constant"] = with_constant(s)
found["spectrum"] = spectrum(s)

some = gramlab.shard_features(features.x.astype(np.float32), devices=jax.devices()[2:5])
found["some"] = sorted(device.id for device in some.x.sharding.device_set)
found["float32"] = fitted(some, slice(None), 1e-3)

# Planted: the zero rows that fill the shards are counted.
wrong = gramlab.shard_features(features.x)
wrong.__dict__["n_samples"] = wrong.x.shape[0]
found["planted"] = fitted(wrong, slice(None), 1e-1)

with device.float64():
    objective = ShardedObjective.of(s, targets, 1e-3)
    rows = ShardedRows(objective, CrossEntropy.at)
    around = rows.at_zero()[1]()
    state = solver.begin(around, 10)
    run = jax.jit(solver.advance.__wrapped__)
    text = run.lower(around, None, state, np.float32(0), 4).compile().as_text()
    state = solver.advance(around, None, state, 0.0, 4)
pattern = r" (all-[a-z]+|reduce-scatter|collective-permute)(?:-start)?\\("
found["messages"] = sorted(set(re.findall(pattern, text)))
found["row_state"] = [
    value.sharding.shard_shape(value.shape)[1 - rows.rows.axis] for value in state.seen
]

twice = [jax.devices()[0]] * 2
found["refusals"] = [
    refusal(lambda: gramlab.shard_features(features.x, devices=twice)),
    refusal(lambda: gramlab.shard_features(features.x[:D - 1])),
    refusal(lambda: gramlab.SoftmaxHead(1e-3).fit(s, targets[:-1])),
    refusal(lambda: gramlab.SoftmaxHead(1e-3, certified_share=0.9).fit(s, targets)),
    refusal(lambda: next(s.blocks())),
]
print(json.dumps(found))
"""

TWO_PROCESSES = """
number, port = int(sys.argv[1]), sys.argv[2]
try:
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
except (AttributeError, ValueError) as error:
    print(error)
    sys.exit(77)
jax.distributed.initialize(
    coordinator_address=f"127.0.0.1:{port}",
    num_processes=2,
    process_id=number,
    initialization_timeout=60,
)
part = slice(0, 71) if number == 0 else slice(71, None)
s = gramlab.shard_local_rows(features.x[part], features.labels[part])
found["devices"] = s.n_devices
found["sizes"] = [s.n_samples, s.n_local]
found["fits"] = [fitted(s, part, decay) for decay in (1e-1, 1e-3)]
found["weighted"] = fitted(s, part, 1e-3, weights)
found["certified"] = certified(s, part)
found["distilled"] = distilled(s, part)
found["constant"] = with_constant(s)
found["spectrum"] = spectrum(s)

wrong = gramlab.shard_local_rows(features.x[part])
wrong.__dict__["n_samples"] = wrong.x.shape[0]
found["planted"] = fitted(wrong, part, 1e-1)

bad = features.x[part].copy()
bad[0, 0] = np.nan if number == 1 else 0.0
width = features.x[part][:, : D - number]
worse = targets[part] + number
weights = np.ones(len(bad)) if number == 1 else None
found["refusals"] = [
    refusal(lambda: gramlab.shard_local_rows(bad)),
    refusal(lambda: gramlab.shard_local_rows(width)),
    refusal(lambda: gramlab.SoftmaxHead(1e-3).fit(s, worse)),
    refusal(lambda: gramlab.SoftmaxHead(1e-3 * (1 + number)).fit(s, targets[part])),
    refusal(lambda: gramlab.SoftmaxHead(1e-3, sample_weight=weights).fit(s, targets[part])),
    refusal(lambda: gramlab.shard_features(features.x)),
    refusal(lambda: ShardedObjective.of(s, targets[part], 1.0, -number * s.labels)),
]
print(json.dumps(found))
"""


def environment(devices: int) -> dict[str, str]:
    path = os.pathsep.join([str(TESTS.parent), str(TESTS), os.environ.get("PYTHONPATH", "")])
    return {
        **os.environ,
        "PYTHONPATH": path.rstrip(os.pathsep),
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}",
    }


def answers(code: str, devices: int, arguments: list[list[str]]) -> list[dict]:
    """What each of the processes, run side by side, printed last."""
    children = [
        subprocess.Popen(
            [sys.executable, "-c", COMMON + code, *words],
            env=environment(devices),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for words in arguments
    ]
    try:
        # Side by side: they end together, and a pipe that nobody reads would hold one of them up.
        with ThreadPoolExecutor(len(children)) as pool:
            told = [pool.submit(child.communicate, timeout=TIMEOUT) for child in children]
            outputs = [one.result() for one in told]
    finally:  # one that hangs, or waits for one that failed
        for child in children:
            child.kill()
            child.wait()
    if any(child.returncode == SKIPPED for child in children):
        pytest.skip(f"JAX has no collectives between CPU processes here: {outputs[0][0].strip()}")
    for child, (_, stderr) in zip(children, outputs, strict=True):
        assert child.returncode == 0, stderr
    return [json.loads(stdout.splitlines()[-1]) for stdout, _ in outputs]


@pytest.fixture(scope="module")
def one_process():
    return answers(ONE_PROCESS, 8, [[]])[0]


@pytest.fixture(scope="module")
def two_processes():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    return answers(TWO_PROCESSES, 2, [["0", port], ["1", port]])


@pytest.fixture(scope="module")
def one_device():
    """Features, targets, and fits of two rounds by weight decay."""
    features, targets = problem(N, D, K, seed=3)
    fits = {}
    for decay in DECAYS:
        head = gramlab.SoftmaxHead(decay, tolerance=TOLERANCE)
        first = head.fit(features, targets)
        fits[decay] = first, head.fit(features, first.as_targets())
    return features, targets, fits


def distance_and_bounds(found, fit, which=""):
    weights, bound = (which, f"{which}_bound") if which else ("weights", "bound")
    distance = np.linalg.norm(np.array(found[weights]) - fit.weights)
    return distance, found[bound] + fit.certificate.weights_bound


def assert_same_fits(found, one_device):
    for decay, of_shards in zip(DECAYS, found["fits"], strict=True):
        first, second = one_device[2][decay]
        assert of_shards["converged"]
        assert of_shards["relative_gap"] <= TOLERANCE
        distance, bounds = distance_and_bounds(of_shards, first)
        assert distance <= bounds <= 1e-3 * np.linalg.norm(first.weights)
        # A round on: the targets themselves differ by what the first fits do.
        distance, bounds = distance_and_bounds(of_shards, second, "second")
        lipschitz = of_shards["max_row_norm"] ** 2 / decay
        assert distance <= bounds + lipschitz * distance_and_bounds(of_shards, first)[1]


def assert_same_certificates(found, one_device):
    """As the referee in memory certifies the same weights."""
    features, targets, _ = one_device
    for decay, of_shards in zip(DECAYS, found["fits"], strict=True):
        expected = SoftmaxObjective(features, targets - 1 / K, decay).certificate(
            np.array(of_shards["weights"])
        )
        certificate = of_shards["certificate"]
        rounding = expected.gradient_rounding + certificate["gradient_rounding"]
        assert abs(expected.gradient_norm - certificate["gradient_norm"]) <= rounding
        # One referee, whoever holds the rows.
        ratio = certificate["gradient_rounding"] / expected.gradient_rounding
        assert ratio == pytest.approx(1.0, rel=1e-9)
        ratio = certificate["newton_decrement"] / expected.newton_decrement
        assert 1 / 1.11 <= ratio <= 1.11
        assert of_shards["max_row_norm"] == pytest.approx(expected.max_row_norm, rel=1e-14)


def assert_same_spectrum(found, features):
    expected = Spectrum.of(features)
    errors = found["spectrum"]["error"] + expected.certificate.eigenvalue_error
    differences = np.abs(np.array(found["spectrum"]["eigenvalues"]) - expected.eigenvalues)
    assert differences.max() <= errors <= 1e-9 * expected.eigenvalues[0]


def assert_planted_error_shows(found, one_device):
    distance, bounds = distance_and_bounds(found["planted"], one_device[2][DECAYS[0]][0])
    assert distance > 10 * bounds


def test_eight_devices_find_the_optimum_of_one(one_process, one_device):
    assert one_process["devices"] == list(range(8))
    assert one_process["shards"] == [[26, D]]
    assert one_process["labels"] == one_device[0].labels.tolist()
    assert_same_fits(one_process, one_device)
    for decay, found in zip(DECAYS, one_process["fits"], strict=True):
        probabilities = np.array(found["probabilities"])
        assert probabilities.shape == (N, K)
        expected = one_device[2][decay][0]
        allowed = np.sqrt(2) * found["max_row_norm"] * distance_and_bounds(found, expected)[1]
        assert np.abs(probabilities - expected.probabilities).max() <= allowed


def test_eight_devices_certify_like_one(one_process, one_device):
    assert_same_certificates(one_process, one_device)


def test_eight_devices_find_the_spectrum_of_one(one_process, one_device):
    assert_same_spectrum(one_process, one_device[0])


def assert_same_weighted_fit(found, one_device):
    features, targets, fits = one_device
    weights = np.random.default_rng(0).uniform(0, 2, N)
    head = gramlab.SoftmaxHead(DECAYS[1], sample_weight=weights, tolerance=TOLERANCE)
    expected = head.fit(features, targets)
    distance, bounds = distance_and_bounds(found["weighted"], expected)
    assert distance <= bounds <= 1e-3 * np.linalg.norm(expected.weights)
    distance, bounds = distance_and_bounds(found["weighted"], fits[DECAYS[1]][0])
    assert distance > bounds  # planted: equal weights


def test_eight_devices_take_weights(one_process, one_device):
    assert_same_weighted_fit(one_process, one_device)


def test_counting_the_filling_rows_shows(one_process, one_device):
    assert_planted_error_shows(one_process, one_device)


def test_some_devices_and_float32_rows(one_process, one_device):
    assert one_process["some"] == [2, 3, 4]
    features, targets, _ = one_device
    head = gramlab.SoftmaxHead(DECAYS[1], tolerance=TOLERANCE)
    distance, bounds = distance_and_bounds(
        one_process["float32"], head.fit(features.x.astype(np.float32), targets)
    )
    assert distance <= bounds <= 1e-3


def test_a_pass_sends_sums_and_no_rows(one_process):
    assert one_process["messages"] == ["all-reduce"]
    assert one_process["row_state"] == [26, 26]


def test_refusals_of_one_process(one_process):
    kinds = [InvalidSetting, InvalidFeatures, InvalidTargets, InvalidSetting, InvalidFeatures]
    assert [kind for kind, _ in one_process["refusals"]] == [kind.__name__ for kind in kinds]


def test_two_processes_find_the_optimum_of_one(two_processes, one_device):
    for found, rows in zip(two_processes, (SPLIT, N - SPLIT), strict=True):
        assert found["devices"] == 4
        assert found["sizes"] == [N, rows]
        assert_same_fits(found, one_device)
        assert_same_spectrum(found, one_device[0])
        assert_same_certificates(found, one_device)
        assert_planted_error_shows(found, one_device)
        assert_same_weighted_fit(found, one_device)


def test_two_processes_agree_to_the_last_bit(two_processes):
    first, second = two_processes
    assert first["spectrum"] == second["spectrum"]
    for one, other in zip(first["fits"], second["fits"], strict=True):
        assert one["bits"] == other["bits"]
        assert one["certificate"] == other["certificate"]


def test_each_process_predicts_its_own_rows(two_processes, one_device):
    for decay, *fits in zip(DECAYS, *(found["fits"] for found in two_processes), strict=True):
        together = np.concatenate([np.array(fit["probabilities"]) for fit in fits])
        expected = one_device[2][decay][0]
        allowed = distance_and_bounds(fits[0], expected)[1] * np.sqrt(2) * fits[0]["max_row_norm"]
        assert np.abs(together - expected.probabilities).max() <= allowed


def test_what_one_process_refuses_all_refuse(two_processes):
    (nan, width, off, decay, weights, whole, negative), second = (
        found["refusals"] for found in two_processes
    )
    assert nan[0] == second[0][0] == "InvalidFeatures"
    assert "process 1" in nan[1]
    assert "finite" in second[0][1]
    assert width == second[1]
    assert "width" in width[1]
    assert (off[0], second[2][0]) == ("InvalidFeatures", "InvalidTargets")
    assert decay == second[3]
    assert "weight_decay" in decay[1]
    assert weights == second[4]
    assert "sample_weight" in weights[1]
    assert "shard_local_rows" in whole[1]
    assert negative[0] == "InvalidFeatures"  # of the other process, whose own words are below
    assert second[6][0] == "InvalidSetting"
    assert "at least 0, got -" in second[6][1]


def test_shards_distil_like_one_device(one_process, two_processes, one_device):
    features, targets, _ = one_device
    head = gramlab.SoftmaxHead(1e-1, tolerance=TOLERANCE)
    rounds = gramlab.distill(head, features, targets, 3, momentum=True)
    plain = gramlab.distill(head, features, targets, 2)
    ball, last = plain.equivalent(), rounds.chain[-1]
    assert last is not None
    for found in (one_process, *two_processes):
        told = found["distilled"]
        assert distance_and_bounds(told, rounds[-1])[0] <= told["bound"] + last.weights_bound
        assert told["entropy"] == pytest.approx([one.value for one in plain.entropy], rel=1e-6)
        expected = [ball.decides(), *ball.same_class(), ball.check().same_class]
        assert told["shares"] == pytest.approx(expected, abs=2 / N)  # rows next to a limit


def test_shards_take_a_constant_column_and_keep_their_filling_rows_empty(
    one_process, two_processes, one_device
):
    rows = one_device[0].with_constant(2.0).x
    parts = slice(None), slice(0, SPLIT), slice(SPLIT, None)
    for found, part in zip((one_process, *two_processes), parts, strict=True):
        assert np.array_equal(found["constant"]["rows"], rows[part])
        # In a filling row the column would count: 4 more.
        assert found["constant"]["square_norm"] == pytest.approx(np.vdot(rows, rows), rel=1e-12)


def test_shards_with_weights_on_rows_certify_like_one_device(
    one_process, two_processes, one_device
):
    features, targets, _ = one_device
    rows = relative_weights(np.arange(N) % 4, N)
    weights = 1e-3 * np.outer(np.ones(D), np.arange(K))
    objective = SoftmaxObjective(features, targets - 1 / K, 1e-2, rows)
    expected = objective.certificate(weights).as_dict()
    plain = replace(objective, row_weights=None).certificate(weights)
    for found in (one_process, *two_processes):
        told = found["certified"]
        assert told["gradient_norm"] == pytest.approx(expected["gradient_norm"], rel=1e-9)
        assert told["relative_gap"] == pytest.approx(expected["relative_gap"], rel=1e-9)
        ratio = told["gradient_rounding"] / expected["gradient_rounding"]
        assert ratio == pytest.approx(1.0, rel=1e-9)  # one referee
        assert told["newton_decrement"] == pytest.approx(expected["newton_decrement"], rel=0.11)
        assert abs(told["gradient_norm"] / plain.gradient_norm - 1) > 1e-3  # planted: no weights
    assert two_processes[0]["certified"] == two_processes[1]["certified"]
