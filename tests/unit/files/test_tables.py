"""Tables: what was written is what is read; unequal columns are refused."""

from __future__ import annotations

import csv
import sys

import pytest

from gramlab.errors import InvalidSetting, OutputError
from gramlab.files.whole import can_write_parquet, csv_text, write_csv, write_parquet
from gramlab.importing import import_features

COLUMNS = {"row": [3, 1], "share": [0.1, 1e-300], "name": ['a,"b"\n', "é"], "issue": [True, False]}


def test_csv_gives_back_every_value(tmp_path):
    path = write_csv(tmp_path / "t.csv", COLUMNS)
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["share"]) for row in rows] == COLUMNS["share"]
    assert [row["name"] for row in rows] == COLUMNS["name"]
    assert csv_text({"a": [], "b": []}) == "a,b\n"


def test_parquet_gives_back_every_value(tmp_path):
    if not can_write_parquet():
        pytest.skip("pyarrow is not installed")
    parquet = pytest.importorskip("pyarrow.parquet")
    path = write_parquet(tmp_path / "t.parquet", COLUMNS)
    assert parquet.read_table(path).to_pydict() == COLUMNS
    assert [p.name for p in tmp_path.iterdir()] == ["t.parquet"]


def test_text_that_is_no_unicode_is_written_as_its_escape(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    columns = {"name": ["caf\udce9", "b"]}
    path = write_parquet(tmp_path / "t.parquet", columns)
    assert parquet.read_table(path).to_pydict() == {"name": ["caf\\udce9", "b"]}
    assert "caf\\udce9" in write_csv(tmp_path / "t.csv", columns).read_text()


def test_unequal_columns_and_missing_folders_are_refused(tmp_path):
    with pytest.raises(InvalidSetting, match="2 of 'a' and 1 of 'b'"):
        csv_text({"a": [1, 2], "b": [1]})
    with pytest.raises(OutputError):
        write_csv(tmp_path / "no" / "t.csv", COLUMNS)


def test_a_name_like_the_address_of_a_file_system_is_a_name(tmp_path, monkeypatch):
    pytest.importorskip("pyarrow")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs:1").mkdir()
    write_parquet("runs:1/t.parquet", {"a": [1.5, 2.5], "b": [3.5, 5.5], "label": ["x", "y"]})
    assert import_features("runs:1/t.parquet").x.tolist() == [[1.5, 3.5], [2.5, 5.5]]


def test_what_needs_pyarrow_says_what_brings_it_to_a_copy_of_the_repository(tmp_path, monkeypatch):
    (tmp_path / "t.parquet").write_bytes(b"PAR1")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    said = r'needs the extra "study", .*; run pip install "\.\[study\]" in a copy of'
    with pytest.raises(InvalidSetting, match=f"writing Parquet {said}"):
        write_parquet(tmp_path / "t.parquet", COLUMNS)
    with pytest.raises(InvalidSetting, match=f"reading .t.parquet., a Parquet file, {said}"):
        import_features(tmp_path / "t.parquet")
    assert (tmp_path / "t.parquet").read_bytes() == b"PAR1"
