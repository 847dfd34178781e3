"""What pages of the docs show runs as they show it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import gramlab

ROOT = Path(__file__).resolve().parents[2]


def test_the_page_on_kernels_runs(tmp_path, monkeypatch):
    page = (ROOT / "docs" / "kernels.md").read_text(encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL):
        exec(compile(block, "kernels.md", "exec"), names)
    features = names["features"]
    assert features.gram_distance < 1e-10
    assert gramlab.load_features("kernel.npz") == features


def test_the_bound_of_the_how_to_holds_and_the_planted_one_fails():
    page = (Path(__file__).resolve().parents[2] / "docs" / "testing.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)

    def run(code):
        names = {}
        exec(compile(code, "testing.md", "exec"), names)
        names["test_rounds_contract"]()

    run(code)
    assert "** t *" in code
    with pytest.raises(AssertionError):
        run(code.replace("** t *", "** (t + 1) *"))


def test_the_page_about_paths_runs(capsys):
    page = ROOT / "docs" / "regime.md"
    blocks = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) == 1
    exec(compile(blocks[0], "regime.md", "exec"), {})
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [float(line[0]) for line in lines] == [1e-4, 1e-3]
