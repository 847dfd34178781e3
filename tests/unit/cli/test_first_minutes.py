"""The first minutes at the command line: lists in every form, slips, and what is no source yet."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer.main

import gramlab
from gramlab import cli
from gramlab.cli import study as study_verb
from gramlab.errors import UnreadableSource
from gramlab.importing import import_features
from gramlab.study.recipes import METHODS


def refused(capsys, line: str) -> str:
    """Run a command that must be refused; the one line that says why."""
    assert cli.main(shlex.split(line)) == 2, line
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("gramlab: error: ")
    assert err.count("\n") == 1
    return err


def planned(capsys, line: str) -> dict:
    """The settings of the study that a command would make."""
    verb, *words = shlex.split(line)
    assert cli.main([verb, "--recipe", "fig6a", "--dry-run", "--json", "-", *words]) == 0
    return json.loads(capsys.readouterr().out)["settings"]


def leaves():
    """Every command that does something, with its words."""
    app: Any = typer.main.get_command(cli.app)
    for name, one in app.commands.items():
        below = getattr(one, "commands", None)
        yield from [(f"{name} {n}", c) for n, c in below.items()] if below else [(name, one)]


# ---- Lists ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "form",
    [
        "digits --rates 0.5,0.7 --seeds 1,2",
        "digits --rates '0.5, 0.7' --seeds '1 2'",
        "digits --rates '0.5 0.7' --seeds '1 , 2,'",
        "digits --rates 0.5 --seeds 1 --rates 0.7 --seeds 2",
        "digits --rates 0.5 0.7 --seeds 1 2",
        "--rates 0.5 0.7 digits --seeds 1 2",
        "--rates 0.5 0.7 --seeds 1 2 digits",
        "--rates 0.5, 0.7 --seeds 1 , 2 digits",
        "--rates=0.5 0.7 --seeds=1 --seeds=2 -- digits",
        "--seeds 1 --rates 0.5 0.7 digits --seeds 2",
        "--rates 0.5 digits 0.7 --seeds 1 2",
    ],
)
def test_a_list_of_numbers_is_the_same_in_every_form(form, capsys):
    found = planned(capsys, f"study {form}")
    assert (found["rates"], found["seeds"]) == ([0.5, 0.7], [1, 2])


@pytest.mark.parametrize(
    "form",
    [
        "digits --noise symmetric,asymmetric --methods distill,tuned --weight-decay base,1e-3",
        "digits --noise symmetric asymmetric --methods distill tuned --weight-decay base 1e-3",
        "--noise symmetric digits --noise asymmetric --weight-decay base 1e-3 "
        "--methods distill tuned",
        "--methods distill --methods tuned --noise symmetric, asymmetric digits "
        "--weight-decay base 1e-3",
        "--methods 'distill tuned' --noise symmetric asymmetric --weight-decay base 1e-3 digits",
    ],
)
def test_a_list_of_words_is_the_same_in_every_form(form, capsys):
    found = planned(capsys, f"study {form} --rates 0.5")
    assert found["noise"] == ["symmetric", "asymmetric"]
    assert set(found["methods"]) == {"distill", "tuned"}
    assert len(found["weight_decay"]) == 2


def test_the_words_of_lists_are_those_of_the_library(capsys):
    assert cli.main(["study", "--help"]) == 0
    assert ", ".join(METHODS) in " ".join(capsys.readouterr().out.split())
    assert study_verb._KNOWN == METHODS


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        ("study --recipe fig6a --rates 0.5 0.7", ("'SOURCE'", "gramlab study digits")),
        ("study --recipe fig6a --noise symmetric asymmetric", ("'SOURCE'",)),
        ("study --recipe fig6a --weight-decay small 1e-3", ("'SOURCE'",)),
        ("study digits --recipe fig6a --rates 0.5 half", ("--rates", "numbers", "'half'")),
        ("study digits --recipe fig6a --seeds 1 0.5", ("--seeds", "whole numbers", "'0.5'")),
        ("study --recipe fig6a --seeds 1 two digits --dry-run", ("--seeds", "'two'")),
        ("study digits --recipe fig6a --seeds 1 -1 --dry-run", ("seeds", "-1")),
        ("study digits --recipe fig6a --seeds 1 1 --dry-run", ("seeds", "1 twice")),
        ("study digits --recipe fig6a --noise symmetric lout --dry-run", ("noise", "'lout'")),
        ("study digits --recipe fig6a --rates '' --dry-run", ("rates", "none")),
        ("study digits --recipe fig6a --rates", ("--rates", "see gramlab study --help")),
    ],
)
def test_a_wrong_list_is_named(line, parts, capsys):
    err = refused(capsys, line)
    for part in parts:
        assert part in err


COLUMNS = "id,name,f1,f2,my note,y\n" + "".join(
    f"{i},n{i},{i}.5,{i}.25,0,{i % 2}\n" for i in range(8)
)


@pytest.mark.parametrize(
    "form",
    [
        "data.csv --drop id,name,'my note'",
        "data.csv --drop 'id, name' --drop 'my note'",
        "data.csv --drop id name 'my note'",
        "data.csv --drop 'id name' --drop 'my note'",
        "--drop id --drop name 'my note' data.csv",
        "--drop id name 'my note' data.csv --feature-columns 'f*'",
        "--feature-columns f1 f2 --drop id , name, 'my note' data.csv",
        "data.csv --feature-columns f1 --features-column f2 --drop id 'n*' 'my*'",
        "data.csv --feature-columns 'f1 f2' --drop 'id n* my*'",
    ],
)
def test_a_list_of_names_is_the_same_in_every_form(form, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("data.csv").write_text(COLUMNS)
    assert cli.main(shlex.split(f"features import {form} --out mine.safetensors")) == 0
    assert gramlab.load_features("mine.safetensors").x.shape == (8, 2)


def test_a_name_that_begins_with_a_dash_goes_after_the_equals_sign(tmp_path, capsys):
    path, out = tmp_path / "data.csv", tmp_path / "mine.safetensors"
    path.write_text("-x,-id,label\n" + "".join(f"{n}.5,{n},{n % 2}\n" for n in range(8)))
    argv = ["features", "import", str(path), "--out", str(out), "--quiet"]
    assert cli.main([*argv, "--drop=-id", "--feature-columns=-x"]) == 0
    assert gramlab.load_features(out).x.T.tolist() == [[n + 0.5 for n in range(8)]]
    assert cli.main([*argv, "--drop", "label", "-id"]) == 2
    assert "has no option '-id'" in capsys.readouterr().err


def test_blanks_part_names_in_python_and_no_more(tmp_path):
    path = tmp_path / "data.csv"
    path.write_text(COLUMNS)
    found = import_features(path, feature_columns="f1 f2", drop="id, name,my note")
    assert found.x.shape == (8, 2)
    for drop in ("id nome", "id,nome", ["id", "nome"], "nome"):
        with pytest.raises(gramlab.GramlabError, match="no column 'nome'"):
            import_features(path, drop=drop)
    with pytest.raises(gramlab.GramlabError, match="no column ''"):
        import_features(path, drop="")


def test_help_says_how_lists_are_given(capsys):
    lists = [(words, one) for words, verb in leaves() for one in verb.params if one.multiple]
    assert len(lists) >= 7
    for words, _ in lists:
        assert cli.main([*words.split(), "--help"]) == 0
        shown = " ".join(capsys.readouterr().out.split())
        asked = [one for name, one in lists if name == words]
        assert shown.count("by commas, blanks or repetition") == len(asked)
        names = [one for one in asked if one.name in ("drop", "feature_columns")]
        assert shown.count("after =, one may begin with -") == len(names)
    assert all(one.metavar == "LIST" for _, one in lists)


# ---- Given twice ------------------------------------------------------------------------------


def test_an_option_of_one_value_is_refused_when_given_twice(capsys):
    count = 0
    for words, verb in leaves():
        for one in verb.params:
            if one.param_type_name == "option" and not (one.multiple or one.is_flag):
                name = one.opts[0]
                err = refused(capsys, f"{words} digits {name} 1 {name}=2")
                assert f"error: {name} is given twice, as '1' and '2', but takes one value" in err
                count += 1
    assert count > 60


def test_a_flag_may_be_repeated_but_not_contradicted(capsys):
    assert cli.main(["features", "info", "digits", "--quiet", "--quiet"]) == 0
    assert capsys.readouterr().out == ""
    assert cli.main(["check", "-h", "--help"]) == 0
    assert "--rate" in capsys.readouterr().out
    for flags in ("--center --no-center", "--no-unit-norm --center --unit-norm"):
        err = refused(capsys, f"check digits {flags}")
        assert flags.split()[0] in err
        assert flags.split()[-1] in err


# ---- Slips ------------------------------------------------------------------------------------


def test_gramlab_alone_names_the_first_command(capsys):
    assert cli.main([]) == 0
    shown = capsys.readouterr().out.splitlines()
    commands = [line.strip() for line in shown if line.startswith("  gramlab ")]
    assert commands[0] == "gramlab check digits"
    assert "gramlab --help" in commands
    assert len(shown) <= 20
    assert max(map(len, shown)) <= 80


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        ("check", ("type for example gramlab check digits ", "see gramlab check --help")),
        ("extract", ("gramlab extract --backbone microsoft", "see gramlab extract --help")),
        ("extract photos --backbone b --out o", ("(photos)", "gramlab extract --backbone")),
        ("features info", ("type for example gramlab features info photos-features",)),
        ("chekc digits", ("'chekc'", "type gramlab check, or see gramlab --help")),
        ("import data.csv", ("type gramlab features import, ",)),
        ("info digits", ("type gramlab features info, ",)),
        ("features imprt data.csv", ("type gramlab features import, ", "gramlab features --help")),
        ("features chek digits", ("type gramlab check, ",)),
        ("digits", ("type gramlab check digits, ",)),
        ("xyzzy", ("gramlab has no command 'xyzzy'; see gramlab --help",)),
        ("check digits --rat 0.5", ("'--rat'", "type --rate, or see gramlab check --help")),
        ("check digits --rat=0.5", ("'--rat'", "type --rate, ")),
        ("check digits -rate 0.5", ("'-rate'", "type --rate, ")),
        ("check digits --weightdecay 1", ("type --weight-decay, ",)),
        ("study digits --rate 0.5 --recipe fig6a", ("type --rates, ",)),
        ("features info digits --quite", ("type --quiet, or see gramlab features info --help",)),
        ("--versoin", ("type --version, or see gramlab --help",)),
        ("check digits --xyzzy", ("has no option '--xyzzy'; see gramlab check --help",)),
    ],
)
def test_a_slip_is_answered_by_what_to_type(line, parts, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    err = refused(capsys, line)
    for part in parts:
        assert part in err


# ---- What is no source yet --------------------------------------------------------------------


def photos(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


NO_SOURCES = {
    "photos/cat/a.JPG": ("photos", "gramlab extract --images photos --backbone "),
    "p/train/cat/a.png": ("p", "--images p --backbone microsoft/resnet-34 --out p-features"),
    "my photos/a.webp": ("my photos", "--images 'my photos' "),
    "cat.jpeg": ("cat.jpeg", "gramlab extract --images "),
    "data.csv": ("data.csv", "gramlab features import data.csv --out data.safetensors"),
    "a b.parquet": ("a b.parquet", "import 'a b.parquet' --out 'a b.safetensors'"),
    "in/x.pt": ("in/x.pt", "gramlab features import in/x.pt --out x.safetensors"),
    "x.NPY": ("x.NPY", "gramlab features import x.NPY --labels y.txt --out x.safetensors"),
    "y.txt": ("y.txt", "--labels y.txt --out "),
    "p.zip": ("p.zip", "unzip p.zip -d p;"),
    "p.tar.gz": ("p.tar.gz", "tar -xf p.tar.gz;"),
    "x.npy.gz": ("x.npy.gz", "gunzip -k x.npy.gz;"),
    "x.h5": ("x.h5", "np.savez"),
    "notes/x.h5": ("notes", "is a folder; accepted are the name 'digits'"),
}


@pytest.mark.parametrize("made", NO_SOURCES)
def test_what_is_no_source_yet_is_answered_by_the_command(made, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    photos(tmp_path, made)
    given, command = NO_SOURCES[made]
    for verb in ("check", "transition", "features info", "features verify"):
        assert command in refused(capsys, f"{verb} {shlex.quote(given)}")
    # What can be imported is read by diagnose itself, which finds these files empty.
    told = command if given in {"photos", "p", "my photos"} else Path(given).name
    assert told in refused(capsys, f"diagnose {shlex.quote(given)}")
    with pytest.raises(UnreadableSource) as problem:
        gramlab.load_features(given)
    assert command in str(problem.value)
    call = {"gramlab extract": "gramlab.extract.extract_features"}
    call |= {"features import": f"gramlab.importing.import_features({given!r}"}
    for named, python in call.items():
        if named in command:
            assert python in str(problem.value)


def test_images_are_no_features_to_import_either(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    photos(tmp_path, "photos/cat/a.jpg", "y.txt", "p.zip")
    for more in ("", "--labels y.txt", "--drop id"):
        err = refused(capsys, f"features import photos {more} --out o.safetensors")
        assert "gramlab extract --images photos " in err
    assert "unzip p.zip" in refused(capsys, "features import p.zip --out o.safetensors")


def test_figures_of_gramlab_are_not_taken_for_photos(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    photos(tmp_path, "report/results.json", "report/figure.png")
    assert "extract --images" not in refused(capsys, "check report")


def test_the_command_that_is_named_works(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    rows = "".join(f"{i}.5,{i % 3}.25,{i % 2}\n" for i in range(20))
    Path("my data.csv").write_text(f"a,b,label\n{rows}")
    np.save("x.npy", np.random.default_rng(0).normal(size=(20, 3)))
    Path("y.txt").write_text("ash\nbay\n" * 10)
    for source in ("my data.csv", "x.npy"):
        err = refused(capsys, f"check {shlex.quote(source)}")
        command = err.partition("with: gramlab ")[2].partition(" (in Python, ")[0]
        assert cli.main(shlex.split(command)) == 0
        made = shlex.split(command)[-1]
        assert f"next: gramlab check {shlex.quote(made)}\n" in capsys.readouterr().out
        call = err.partition("(in Python, ")[2].rpartition(")")[0]
        assert cli.main(["features", "info", made, "--quiet"]) == 0
        found = eval(call, {"gramlab": gramlab})
        assert np.array_equal(found.x, gramlab.load_features(made).x)
