"""Options that verbs share: their types, help texts and checks, written once."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from gramlab import validation
from gramlab.errors import InvalidSetting
from gramlab.numerics.streams import MAX_SEED

if TYPE_CHECKING:
    import numpy as np

    from gramlab.features import Features
    from gramlab.importing import SourceRows
    from gramlab.labels import CorruptedLabels

_FITS = {"at least": operator.ge, "at most": operator.le, "below": operator.lt}


def option(
    help: str,
    *names: str,
    metavar: str | None = None,
    check: Callable[..., Any] | None = None,
    limits: Sequence[Any] = (),
) -> Any:
    """An option; ``check(its name, value, *limits)`` of a value given is what the verb gets."""

    def checked(param: typer.CallbackParam, value: Any) -> Any:
        name = f"--{(param.name or '').replace('_', '-')}"
        return value if value is None or check is None else check(name, value, *limits)

    words = " ".join(help.split())
    return typer.Option(*names, metavar=metavar, help=words, callback=checked)


def at_least(smallest: int, help: str, largest: int | None = None) -> Any:
    """An option that is a whole number in a range."""
    return option(help, check=validation.check_integer, limits=(smallest, largest))


def positive(help: str, fits: str = "", hint: str = "") -> Any:
    """An option that is a number above zero; ``fits``, as in "at most 1", limits it further."""
    bound, _, limit = fits.rpartition(" ")

    def check(name: str, value: float) -> float:
        value = validation.check_positive(name, value)
        if fits and not _FITS[bound](value, float(limit)):
            raise InvalidSetting(f"{name} must be {fits}, got {value}; {hint}")
        return value

    return option(help, check=check)


def listed(
    help: str,
    kind: Callable[[str], Any] | None = str,
    words: Sequence[str] = (),
    *names: str,
    check: Callable[[str, Any], Any] | None = None,
) -> Any:
    """An option that is a list of a ``kind``; one of texts holds some ``words``, or numbers.

    Commas, blanks and repetition all part the values, and each is what ``check(its name, value)``
    makes of it. Without a kind they are names of any form, and whoever gets them parts what was
    given as one word. ``parsing.Verb`` asks ``fits`` of a word whether it is surely a value.
    """

    def parse(name: str, texts: Sequence[str]) -> Sequence[Any]:
        if kind is None or not texts:  # typer turns none into None, or has done so
            return texts
        values = []
        for part in _parts(" ".join(texts)):
            try:
                values.append(kind(part))
            except ValueError:
                wanted = "whole numbers" if kind is int else "numbers"
                raise InvalidSetting(
                    f"{name} must hold {wanted}, parted by commas or blanks, got {part!r}"
                ) from None
        if not values:
            raise InvalidSetting(f"{name} must hold at least one value, got none; leave it out")
        return values if check is None else [check(name, value) for value in values]

    def fits(text: str) -> bool:
        return kind is not None and all(map(_is_number, {*_parts(text)} - {*words}))

    dashed = "; after =, one may begin with -" if kind is None else ""
    help = f"{help} Several: by commas, blanks or repetition{dashed}."
    made = option(help, *names, metavar="LIST", check=parse)
    made.callback.fits = fits
    return made


def _parts(text: str) -> list[str]:
    return text.replace(",", " ").split()


def _is_number(text: str) -> bool:
    with suppress(ValueError):
        return float(text) is not None
    return False


def own_matrix(context: typer.Context) -> np.ndarray | None:
    """The corruption matrix (K, K) of --noise-matrix; it says itself what --noise and --rate do."""
    path = context.params["noise_matrix"]
    if path is None:
        return None
    _check_alone(context, "noise_matrix", ("noise", "rate"))
    from gramlab.files.matrices import read_matrix
    from gramlab.labels import check_corruption_matrix

    return check_corruption_matrix(read_matrix(path), name=f"--noise-matrix {Path(path).name}")


def _check_alone(context: typer.Context, option: str, others: Sequence[str]) -> None:
    """Refuse an option that settles what others would, beside one of these."""
    others = [name for name in others if name in context.params]
    for name in others:
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            alone, *words = (f"--{one.replace('_', '-')}" for one in (option, *others))
            listed = ", ".join(words[:-1]) + " and " + words[-1]
            raise InvalidSetting(
                f"{alone} must stand without {listed}, got --{name.replace('_', '-')} beside it; "
                "leave one of them out"
            )


def observed(context: typer.Context) -> Callable[..., CorruptedLabels] | None:
    """What reads the labels of --given or --truth for the features of SOURCE; None without them.

    It takes the features and, where they are only some rows of SOURCE, the ``SourceRows``.
    Noise that was observed takes the place of noise that is planted.
    """
    asked = [one for one in ("given", "truth") if context.params[f"{one}_file"] is not None]
    if not asked:
        return None
    name, *more = asked
    if more:
        raise InvalidSetting(
            "--given and --truth must not stand together, got both: the labels of SOURCE are the "
            "true ones beside --given, and the given ones beside --truth; leave one out"
        )
    _check_alone(context, name, _PLANTED)
    return partial(_observed, name, context.params[f"{name}_file"])


def _observed(
    name: str, path: str, features: Features, source: SourceRows | None = None
) -> CorruptedLabels:
    """Labels of a file for the rows of features, which may be only some of a source."""
    from gramlab.importing.labels import read_class_numbers
    from gramlab.labels import observed_labels

    n = features.n_samples if source is None else len(source.x)
    read = read_class_numbers(path, features.class_names, n)
    read = read if source is None else read[source.rows]
    pair = (read, features.labels) if name == "given" else (features.labels, read)
    return observed_labels(*pair, features.n_classes)


def own_groups(context: typer.Context) -> Any:
    """The group of each row in the file of --groups; None without it."""
    path = context.params["groups_file"]
    if path is None:
        return None
    from gramlab.importing.labels import read_labels

    return read_labels(path)


_PLANTED = ("noise", "rate", "noise_matrix", "exact_counts", "rates", "seeds")
"""Options of verbs that say which noise to plant."""

NoiseKind = Literal["symmetric", "asymmetric", "superclass", "pair-flip"]
"""Kinds of label noise that ``gramlab.corruption_matrix`` knows."""

_SOURCE = """Features with their true labels: 'digits' (bundled), a folder written by gramlab
extract, an .npz file with train_features, or with the kernel train_gram, and train_labels
(optionally test_features or test_gram, and test_labels), or a .safetensors file written by
gramlab."""
_RATE = "Share of labels to corrupt, in [0, 1)."
_TRIAL = "Share of labels to corrupt for a trial; 0 takes them as given."
_JSON = "Write the results as JSON; - is stdout, which then holds nothing else."
_MATRIX = """Corruption matrix of your own in place of --noise and --rate: a .csv or .npy file of
(K, K) shares, a row for each true class that sums to 1, a column for each given label."""
_GIVEN = """Given labels that were observed, in place of noise: .npy, .npz (FILE.npz:NAME) or text
with one per line, in the order of SOURCE's training rows, whose own labels are then the truth."""
_TRUTH = "True labels, as --given; then the labels of SOURCE are the given ones."
_GROUPS = """Rows that are held out together, in place of copies (patients, videos): .npy, .npz
(FILE.npz:NAME) or text with one whole number or name per line, in the order of SOURCE's training
rows."""
_RADIUS = "Cosine distance at which rows are copies of one another; 0 finds exact copies alone."
_FEATURE_COLUMNS = "Names or patterns of columns or arrays ('f*')."
_LABEL_COLUMN = "Column or array of labels, where its name does not tell."
_ID_COLUMN = "Column or array of what rows are called, for the tables."
_DROP = "Columns or arrays to leave out."
_LABELS = "Labels, where the file has none: .npy, .npz (FILE.npz:NAME) or text with one per line."
_ANY = """Features and given labels: what gramlab check takes, or what gramlab features import
does."""
_QUIET = "No progress and no table; only files, warnings and errors."

Source = Annotated[str, typer.Argument(metavar="SOURCE", help=" ".join(_SOURCE.split()))]
AnySource = Annotated[str, typer.Argument(metavar="SOURCE", help=" ".join(_ANY.split()))]
Labels = Annotated[str | None, option(_LABELS, metavar="FILE")]
FeatureColumns = Annotated[
    list[str] | None,
    listed(_FEATURE_COLUMNS, None, (), "--feature-columns", "--features-column"),
]
LabelColumn = Annotated[str | None, option(_LABEL_COLUMN, metavar="NAME")]
IdColumn = Annotated[str | None, option(_ID_COLUMN, metavar="NAME")]
Drop = Annotated[list[str] | None, listed(_DROP, None)]
Noise = Annotated[NoiseKind, option("Kind of label noise.")]
NoiseMatrix = Annotated[str | None, option(_MATRIX, metavar="FILE")]
Given = Annotated[str | None, option(_GIVEN, "--given", metavar="FILE")]
Truth = Annotated[str | None, option(_TRUTH, "--truth", metavar="FILE")]
Groups = Annotated[str | None, option(_GROUPS, "--groups", metavar="FILE")]
CopyRadius = Annotated[float, option(_RADIUS, check=validation.check_rate)]
Rate = Annotated[float, option(_RATE, check=validation.check_rate)]
TrialRate = Annotated[float, option(_TRIAL, check=validation.check_rate)]
WeightDecay = Annotated[float, positive("Weight decay of the objective, above 0.")]
Rounds = Annotated[int, at_least(1, "Trainings, the teacher included.")]
Seed = Annotated[int, at_least(0, "Key of the label noise and of ties.", MAX_SEED)]
Folds = Annotated[int, at_least(2, "Folds of the held-out predictions.")]
Tolerance = Annotated[float, positive("Relative duality gap every exact head reaches.")]
Center = Annotated[bool, option("Subtract the mean feature first.")]
UnitNorm = Annotated[bool, option("Then divide each row by its norm.")]
Constant = Annotated[bool, option("Then append a constant column: a penalized intercept.")]
ExactCounts = Annotated[
    bool, option("Corrupt a fixed number of labels per class.", "--exact-counts")
]
FigureFormat = Annotated[
    Literal["png", "pdf", "svg"], option("Files of figures; pdf and svg are vector graphics.")
]
JsonFile = Annotated[str | None, option(_JSON, "--json", metavar="FILE")]
Quiet = Annotated[bool, option(_QUIET, "--quiet")]
