"""Draw the pictures of docs/gallery.md by running its code.

    python docs/gallery.py          # writes docs/images/gallery/*.png

Each block of code below the mark ``<!-- gallery -->`` runs in turn. One that ends with a Display
gives the picture of that name.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image

from gramlab.figures import Display

DOCS = Path(__file__).resolve().parent
BLOCK = re.compile(r"<!-- gallery -->\n```python\n(.*?)```", re.DOTALL)


def displays(page: str) -> Iterator[Display]:
    """Run the blocks of a page, and give the Display that each ends with, if it does."""
    names: dict[str, Any] = {}
    for block in BLOCK.findall(page):
        *statements, last = ast.parse(block).body
        exec(compile(ast.Module(statements, []), "gallery.md", "exec"), names)
        if not isinstance(last, ast.Expr):
            exec(compile(ast.Module([last], []), "gallery.md", "exec"), names)
        elif isinstance(
            shown := eval(compile(ast.Expression(last.value), "", "eval"), names), Display
        ):
            yield shown


def main() -> None:
    folder = DOCS / "images" / "gallery"
    folder.mkdir(parents=True, exist_ok=True)
    for display in displays((DOCS / "gallery.md").read_text(encoding="utf-8")):
        path = folder / f"{type(display).__name__}.png"
        display.plot().figure_.savefig(path, dpi=100, metadata={"Software": None})
        Image.open(path).convert("RGB").quantize(64).save(path, optimize=True)  # a small file
        print(path)


if __name__ == "__main__":
    main()
