"""Where a run's results go: a folder, a JSON file, stdout; and its progress meanwhile."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from typer import Context

from gramlab.cli.progress import Progress
from gramlab.cli.text import check_stdout, emit, render, say
from gramlab.errors import InvalidSetting, OutputError
from gramlab.files.whole import atomic_write, changing, locked, output_folder, read_json
from gramlab.numerics.content import to_json

if TYPE_CHECKING:
    from gramlab.features import Features
    from gramlab.figures import Display, Figure
    from gramlab.importing import SourceRows

_LABELS = (
    "labels",
    "given_file",
    "truth_file",
    "groups_file",
)  # which may name an array behind the file
_INPUTS = ("source", "path", *_LABELS, "images", "dataset", "backbone", "noise_matrix")
_OUTPUTS = ("out", "cells", "json")
_BY_NAME = ("digits", "block-model")  # sources that are never a file
# Names of all that verbs write to --out as JSON; what else they write there has other suffixes.
_OWN = {f"{stem}.json" for stem in "results manifest plan study rows answers".split()}
_RESULTS, _STUDY = "results.json", "study.json"  # by which a folder of results is known


def given(context: Context, call: Callable[..., Any]) -> dict[str, Any]:
    """The options of a verb that ``call`` takes as parameters of the same names."""
    names = inspect.signature(call).parameters
    return {name: context.params[name] for name in names if name in context.params}


class Output:
    """What a run of a verb reads, writes and shows; made by ``running``."""

    def __init__(self, context: Context, out: str | None, unit: str) -> None:
        self._options = options = context.params
        self._to_stdout = options["json"] == "-"
        self.file = None if options["json"] in (None, "-") else _json_path(options["json"])
        self.folder = None if out is None else expanded(out)
        self.shows = not options["quiet"] and not self._to_stdout
        if self.shows or self._to_stdout:
            check_stdout()
        self.progress = Progress(
            quiet=options["quiet"], tolerance=options.get("tolerance", 1.0), unit=unit
        )
        self.figure_format: str = options.get("figure_format", "png")
        self.written: list[str] = []
        self._json = ""

    def load(self, **preparation: bool) -> Features:
        """Open the source and prepare its features as ``Features.prepared`` does."""
        from gramlab.files.sources import load_features

        self.progress.stage("loading features")
        return self._noted(load_features(self._options["source"])).prepared(**preparation)

    def load_rows(self) -> SourceRows:
        """Open a source that may be of another tool, and whose rows may not all be whole."""
        from gramlab.importing import read_source

        self.progress.stage("loading features")
        columns = inspect.signature(read_source).parameters
        told = {name: value for name, value in self._options.items() if name in columns}
        rows = read_source(self._options["source"], **told)
        self._noted(rows.features)
        return rows

    def _noted(self, features: Features) -> Features:
        """The features; what else the source holds is told."""
        source = self._options["source"]
        unused = ", ".join(features.provenance.get("unused", ()))
        if unused and not self._options["quiet"]:
            say(f"note: {source} also holds what is neither features nor labels: {unused}")
        return features

    def draw(
        self, figures: Mapping[str, Figure | Display], closing: str = _RESULTS
    ) -> dict[str, bytes]:
        """Begin a new set of files with its figures, each whole or not at all.

        The older file that closes such a set goes first: it belongs to what lay beside it. It
        returns the bytes of figures that were written as PNG, for pages that show them.
        """
        from gramlab.figures import save_figure

        if self.folder is None:
            raise OutputError("expected a folder for the figures, got none; give --out FOLDER")
        closes, pngs = self.folder / closing, {}
        with changing(f"replace {str(closes)!r}", "remove it or choose another folder"):
            closes.unlink(missing_ok=True)
        for stem, figure in figures.items():
            path = save_figure(figure, self.folder / f"{stem}.{self.figure_format}")
            if self.figure_format == "png":
                pngs[stem] = path.read_bytes()
        return pngs

    def keep(self, found: Any, names: str = "") -> None:
        """Write ``--json``; before it results.json, which closes the files that ``names`` tells."""
        self._json = to_json(found)
        if self.folder is not None and names:
            atomic_write(self.folder / _RESULTS, self._json)
            self.written.append(f"{names} to {self.folder}")
        if self.file is not None:
            self.written.append(str(atomic_write(self.file, self._json)))

    def show(self, template: str, *how: Any, **values: Any) -> None:
        """Print the JSON, or the summary as ``render`` makes it, or nothing."""
        if self._to_stdout:
            emit(self._json)
        elif self.shows:
            emit(render(template, *how, written=self.written, **values))


@contextmanager
def running(context: Context, out: str | None = None, *, unit: str = "steps") -> Iterator[Output]:
    """One run of a verb: in it the work is done, after it ``Output.show`` prints what was found.

    On entering, outputs over inputs and over results of other verbs are refused, output folders are
    made and stdout is looked at: what cannot be written is refused before any work. If the run
    fails, what was made and is empty is taken away again. ``out`` is the folder of results, if one
    is wanted, which one run at a time may write, and ``unit`` what the progress counts.
    """
    _check_given(context)
    output = Output(context, out, unit)
    _check_places(context.params, output.file)
    with ExitStack() as stack:
        for folder in (output.file and output.file.parent, output.folder):
            if folder is not None:
                stack.enter_context(made_folder(folder))
        if output.folder is not None:
            stack.enter_context(locked(output.folder))
            _check_owner(output.folder, context.command.name)
        stack.enter_context(output.progress)
        yield output


def expanded(path: str) -> Path:
    """A path with ~ replaced by the home folder."""
    return Path(os.path.expanduser(path))


def _json_path(name: str) -> Path:
    """The file that ``--json`` names; refused if it is there and no regular file."""
    path = expanded(name)
    # These functions of os.path answer also where a name is too long or holds a null.
    if not path.name or (os.path.exists(path) and not os.path.isfile(path)):
        raise OutputError(
            f"expected a file for --json, but {name!r} is not a regular file; "
            "give the path of a file, or - for stdout"
        )
    # Who names a link wants what it leads to; links inside an output folder are never followed.
    return Path(os.path.realpath(path)) if os.path.islink(path) else path


def _check_given(context: Context) -> None:
    """Refuse paths and names without a letter, which would be taken for the current folder."""
    for param in context.command.params:
        if param.name in (*_INPUTS, *_OUTPUTS) and context.params[param.name] == "":
            name = param.opts[0] if param.param_type_name == "option" else param.metavar
            raise InvalidSetting(f"{name} must be a path or name, got ''; . is the current folder")


def _check_owner(folder: Path, verb: str | None) -> None:
    """Refuse a folder with the results of another verb: files of both would lie side by side."""
    owner = verb
    with suppress(OSError, ValueError):  # not there, or none that a verb has written
        found = read_json(folder / _RESULTS)
        owner = found.get("command", verb) if isinstance(found, dict) else verb
    if (folder / _STUDY).exists():
        owner = "study"
    if owner != verb:
        raise OutputError(
            f"expected a folder without results of another command for --out, but {str(folder)!r} "
            f"holds those of gramlab {owner}; choose another folder, or remove that one"
        )


def _check_places(options: Mapping[str, Any], file: Path | None) -> None:
    """Refuse outputs that are an input or lie in one, and to write one file twice."""
    from gramlab.importing.labels import split_member

    given = {name: str(options[name]) for name in _INPUTS if options.get(name)}
    inputs = [split_member(one)[0] if name in _LABELS else one for name, one in given.items()]
    inputs = [name for name in inputs if name.partition(":")[0] not in _BY_NAME]
    out, cells = (options.get(n) and expanded(options[n]) for n in _OUTPUTS[:2])
    places = {"--json": file, "--out": out, "--cells": cells}
    for option, place in places.items():
        for source in map(expanded, inputs):
            if place is not None and any(_is_same(one, source) for one in _upwards(place)):
                raise OutputError(
                    f"expected {option} apart from what is read, but {str(place)!r} is or lies in "
                    f"{str(source)!r}, which it would change; choose another path"
                )
    if file is None or out is None:
        return
    (json, folder, *_), (result, *above) = _upwards(file), _upwards(out)
    own = file.suffix.lower() != ".json" or file.name.lower() in _OWN
    over = any(_is_same(json, one) for one in (result, *above))
    if over or (own and _is_same(folder, result)):
        raise OutputError(
            f"expected a file for --json that the run does not write itself, but {str(file)!r} is "
            "of --out; choose another name, ending in .json, or another folder"
        )


def _is_same(one: Path, other: Path) -> bool:
    """Whether two paths lead to one thing, by whatever links or spellings, or would once made."""
    with suppress(OSError, ValueError):
        return os.path.samefile(one, other)
    return one == other


def _upwards(path: Path) -> list[Path]:
    """Where a path leads, and the folders that this lies in."""
    with suppress(OSError, ValueError):  # what can be no path is refused when it is to be made
        path = Path(os.path.realpath(path))
    return [path, *path.parents]


@contextmanager
def made_folder(folder: Path) -> Iterator[None]:
    """Make an output folder at once; if the run fails, take away what was made and is empty."""
    made = [path for path in (folder, *folder.parents) if not os.path.exists(path)]
    try:
        output_folder(folder)
        yield
    except BaseException:
        for path in filter(os.path.isdir, made):  # others were not made yet
            with suppress(OSError, ValueError):  # not empty: nor are its parents
                path.rmdir()
        raise
