"""The gallery shows every Display; its code runs in tests/slow."""

from __future__ import annotations

import re
from pathlib import Path

from gramlab import figures

DOCS = Path(__file__).resolve().parents[3] / "docs"


def test_every_display_is_in_the_gallery_with_its_code_and_picture():
    page = (DOCS / "gallery.md").read_text(encoding="utf-8")
    kinds = {name for name in figures.__all__ if name.endswith("Display") and name != "Display"}
    assert len(kinds) >= 18
    assert set(re.findall(r"^### (\w+)$", page, re.MULTILINE)) == kinds
    assert set(re.findall(r"^figures\.(\w+)\.from_\w+\(", page, re.MULTILINE)) == kinds
    assert set(re.findall(r"images/gallery/(\w+)\.png\)", page)) == kinds
    pictures = {path.stem: path for path in (DOCS / "images" / "gallery").iterdir()}
    assert set(pictures) == kinds
    assert all(path.stat().st_size <= 60_000 for path in pictures.values())
