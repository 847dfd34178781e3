"""Where a run's results go: a folder, a JSON file, stdout; and its progress meanwhile."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gramlab.cli.progress import Progress
from gramlab.cli.text import emit, render
from gramlab.errors import OutputError
from gramlab.files.whole import atomic_path, atomic_write, output_folder
from gramlab.numerics.content import to_json

if TYPE_CHECKING:
    from gramlab.features import Features
    from gramlab.figures import Figure

__all__ = ["Output", "draw", "expanded", "made_folder", "reopen"]


class Output:
    """One run of a verb: ``with`` it the work is done, then ``show`` prints what was found.

    On entering, output folders are made, so that what cannot be written is refused before any
    work; if the run fails, what was made and is empty is taken away again.

    Parameters
    ----------
    json
        What ``--json`` was given: a file, or - for stdout, which then holds nothing else.
    out
        What ``--out`` was given: a folder.
    quiet, tolerance, unit
        Of the progress.
    """

    def __init__(
        self,
        json: str | None,
        out: str | None = None,
        *,
        quiet: bool = False,
        tolerance: float = 1.0,
        unit: str = "steps",
    ) -> None:
        self._json, self._quiet = json, quiet
        self._file = None if json in (None, "-") else _json_path(json)
        self.folder = None if out is None else expanded(out)
        self.progress = Progress(quiet=quiet, tolerance=tolerance, unit=unit)
        self.written: list[str] = []
        self._text = ""

    def __enter__(self) -> Output:
        """Make the folders and begin to draw."""
        with ExitStack() as stack:
            for folder in (self._file and self._file.parent, self.folder):
                if folder is not None:
                    stack.enter_context(made_folder(folder))
            stack.enter_context(self.progress)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error: Any) -> None:
        """Take away the drawing, and after a failure the folders that are empty."""
        self._stack.__exit__(*error)

    @property
    def shows(self) -> bool:
        """Whether a summary will be printed."""
        return not self._quiet and self._json != "-"

    def load(self, source: str, *, center: bool = False, unit_norm: bool = False) -> Features:
        """Open the source and prepare its features."""
        from gramlab.files.sources import load_features

        self.progress.stage("loading features")
        features = load_features(source)
        features = features.centered() if center else features
        return features.unit_norm() if unit_norm else features

    def keep(self, found: Any, names: str = "results.json") -> None:
        """Write results.json, which closes the files that ``names`` tells, and ``--json``."""
        if self.folder is not None:
            atomic_write(self.folder / "results.json", to_json(found))
            self.written.append(f"{names} to {self.folder}")
        self.keep_json(found)

    def keep_json(self, found: Any) -> None:
        """Write what was found to the file of ``--json``, or keep it for stdout."""
        self._text = to_json(found)
        if self._file is not None:
            self.written.append(str(atomic_write(self._file, self._text)))

    def show(self, template: str, least_width: int = 20, /, **values: Any) -> None:
        """Print the JSON, or the summary by its template, or nothing."""
        if self._json == "-":
            emit(self._text)
        elif self.shows:
            emit(render(template, least_width, written=self.written, **values))


def draw(folder: Path, figures: Mapping[str, Figure]) -> dict[str, bytes]:
    """Begin a new set of files with its figures, each whole or not at all; their PNG bytes.

    The older results.json goes first: while it is there, it belongs to the files beside it.
    """
    from gramlab.figures import save_figure

    reopen(folder / "results.json")
    pngs = {}
    for stem, figure in figures.items():
        with atomic_path(folder / f"{stem}.png") as temporary:
            pngs[stem] = save_figure(figure, temporary).read_bytes()
    return pngs


def reopen(closing: Path) -> None:
    """Take away the file that closes a set, if it is there."""
    try:
        closing.unlink(missing_ok=True)
    except OSError as problem:
        raise OutputError(
            f"expected to replace {str(closing)!r}, but: {problem.strerror}; "
            "remove it or choose another folder"
        ) from problem


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


@contextmanager
def made_folder(folder: Path) -> Iterator[None]:
    """Make an output folder at once; if the run fails, take away what was made and is empty."""
    made = [path for path in (folder, *folder.parents) if not os.path.exists(path)]
    try:
        output_folder(folder)
        yield
    except BaseException:
        for path in made:
            try:
                path.rmdir()
            except FileNotFoundError:  # stopped before this one was made, but its parents may be
                continue
            except (OSError, ValueError):
                break
        raise
