"""The kinds of cells: which heads each fits to its draw of noisy labels, and what it measures.

``grid``: the rounds of distillation and the students that are to replace them.

``tuned``: one head, its weight decay chosen on held-out rows; the rival of every round. A fifth of
the training rows is held out, the same rows in every cell. For each weight decay of a grid a head
is fitted to the given labels of the other rows; the one with the most held-out rows right is then
fitted to all rows. Held-out rows are judged once by their given labels, as everybody can (``noisy
validation``), and once by their true ones, which takes clean data (``clean validation``). Equal
scores go to the larger weight decay.

``ablation``: targets {given labels, top two} × loss {cross entropy, generalized cross entropy} ×
start {zero, teacher}. With cross entropy the optimum does not depend on the start; both are fitted,
and their certificates show it.

``published``: training as the authors' code does: stochastic gradients, one seed for noise, batches
and start, and a checkpoint chosen by test accuracy. Rows with stopping ``best on test`` select on
the test data and are marked so; those with ``last`` do not.

``structure``: how block-like the Gram matrix is: correlations, eigenvalues beside those of the
nearest block model, the gap after the K-th, and what the distance to that model promises for
predictions.

``approximation``: how far the linearized softmax is from the exact heads, over weight decay and
sample size, and how large the logits are there.
"""

from __future__ import annotations

import warnings
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np

from gramlab.errors import InvalidSetting, NotConvergedWarning
from gramlab.features import Features
from gramlab.heads.closed_form import LinearizedHead
from gramlab.heads.fit import Fit
from gramlab.heads.generalized import GeneralizedCrossEntropyHead
from gramlab.heads.sgd import PublishedSgdHead, SgdFit, linear_layer_weights
from gramlab.numerics.content import sha256
from gramlab.numerics.streams import stream
from gramlab.population.block_fit import BlockFit, fit_block_model
from gramlab.runner import Run
from gramlab.spectrum import Spectrum
from gramlab.spectrum.correlations import class_correlations
from gramlab.spectrum.filters import linear_mu
from gramlab.study.draws import Draw
from gramlab.targets import Targets, one_hot

__all__ = ["KINDS", "held_out_rows", "mixing_weight", "subsample"]

_Rows = list[dict[str, Any]]


# ---- Grid ---------------------------------------------------------------------------------------


def _grid_rows(draw: Draw) -> _Rows:
    """Rows of rounds 1 … T, and of the students that are to replace rounds 2 … T.

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
    if "top2-ce" in methods:
        student = draw.head().fit(draw.features, draw.top_two(teacher), start=teacher.weights)
        closed = LinearizedHead(teacher.weight_decay).fit(draw.features, draw.top_two(theory))
        rows.append(draw.exact_row("top2-ce", student, closed))
    if "top2-gce" in methods:
        robust = _robust(draw, draw.top_two(teacher), teacher.weights)
        rows.append(draw.local_row("top2-gce", robust))
    if "mixture" in methods:
        rows.append(_mixture_row(draw, theory, teacher))
    return rows


def _robust(draw: Draw, targets: Any, start: np.ndarray | None) -> Any:
    """The local optimum of generalized cross entropy near a start."""
    head = GeneralizedCrossEntropyHead(draw.head().weight_decay, q=draw.cell.options["q"])
    fit = head.fit(draw.features, targets, start=start)
    draw.work.count(fit, exact=False)
    return fit


def _mixture_row(draw: Draw, theory: Fit, teacher: Fit) -> dict[str, Any]:
    """ξ P + (1 − ξ) Y in both heads; its rows sum to 1 and can have negative entries."""
    decay = teacher.weight_decay
    xi = mixing_weight(draw.features, decay)

    def mixed(fit: Fit) -> Targets:
        return Targets(xi * fit.deviations + (1.0 - xi) * draw.targets.deviations)

    targets = mixed(teacher)
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
        return draw.empty_row("mixture", weight_decay=decay, **made, skipped=reason)
    draw.work.count(student)
    closed = LinearizedHead(decay).fit(draw.features, mixed(theory))
    return draw.exact_row("mixture", student, closed, **made)


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


# ---- Tuned --------------------------------------------------------------------------------------


def held_out_rows(n_samples: int) -> np.ndarray:
    """Which rows are held out (N,): a fifth, by a fixed key and the row's number alone."""
    return _drawn_rows(n_samples, max(1, n_samples // 5), b"heldout1")


def _drawn_rows(n_samples: int, count: int, key: bytes) -> np.ndarray:
    """So many of the rows, as a mask (N,); with more of them come more rows, and none goes."""
    words = stream(0, int.from_bytes(key, "big")).random_raw(n_samples)
    drawn = np.zeros(n_samples, dtype=bool)
    drawn[np.argsort(words, kind="stable")[:count]] = True
    return drawn


def _held_out_run(features: Features) -> Run:
    fold = np.where(held_out_rows(features.n_samples), 0, -1)
    return Run(features.x, features.n_classes, fold)


def _tuned_rows(draw: Draw) -> _Rows:
    """Two rows, one per way to select, each with a certified head beside its closed form."""
    grid = sorted(draw.cell.options["grid"], reverse=True)
    run = draw.features.derived(_held_out_run)  # shared by all cells
    targets = one_hot(draw.given.labels[run.train[0]], run.n_classes)
    judged_by = {"noisy validation": draw.given.labels, "clean validation": draw.given.true_labels}
    scores: dict[str, list[float]] = {selection: [] for selection in judged_by}
    # Classes are read off these heads, not probabilities.
    tolerance, start = max(1e-6, draw.cell.options["tolerance"]), None
    for value in grid:
        with warnings.catch_warnings():
            # What counts is the held-out score it gets, wherever it stopped.
            warnings.simplefilter("ignore", NotConvergedWarning)
            head = draw.head(value, tolerance=tolerance)
            (fit,) = run.fit(head, lambda _: targets, start)
        start, labels = [fit.weights], fit.predict(run.tests[0])
        for selection, judge in judged_by.items():
            scores[selection].append(float((labels == judge[run.held[0]]).mean()))
    rows, fitted = [], {}
    for selection, found in scores.items():
        best = int(np.argmax(found))  # the first of equals: the largest weight decay
        value = grid[best]
        if value in fitted:
            draw.work.on_head()  # foreseen, but not needed twice
        else:
            fitted[value] = draw.head(value).fit(draw.features, draw.targets)
        rows.append(
            draw.exact_row(
                "tuned",
                fitted[value],
                LinearizedHead(value).fit(draw.features, draw.targets),
                round=1,
                selected_on=selection,
                held_out_accuracy=found[best],
                at_end_of_grid=best in (0, len(grid) - 1),
            )
        )
    return rows


# ---- Ablation and published training ------------------------------------------------------------


def _ablation_rows(draw: Draw) -> _Rows:
    """Eight rows, with columns ``targets``, ``loss`` and ``start``."""
    head = draw.head()
    closed = LinearizedHead(head.weight_decay)
    teacher = head.fit(draw.features, draw.targets)
    theory = closed.fit(draw.features, draw.targets)
    targets: dict[str, tuple[Any, Any]] = {
        "given": (draw.targets, draw.targets),
        "top2": (draw.top_two(teacher), draw.top_two(theory)),
    }
    starts = {"zero": None, "teacher": teacher.weights}
    rows = []
    for name, (own, linear) in targets.items():
        for loss, (start, weights) in product(("ce", "gce"), starts.items()):
            made: dict[str, Any] = {"targets": name, "loss": loss, "start": start}
            if loss == "gce":
                rows.append(draw.local_row("ablation", _robust(draw, own, weights), **made))
                continue
            again = name == "given" and start == "zero"
            fit = teacher if again else head.fit(draw.features, own, start=weights)
            rows.append(draw.exact_row("ablation", fit, closed.fit(draw.features, linear), **made))
    return rows


def _published_rows(draw: Draw) -> _Rows:
    """Rounds and the partial-label student of each stopping.

    Students learn from the checkpoint that their own chain chose: one chain takes the last epoch
    of every round, the other the epoch that was best on the test data. Every round starts from the
    same draw of PyTorch's kind of start, the partial-label student from its teacher's weights.
    """
    rows, d, k = [], draw.features.n_features, draw.features.n_classes
    begin = linear_layer_weights(d, k, seed=draw.cell.seed)
    first = _trained(draw, draw.targets, begin)
    for stopping in ("last", "best on test"):
        fits = [_stopped(first, stopping)]
        for _ in range(draw.cell.options["rounds"] - 1):
            fits.append(_stopped(_trained(draw, fits[-1].as_targets(), begin), stopping))
        for t, fit in enumerate(fits, 1):
            certificate = draw.certified(fit).certificate
            made = {
                "relative_gap": certificate.relative_gap,
                "weights_bound": certificate.weights_bound,
            }
            rows.append(_published_row(draw, fit, stopping, round=t, loss="ce", **made))
        student = _trained(draw, draw.top_two(fits[0]), fits[0].weights, loss="gce")
        rows.append(_published_row(draw, _stopped(student, stopping), stopping, loss="gce"))
    return rows


def _trained(draw: Draw, targets: Any, start: np.ndarray, loss: str = "ce") -> SgdFit:
    """Train with the cell's seed, which is also that of the noise and of the start."""
    x, labels = draw.features.test_x, draw.features.test_labels
    if x is None or labels is None:
        raise InvalidSetting(
            "published cells need a test split, on which they choose their epoch, got features "
            "without one: give test features and labels, or use another recipe"
        )
    settings = {name: draw.cell.options[name] for name in ("learning_rate", "epochs", "q")}
    head = PublishedSgdHead(draw.head().weight_decay, loss=loss, seed=draw.cell.seed, **settings)
    fit = head.fit(draw.features, targets, start=start, monitor=(x, labels))
    draw.work.count(fit, exact=False)
    return fit


def _stopped(fit: SgdFit, stopping: str) -> SgdFit:
    return fit if stopping == "last" or fit.best is None else fit.best


def _published_row(draw: Draw, fit: SgdFit, stopping: str, **values: Any) -> dict[str, Any]:
    selected_on = "test" if fit.selects_on_test else None
    more = {"stopping": stopping, "epoch": fit.epoch, "selected_on": selected_on}
    return draw.local_row("published", fit, **values, **more)


# ---- Structure and approximation ----------------------------------------------------------------


def _structure_rows(draw: Draw) -> _Rows:
    """One row per round. Only the last columns depend on λ and the round."""
    features, weight_decay = draw.features, draw.head().weight_decay
    measured, model = features.derived(_structure, _labelling(features))
    mu = linear_mu(features.n_classes, features.n_samples, weight_decay)
    return [
        draw.empty_row(
            "structure",
            weight_decay=weight_decay,
            round=t,
            **measured,
            promised_distance=model.promised(mu, t),
            seen_distance=model.seen(draw.targets.deviations, mu, t),
        )
        for t in range(1, draw.cell.options["rounds"] + 1)
    ]


def _labelling(features: Features) -> str:
    """What tells apart features of the same rows, who share what is derived from these."""
    return sha256(features.labels, features.superclasses)


def _structure(features: Features, labelling: str) -> tuple[dict[str, Any], BlockFit]:
    found, model = class_correlations(features), fit_block_model(features)
    spectrum, n, k = Spectrum.of(features), features.n_samples, features.n_classes
    values = np.zeros(n)
    values[: len(spectrum.eigenvalues)] = spectrum.eigenvalues[:n]
    groups = features.superclasses
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
    per_class = n / k
    inside = model.diagonal - model.within
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
    """One row per round.

    Beside the columns of every certified head: the root mean square over rows of the distance of
    the two predictions, the largest and the mean range over classes of the exact logits, and what
    the remainder bound osc²/4 allows a single round at the largest of them.
    """
    share = draw.cell.options["share"]
    features = subsample(draw.features, share)
    x, n = features.as_float64(), features.n_samples
    rows, _, exact, compared = replace(draw, features=features).round_rows("approximation")
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
    if share == 1.0:
        return features
    return features.derived(_subsample, share, _labelling(features))


def _subsample(features: Features, share: float, labelling: str) -> Features:
    n = features.n_samples
    rows = _drawn_rows(n, max(1, round(share * n)), b"subsampl")
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
