"""Where a verb's output goes: folders made at once and taken away if the run fails, JSON paths."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gramlab.errors import OutputError
from gramlab.storage import output_folder

__all__ = ["json_path", "made_folder"]


def json_path(name: str) -> Path:
    """The file that ``--json`` names; refused if it is there and no regular file."""
    path = Path(os.path.expanduser(name))
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
