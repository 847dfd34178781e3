"""Label transition matrix from features and given labels alone, with intervals.

Nobody who needs C[k, j] = P(given j | true k) knows the true labels. What stands in for them are
predictions that never saw a row's own label: where the noise depends on the true class only, the
given label is independent of such a prediction once the true class is known.

1. Exact heads on folds give every row out-of-fold logits z_i (K,).
2. p_i = softmax(β z_i) is read as the distribution of the *true* class, and (β, C) maximize the
   likelihood of the given labels, Σ_i log Σ_y p_i(y) C[y, given_i]: by EM in C (in which the
   problem is concave) and by a search in β. The same likelihood chooses the weight decay.
3. Rounds 2, 3, …: heads are refitted to the posteriors T_i(y) ∝ p_i(y) C[y, given_i] of their own
   training rows (a distillation round that knows the noise), and steps 1 and 2 are repeated.
4. Intervals rest on counts: of the confident rows predicted k, those given j. Clopper-Pearson
   covers the sampling; rows of other classes among them ("contamination") are allowed for by
   taking the extremes between none and what heads of sharpness β/``allowance`` expect.

Source: the mixture is the noise-adaptation model of Goldberger & Ben-Reuven (ICLR 2017) with the
head held out; EM as Dempster, Laird & Rubin (1977); binomial limits as Clopper & Pearson (1934).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.stats import beta as beta_distribution

from gramlab.errors import InvalidLabels, InvalidSetting
from gramlab.features import Features
from gramlab.heads.fit import Targets
from gramlab.heads.softmax import SoftmaxHead
from gramlab.streams import MAX_SEED, stream
from gramlab.targets import OneHotRows
from gramlab.validation import (
    as_array,
    check_features,
    check_integer,
    check_labels,
    check_positive,
    check_weight_decay,
)

__all__ = ["NoiseRate", "TransitionEstimate", "estimate_transition", "given_to_true"]

Array = npt.NDArray[np.float64]

_FOLD_STREAM = int.from_bytes(b"fold-tr1", "big")
_DECAY_START = 1e-3  # of the mean squared row norm: where the search of the weight decay begins
_DECAY_STEP = math.sqrt(10.0)
_DECAY_STEPS = 6  # at most, in either direction
_DECAY_GAIN = 0.01  # nats a row; smaller weight decays cost many more passes and gain little
_ROUND_GAIN = 1e-3  # nats a row, below which no further round is run
_SHARPNESS = 2.0 ** np.arange(-1.0, 8.25, 0.5)  # β tried
_SHARPNESS_START = 5  # β = 2.8
_SUSPECT_SHARPNESS, _SURE_SHARPNESS = 2.0, 8.0  # see _run_rounds
_SMOOTHING = 0.1  # of the start of EM towards uniform: it cannot leave an exact zero
_EM_SHORT, _EM_LONG = 40, 400  # iterations while β is searched, and at the end
_EM_CHANGE = 1e-5  # of the largest entry, at which EM ends
_SHARES = np.arange(0.1, 1.01, 0.1)  # of the rows predicted k, most confident first: tried


class NoiseRate(NamedTuple):
    """Share of labels that are wrong, P(given ≠ true), with an interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, eq=False)
class TransitionEstimate:
    """An estimated label transition matrix; every array is indexed [true, given].

    Attributes
    ----------
    matrix : np.ndarray of shape (K, K)
        C[k, j] = P(given j | true k); rows sum to one. The orientation of
        :func:`gramlab.corruption_matrix`.
    lower, upper : np.ndarray of shape (K, K)
        Interval of each entry by itself (not simultaneous) at level ``confidence``;
        ``lower <= matrix <= upper``.
    counts : np.ndarray of shape (K,), int64
        Confident rows that the interval of each row of C rests on.
    contamination : np.ndarray of shape (K,)
        Share of those rows that may be of another class, by softmax(β z_i / allowance).
    prior : np.ndarray of shape (K,)
        Estimated shares of the *true* classes; sums to one.
    noise_rate : NoiseRate
        1 − Σ_k prior_k C[k, k].
    unsupported : np.ndarray of shape (K,), bool
        Classes whose confident rows are none, or too contaminated to say anything: their
        intervals are 0 .. 1 and their row of ``matrix`` is not to be relied on.
    confidence : float
        Nominal level of the intervals.
    allowance : float
        How many times too sharp the heads may be.
    weight_decay : float
        Of the heads, given or chosen.
    sharpness : float
        β.
    rounds : int
        Round that was used, 1 = heads fitted to the given labels.
    log_likelihood : float
        Of the given labels under the mixture, nats a row; predictions are out of fold.
    probabilities : np.ndarray of shape (N, K)
        p_i: out-of-fold distribution of the true class, without the row's own label.
    """

    matrix: Array
    lower: Array
    upper: Array
    counts: npt.NDArray[np.int64]
    contamination: Array
    prior: Array
    noise_rate: NoiseRate
    unsupported: npt.NDArray[np.bool_]
    confidence: float
    allowance: float
    weight_decay: float
    sharpness: float
    rounds: int
    log_likelihood: float
    probabilities: Array

    def to_cleanlab(self) -> Array:
        """``noise_matrix`` of cleanlab: [given, true], columns sum to one; shape (K, K)."""
        return self.matrix.T.copy()

    def given_to_true(self) -> Array:
        """P(true k | given j) by Bayes' rule, [given j, true k]; rows sum to one; shape (K, K).

        Cleanlab's ``inverse_noise_matrix`` is its transpose. A label that is never given has the
        prior as its row.
        """
        return given_to_true(self.matrix, self.prior)

    def as_dict(self) -> dict[str, Any]:
        """Everything but ``probabilities``, as plain numbers and lists."""
        return {
            "orientation": "rows: true class, columns: given label",
            "matrix": self.matrix.tolist(),
            "lower": self.lower.tolist(),
            "upper": self.upper.tolist(),
            "counts": self.counts.tolist(),
            "contamination": self.contamination.tolist(),
            "prior": self.prior.tolist(),
            "noise_rate": dict(self.noise_rate._asdict()),
            "unsupported": np.flatnonzero(self.unsupported).tolist(),
            "confidence": self.confidence,
            "allowance": self.allowance,
            "weight_decay": self.weight_decay,
            "sharpness": self.sharpness,
            "rounds": self.rounds,
            "log_likelihood": self.log_likelihood,
        }


def given_to_true(matrix: object, prior: object) -> Array:
    """Turn C[true, given] and the shares of the true classes into P(true | given).

    Parameters
    ----------
    matrix : array-like of shape (K, K)
        Rows sum to one.
    prior : array-like of shape (K,)
        Nonnegative, with a positive sum.

    Returns
    -------
    np.ndarray of shape (K, K), float64
        [given, true]; rows sum to one. A label that is never given has the prior as its row.

    Raises
    ------
    InvalidSetting
        If the shapes do not fit, or an entry is negative or not finite.
    """
    c = as_array(matrix, "matrix", InvalidSetting).astype(np.float64)
    shares = as_array(prior, "prior", InvalidSetting).astype(np.float64)
    if c.ndim != 2 or c.shape[0] != c.shape[1] or shares.shape != c.shape[:1]:
        raise InvalidSetting(
            f"matrix must be (K, K) and prior (K,), got shapes {c.shape} and {shares.shape}; "
            "pass the matrix and the prior of one estimate"
        )
    valid = np.isfinite(c).all() and np.isfinite(shares).all()
    if not valid or c.min() < 0.0 or shares.min() < 0.0 or shares.sum() <= 0.0:
        raise InvalidSetting(
            "matrix and prior must be finite and nonnegative, got other values; "
            "pass the matrix and the prior of one estimate"
        )
    joint = (shares[:, None] / shares.sum() * c).T
    totals = joint.sum(axis=1, keepdims=True)
    return np.where(
        totals > 0.0, joint / np.where(totals > 0.0, totals, 1.0), shares / shares.sum()
    )


def estimate_transition(
    features: Features | np.ndarray,
    given_labels: object,
    *,
    n_classes: int | None = None,
    weight_decay: float | None = None,
    folds: int = 5,
    rounds: int = 8,
    confidence: float = 0.95,
    allowance: float = 2.0,
    seed: int = 0,
    tolerance: float = 1e-5,
    stage: Callable[[str], None] | None = None,
) -> TransitionEstimate:
    """Estimate C[k, j] = P(given j | true k) without any true label, with intervals.

    Assumes that (a) given labels depend on the true class alone, row by row independently;
    (b) every class has rows that the heads are sure of and right about; (c) the true class is
    the likeliest given label in most classes (C is not so strong that classes trade names).
    Nothing in the data can confirm (c). The intervals further assume (d) that
    the log-odds of the heads are at most ``allowance`` times too large.

    Parameters
    ----------
    features : Features, or array-like of shape (N, d)
        Labels that ``Features`` carry are not used. Centred unit rows are a good choice.
    given_labels : array-like of shape (N,)
        Labels 0 .. K-1, right or wrong.
    n_classes : int, optional
        K; by default that of ``Features``, else the largest label plus one.
    weight_decay : float, optional
        λ of the heads; by default chosen by the out-of-fold likelihood of the given labels, which
        costs ``folds`` heads for every value tried.
    folds : int
        At least 2, at most N.
    rounds : int
        Most rounds; fewer are run once the likelihood stops rising.
    confidence : float
        Level of each interval by itself, in (0, 1).
    allowance : float
        At least 1; see (d).
    seed : int
        Key of the folds, 0 .. 2**64 - 1.
    tolerance : float
        Relative duality gap of the heads.
    stage : callable, optional
        Called with a few words when a stage begins.

    Returns
    -------
    TransitionEstimate

    Raises
    ------
    InvalidFeatures
        If the features are malformed.
    InvalidLabels
        If labels do not fit the rows or the range, or are all equal.
    InvalidSetting
        If a number is outside its range.
    """
    x = features.as_float64() if isinstance(features, Features) else check_features(features)
    if n_classes is None and isinstance(features, Features):
        n_classes = features.n_classes
    given = check_labels(given_labels, x.shape[0], n_classes, "given_labels")
    k = int(given.max()) + 1 if n_classes is None else check_integer("n_classes", n_classes, 2)
    if (given == given[0]).all():
        raise InvalidLabels(
            f"given_labels must hold two classes or more, got {int(given[0])} in every row; "
            "a transition matrix cannot be estimated from one label"
        )
    parts = check_integer("folds", folds, 2, x.shape[0])
    most = check_integer("rounds", rounds, 1)
    key = check_integer("seed", seed, 0, MAX_SEED)
    level = check_positive("confidence", confidence)
    if level >= 1.0:
        raise InvalidSetting(f"confidence must be below 1, got {level}; 0.95 is 95 %")
    factor = check_positive("allowance", allowance)
    if factor < 1.0:
        raise InvalidSetting(
            f"allowance must be at least 1, got {factor}; 1 trusts the heads as they are"
        )
    fixed = None if weight_decay is None else check_weight_decay(weight_decay)
    say = stage if stage is not None else _silent
    work = _Folded(x, given, k, fold_numbers(given, parts, key), tolerance)
    best = _choose_decay(work, fixed, say)
    best = _run_rounds(work, best, most, say)
    return _result(best, work, level, factor)


def fold_numbers(given: npt.NDArray[np.int64], folds: int, seed: int) -> npt.NDArray[np.int64]:
    """Fold 0 .. folds-1 of each row, shape (N,): at random, and even within each given label."""
    words = stream(seed, _FOLD_STREAM).random_raw(given.shape[0])
    result = np.empty(given.shape[0], dtype=np.int64)
    # Rows ordered by (label, random word) are dealt out in turn.
    result[np.lexsort((words, given))] = np.arange(given.shape[0]) % folds
    return result


def clopper_pearson(
    successes: npt.ArrayLike, trials: npt.ArrayLike, confidence: float
) -> tuple[Array, Array]:
    """Two-sided Clopper-Pearson limits of a binomial share, elementwise.

    Coverage is at least ``confidence`` for any share. Fractional counts are accepted (the limits
    are quantiles of beta distributions); no trials give 0 and 1.
    """
    x, n = np.broadcast_arrays(
        np.asarray(successes, dtype=np.float64), np.asarray(trials, dtype=np.float64)
    )
    tail = 0.5 * (1.0 - confidence)
    some, all_ = x > 0.0, x >= n
    low = np.where(
        some, beta_distribution.ppf(tail, np.where(some, x, 1.0), np.maximum(n - x, 0.0) + 1.0), 0.0
    )
    high = np.where(
        all_, 1.0, beta_distribution.ppf(1.0 - tail, x + 1.0, np.where(all_, 1.0, n - x))
    )
    return low, high


# ---- the mixture --------------------------------------------------------------------------------


class _Mixture(NamedTuple):
    """C and β that maximize the likelihood of the given labels, given out-of-fold logits."""

    matrix: Array
    sharpness: float
    log_likelihood: float
    probabilities: Array  # (N, K), p_i


class _Heads(NamedTuple):
    """One round: weights of each fold's head, and the mixture of their out-of-fold logits."""

    weight_decay: float
    round: int
    weights: tuple[Array, ...]
    logits: Array  # (N, K), out of fold
    mixture: _Mixture


@dataclass(frozen=True, eq=False)
class _Folded:
    """Rows, given labels and folds; fits one head per fold."""

    x: np.ndarray
    given: npt.NDArray[np.int64]
    n_classes: int
    fold: npt.NDArray[np.int64]
    tolerance: float

    def parts(self) -> list[npt.NDArray[np.bool_]]:
        """Training rows of each fold."""
        return [self.fold != part for part in range(int(self.fold.max()) + 1)]

    def fit(
        self, weight_decay: float, round_: int, previous: _Heads | None, warm: _Heads | None
    ) -> _Heads:
        """Fit the heads of a round: to the given labels, or to posteriors under ``previous``."""
        logits = np.empty((len(self.given), self.n_classes))
        weights = []
        head = SoftmaxHead(weight_decay, tolerance=self.tolerance)
        for part, train in enumerate(self.parts()):
            rows, labels = self.x[train], self.given[train]
            targets: OneHotRows | Targets = OneHotRows(labels, self.n_classes)
            if previous is not None:
                inside = _softmax(previous.mixture.sharpness * (rows @ previous.weights[part]))
                posterior = inside * previous.mixture.matrix[:, labels].T
                posterior /= posterior.sum(axis=1, keepdims=True)
                targets = Targets(posterior - 1.0 / self.n_classes)
            start = None if warm is None else warm.weights[part]
            fit = head.fit(Features(rows, labels, n_classes=self.n_classes), targets, start=start)
            weights.append(np.asarray(fit.weights))
            logits[~train] = self.x[~train] @ weights[-1]
        begin = None if previous is None else previous.mixture.matrix
        mixture = fit_mixture(logits, self.given, begin)
        return _Heads(weight_decay, round_, tuple(weights), logits, mixture)


def _silent(words: str) -> None:
    """Say nothing."""


def _choose_decay(work: _Folded, fixed: float | None, say: Callable[[str], None]) -> _Heads:
    """Heads of round 1 at the given weight decay, or at the best of a search downhill."""
    if fixed is not None:
        say(f"round 1, weight decay {fixed:.3g}")
        return work.fit(fixed, 1, None, None)
    scale = float(np.einsum("ij,ij->", work.x, work.x, dtype=np.float64) / len(work.x))
    start = _DECAY_START * (scale if scale > 0.0 else 1.0)
    say(f"round 1, weight decay {start:.3g}")
    best = work.fit(start, 1, None, None)
    for direction in (1.0 / _DECAY_STEP, _DECAY_STEP):
        moved = False
        for _ in range(_DECAY_STEPS):
            decay = best.weight_decay * direction
            say(f"round 1, weight decay {decay:.3g}")
            found = work.fit(decay, 1, None, best)
            gain = found.mixture.log_likelihood - best.mixture.log_likelihood
            if gain > 0.0:
                best, moved = found, True
            if gain < _DECAY_GAIN:
                break
        if moved:
            break
    return best


def _run_rounds(work: _Folded, first: _Heads, most: int, say: Callable[[str], None]) -> _Heads:
    """Distill with the noise model while the out-of-fold likelihood rises; the best round.

    Heads that are calibrated for the given labels explain them without any noise, at β near 1.
    That is a local optimum which strong noise between few classes can end in, so where β came out
    small a second run begins at a mixture that reads the same heads as sure of themselves.
    """
    best = _rounds_from(first, work, most, say)
    if most > 1 and first.mixture.sharpness <= _SUSPECT_SHARPNESS:
        mixture = fit_mixture(first.logits, work.given, sharpness=_SURE_SHARPNESS)
        other = _rounds_from(first._replace(mixture=mixture), work, most, say)
        if other.mixture.log_likelihood > best.mixture.log_likelihood:
            best = other
    return best


def _rounds_from(first: _Heads, work: _Folded, most: int, say: Callable[[str], None]) -> _Heads:
    best = first
    for number in range(2, most + 1):
        say(f"round {number}")
        found = work.fit(best.weight_decay, number, best, best)
        gain = found.mixture.log_likelihood - best.mixture.log_likelihood
        if gain > 0.0:
            best = found
        if gain < _ROUND_GAIN:
            break
    return best


def _softmax(logits: Array) -> Array:
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    shifted /= shifted.sum(axis=1, keepdims=True)
    return shifted


def fit_mixture(
    logits: Array,
    given: npt.NDArray[np.int64],
    start: Array | None = None,
    sharpness: float | None = None,
) -> _Mixture:
    """Maximize Σ_i log Σ_y softmax(β z_i)(y) C[y, given_i] over C and a grid of β.

    Parameters
    ----------
    logits : np.ndarray of shape (N, K)
        z_i, out of fold.
    given : np.ndarray of shape (N,)
        Given labels.
    start : np.ndarray of shape (K, K), optional
        C to begin at; by default the given labels among the surer half of the rows predicted k.
    sharpness : float, optional
        β, if it is not to be searched.
    """
    order = np.argsort(given, kind="stable")
    z = logits[order]
    counts = np.bincount(given, minlength=logits.shape[1])
    begin = _surer_half(logits, given) if start is None else start
    begin = (1.0 - _SMOOTHING) * begin + _SMOOTHING / logits.shape[1]
    tried: dict[int, tuple[float, Array]] = {}

    def value(index: int) -> float:
        if index not in tried:
            p = _softmax(_SHARPNESS[index] * z)
            tried[index] = _em(p, counts, begin, _EM_SHORT)
        return tried[index][0]

    if sharpness is not None:
        likelihood, matrix = _em(_softmax(sharpness * z), counts, begin, _EM_LONG)
        return _Mixture(matrix, sharpness, likelihood, _softmax(sharpness * logits))
    at = _SHARPNESS_START
    while at + 1 < len(_SHARPNESS) and value(at + 1) > value(at):
        at += 1
    while at > 0 and value(at - 1) > value(at):
        at -= 1
    beta = float(_SHARPNESS[at])
    value(at)
    likelihood, matrix = _em(_softmax(beta * z), counts, tried[at][1], _EM_LONG)
    return _Mixture(matrix, beta, likelihood, _softmax(beta * logits))


def _surer_half(logits: Array, given: npt.NDArray[np.int64]) -> Array:
    """Given labels among the surer half of the rows predicted k, as shares; uniform if none."""
    k = logits.shape[1]
    predicted = logits.argmax(axis=1)
    top = np.partition(logits, -2, axis=1)[:, -2:]
    margin = top[:, 1] - top[:, 0]
    matrix = np.full((k, k), 1.0 / k)
    for label in np.unique(predicted):
        rows = np.flatnonzero(predicted == label)
        rows = rows[np.argsort(-margin[rows], kind="stable")][: (len(rows) + 1) // 2]
        matrix[label] = np.bincount(given[rows], minlength=k) / len(rows)
    return matrix


def _em(p: Array, counts: npt.NDArray[np.int64], start: Array, most: int) -> tuple[float, Array]:
    """EM for C with p (N, K) fixed; rows are ordered by given label, ``counts`` of each.

    A fixed p makes the likelihood concave in C, so where EM ends does not depend on its start.
    """
    present = np.flatnonzero(counts)
    starts = (np.cumsum(counts) - counts)[present]
    matrix = start
    total = np.empty(len(p))
    for _ in range(most):
        weighted = p * np.repeat(matrix.T, counts, axis=0)
        total = np.maximum(weighted.sum(axis=1), np.finfo(np.float64).tiny)
        weighted /= total[:, None]
        new = np.zeros_like(matrix)
        new[:, present] = np.add.reduceat(weighted, starts, axis=0).T
        mass = new.sum(axis=1, keepdims=True)
        # A class that no row can be of has no data: its row stays where it began.
        new = np.where(mass > 0.0, new / np.where(mass > 0.0, mass, 1.0), start)
        change = float(np.abs(new - matrix).max())
        matrix = new
        if change < _EM_CHANGE:
            break
    weighted = (p * np.repeat(matrix.T, counts, axis=0)).sum(axis=1)
    return float(np.log(np.maximum(weighted, np.finfo(np.float64).tiny)).mean()), matrix


# ---- intervals ----------------------------------------------------------------------------------


def _result(best: _Heads, work: _Folded, confidence: float, allowance: float) -> TransitionEstimate:
    matrix, p = best.mixture.matrix, best.mixture.probabilities
    prior = p.mean(axis=0)
    softened = best.mixture.sharpness / allowance * best.logits
    limits = intervals(softened, work.given, matrix, confidence)
    # Rounding of the division by row sums; the point belongs to its own interval.
    lower, upper = np.minimum(limits.lower, matrix), np.maximum(limits.upper, matrix)
    rate = _noise_rate(limits, matrix, prior / prior.sum(), confidence)
    return TransitionEstimate(
        matrix=matrix,
        lower=lower,
        upper=upper,
        counts=limits.rows,
        contamination=limits.others / np.maximum(limits.rows, 1),
        prior=prior / prior.sum(),
        noise_rate=rate,
        unsupported=limits.unsupported,
        confidence=confidence,
        allowance=allowance,
        weight_decay=best.weight_decay,
        sharpness=best.mixture.sharpness,
        rounds=best.round,
        log_likelihood=best.mixture.log_likelihood,
        probabilities=p,
    )


class Limits(NamedTuple):
    """Intervals of the entries of C and the counts that they rest on."""

    lower: Array  # (K, K)
    upper: Array  # (K, K)
    rows: npt.NDArray[np.int64]  # (K,) confident rows predicted k
    found: npt.NDArray[np.int64]  # (K, K) of those, given j
    others: Array  # (K,) of those, expected to be of another class
    others_given: Array  # (K, K) of those, expected to be of another class and given j
    unsupported: npt.NDArray[np.bool_]  # (K,)


def intervals(
    logits: Array,
    given: npt.NDArray[np.int64],
    matrix: Array,
    confidence: float,
) -> Limits:
    """Intervals of C[k, j] from the given labels of the confident rows predicted k.

    With n rows, of which t A are of another class and t a_j of another class and given j, the
    share q of rows given j is ((n − t A) C[k, j] + t a_j)/n. Clopper-Pearson limits of q are
    solved for C[k, j], and the extremes over 0 <= t <= 1 are taken (the expression is monotone in
    t, so they are at the ends).

    Parameters
    ----------
    logits : np.ndarray of shape (N, K)
        z_i β / allowance, made without the row's own label: softmax of them gives A and a_j.
    given : np.ndarray of shape (N,)
        Given labels.
    matrix : np.ndarray of shape (K, K)
        Estimate of C; only for the contamination's given labels and for choosing how many rows
        to count.
    confidence : float
        Level of each interval by itself.
    """
    p = _softmax(logits)
    k = p.shape[1]
    predicted = p.argmax(axis=1)
    sure = p[np.arange(len(p)), predicted]
    rows = np.zeros(k, dtype=np.int64)
    found = np.zeros((k, k), dtype=np.int64)
    others, others_given = np.zeros(k), np.zeros((k, k))
    for label in np.unique(predicted):
        members = np.flatnonzero(predicted == label)
        members = members[np.argsort(-sure[members], kind="stable")]
        members = members[: _how_many(sure[members], float(matrix[label, label]))]
        rest = p[members].sum(axis=0)
        rest[label] = 0.0
        rows[label] = len(members)
        found[label] = np.bincount(given[members], minlength=k)
        others[label] = rest.sum()
        others_given[label] = rest @ matrix
    low, high = clopper_pearson(found, rows[:, None], confidence)
    n = rows[:, None].astype(np.float64)
    # Where half of the rows or more may be of other classes, they say little about this one.
    unsupported = others >= 0.5 * rows
    left = np.where(unsupported[:, None], 1.0, n - others[:, None])
    lower = np.minimum(low, (n * low - others_given) / left)
    upper = np.maximum(high, (n * high - others_given) / left)
    lower[unsupported], upper[unsupported] = 0.0, 1.0
    return Limits(
        np.clip(lower, 0.0, 1.0),
        np.clip(upper, 0.0, 1.0),
        rows,
        found,
        others,
        others_given,
        unsupported,
    )


def _how_many(sure: Array, diagonal: float) -> int:
    """How many of the rows, surest first, make the narrowest interval of the diagonal entry.

    Decided by predictions alone (and the estimate of C): the given labels that are going to be
    counted have no say.
    """
    sizes = np.unique(np.ceil(_SHARES * len(sure)).astype(np.int64))
    others = np.cumsum(1.0 - sure)[sizes - 1]
    share = min(max(diagonal, 0.1), 0.9)
    sampling = np.sqrt(share * (1.0 - share) / sizes)
    width = 2.0 * sampling + share * others / sizes
    return int(sizes[np.argmin(width)])


def _noise_rate(limits: Limits, matrix: Array, prior: Array, confidence: float) -> NoiseRate:
    """1 − Σ prior_k C[k, k]; sampling by a binomial of equal variance, contamination by extremes.

    Unsupported classes count as anything from wholly right to wholly wrong.
    """
    value = float(1.0 - prior @ np.diag(matrix))
    fine = ~limits.unsupported
    n, weight = limits.rows[fine].astype(np.float64), prior[fine]
    unknown = float(prior[~fine].sum())
    if not fine.any():
        return NoiseRate(value, 0.0, 1.0)
    weight = weight / weight.sum()
    wrong = 1.0 - np.diag(limits.found)[fine] / n
    pooled = float(weight @ wrong)
    variance = float((weight**2 / n) @ (wrong * (1.0 - wrong)))
    # The binomial with this mean and variance; where nothing varies, the one of the design.
    if variance > 0.0:
        trials = pooled * (1.0 - pooled) / variance
    else:
        trials = 1.0 / float((weight**2 / n).sum())
    low, high = (float(v) for v in clopper_pearson(pooled * trials, trials, confidence))
    ends = []
    for t in (0.0, 1.0):
        right = np.diag(limits.found)[fine] - t * np.diag(limits.others_given)[fine]
        ends.append(float(1.0 - weight @ (right / (n - t * limits.others[fine]))))
    low, high = low + min(ends) - pooled, high + max(ends) - pooled
    known = 1.0 - unknown
    low, high = known * low, known * high + unknown
    return NoiseRate(value, max(0.0, min(low, value)), min(1.0, max(high, value)))
