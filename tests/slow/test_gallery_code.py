"""The code of docs/gallery.md runs, and each of its blocks ends with the Display it is about."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_the_code_of_the_gallery_draws_its_displays_in_their_order():
    page = (DOCS / "gallery.md").read_text(encoding="utf-8")
    drawn = [
        type(display.plot()).__name__
        for display in runpy.run_path(str(DOCS / "gallery.py"))["displays"](page)
    ]
    assert drawn == re.findall(r"^### (\w+)$", page, re.MULTILINE)
