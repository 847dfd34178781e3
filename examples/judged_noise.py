"""Wrong labels of many kinds, planted in features whose labels are right, for diagnose_judged.py.

A *kind* is a name of ``KINDS`` with a function that makes training rows, given labels and the truth
from a sample of a source. What is random is drawn from the seed of the sample.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import numpy as np
from scipy.optimize import brentq
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, train_test_split

import gramlab
from gramlab.runner import parallel_map
from gramlab.spectrum.correlations import class_correlations

RATE, INSTANCE_RATE, OUTLIER_NOISE = 0.3, 0.2, 0.2
OUTLIERS = 0.14  # of all rows
LEAST_GROUP = 4  # classes of a superclass: of two, 70 % noise is 30 % noise with names traded
COPIED, COPIES = 0.4, 3
RATIO, LEAST_ROWS = 20.0, 6  # of the long tail
JITTER = 0.1  # of margins, so that the boundary is no cut
CONCENTRATION = 0.3  # of Dirichlet's law: a class is mistaken for few others
INVERSE_DECAYS = (0.3, 3.0, 30.0)  # scikit-learn's C of rows of unit norm
TIE = 1e-9  # relative; shares this near are equal


@dataclass(frozen=True, eq=False)
class Logistic:
    """scikit-learn's logistic regression, C chosen by the log loss of given labels out of fold.

    ``probabilities`` (N, K) are out of fold, ``c`` is the chosen C.
    """

    probabilities: np.ndarray
    c: float


def tuned_logistic(x: np.ndarray, given: np.ndarray, n_classes: int, seed: int) -> Logistic:
    """Rows x (N, d) in float32; five stratified folds."""
    p = np.zeros((len(INVERSE_DECAYS), len(given), n_classes), dtype=np.float32)

    def fold(rows: tuple[np.ndarray, np.ndarray], place: int) -> None:
        model = LogisticRegression(max_iter=400, warm_start=True)
        for number, c in enumerate(INVERSE_DECAYS):
            model.set_params(C=c).fit(x[rows[0]], given[rows[0]])
            p[number][np.ix_(rows[1], model.classes_)] = model.predict_proba(x[rows[1]])

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # classes of fewer rows than folds
        parts = list(StratifiedKFold(5, shuffle=True, random_state=seed).split(x, given))
        parallel_map(fold, parts, on_devices=False)
    of_given = p[:, np.arange(len(given)), given]
    best = int(np.log(np.maximum(of_given, 1e-12)).mean(axis=1).argmax())
    chosen = p[best].astype(np.float64)
    return Logistic(chosen / chosen.sum(axis=1, keepdims=True), INVERSE_DECAYS[best])


@dataclass(frozen=True, eq=False)
class Sample:
    """At most so many training rows of a source, with right labels.

    ``rows`` (N,) are their numbers in the source; ``human`` is a file of labels that people gave
    to the rows of the source, if there is one.
    """

    features: gramlab.Features
    rows: np.ndarray
    seed: int
    human: Path | None

    @classmethod
    def of(cls, source: gramlab.Features, most: int, seed: int, human: Path | None) -> Sample:
        rows = stratified(source.labels, most, seed)
        return cls(restricted(source, rows), rows, seed, human)

    @property
    def rng(self) -> np.random.Generator:
        return np.random.default_rng(self.seed)

    @cached_property
    def probabilities(self) -> np.ndarray:
        """Of the true classes, by a logistic regression that saw the true labels of other rows."""
        prepared = self.features.centered().unit_norm()
        x = np.asarray(prepared.x, dtype=np.float32)
        k = self.features.n_classes
        return tuned_logistic(x, self.features.labels, k, self.seed).probabilities


@dataclass(frozen=True, eq=False)
class Planted:
    """``features`` whose labels are the given ones, and what is true of their N rows.

    ``true`` labels (N,) are -1 of rows of no class. ``matrix`` is C[true, given] where labels were
    drawn by class.
    """

    features: gramlab.Features
    true: np.ndarray
    matrix: np.ndarray | None = None

    @property
    def tied(self) -> float:
        """Share of rows in classes that are given another label at least as often as their own.

        By the law that labels were drawn from, or else by the labels themselves.
        """
        known = self.true >= 0
        true, matrix = self.true[known], self.matrix
        if matrix is None:
            given = self.features.labels[known]
            matrix = gramlab.observed_labels(given, true, self.features.n_classes).matrix
        others = matrix.copy()
        np.fill_diagonal(others, 0.0)
        return float((others.max(axis=1) >= np.diag(matrix) * (1.0 - TIE))[true].mean())


def stratified(labels: np.ndarray, most: int, seed: int) -> np.ndarray:
    """Numbers of at most so many rows, of each class as large a share as of the others."""
    every = np.arange(len(labels))
    if len(labels) <= most:
        return every
    rows = train_test_split(every, train_size=most, stratify=labels, random_state=seed)[0]
    return np.sort(rows)


def restricted(
    features: gramlab.Features,
    rows: np.ndarray,
    test_rows: np.ndarray | slice = slice(None),
    place: np.ndarray | None = None,
) -> gramlab.Features:
    """Some rows of features, whose class k is called place[k] there (K,)."""
    k, groups = features.n_classes, features.superclasses
    names = np.arange(k) if place is None else place
    return gramlab.Features(
        features.x[rows],
        names[features.labels[rows]],
        test_x=features.test_x[test_rows],
        test_labels=names[features.test_labels[test_rows]],
        n_classes=int(names.max()) + 1,
        superclasses=groups if place is None else None,
    )


# ---- Kinds -------------------------------------------------------------------------------------


def clean(sample: Sample) -> Planted:
    return Planted(sample.features, sample.features.labels)


def by_class(
    features: gramlab.Features, seed: int, kind: str = "symmetric", rate: float = RATE
) -> Planted:
    groups = groups_of_four(features) if kind == "superclass" else None
    matrix = gramlab.corruption_matrix(kind, features.n_classes, rate, groups)
    return drawn(features, matrix, seed)


def drawn(features: gramlab.Features, matrix: np.ndarray, seed: int) -> Planted:
    true = features.labels
    given = gramlab.corrupt_labels(true, matrix, seed=seed).labels
    return Planted(features.replaced(labels=given), true, matrix)


def groups_of_four(features: gramlab.Features) -> np.ndarray:
    """Superclasses (K,) of at least four classes: given ones, or single classes, joined.

    The smallest group joins the one whose classes its own correlate with most; another that is
    too small, while there is one.
    """
    alike = class_correlations(features.centered()).matrix
    group = np.arange(features.n_classes)
    if features.superclasses is not None:
        group = np.asarray(features.superclasses).copy()
    while True:
        names, sizes = np.unique(group, return_counts=True)
        if sizes.min() >= LEAST_GROUP or len(names) == 1:
            return np.unique(group, return_inverse=True)[1]
        own = names[sizes.argmin()]
        small = names[(sizes < LEAST_GROUP) & (names != own)]
        others = small if len(small) else names[names != own]
        near = [alike[np.ix_(group == own, group == one)].mean() for one in others]
        group[group == own] = others[int(np.argmax(near))]


def class_dependent(sample: Sample) -> Planted:
    """Each class has its own rate, and its own few others that it is mistaken for."""
    k, rng = sample.features.n_classes, sample.rng
    rates = rng.uniform(0.0, 2.0 * RATE, k)
    matrix = np.diag(1.0 - rates)
    to = rng.dirichlet(np.full(k - 1, CONCENTRATION), size=k)
    matrix[~np.eye(k, dtype=bool)] = (rates[:, None] * to).ravel()
    return drawn(sample.features, matrix / matrix.sum(axis=1, keepdims=True), sample.seed)


def boundary(sample: Sample) -> Planted:
    """Rows nearest to the boundary between two classes, labelled as the other one."""
    true, others = sample.features.labels, sample.probabilities.copy()
    every = np.arange(len(true))
    own = others[every, true]
    others[every, true] = -1.0
    margin = own - others.max(axis=1) + JITTER * sample.rng.gumbel(size=len(true))
    wrong = np.argsort(margin)[: int(INSTANCE_RATE * len(true))]
    given = true.copy()
    given[wrong] = others[wrong].argmax(axis=1)
    return Planted(sample.features.replaced(labels=given), true)


def annotator(sample: Sample) -> Planted:
    """Labels drawn from what a head thinks of the row, as unsure as makes a fifth of them wrong."""
    true = sample.features.labels
    logits = np.log(np.maximum(sample.probabilities, 1e-12))
    every = np.arange(len(true))

    def excess(log_temperature: float) -> float:
        q = softmax(logits / np.exp(log_temperature), axis=1)
        return 1.0 - float(q[every, true].mean()) - INSTANCE_RATE

    q = softmax(logits / np.exp(brentq(excess, np.log(1e-3), np.log(1e3))), axis=1)
    q = np.cumsum(q, axis=1)
    given = (q > sample.rng.random((len(true), 1)) * q[:, -1:]).argmax(axis=1)
    return Planted(sample.features.replaced(labels=given), true)


def duplicates(sample: Sample) -> Planted:
    """Symmetric noise on fewer rows, four in ten of which are stored three times, label and all."""
    features, rng = sample.features, sample.rng
    fewer = int(features.n_samples / (1.0 + COPIED * (COPIES - 1)))
    one = by_class(
        restricted(features, stratified(features.labels, fewer, sample.seed)), sample.seed
    )
    n = one.features.n_samples
    count = np.ones(n, dtype=np.int64)
    count[rng.permutation(n)[: int(COPIED * n)]] = COPIES
    rows = rng.permutation(np.repeat(np.arange(n), count))
    return Planted(restricted(one.features, rows), one.true[rows], one.matrix)


def long_tail(sample: Sample) -> Planted:
    """Symmetric noise on classes of which geometrically fewer rows are left, in both splits."""
    features, rng = sample.features, sample.rng
    k = features.n_classes
    share = RATIO ** -(rng.permutation(k) / (k - 1))

    def left(labels: np.ndarray, least: int) -> np.ndarray:
        kept = []
        for one in range(k):
            rows = rng.permutation(np.flatnonzero(labels == one))
            kept.append(rows[: max(least, round(share[one] * len(rows)))])
        return np.sort(np.concatenate(kept))

    rows = left(features.labels, LEAST_ROWS), left(features.test_labels, 1)
    return by_class(restricted(features, *rows), sample.seed)


def outliers(sample: Sample) -> Planted:
    """Symmetric noise, and rows of classes that are left out, labelled by chance."""
    features, rng = sample.features, sample.rng
    k = features.n_classes
    left_out = rng.permutation(k)[: max(2, k // 5)]
    place = np.full(k, -1)
    place[np.setdiff1d(np.arange(k), left_out)] = np.arange(k - len(left_out))
    inside = np.flatnonzero(place[features.labels] >= 0)
    test = np.flatnonzero(place[features.test_labels] >= 0)
    one = by_class(
        restricted(features, inside, test, place), sample.seed, "symmetric", OUTLIER_NOISE
    )
    count = round(len(inside) * OUTLIERS / (1.0 - OUTLIERS))
    strange = rng.permutation(np.flatnonzero(place[features.labels] < 0))[:count]
    guessed = rng.integers(0, one.features.n_classes, len(strange))
    order = rng.permutation(len(inside) + len(strange))
    made = gramlab.Features(
        np.concatenate([one.features.x, features.x[strange]])[order],
        np.concatenate([one.features.labels, guessed])[order],
        test_x=one.features.test_x,
        test_labels=one.features.test_labels,
        n_classes=one.features.n_classes,
    )
    true = np.concatenate([one.true, np.full(len(strange), -1)])[order]
    return Planted(made, true, one.matrix)


def human(sample: Sample, member: str) -> Planted:
    with np.load(sample.human) as file:
        given = file[member][sample.rows].astype(np.int64)
    return Planted(sample.features.replaced(labels=given), sample.features.labels)


def known_to_people(features: gramlab.Features, path: Path | None) -> bool:
    """Whether a file of human labels is of these training rows: its true labels are theirs."""
    if path is None:
        return False
    with np.load(path) as file:
        return bool(np.array_equal(file["train_clean_label"], features.labels))


CLASSWISE = ("symmetric", "asymmetric", "superclass", "class-dependent")
HUMAN = {
    "human-aggre": "train_aggre_label",
    "human-random1": "train_random_label1",
    "human-worse": "train_worse_label",
}
KINDS: dict[str, Callable[[Sample], Planted]] = {
    "clean": clean,
    **{
        kind: lambda sample, kind=kind: by_class(sample.features, sample.seed, kind)
        for kind in ("symmetric", "asymmetric", "superclass")
    },
    "class-dependent": class_dependent,
    "boundary": boundary,
    "annotator": annotator,
    "duplicates": duplicates,
    "long-tail": long_tail,
    "outliers": outliers,
    **{kind: partial(human, member=member) for kind, member in HUMAN.items()},
}
