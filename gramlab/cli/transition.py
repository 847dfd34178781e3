"""``gramlab transition SOURCE``: the label transition matrix, estimated from given labels."""

from __future__ import annotations

import io
import os
import textwrap
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

from gramlab import validation
from gramlab.cli import options, terminal
from gramlab.cli.output import json_path, made_folder
from gramlab.errors import InvalidSetting
from gramlab.storage import atomic_path, atomic_write, to_json

if TYPE_CHECKING:
    from gramlab.features import Features
    from gramlab.transition import TransitionEstimate

__all__ = ["EPILOG", "EXAMPLE", "HELP", "SHORT_HELP", "transition"]

HELP = """Estimate from the features and the given labels of SOURCE alone how often each class was
given each label, C[true, given], with intervals. With --rate the labels are taken as true and
spoilt first: a trial in which the truth is known."""

SHORT_HELP = "How often each class was given each label, with intervals."

EXAMPLE = "gramlab transition digits --noise asymmetric --rate 0.3 --out noise"

EPILOG = f"""\b
Examples:
  {EXAMPLE}
  gramlab transition my-features.npz --json -
"""

_LAST_SEED = 2**64 - 1
_OUT = "Write results.json and the figure there."
_SHOWN = 10


def transition(
    source: options.Source,
    noise: options.Noise = options.NoiseKind.SYMMETRIC,
    rate: Annotated[
        float,
        typer.Option("--rate", help="Share of labels to spoil for a trial; 0 takes them as given."),
    ] = 0.0,
    weight_decay: Annotated[
        float | None,
        typer.Option(
            "--weight-decay",
            show_default=False,
            help="Weight decay of the heads; default: chosen by held-out likelihood.",
        ),
    ] = None,
    folds: Annotated[int, typer.Option("--folds", help="Folds of the held-out predictions.")] = 5,
    rounds: Annotated[int, typer.Option("--rounds", help="Most rounds of distillation.")] = 8,
    confidence: Annotated[
        float, typer.Option("--confidence", help="Level of each interval, in (0, 1).")
    ] = 0.95,
    allowance: Annotated[
        float,
        typer.Option("--allowance", help="How many times too sharp the heads may be, 1 or more."),
    ] = 2.0,
    seed: options.Seed = 0,
    center: options.Center = True,
    unit_norm: options.UnitNorm = True,
    out: Annotated[
        str | None, typer.Option("--out", metavar="DIR", show_default=False, help=_OUT)
    ] = None,
    json: options.JsonFile = None,
    quiet: options.Quiet = False,
) -> None:
    """Run ``gramlab transition``: settings and output paths first, then work, then the files."""
    asked: dict[str, Any] = {
        "weight_decay": (
            None if weight_decay is None else validation.check_weight_decay(weight_decay)
        ),
        "folds": validation.check_integer("--folds", folds, 2),
        "rounds": validation.check_integer("--rounds", rounds, 1),
        "confidence": validation.check_positive("--confidence", confidence),
        "allowance": validation.check_positive("--allowance", allowance),
        "seed": validation.check_integer("--seed", seed, 0, _LAST_SEED),
    }
    if asked["confidence"] >= 1.0:
        raise InvalidSetting(f"--confidence must be below 1, got {confidence}; 0.95 is 95 %")
    if asked["allowance"] < 1.0:
        raise InvalidSetting(f"--allowance must be at least 1, got {allowance}; the default is 2")
    share = validation.check_rate("--rate", rate)
    with ExitStack() as stack:
        file = json_path(json) if json is not None and json != "-" else None
        if file is not None:
            stack.enter_context(made_folder(file.parent))
        folder = None if out is None else Path(os.path.expanduser(out))
        if folder is not None:
            stack.enter_context(made_folder(folder))
        progress = stack.enter_context(terminal.Progress(1.0, quiet=quiet))
        features = _features(source, center, unit_norm, progress)
        estimate, found, truth = _estimated(features, noise.value, share, asked, progress)
        found = {
            "source": Path(source).name,
            "settings": {
                **asked,
                "noise": noise.value if share else None,
                "rate": share,
                "center": center,
                "unit_norm": unit_norm,
            },
            "n_samples": features.n_samples,
            "class_names": list(features.class_names),
            **found,
        }
        text = to_json(found)
        written = []
        if folder is not None:
            progress.stage("figure")
            written = _write(folder, estimate, features.class_names, truth, text)
        if file is not None:
            written.append(str(atomic_write(file, text)))
    if json == "-":
        terminal.emit(text)
    elif not quiet:
        terminal.emit(_summary(found, estimate, written))


def _features(source: str, center: bool, unit_norm: bool, progress: terminal.Progress) -> Features:
    """Load and prepare; what is heavy is imported here."""
    from gramlab.sources import load_features

    progress.stage("loading features")
    features = load_features(source)
    if center:
        features = features.centered()
    return features.unit_norm() if unit_norm else features


def _estimated(
    features: Features, noise: str, rate: float, asked: dict[str, Any], progress: terminal.Progress
) -> tuple[TransitionEstimate, dict[str, Any], np.ndarray | None]:
    from gramlab.labels import corrupt_labels, corruption_matrix
    from gramlab.transition import estimate_transition

    given, truth, counts = features.labels, None, None
    if rate > 0.0:
        truth = corruption_matrix(noise, features.n_classes, rate, features.superclasses)
        drawn = corrupt_labels(given, truth, seed=asked["seed"])
        given, counts = drawn.labels, drawn.counts
    estimate = estimate_transition(features, given, stage=progress.stage, **asked)
    found: dict[str, Any] = {"estimate": estimate.as_dict(), "trial": None}
    if truth is not None and counts is not None:
        found["trial"] = _trial(estimate, truth, counts)
    return estimate, found, truth


def _trial(estimate: TransitionEstimate, truth: np.ndarray, counts: np.ndarray) -> dict[str, Any]:
    """How the estimate compares with the truth that a trial knows."""
    shares = counts.sum(axis=1) / counts.sum()
    off = np.abs(estimate.matrix - truth)
    rounding = 4.0 * np.finfo(np.float64).eps
    covered = (estimate.lower <= truth + rounding) & (truth <= estimate.upper + rounding)
    expected = float(1.0 - shares @ np.diag(truth))
    return {
        "truth": truth.tolist(),
        "mean_absolute_error": float(off.mean()),
        "row_l1_error": float(off.sum(axis=1).mean()),
        "frobenius_error": float(np.linalg.norm(estimate.matrix - truth)),
        "coverage": float(covered.mean()),
        "coverage_diagonal": float(np.diag(covered).mean()),
        "noise_rate": expected,
        "realized_noise_rate": float(1.0 - np.trace(counts) / counts.sum()),
        "noise_rate_covered": bool(estimate.noise_rate.low <= expected <= estimate.noise_rate.high),
    }


def _write(
    folder: Path,
    estimate: TransitionEstimate,
    names: tuple[str, ...],
    truth: np.ndarray | None,
    text: str,
) -> list[str]:
    from gramlab.figures import save_figure, transition_figure

    with atomic_path(folder / "transition.png") as temporary:
        save_figure(transition_figure(estimate, names, truth), temporary)
    atomic_write(folder / "results.json", text)
    return [f"results.json and transition.png to {folder}"]


def _summary(found: dict[str, Any], estimate: TransitionEstimate, written: list[str]) -> str:
    text = io.StringIO()

    def paragraph(words: str) -> None:
        text.write(textwrap.fill(words, 78) + "\n")

    names, rate = found["class_names"], estimate.noise_rate
    level = f"{100 * estimate.confidence:g} %"
    paragraph(
        f"{100 * rate.value:.1f} % of the labels are wrong ({level} interval "
        f"{100 * rate.low:.1f} to {100 * rate.high:.1f} %)."
    )
    off = np.where(np.eye(len(names), dtype=bool), -1.0, estimate.matrix)
    off[estimate.unsupported] = -1.0
    text.write(f"\nMost frequent wrong labels, with {level} intervals:\n")
    for flat in np.argsort(-off, axis=None, kind="stable")[:_SHOWN]:
        k, j = (int(i) for i in np.unravel_index(flat, off.shape))
        if off[k, j] <= 0.0:
            break
        low, high = estimate.lower[k, j], estimate.upper[k, j]
        text.write(
            f"  {100 * off[k, j]:5.1f} %  [{100 * low:5.1f}, {100 * high:5.1f}]  "
            f"{names[k]} given as {names[j]}\n"
        )
    text.write("\n")
    weak = [names[k] for k in np.flatnonzero(estimate.unsupported)]
    if weak:
        paragraph(
            f"Nothing can be said of {len(weak)} of {len(names)} classes, which have no rows that "
            f"the heads are sure of: {', '.join(weak[:20])}{', …' if len(weak) > 20 else ''}."
        )
    trial = found["trial"]
    if trial is not None:
        paragraph(
            f"Trial: rows of C are off by {trial['row_l1_error']:.3f} (L1, mean); intervals hold "
            f"{100 * trial['coverage']:.1f} % of the entries and "
            f"{100 * trial['coverage_diagonal']:.1f} % of the diagonal; the true noise rate is "
            f"{100 * trial['noise_rate']:.1f} %."
        )
    paragraph(
        f"Weight decay {estimate.weight_decay:.3g}, round {estimate.rounds}, heads read at "
        f"{estimate.sharpness:.2g} times their logits."
    )
    for files in written:
        text.write(f"Wrote {files}\n")  # not wrapped: a path must stay whole
    return text.getvalue()
