"""The commands of the how-to on reproducing the paper, all of them, on small stand-ins."""

from __future__ import annotations

import csv
import dataclasses
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from gramlab import cli

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
datasets = pytest.importorskip("datasets")
Image = pytest.importorskip("PIL.Image")

from gramlab.extract import RECIPES  # noqa: E402 - after the skips
from gramlab.study.recipes import RECIPES as STUDIES  # noqa: E402

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reproduce.md"
CLASSES, TRAIN, TEST = ("ant", "bee", "cow", "dog"), 32, 8
NARROWED = {"--rates": "0.5", "--rounds": "2"}
WITH_FIGURES = "features/caltech101-resnet34"


def steps(folder: Path) -> list[list[str]]:
    """What the shell makes of the page: every command in its order, its variables filled in."""
    blocks = re.findall(r"```bash\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    shown = "".join(blocks)
    record = 'record() { printf "%s\\t" "$@" >> steps; echo >> steps; }\n'
    names = ("gramlab", "pip", "mkdir", "cp")
    record += "".join(f'{name}() {{ record {name} "$@"; }}\n' for name in names)
    subprocess.run(["bash", "-euc", record + shown], cwd=folder, check=True)
    lines = (folder / "steps").read_text(encoding="utf-8").splitlines()
    return [line.rstrip("\t").split("\t") for line in lines]


def backbone(folder: Path, name: str) -> Path:
    torch.manual_seed(0)
    if name == "microsoft/resnet-34":
        config = transformers.ResNetConfig(
            embedding_size=6, hidden_sizes=[6, 10], depths=[1, 1], layer_type="basic"
        )
        model = transformers.ResNetModel(config)
    else:
        sizes = {"hidden_size": 12, "num_hidden_layers": 1, "num_attention_heads": 2}
        config = transformers.ViTConfig(**sizes, intermediate_size=20, patch_size=56)
        model = transformers.ViTModel(config, add_pooling_layer=False)
    model.save_pretrained(folder / name)
    processor = {"image_processor_type": "ViTImageProcessor"}
    (folder / name / "preprocessor_config.json").write_text(json.dumps(processor))
    return folder / name


def picture(label: int, number: int):
    """Two pairs of classes, near each other in colour, so that there are superclasses."""
    rng = np.random.default_rng([label, number])
    colour = np.array([[250, 30, 20], [210, 70, 20], [20, 40, 250], [20, 90, 200]][label])
    pixels = np.clip(colour + rng.normal(0, 25, (6, 6, 3)), 0, 255)
    return Image.fromarray(pixels.astype(np.uint8))


def image_folder(folder: Path, count: int) -> None:
    for label, name in enumerate(CLASSES):
        (folder / name).mkdir(parents=True)
        for number in range(count):
            picture(label, number).save(folder / name / f"{number}.png")


def stored(folder: Path, column: str, test_name: str) -> Path:
    """A data set in the layout that the hub gives."""
    kinds = {"image": datasets.Image(), column: datasets.ClassLabel(names=list(CLASSES))}

    def part(first: int, count: int):
        labels = [i % len(CLASSES) for i in range(count)]
        images = [picture(label, first + i) for i, label in enumerate(labels)]
        rows = {"image": images, column: labels}
        return datasets.Dataset.from_dict(rows, features=datasets.Features(kinds))

    parts = {"train": part(0, TRAIN), test_name: part(TRAIN, TEST)}
    datasets.DatasetDict(parts).save_to_disk(folder)
    return folder


def stand_ins(folder: Path, monkeypatch) -> dict[str, str]:
    """All that the page takes from elsewhere, small; names of backbones to their folders."""
    for name, rule in list(RECIPES.items()):
        small = dataclasses.replace(rule, n_classes=len(CLASSES), train=TRAIN, test=TEST)
        if rule.hub and rule.split == "official":
            column, test_name = rule.label_column or "label", rule.test_names[-1]
            hub = stored(folder / "hub" / name, column, test_name)
            small = dataclasses.replace(small, hub=str(hub))
        monkeypatch.setitem(RECIPES, name, small)
    for name, dropped in (("101", "BACKGROUND_Google"), ("256", "257.clutter")):
        image_folder(folder / f"{name}_ObjectCategories", (TRAIN + TEST) // len(CLASSES))
        (folder / f"{name}_ObjectCategories" / dropped).mkdir()
        picture(0, 0).save(folder / f"{name}_ObjectCategories" / dropped / "0.png")
    image_folder(folder / "flowers102" / "test", TRAIN // len(CLASSES))
    image_folder(folder / "flowers102" / "train", TEST // len(CLASSES))
    backbones = ("microsoft/resnet-34", "google/vit-base-patch16-224")
    return {name: str(backbone(folder / "backbones", name)) for name in backbones}


def narrowed(arguments: list[str]) -> list[str]:
    """The same study with few rates and rounds, and where no figure needs more, one noise."""
    kept = list(arguments)
    one_noise = {} if WITH_FIGURES in kept else {"--noise": "superclass"}
    for option, value in (NARROWED | one_noise).items():
        if option in kept:
            kept[kept.index(option) + 1] = value
        else:
            kept += [option, value]
    return [*kept, "--epochs", "2"] if "published" in kept else kept


@pytest.mark.skipif(shutil.which("bash") is None, reason="the page is for a shell")
def test_every_command_of_the_page_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "page").mkdir()
    commands = steps(tmp_path / "page")
    replaced = stand_ins(tmp_path, monkeypatch)
    seen = []
    for program, *arguments in commands:
        if program == "gramlab":
            arguments = [replaced.get(argument, argument) for argument in arguments]
            if arguments[0] == "study":
                arguments = narrowed(arguments)
            before = finished(arguments)
            assert cli.main(arguments) == 0, (arguments, capsys.readouterr().err)
            seen.append((arguments, finished(arguments) - before))
        elif program in ("mkdir", "cp"):
            pattern = [str(p) for a in arguments for p in (sorted(tmp_path.glob(a)) or [a])]
            subprocess.run([program, *pattern], check=True)

    # Every data set with both backbones, and every experiment of the paper.
    made = [given for given, _ in seen if given[0] == "extract"]
    pairs = {(g[g.index("--recipe") + 1], g[g.index("--backbone") + 1]) for g in made}
    assert pairs == {(name, folder) for name in RECIPES for folder in replaced.values()}
    tables = {p.parts[1] for p in Path().glob("results/*/tables/table.tex") if p.stat().st_size}
    assert tables == {Path(g[g.index("--out") + 1]).name for g in made}
    figures = {name for name in STUDIES if name.startswith("fig")}
    drawn = {path.parent.name for path in Path("results/caltech101-resnet34").glob("fig*/*.pdf")}
    assert drawn == figures

    # As the page says, figures and the merged tables find all of their cells.
    for given, new in seen:
        folder = given[given.index("--out") + 1] if "--out" in given else ""
        if Path(folder).name in figures | {"merged"}:
            assert not new, (given, new)
    assert rows("results/merged") == rows("results/caltech101-vit-b/tables")
    published = rows("results/caltech101-resnet34/published")
    assert {row["stopping"] for row in published} >= {"last", "best on test"}
    assert {row["noise"] for row in published} == {"superclass", "symmetric", "asymmetric"}


def finished(arguments: list[str]) -> set[tuple[str, int]]:
    """The shared cells that are there, each with the time at which it was written."""
    if "--cells" not in arguments:
        return set()
    cells = Path(arguments[arguments.index("--cells") + 1])
    return {(path.name, path.stat().st_mtime_ns) for path in cells.glob("*")}


def rows(folder: str) -> list[dict[str, str]]:
    with open(os.path.join(folder, "rows.csv"), newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_the_page_counts_the_images_of_the_recipes():
    page = PAGE.read_text(encoding="utf-8")
    total = sum(rule.train + rule.test for rule in RECIPES.values())
    small = RECIPES["flowers102"].train + RECIPES["flowers102"].test
    assert f"{total:,} images" in page
    assert f"({small:,} images)" in page
    assert f"times\n{round(total / small)}," in page
