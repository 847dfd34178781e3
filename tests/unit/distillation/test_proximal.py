"""Exact rounds as proximal point steps: identities, bounds and the ball, against 50 digits."""

from __future__ import annotations

from dataclasses import replace

import mpmath as mp
import numpy as np
import pytest
from conftest import examples, problem
from hypothesis import given
from hypothesis import strategies as st
from rounds_twin import DIGITS, Fixed, Twin, exact, features_of, norm

import gramlab
from gramlab import testing
from gramlab.distillation import Rounds, distill
from gramlab.errors import InvalidSetting
from gramlab.features import Features
from gramlab.heads.closed_form import LinearizedHead, RidgeHead
from gramlab.heads.softmax import SoftmaxHead
from gramlab.targets import one_hot

pytestmark = pytest.mark.filterwarnings("ignore::gramlab.errors.NotConvergedWarning")


@pytest.fixture(autouse=True)
def fifty_digits():
    with mp.workdps(DIGITS):
        yield


@st.composite
def schedules(draw):
    """Rows, targets, weights of rows and a weight decay per round, over decades.

    Targets are one-hot, soft, or signed; classes can be empty, and rows equal, zero or fewer than
    columns.
    """
    k, d = draw(st.integers(2, 3)), draw(st.integers(1, 3))
    n = draw(st.integers(2, 4))
    x = draw(testing.matrices(n, d))
    targets = draw(testing.targets(n, k, kind=draw(st.sampled_from(["any", "one-hot"]))))
    if draw(st.booleans()):
        targets = 1.5 * targets - 0.5 / k
    weights = draw(st.none() | st.just(np.arange(1.0, n + 1.0)))
    decays = st.sampled_from([10.0, 1.0, 0.1, 0.01, 1e-3])
    return x, targets, weights, draw(st.lists(decays, min_size=1, max_size=3))


def heads(decays, tolerance=1e-2, sample_weight=None):
    options = {"tolerance": tolerance, "sample_weight": sample_weight, "signed_targets": True}
    return [SoftmaxHead(decay, **options) for decay in decays]


def moment(x, fit, weights):
    shares = np.full(len(x), 1.0) if weights is None else weights
    return x.T @ (shares[:, None] / shares.sum() * np.asarray(fit.probabilities))


# ---- Identities and bounds ---------------------------------------------------------------------


@examples(15)
@given(made=schedules())
def test_the_telescope_holds_to_the_gradients_that_are_left(made):
    x, targets, weights, decays = made
    features = features_of(x, targets.shape[1])
    found = distill(
        heads(decays, 1e-6, weights), features, targets, len(decays), signed_targets=True
    )
    assert found.total_weight_decay == pytest.approx(sum(decays), rel=1e-15)
    shares = np.full(len(x), 1.0) if weights is None else weights
    given_moment = x.T @ (shares[:, None] / shares.sum() * targets)
    spent = found.total_weight_decay * found.average_weights
    left = np.linalg.norm(spent + moment(x, found[-1], weights) - given_moment)
    own = [fit.certificate for fit in found]
    assert left <= sum(one.gradient_norm + one.gradient_rounding for one in own) + 1e-12


@examples(10)
@given(made=schedules(), tolerance=st.sampled_from([1e-2, 1e-20]))
def test_everything_said_of_exact_rounds_holds_on_them_however_early_heads_stop(made, tolerance):
    x, targets, weights, decays = made
    features = features_of(x, targets.shape[1])
    found = distill(
        heads(decays, tolerance, weights), features, targets, len(decays), signed_targets=True
    )
    twin = Twin(x, weights)
    truth = twin.rounds(targets, decays)
    entropies = [twin.entropy(w) for w in truth]
    for t, (entropy, size) in enumerate(zip(found.entropy, found.weight_norms, strict=True)):
        assert entropy.low <= entropies[t] <= entropy.high
        assert entropies[t] >= entropy.least
        assert size.low <= norm(truth[t]) <= min(size.high, size.most)
        if t:
            assert entropies[t] - entropies[t - 1] >= entropy.rise * (1 - mp.mpf(10) ** -30)
            assert norm(truth[t]) <= norm(truth[t - 1])
        ball = found.equivalent(t + 1)
        once = twin.solve(exact(targets), mp.fsum(decays[: t + 1]))
        center = exact(ball.center)
        assert norm(once - center) <= ball.radius
        own = [
            [max(range(v.cols), key=lambda j, i=i, v=v: v[i, j]) for i in range(v.rows)]
            for v in (exact(x) * once, exact(x) * truth[t])
        ]
        classes, decided = ball.classes()
        assert (np.array(own[0]) == classes)[decided].all()
        same = float(np.mean(np.array(own[0]) == own[1]))
        assert ball.same_class()[0] <= same <= 1.0 - ball.same_class()[1]
        narrow = found.equivalent(t + 1, combine=False)
        assert norm(once - exact(narrow.center)) <= narrow.radius
        assert ball.radius <= narrow.radius
    # The center is that of the segment, but for half of the gradients that are left.
    middle = (found.average_weights + found[-1].weights) / 2
    own = [fit.certificate for fit in found]
    left = sum(one.gradient_norm + one.gradient_rounding for one in own)
    assert np.linalg.norm(middle - narrow.center) <= left / ball.total_weight_decay + 1e-13


@examples(10)
@given(made=schedules(), decay=st.sampled_from([1.0, 0.1, 0.01]))
def test_momentum_reaches_its_rate(made, decay):
    x, targets, weights, _ = made
    features = features_of(x, targets.shape[1])
    head = heads([decay], 1e-4, weights)[0]
    found = distill(head, features, targets, 4, momentum=True, signed_targets=True)
    twin = Twin(x, weights)
    for w, said in zip(
        twin.rounds(targets, [decay] * 4, momentum=True), found.entropy, strict=True
    ):
        assert said.low <= twin.entropy(w) <= said.high
        assert twin.entropy(w) >= said.least
    assert found.entropy[0].least <= found.entropy[3].least
    assert {one.most for one in found.weight_norms} == {np.inf}


def test_bounds_are_nearly_reached():
    """Where logits are small W_1 = −∇L(0)/λ; and saturated rounds lose entropy as they may."""
    features, targets = problem(30, 4, 3, seed=0)
    found = distill(SoftmaxHead(1e4, tolerance=1e-20), features, targets, 3)
    norms = found.weight_norms
    assert norms[0].value >= 0.999 * norms[0].most
    assert norms[2].most == pytest.approx(norms[0].most / 3)  # not only 1/√3 of it
    # Planted: the bound at the last weight decay alone.
    falling = distill(heads([1e-3, 1e3]), features, targets, 2)
    assert falling.weight_norms[1].most < 1.01 * norms[0].most * 1e4 / 1e3
    entropy = distill(SoftmaxHead(1.0, tolerance=1e-20), features, targets, 3).entropy
    gains = np.diff([one.value for one in entropy])
    assert (gains >= [one.rise for one in entropy[1:]]).all()
    assert gains[1] <= 4 * entropy[2].rise


def test_entropy_is_enclosed_by_what_its_moments_may_be_off():
    """Planted: an interval of rounding alone misses the true iterate."""
    features, targets = problem(40, 4, 3, seed=1, scale=2.0)
    rough = distill(heads([1e-3] * 2), features, targets, 2).entropy
    fine = distill(heads([1e-3] * 2, 1e-22), features, targets, 2).entropy
    for loose, tight in zip(rough, fine, strict=True):
        assert loose.low <= tight.low <= tight.high <= loose.high
        assert abs(loose.value - tight.value) > 100 * (tight.high - tight.low)
    loss = distill(heads([1e-3], 1e-22), features, targets, 1)[0]
    p = np.asarray(loss.probabilities)
    assert fine[0].value == pytest.approx(-(p * np.log(p)).sum(axis=1).mean(), rel=1e-13)


def test_entropy_of_logits_that_cancel_admits_their_rounding():
    x = np.array([[1.0, 1.0 / 3.0, -4.0 / 3.0], [0.7, -0.1, -0.6]])
    weights = 1e15 * np.array([[0.3, 0.0]] * 3) + np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
    features = features_of(x, 2)
    loss = distill(Fixed(1e-12, weights), features, np.eye(2), 1)[0].loss
    value, rounding = loss.mean_entropy(weights)
    assert 1e-4 < abs(Twin(x).entropy(exact(weights)) - value) <= rounding
    value, rounding = loss.mean_entropy(np.zeros((3, 2)))
    assert abs(value - np.log(2)) <= rounding < 1e-13


def test_the_average_is_weighted_by_what_each_round_spends():
    features, targets = problem(20, 3, 3, seed=6)
    found = distill(heads([0.01, 1.0], 1e-20), features, targets, 2)
    total = features.x.T @ (targets - np.asarray(found[-1].probabilities)) / 20
    assert np.abs(1.01 * found.average_weights - total).max() < 1e-9
    unweighted = (found[0].weights + found[1].weights) / 2  # planted
    assert np.abs(1.01 * unweighted - total).max() > 1e-2


# ---- The ball ------------------------------------------------------------------------------------


def test_the_ball_is_no_larger_than_it_must_be():
    """Where curvature is small beside λ, V is nearly W̄, at the end of the diameter."""
    found = distill(heads([1.0] * 2, 1e-24), features_of([[0.1]] * 2, 2), [[0.9, 0.1]] * 2, 2)
    ball = found.equivalent(combine=False)
    distance = ball.check(1e-24).distance
    assert distance <= ball.radius
    assert distance >= 0.99 * ball.radius


def test_a_combination_of_rounds_makes_the_ball_small():
    """Where logits are small M is linear, and V in the span of the rounds and 0 but for that."""
    features, targets = problem(30, 2, 2, seed=7, scale=0.1)
    found = distill(heads([0.01] * 4, 1e-26), features, targets, 4)
    wide, small = found.equivalent(combine=False), found.equivalent()
    assert small.radius < 1e-2 * wide.radius
    distance = small.check(1e-26).distance
    assert 0.1 * small.radius <= distance <= small.radius


def test_the_class_of_the_last_round_has_to_be_certified_too():
    """Planted: last weights that are those of one training, and say nothing of exact rounds."""
    features, targets = problem(60, 4, 3, seed=2)
    decays = [0.05] * 4
    first = distill(SoftmaxHead(0.05, tolerance=1e-20), features, targets, 3)
    once = SoftmaxHead(0.2, tolerance=1e-20).fit(features, targets)
    found = distill([*map(Told, first), Fixed(0.05, once.weights)], features, targets, 4)
    ball = found.equivalent()
    assert ball.decides() > 0.95  # of one training all is known
    exact_rounds = distill(heads(decays, 1e-24), features, targets, 4)[-1]
    true = float((exact_rounds.labels == once.labels).mean())
    assert true < ball.decides()
    same, other = ball.same_class()
    assert same <= true <= 1.0 - other
    # What is not known is the last round's class: nothing is said against the ball.
    assert same + other < 0.5
    assert "ball decides" not in ball.sentence()


class Told(Fixed):
    """A head that answers with the weights of a fit."""

    def __init__(self, fit):
        super().__init__(fit.weight_decay, fit.weights)


def test_the_ball_admits_the_rounding_of_its_gradient():
    """Weights that cancel, of which the computed gradient is noise."""
    x = np.array([[1.0, 1.0 / 3.0, -4.0 / 3.0], [0.7, -0.1, -0.6]])
    weights = 1e12 * np.array([[0.3, 0.0]] * 3) + np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
    ball = distill(Fixed(1.0, weights), features_of(x, 2), np.eye(2), 1).equivalent()
    twin = Twin(x)
    once = twin.solve(exact(np.eye(2)), 1)
    assert norm(once - exact(ball.center)) <= ball.radius
    true = twin.gradient(exact(weights), exact(np.eye(2)), mp.mpf(1))
    noise = norm(true - exact(ball.objective.gradient(weights)))
    assert noise > 1e-6
    assert ball.radius - norm(true) / 2 >= noise


def test_what_the_ball_decides_holds_inside_and_only_there():
    features, targets = problem(60, 4, 3, seed=2)
    ball = distill(SoftmaxHead(0.02, tolerance=1e-16), features, targets, 3).equivalent()
    classes, decided = ball.classes()
    assert 0 < decided.sum() < 60
    assert ball.decides() == ball.decides(features) == ball.decides(features.x) == decided.mean()
    rng = np.random.default_rng(0)
    for _ in range(200):
        step = rng.standard_normal(ball.center.shape)
        w = ball.center + ball.radius * step / np.linalg.norm(step)
        assert (np.argmax(features.x @ w, axis=1) == classes)[decided].all()
    # Of every undecided row some weights in the ball, a hair enlarged, predict another class.
    for i in np.flatnonzero(~decided):
        row = features.x[i]
        logits = row @ ball.center
        first, second = np.argsort(-logits)[:2]
        step = np.zeros_like(ball.center)
        step[:, first], step[:, second] = -row, row
        w = ball.center + 1.000001 * ball.radius * step / np.linalg.norm(step)
        assert np.argmax(row @ w) != first


def test_a_training_at_the_total_weight_decay_is_checked():
    features, targets = problem(60, 4, 3, seed=3)
    weights = 1.0 + np.arange(60) % 3
    found = distill(heads([0.01, 0.02], 1e-14, weights), features, targets, 2)
    ball, head = found.equivalent(), SoftmaxHead(0.03, tolerance=1e-14, sample_weight=weights)
    check = ball.check(1e-14)
    assert check.holds
    assert check.false_claims == 0
    assert ball.same_class()[0] <= check.same_class <= 1.0 - ball.same_class()[1]
    once = head.fit(features, targets)
    slack = once.certificate.weights_bound + check.fit.certificate.weights_bound
    assert np.linalg.norm(once.weights - check.fit.weights) <= slack
    # Planted: a ball of other rounds, and classes exchanged.
    other = distill(heads([0.01, 0.02], 1e-14), features, targets, 2).equivalent()
    assert not replace(ball, center=other.center, radius=1e-6).check(1e-14).holds
    assert replace(ball, center=ball.center[:, ::-1]).check(1e-14).false_claims > 0


def test_the_sentence_rounds_down_and_says_when_little_is_decided():
    features, targets = problem(60, 4, 3, seed=2)
    ball = distill(heads([0.01, 0.03], 1e-16), features, targets, 2).equivalent()
    spent = "2 rounds at weight decay 0.01 to 0.03"
    assert ball.same_class() == (1.0, 0.0)
    assert ball.sentence() == f"{spent}: one training at 0.04 gives the same class on all rows"
    top = np.sort(features.x @ ball.center, axis=1)
    margins = np.sort((top[:, -1] - top[:, -2]) / np.linalg.norm(features.x, axis=1))
    larger = replace(ball, radius=margins[5:7].mean() / 2**0.5)  # 54 rows of 60 keep their class
    assert larger.sentence() == (
        f"{spent}: one training at 0.04 gives the same class on at least 90 % of the rows"
    )
    larger = replace(ball, radius=margins[40:42].mean() / 2**0.5)  # 19 rows do: 31.67 %
    assert larger.sentence() == (
        f"{spent}: whether one training at 0.04 gives the same class is known on "
        "31.6 % of the rows only"
    )
    turned = replace(ball, weights=-ball.weights)
    assert ", another on at least" in turned.sentence()
    one = distill(SoftmaxHead(0.02, tolerance=1e-16), features, targets, 1).equivalent()
    assert one.sentence() == (
        "1 round at weight decay 0.02: one training at 0.02 gives the same class on all rows"
    )


# ---- Where the rows are --------------------------------------------------------------------------


def test_kernels_files_shards_and_repeated_rows_say_the_same(tmp_path):
    made, targets = problem(24, 3, 3, seed=4)
    x = np.ascontiguousarray(made.x)
    np.save(tmp_path / "x.npy", x)
    labels = np.arange(24) % 3
    mapped = Features(np.load(tmp_path / "x.npy", mmap_mode="r"), labels)
    assert mapped.is_mapped
    repeated = Features(np.repeat(x, 2, axis=0), np.repeat(labels, 2))
    plain = distill(heads([0.1, 0.2], 1e-20), Features(x, labels), targets, 2)
    counted = distill(
        heads([0.1, 0.2], 1e-20, np.repeat([1.0, 2.0], 24)),
        Features(np.concatenate([x, x]), np.concatenate([labels, labels])),
        np.concatenate([targets, targets]),
        2,
    )
    others = [
        distill(heads([0.1, 0.2], 1e-20), Features.from_gram(x @ x.T, labels), targets, 2),
        distill(heads([0.1, 0.2], 1e-20), mapped, targets, 2),
        distill(heads([0.1, 0.2], 1e-20), repeated, np.repeat(targets, 2, axis=0), 2),
        counted,
    ]
    shards = gramlab.shard_features(x)
    others.append(distill(heads([0.1, 0.2], 1e-20), shards, targets, 2))
    for found in others:
        for one, same in zip(found.entropy, plain.entropy, strict=True):
            assert abs(one.value - same.value) <= (one.high - one.low) + (same.high - same.low)
            assert one.least == pytest.approx(same.least, rel=1e-9)
            assert one.rise == pytest.approx(same.rise, rel=1e-6)
        for one, same in zip(found.weight_norms, plain.weight_norms, strict=True):
            assert one.low <= same.high
            assert same.low <= one.high
        ball, same = found.equivalent(), plain.equivalent()
        assert ball.radius == pytest.approx(same.radius, rel=1e-6)
        assert ball.total_weight_decay == same.total_weight_decay
        assert ball.decides() == pytest.approx(same.decides(), abs=1e-12)
        assert ball.check(1e-16).holds
        assert ball.sentence() == same.sentence()
    assert ball.same_class(x) == pytest.approx(same.same_class(), abs=1e-12)


@pytest.mark.parametrize(
    "options", [{"momentum": True}, {"mixing": 0.5}, {"refine": "top2"}], ids=str
)
def test_shards_have_the_chain_of_other_rows(options):
    """Terms of a chain that are sums over rows are those of the same rows in memory."""
    features, targets = problem(24, 3, 3, seed=4)
    told = heads([0.1] * 3, 1e-20), targets, 3
    plain = distill(told[0], features, *told[1:], **options)
    found = distill(told[0], gramlab.shard_features(np.array(features.x)), *told[1:], **options)
    assert found.chain_ends == plain.chain_ends
    rounds = zip(found, plain, found.chain, plain.chain, strict=True)
    for fit, other, one, same in rounds:
        assert (one is None) == (same is None)
        if one is not None and same is not None:
            assert one.gradient_rounding >= same.gradient_rounding / 2
            apart = np.linalg.norm(fit.weights - other.weights)
            assert apart <= one.weights_bound + same.weights_bound


# ---- What is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("head", "told"),
    [
        ([SoftmaxHead(0.1)] * 3, "one for each of 2 rounds, got 3; pass as many heads"),
        ([0.1, 0.2], "got 0.1; make a head of each weight decay"),
        (np.array([0.1, 0.2]), "make a head of each weight decay"),
        (0.1, "got 0.1; make a head of each weight decay"),
        (SoftmaxHead, "make a head of each weight decay"),
    ],
)
def test_what_is_no_head_for_each_round_is_refused_in_one_line(head, told):
    features, targets = problem(12, 3, 3, seed=0)
    with pytest.raises(InvalidSetting, match=told) as caught:
        distill(head, features, targets, 2)
    assert "\n" not in str(caught.value)


def test_what_momentum_is_is_said_in_one_line():
    features, targets = problem(12, 3, 3, seed=0)
    with pytest.raises(InvalidSetting, match="True or False, got 'no'") as caught:
        distill(SoftmaxHead(0.1), features, targets, 2, momentum="no")  # type: ignore
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "options", [{"refine": "top2"}, {"mixing": 0.5}, {"temperature": 2.0}, {"refine": np.asarray}]
)
def test_momentum_stands_alone(options):
    features, targets = problem(12, 3, 3, seed=0)
    with pytest.raises(InvalidSetting, match="momentum=True") as caught:
        distill(SoftmaxHead(0.1), features, targets, 3, momentum=True, **options)
    assert "\n" not in str(caught.value)
    found = distill(SoftmaxHead(0.1), features, targets, 2)
    with pytest.raises(InvalidSetting, match="momentum=True"):
        Rounds(found.fits, features, found.targets, momentum=True, **options)


@pytest.mark.parametrize(
    "options",
    [{"refine": "top2"}, {"mixing": 0.5}, {"temperature": 2.0}, {"momentum": True}],
)
def test_nothing_is_claimed_of_rounds_that_no_theorem_speaks_of(options):
    features, targets = problem(12, 3, 3, seed=0)
    found = distill(SoftmaxHead(0.1), features, targets, 2, **options)
    with pytest.raises(InvalidSetting, match="plain rounds") as caught:
        found.equivalent()
    assert "\n" not in str(caught.value)
    assert [one.most for one in found.weight_norms] == [np.inf] * 2
    assert found.entropy[0].rise == 0.0
    assert found.entropy[1].rise <= -np.log(3)
    if "momentum" not in options:
        assert [one.least for one in found.entropy] == [0.0] * 2
    if "temperature" in options:  # no chain past the teacher
        assert found.entropy[1].low == 0.0
        assert found.entropy[1].high == np.nextafter(np.log(3), 2.0)
        assert (found.weight_norms[1].low, found.weight_norms[1].high) == (0.0, np.inf)


def test_entropy_near_to_uniform_stays_below_its_limit():
    """ln 2 lies above its float64, and by less than a rounding below it lies the true iterate."""
    x, targets = np.array([[2.0], [-1.0]]), np.eye(2)
    found = distill(heads([1e10] * 2, 1e-20), features_of(x, 2), targets, 2)
    twin = Twin(x)
    for w, said in zip(twin.rounds(targets, [1e10] * 2), found.entropy, strict=True):
        assert said.low <= twin.entropy(w) <= said.high
        assert float(mp.log(2)) < twin.entropy(w)


def test_entropy_may_fall_with_momentum_and_nothing_else_is_said():
    """Planted: rise = 0 where no theorem speaks, which reads as 'has not fallen'."""
    x, targets = np.array([[1.0], [1.0]]), np.eye(2)[[0, 0]]
    decays = [1.0, 1e5, 1.0]
    found = distill(heads(decays, 1e-20), features_of(x, 2), targets, 3, momentum=True).entropy
    assert found[2].high < found[1].low
    assert found[2].rise <= found[2].high - found[1].low


def test_theory_says_nothing_of_rounds_with_other_weights_on_the_rows():
    """M is another function in each: a row that counts in round 2 alone makes a larger ‖W_2‖."""
    x, targets = np.array([[0.01], [1.0]]), np.eye(2)
    first, second = (heads([1.0], 1e-20, np.array(w))[0] for w in ([1.0, 1e-6], [1e-6, 1.0]))
    first = replace(first, weight_decay=1e-6)
    found = distill([first, second], features_of(x, 2), targets, 2)
    start = found.weight_norms[0].most * 1e-6  # ‖∇L(0)‖ of round 1
    assert found[1].certificate.weights_bound < 1e-6
    assert found.weight_norms[1].value > 1.1 * start / found.total_weight_decay
    assert found.weight_norms[1].most == np.inf
    assert (found.entropy[1].least, found.entropy[1].low) == (0.0, 0.0)
    assert found.entropy[1].rise <= -np.log(2)
    with pytest.raises(InvalidSetting, match="on one set of rows and weights"):
        found.equivalent()


def test_other_losses_and_rounds_that_are_not_there_are_refused():
    features, targets = problem(12, 3, 3, seed=0)
    ridge = distill(RidgeHead(0.1), features, targets, 2)
    for ask in (lambda: ridge.entropy, lambda: ridge.weight_norms, ridge.equivalent):
        with pytest.raises(InvalidSetting, match="another loss") as caught:
            ask()
        assert "\n" not in str(caught.value)
    plain = distill(SoftmaxHead(0.1), features, targets, 2)
    for number in (0, 3):
        with pytest.raises(InvalidSetting, match="round"):
            plain.equivalent(number)
    with pytest.raises(gramlab.errors.InvalidFeatures, match="columns"):
        plain.equivalent().decides(np.ones((2, 4)))


def test_the_theory_has_a_ball_too():
    features, _ = problem(30, 4, 3, seed=5)
    targets = one_hot(features.labels, 3)
    ball = distill(LinearizedHead(0.5), features, targets, 3).equivalent()
    assert ball.check(1e-20).holds
    once = SoftmaxHead(1.5, tolerance=1e-20).fit(features, targets)
    assert np.linalg.norm(once.weights - ball.center) <= ball.radius
    truth = distill(SoftmaxHead(0.5, tolerance=1e-24), features, targets, 3)[-1]
    same, other = ball.same_class()
    assert same <= (truth.labels == once.labels).mean() <= 1 - other
