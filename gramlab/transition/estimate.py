"""The estimate: a matrix with its intervals, its orientation, and how it is made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gramlab import validation
from gramlab.errors import InvalidLabels, InvalidSetting
from gramlab.features import Features
from gramlab.features.copies import COPY_RADIUS, copies_of, find_copies
from gramlab.machine.memory import check_memory
from gramlab.numerics.text import short_repr
from gramlab.runner import Run
from gramlab.runner import folds as deal_folds
from gramlab.transition.calibration import calibrated
from gramlab.transition.intervals import NoiseRate, intervals, noise_rate_of
from gramlab.transition.margins import MarginTest, margin_test
from gramlab.transition.mixture import Mixture, fit_mixture, normalized_rows
from gramlab.transition.rounds import NoiseRounds, bytes_needed

__all__ = ["TransitionEstimate", "estimate_transition", "given_to_true"]

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class TransitionEstimate:
    """An estimated label transition matrix; every array is indexed [true, given].

    Attributes
    ----------
    matrix : np.ndarray of shape (K, K)
        C[k, j] = P(given j | true k); rows sum to one, as of :func:`gramlab.corruption_matrix`.
    lower, upper : np.ndarray of shape (K, K)
        Interval of each entry by itself (not simultaneous) at level ``confidence``;
        ``lower <= matrix <= upper``. They are 0 and 1 where noise depends on the rows.
    counts : np.ndarray of shape (K,), int64
        Confident rows that the interval of each row of C rests on.
    contamination : np.ndarray of shape (K,)
        Share of those rows that may be of another class: ``allowance`` times what p_i says.
    prior : np.ndarray of shape (K,)
        Estimated shares of the *true* classes; sums to one.
    noise_rate : NoiseRate
        1 − Σ_k prior_k C[k, k], in an interval that is wider where noise may not be by class.
    margin_test : MarginTest
        Disagreement by margin, which shows whether noise depends on more than the true class.
    unsupported : np.ndarray of shape (K,), bool
        Classes whose confident rows are none, or too contaminated to say anything: their
        intervals are 0 .. 1 and their row of ``matrix`` is not to be relied on.
    confidence, allowance : float
        As given to ``estimate_transition``.
    weight_decay, sharpness : float
        Of the heads, given or chosen (None of ``pred_probs``), and β.
    offsets : np.ndarray of shape (K,)
        b: p_i = softmax(β z_i + b).
    shrinkage : float
        s: each row of ``matrix`` is shrunk towards scattered noise as by so many rows.
    rounds : int
        Round that was used, 1 = heads fitted to the given labels.
    log_likelihood : float
        Of the given labels under the mixture, nats a row; predictions are out of fold and
        ``matrix`` is cross-validated.
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
    margin_test: MarginTest
    unsupported: npt.NDArray[np.bool_]
    confidence: float
    allowance: float
    weight_decay: float | None
    sharpness: float
    offsets: Array
    shrinkage: float
    rounds: int
    log_likelihood: float
    probabilities: Array

    def __repr__(self) -> str:
        return short_repr(self)

    @property
    def instance_dependent(self) -> bool:
        """Whether noise by class alone is rejected (``margin_test``): it depends on the rows."""
        return self.margin_test.raised

    @property
    def sentence(self) -> str:
        """How many labels are wrong, with its doubts."""
        value, low, high = (f"{100 * part:.1f}" for part in self.noise_rate)
        level = f"{100 * self.confidence:g} %"
        if self.instance_dependent:
            return (
                f"Between {low} and {high} % of the labels are wrong ({level} interval), and which "
                "depends on the image, the single row, and not on its class alone."
            )
        if self.noise_rate.low == 0.0:
            return (
                f"At most {high} % of the labels are wrong ({level} interval), perhaps none: what "
                f"heads contradict may be their own errors ({value} % if noise is by class)."
            )
        return f"About {value} % of the labels are wrong ({level} interval {low} to {high} %)."

    @property
    def tied(self) -> list[tuple[int, int]]:
        """Pairs (true, given) that the labels may not tell apart; the most frequent first.

        The given label is at least half as frequent as the own one, and the intervals leave open
        that it is more frequent: then the same labels come just as well from classes that have
        traded names (theorem ``traded-names``). Pairs that trade names in most of their rows look
        like pairs that do so in few, and are not among these: nothing can show them.
        """
        own = np.diag(self.matrix)[:, None]
        open_ = (self.upper >= np.diag(self.lower)[:, None]) & (self.matrix >= 0.5 * own)
        open_ &= ~np.eye(len(self.matrix), dtype=bool) & ~self.unsupported[:, None]
        return _most_frequent(self.matrix, open_)

    def to_cleanlab(self) -> Array:
        """``noise_matrix`` of cleanlab: [given, true], columns sum to one; shape (K, K)."""
        return self.matrix.T.copy()

    def given_to_true(self) -> Array:
        """P(true k | given j), as of ``given_to_true``; cleanlab's ``inverse_noise_matrix``.T."""
        return given_to_true(self.matrix, self.prior)

    def frequent_errors(self, count: int) -> list[tuple[int, int]]:
        """The ``count`` most frequent wrong labels as pairs (true, given), most frequent first.

        Classes of which nothing can be said, and labels that are never given, are left out.
        """
        off = ~np.eye(len(self.matrix), dtype=bool) & ~self.unsupported[:, None]
        return _most_frequent(self.matrix, off & (self.matrix > 0.0))[:count]

    def compared_with(self, truth: Array, counts: npt.NDArray[np.int64]) -> dict[str, Any]:
        """How the estimate compares with a truth that is known, as plain numbers and lists.

        ``truth`` (K, K) is the matrix that the labels were corrupted with, ``counts`` (K, K) how
        many rows of each true class were given each label (``CorruptedLabels.counts``).
        """
        shares = counts.sum(axis=1) / counts.sum()
        off = np.abs(self.matrix - truth)
        rounding = 4.0 * np.finfo(np.float64).eps
        covered = (self.lower <= truth + rounding) & (truth <= self.upper + rounding)
        expected = float(1.0 - shares @ np.diag(truth))
        return {
            "truth": truth.tolist(),
            "mean_absolute_error": float(off.mean()),
            "row_l1_error": float(off.sum(axis=1).mean()),
            "frobenius_error": float(np.linalg.norm(self.matrix - truth)),
            "coverage": float(covered.mean()),
            "coverage_diagonal": float(np.diag(covered).mean()),
            "noise_rate": expected,
            "realized_noise_rate": float(1.0 - np.trace(counts) / counts.sum()),
            "noise_rate_covered": bool(self.noise_rate.low <= expected <= self.noise_rate.high),
        }

    def as_dict(self) -> dict[str, Any]:
        """Everything but ``probabilities``, as plain numbers and lists."""
        plain = {
            name: value.tolist() if isinstance(value, np.ndarray) else value
            for name, value in vars(self).items()
            if name != "probabilities"
        }
        plain["noise_rate"] = self.noise_rate._asdict()
        plain["sentence"] = self.sentence
        plain["instance_dependent"] = self.instance_dependent
        plain["margin_test"] = self.margin_test.as_dict()
        plain["unsupported"] = np.flatnonzero(self.unsupported).tolist()
        plain["tied"] = [list(pair) for pair in self.tied]
        return {"orientation": "rows: true class, columns: given label", **plain}


def _most_frequent(matrix: Array, where: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Some of the pairs (true, given), the most frequent first."""
    true, label = np.nonzero(where)
    order = np.argsort(-matrix[true, label], kind="stable")
    return list(zip(true[order].tolist(), label[order].tolist(), strict=True))


def given_to_true(matrix: object, prior: object) -> Array:
    """Turn C[true, given] and the shares of the true classes into P(true | given).

    Of ``matrix`` (K, K), whose rows sum to one, and ``prior`` (K,), nonnegative with a positive
    sum, it makes a matrix (K, K) [given, true] whose rows sum to one. A label that is never given
    has the prior as its row.

    Raises
    ------
    InvalidSetting
        If the shapes do not fit, or an entry is negative or not finite.
    """
    c = validation.as_array(matrix, "matrix", InvalidSetting).astype(np.float64)
    shares = validation.as_array(prior, "prior", InvalidSetting).astype(np.float64)
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
    shares = shares / shares.sum()
    return normalized_rows((shares[:, None] * c).T, shares)


def estimate_transition(
    features: Features | np.ndarray,
    given_labels: object,
    *,
    n_classes: int | None = None,
    weight_decay: float | None = None,
    folds: int | Run = 5,
    groups: object = None,
    copy_radius: float = COPY_RADIUS,
    rounds: int = 8,
    confidence: float = 0.95,
    allowance: float = 2.0,
    seed: int = 0,
    tolerance: float = 1e-6,
    pred_probs: object = None,
    stage: Callable[[str], None] | None = None,
) -> TransitionEstimate:
    """Estimate C[k, j] = P(given j | true k) without any true label, with intervals.

    Assumes that (a) given labels depend on the true class alone, row by row independently;
    (b) every class has rows that the heads are sure of and right about; (c) the true class is
    the likeliest given label in most classes (C is not so strong that classes trade names).
    Nothing in the data can confirm (c); (a) is tested (``margin_test``), and the interval of the
    noise rate leaves it open. The intervals further assume (d) that heads err at most ``allowance``
    times as often as they expect.

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
    folds : int or Run
        How many, at least 2 and at most N; or folds of these features that are at hand, with what
        was factored for earlier heads.
    groups : array-like of shape (N,), optional
        Whole numbers or texts: rows of one group lie in one fold (:func:`gramlab.runner.folds`).
        By default copies of one row are a group. Folds at hand have theirs.
    copy_radius : float
        Cosine distance at which rows are copies (:func:`gramlab.features.copies.find_copies`).
        Copies that all have one label were labelled once: they are no independent evidence.
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
    pred_probs : array-like of shape (N, K), optional
        Probabilities of the given labels by heads of one's own that did not see the row. Then no
        heads are fitted: their logits are log ``pred_probs``, of one round.
    stage : callable, optional
        Called with a few words when a stage begins.

    Raises
    ------
    InvalidFeatures, InvalidLabels
        If the features are malformed, or labels do not fit the rows or the range, or are all equal.
    InvalidSetting
        If a number is outside its range, or groups do not fit the rows, the labels or the folds.
    InvalidTargets
        If ``pred_probs`` are no probabilities (N, K).
    NotEnoughMemory
        If the whole would not fit, before anything is computed.
    """
    if n_classes is not None:
        n_classes = validation.check_integer("n_classes", n_classes, 2)
    if isinstance(features, Features):
        n_classes = n_classes or features.n_classes
        x = features.x
    else:
        x = validation.check_features(features)
    given = validation.check_labels(given_labels, x.shape[0], n_classes, "given_labels")
    if (given == given[0]).all():
        raise InvalidLabels(
            f"given_labels must hold two classes or more, got {int(given[0])} in every row; "
            "a transition matrix cannot be estimated from one label"
        )
    most = validation.check_integer("rounds", rounds, 1)
    confidence = validation.check_positive("confidence", confidence)
    if confidence >= 1.0:
        raise InvalidSetting(f"confidence must be below 1, got {confidence}; 0.95 is 95 %")
    allowance = validation.check_positive("allowance", allowance)
    if allowance < 1.0:
        raise InvalidSetting(
            f"allowance must be at least 1, got {allowance}; 1 trusts the heads as they are"
        )
    if weight_decay is not None:
        weight_decay = validation.check_weight_decay(weight_decay)
    if groups is not None and (isinstance(folds, Run) or pred_probs is not None):
        raise InvalidSetting(
            "groups must be left out where rows were held out before, got them beside folds or "
            "pred_probs; hold rows out by groups there"
        )
    known = isinstance(features, Features)
    copies = copies_of(features, copy_radius) if known else find_copies(x, copy_radius)
    how = copies.labelled_once(given), confidence, allowance
    k = n_classes or int(given.max()) + 1
    if pred_probs is not None:
        own = validation.check_targets(pred_probs, len(given), k, name="pred_probs")
        logits = np.log(np.maximum(own, np.finfo(np.float64).tiny))
        mixture = fit_mixture(logits, given, group=copies.group)
        return _with_intervals(mixture, logits, given, None, 1, copies.group, *how)
    if not isinstance(folds, Run):
        together = copies.group if groups is None else groups
        rows = features if known else x
        needed, smaller = bytes_needed(len(x), x.shape[1], k), "use fewer rows or columns"
        check_memory(needed, f"the transition estimate of {len(x)} rows", smaller)
        folds = Run(rows, k, deal_folds(given, folds, seed, together), given)
    say = stage or (lambda text: None)
    rounds_of = NoiseRounds(folds, given, tolerance, say, copies.group)
    best = rounds_of.best_round(rounds_of.first_rounds(weight_decay), most)
    found = best.mixture, best.logits, given, best.weight_decay, best.round
    return _with_intervals(*found, copies.group, *how)


def _with_intervals(
    mixture: Mixture,
    logits: Array,
    given: npt.NDArray[np.int64],
    weight_decay: float | None,
    rounds: int,
    group: npt.NDArray[np.int64],
    labelled: npt.NDArray[np.int64],
    confidence: float,
    allowance: float,
) -> TransitionEstimate:
    """The estimate that a mixture of held-out logits makes."""
    mixture = calibrated(logits, given, mixture, group)
    p, matrix = mixture.probabilities, mixture.matrix
    prior = p.mean(axis=0)
    prior /= prior.sum()
    test = margin_test(p, matrix, given, np.bincount(labelled)[labelled].astype(np.float64))
    limits = intervals(p, given, matrix, confidence, allowance, labelled)
    rate = noise_rate_of(p, given, matrix, limits, confidence, allowance, labelled, test)
    lower, upper = limits.lower, limits.upper
    if test.raised:  # a mean over rows then, of which counts of sure ones say nothing
        lower, upper = np.zeros_like(matrix), np.ones_like(matrix)
    return TransitionEstimate(
        matrix=matrix,
        # Rounding of the division by row sums; the point belongs to its own interval.
        lower=np.minimum(lower, matrix),
        upper=np.maximum(upper, matrix),
        counts=limits.rows,
        contamination=limits.others / np.maximum(limits.rows, 1),
        prior=prior,
        noise_rate=rate,
        margin_test=test,
        unsupported=limits.unsupported,
        confidence=confidence,
        allowance=allowance,
        weight_decay=weight_decay,
        sharpness=mixture.sharpness,
        offsets=mixture.offsets,
        shrinkage=mixture.shrinkage,
        rounds=rounds,
        log_likelihood=mixture.log_likelihood,
        probabilities=p,
    )
