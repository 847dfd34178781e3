"""The kinds of cells: which heads each fits to its draw of noisy labels, and what it measures.

docs/study.md tells what they are for. Each function makes the rows of a draw.
"""

from __future__ import annotations

import warnings
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np

from gramlab.errors import NotConvergedWarning
from gramlab.features import Features
from gramlab.heads.closed_form import LinearizedHead
from gramlab.heads.fit import Fit
from gramlab.heads.generalized import GeneralizedCrossEntropyHead
from gramlab.heads.sgd import PublishedSgdHead, SgdFit, linear_layer_weights
from gramlab.labels import observed_labels
from gramlab.numerics.content import sha256
from gramlab.numerics.streams import stream
from gramlab.population.block_fit import BlockFit, fit_block_model
from gramlab.spectrum import Spectrum
from gramlab.spectrum.correlations import class_correlations
from gramlab.spectrum.filters import linear_mu
from gramlab.study.draws import Draw
from gramlab.targets import Targets, one_hot

__all__ = ["KINDS", "held_out_rows", "mixing_weight", "subsample"]

_Rows = list[dict[str, Any]]


def _grid_rows(draw: Draw) -> _Rows:
    """The rounds of distillation, and the students that are to replace rounds 2 … T.

    * ``distill``: round 1 is the teacher; each is set beside the closed form.
    * ``top2-ce``: 1/2 on each of the teacher's two largest labels, cross entropy, certified.
    * ``top2-gce``: the same targets, generalized cross entropy, from the teacher's weights: a local
      optimum.
    * ``mixture``: ξ P^(1) + (1 − ξ) Y with ξ of ``mixing_weight``; where its targets are so far
      outside the simplex that float64 cannot solve for it, the row holds the reason instead.
    """
    methods = draw.cell.options["methods"]
    rows, linearized, exact, _ = draw.round_rows("distill")
    theory, teacher = linearized[0], exact[0]
    two = (draw.top_two(teacher), draw.top_two(theory))
    for method, loss in (("top2-ce", "ce"), ("top2-gce", "gce")):
        if method in methods:
            rows.append(_student(draw, method, loss, *two, teacher.weights))
    if "mixture" in methods:
        rows.append(_mixture_row(draw, theory, teacher))
    return rows


def _student(
    draw: Draw, method: str, loss: str, own: Any, linear: Any, start: Any, /, **values: Any
) -> dict[str, Any]:
    """A head on its own targets beside the closed form on its own, or a local optimum (gce)."""
    head = draw.head()
    if loss == "ce":
        fit = head.fit(draw.features, own, start=start)
        closed = LinearizedHead(head.weight_decay).fit(draw.features, linear)
        return draw.row(method, fit, closed, **values)
    robust = GeneralizedCrossEntropyHead(head.weight_decay, q=draw.cell.options["q"])
    fit = robust.fit(draw.features, own, start=start)
    draw.work.count(fit, exact=False)
    return draw.row(method, fit, **values)


def _mixture_row(draw: Draw, theory: Fit, teacher: Fit) -> dict[str, Any]:
    """ξ P + (1 − ξ) Y in both heads; its rows sum to 1 and can have negative entries."""
    decay = teacher.weight_decay
    xi = mixing_weight(draw.features, decay)
    targets, linear = (
        Targets(xi * fit.deviations + (1.0 - xi) * draw.targets.deviations)
        for fit in (teacher, theory)
    )
    negative = float((targets.deviations < -1.0 / draw.features.n_classes).any(axis=1).mean())
    made: dict[str, Any] = {"mixing": xi, "rows_with_negative_targets": negative}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotConvergedWarning)  # said in the row
        head = draw.head(signed_targets=True).head
        student = draw.certified(head.fit(draw.features, targets, start=teacher.weights))
    if student.certificate.relative_gap > draw.cell.options["tolerance"]:
        # Far outside the simplex only weight decay holds the weights back, and they run off.
        draw.work.on_head()
        reason = f"no optimum within float64: {student.stats.message}"
        return draw.row("mixture", weight_decay=decay, **made, skipped=reason)
    draw.work.count(student)
    closed = LinearizedHead(decay).fit(draw.features, linear)
    return draw.row("mixture", student, closed, **made)


def mixing_weight(features: Features, weight_decay: float) -> float:
    """ξ = 1/(1 − p_A) = 1 + s_A/μ of the nearest block model, measured with the true labels.

    s_A is the mean square of a row minus the mean inner product c of two rows of one class: the
    block model's eigenvalue inside a class, 1 − c for unit rows. In that model this ξ takes a
    row's own label out of its prediction altogether (theorem ``mixture``). It is finite for every
    weight decay.
    """
    model = fit_block_model(features)
    inside = max(model.diagonal - model.within, 0.0)
    mu = linear_mu(features.n_classes, features.n_samples, weight_decay)
    return float(1.0 + np.float64(inside) / mu)


def held_out_rows(n_samples: int) -> np.ndarray:
    """Which rows are held out (N,): a fifth, by a fixed key and the row's number alone."""
    return _drawn_rows(n_samples, max(1, n_samples // 5), b"heldout1")


def _drawn_rows(n_samples: int, count: int, key: bytes) -> np.ndarray:
    """So many of the rows, as a mask (N,); with more of them come more rows, and none goes."""
    words = stream(0, int.from_bytes(key, "big")).random_raw(n_samples)
    drawn = np.zeros(n_samples, dtype=bool)
    drawn[np.argsort(words, kind="stable")[:count]] = True
    return drawn


def _not_held_out(features: Features) -> Features:
    """The other rows, with labels that nobody reads."""
    x, k = features.x[~held_out_rows(features.n_samples)], features.n_classes
    return Features(x, np.arange(len(x)) % k, n_classes=k)


def _tuned_rows(draw: Draw) -> _Rows:
    """One head, its weight decay chosen by held-out rows; a row for each way to judge these.

    By their given labels, as everybody can (``noisy validation``), and by their true ones, which
    takes clean data (``clean validation``). Equal scores go to the larger weight decay.
    """
    grid = sorted(draw.cell.options["grid"], reverse=True)
    part = draw.features.derived(_not_held_out)  # shared by all cells
    held = held_out_rows(draw.features.n_samples)
    x = draw.features.x[held]
    targets = one_hot(draw.given.labels[~held], draw.features.n_classes)
    # Classes are read off these heads, not probabilities.
    tolerance, start, predicted = max(1e-6, draw.cell.options["tolerance"]), None, []
    with warnings.catch_warnings():
        # What counts is the held-out score it gets, wherever it stopped.
        warnings.simplefilter("ignore", NotConvergedWarning)
        for value in grid:
            fit = draw.head(value, tolerance=tolerance).fit(part, targets, start)
            start = fit.weights
            predicted.append(fit.predict(x))
    rows, fitted = [], {}
    judges = {"noisy validation": draw.given.labels, "clean validation": draw.given.true_labels}
    for selection, labels in judges.items():
        scores = [float((found == labels[held]).mean()) for found in predicted]
        best = int(np.argmax(scores))  # the first of equals: the largest weight decay
        value = grid[best]
        if value in fitted:
            draw.work.on_head()  # foreseen, but not needed twice
        else:
            fitted[value] = draw.head(value).fit(draw.features, draw.targets)
        closed = LinearizedHead(value).fit(draw.features, draw.targets)
        made = {"selected_on": selection, "held_out_accuracy": scores[best]}
        made |= {"round": 1, "at_end_of_grid": best in (0, len(grid) - 1)}
        rows.append(draw.row("tuned", fitted[value], closed, **made))
    return rows


def _ablation_rows(draw: Draw) -> _Rows:
    """Targets {given, top two} × loss × start; the optimum of cross entropy has no start."""
    head = draw.head()
    teacher = head.fit(draw.features, draw.targets)
    theory = LinearizedHead(head.weight_decay).fit(draw.features, draw.targets)
    targets: dict[str, tuple[Any, Any]] = {
        "given": (draw.targets, draw.targets),
        "top2": (draw.top_two(teacher), draw.top_two(theory)),
    }
    starts = {"zero": None, "teacher": teacher.weights}
    rows = []
    for name, loss, start in product(targets, ("ce", "gce"), starts):
        made: dict[str, Any] = {"targets": name, "loss": loss, "start": start}
        if (name, loss, start) == ("given", "ce", "zero"):
            rows.append(draw.row("ablation", teacher, theory, **made))
        else:
            row = _student(draw, "ablation", loss, *targets[name], starts[start], **made)
            rows.append(row)
    return rows


def _published_rows(draw: Draw) -> _Rows:
    """Training as the authors' code does: rounds and the partial-label student of each stopping.

    Students learn from the checkpoint that their own chain chose: one chain takes the last epoch
    of every round, the other the epoch that was best on the test data, and its rows say so. Every
    round starts from the same draw of PyTorch's kind of start, the partial-label student from its
    teacher's weights.
    """
    features, options, rows = draw.features, draw.cell.options, []
    begin = linear_layer_weights(features.n_features, features.n_classes, seed=draw.cell.seed)
    settings = {name: options[name] for name in ("learning_rate", "epochs", "q")}
    watched: Any = (features.test_x, features.test_labels)

    def trained(targets: Any, start: np.ndarray, loss: str = "ce") -> SgdFit:
        """With the cell's seed, which is also that of the noise and of the start."""
        decay = draw.head().weight_decay
        head = PublishedSgdHead(decay, loss=loss, seed=draw.cell.seed, **settings)
        fit = head.fit(features, targets, start=start, monitor=watched)
        draw.work.count(fit, exact=False)
        return fit

    first = trained(draw.targets, begin)
    for stopping in ("last", "best on test"):
        fits = [_stopped(first, stopping)]
        while len(fits) < options["rounds"]:
            fits.append(_stopped(trained(fits[-1].as_targets(), begin), stopping))
        student = _stopped(trained(draw.top_two(fits[0]), fits[0].weights, "gce"), stopping)
        for t, fit in [*enumerate(fits, 1), (None, student)]:
            made = {"round": t, "loss": "gce" if t is None else "ce", "stopping": stopping}
            made |= {"epoch": fit.epoch, "selected_on": "test" if fit.selects_on_test else None}
            if t is not None:
                certificate = draw.certified(fit).certificate
                made |= {"relative_gap": certificate.relative_gap}
                made |= {"weights_bound": certificate.weights_bound}
            rows.append(draw.row("published", fit, **made))
    return rows


def _stopped(fit: SgdFit, stopping: str) -> SgdFit:
    return fit if stopping == "last" or fit.best is None else fit.best


def _structure_rows(draw: Draw) -> _Rows:
    """How block-like the Gram matrix is; only the last columns depend on λ and the round."""
    features, decay, rows = draw.features, draw.head().weight_decay, []
    measured, model = features.derived(_structure, _labelling(features))
    mu = linear_mu(features.n_classes, features.n_samples, decay)
    for t in range(1, draw.cell.options["rounds"] + 1):
        made: dict[str, Any] = {"promised_distance": model.promised(mu, t)}
        made["seen_distance"] = model.seen(draw.targets.deviations, mu, t)
        rows.append(draw.row("structure", weight_decay=decay, round=t, **measured, **made))
    return rows


def _labelling(features: Features) -> str:
    """What tells apart features of the same rows, who share what is derived from these."""
    return sha256(features.labels, features.superclasses)


def _structure(features: Features, labelling: str) -> tuple[dict[str, Any], BlockFit]:
    found, model = class_correlations(features), fit_block_model(features)
    spectrum, n, k = Spectrum.of(features), features.n_samples, features.n_classes
    values, groups = np.zeros(n), features.superclasses
    values[: len(spectrum.eigenvalues)] = spectrum.eigenvalues[:n]
    s = 1 if groups is None else len(np.unique(groups))
    out: dict[str, Any] = {}
    for name in ("within", "superclass", "between"):
        pair = getattr(found, name)  # mean and standard deviation, None without superclasses
        out[name], out[f"{name}_sd"] = (None, None) if pair is None else pair[:2]
    out |= {
        "gap": spectrum.gap(min(k, n - 1)),
        "gap_error_at_most": 2.0 * spectrum.certificate.eigenvalue_error,
        "largest_eigenvalue": float(values[0]),
        "block_distance": model.distance,
    }
    # Mean eigenvalues of the runs where a balanced block model has s_D, s_C, s_B and s_A.
    inside, per_class = model.diagonal - model.within, n / k
    classes = inside + per_class * (model.within - model.superclass)
    superclasses = classes + per_class * k / s * (model.superclass - model.between)
    means = superclasses + per_class * k * model.between
    for name, part, predicted in (
        ("all_ones", values[:1], means),
        ("superclasses", values[1:s], superclasses),
        ("classes", values[s:k], classes),
        ("inside", values[k:], inside),
    ):
        out[f"eigenvalue_{name}"] = float(part.mean()) if part.size else None
        out[f"eigenvalue_{name}_block"] = float(predicted) if part.size else None
    return out, model


def _approximation_rows(draw: Draw) -> _Rows:
    """How far the linearized softmax is from the exact heads of a share of the rows, by round.

    Beside the columns of every certified head: the root mean square over rows of the distance of
    the two predictions, the largest and the mean range over classes of the exact logits, and what
    the remainder bound osc²/4 allows a single round at the largest of them.
    """
    share = draw.cell.options["share"]
    features, observed = subsample(draw.features, share), draw.observed
    if observed is not None:
        rows = subsample_rows(draw.features.n_samples, share)
        own = observed.labels[rows], observed.true_labels[rows]
        observed = observed_labels(*own, features.n_classes)
    x, n = features.as_float64(), features.n_samples
    rows, _, exact, compared = replace(draw, features=features, observed=observed).round_rows(
        "approximation"
    )
    for row, fit, found in zip(rows, exact, compared, strict=True):
        ranges = np.ptp(x @ fit.weights, axis=1)
        row |= {
            "share": share,
            "n_samples": n,
            "rms_distance": found.frobenius / n**0.5,
            "largest_logit_range": float(ranges.max()),
            "mean_logit_range": float(ranges.mean()),
            "remainder_bound": float(ranges.max() ** 2 / 4.0),
        }
    return rows


def subsample(features: Features, share: float) -> Features:
    """A share of the training rows, nested in larger shares; the test split stays as it is."""
    whole = share == 1.0
    return features if whole else features.derived(_subsample, share, _labelling(features))


def subsample_rows(n: int, share: float) -> np.ndarray:
    """Which of n training rows ``subsample`` keeps."""
    return np.arange(n) if share == 1.0 else _drawn_rows(n, max(1, round(share * n)), b"subsampl")


def _subsample(features: Features, share: float, labelling: str) -> Features:
    rows = subsample_rows(features.n_samples, share)
    return Features(
        features.x[rows],
        features.labels[rows],
        test_x=features.test_x,
        test_labels=features.test_labels,
        n_classes=features.n_classes,
        superclasses=features.superclasses,
    )


KINDS = {
    "grid": _grid_rows,
    "tuned": _tuned_rows,
    "ablation": _ablation_rows,
    "published": _published_rows,
    "structure": _structure_rows,
    "approximation": _approximation_rows,
}
"""What computes the rows of a draw, by the kind of its cell; ``method`` is that of the row."""
