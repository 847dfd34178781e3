"""Tables show the numbers of the rows, mark what is best, and are equal bytes for equal rows."""

from __future__ import annotations

import csv
import json
import math
import re
import statistics

import pytest
from study_rows import rounds, row

from gramlab import errors
from gramlab.study.rows import Column, column_of, groups
from gramlab.study.tables import (
    Entry,
    result_tables,
    tables_latex,
    tables_markdown,
    write_rows,
)

TEACHER, SECOND = Column("distill", 1), Column("distill", 2)


def small():
    return [
        *rounds({0: [0.70, 0.75], 1: [0.72, 0.77], 2: [0.71, 0.79]}),
        *(row("top2-gce", seed, value) for seed, value in enumerate((0.80, 0.70, 0.72))),
        *(
            row("tuned", s, 0.6, round=1, weight_decay_name="tuned", selected_on="noisy validation")
            for s in range(3)
        ),
        *rounds({0: [0.5, 0.4], 1: [0.5, 0.4]}, rate=0.8),
    ]


def test_entries_are_mean_and_sample_deviation_over_seeds():
    (table,) = result_tables(small())
    assert table.rates == (0.5, 0.8)
    entry = table.entry(SECOND, 0.5)
    assert entry == Entry(
        statistics.fmean([0.75, 0.77, 0.79]), statistics.stdev([0.75, 0.77, 0.79]), 3
    )
    assert entry.text("±") == "77.00 ± 2.00"
    assert entry.text("±") != "77.00 ± 4.00"  # a variance, as the authors print, is not this
    assert Entry.of([0.5]).text("±") == "50.00"
    assert table.entry(Column("top2-gce"), 0.8) is None


def test_columns_are_rounds_then_methods():
    (table,) = result_tables(small())
    assert [column.label for column in table.columns] == [
        "round 1 (teacher)",
        "round 2",
        "PLL (GCE)",
        "tuned: noisy validation",
    ]


def test_the_best_is_bold_and_ties_as_printed_are_all_bold():
    (table,) = result_tables(small())
    assert table.best(0.5) == (SECOND,)
    assert table.best(0.8) == (TEACHER,)
    text = table.markdown()
    assert re.findall(r"\*\*(\d\d\.\d\d) ±", text) == ["77.00", "50.00"]
    assert re.findall(r"textbf\{(\d\d\.\d\d) ", table.latex()) == ["77.00", "50.00"]
    tied = rounds({0: [0.7, 0.700004]})
    assert result_tables(tied)[0].best(0.5) == (TEACHER, SECOND)
    apart = rounds({0: [0.7, 0.7002]})
    assert result_tables(apart)[0].best(0.5) == (SECOND,)


def test_what_was_selected_on_test_rows_is_marked_and_never_best():
    published = {"stopping": "best on test", "loss": "ce", "round": 1}
    rows = [*small(), row("published", 0, 0.99, selected_on="test", **published)]
    (table,) = result_tables(rows)
    assert table.best(0.5) == (SECOND,)
    assert "SGD best on test, round 1†" in table.markdown()
    assert "not a fair score" in table.markdown()
    # The same row without the mark wins: the mark is what keeps it from being best.
    fair = [*small(), row("published", 0, 0.99, **published)]
    assert result_tables(fair)[0].best(0.5) != (SECOND,)


def test_markdown_and_latex_have_one_line_per_rate_and_one_cell_per_column():
    (table,) = result_tables(small())
    lines = [line for line in table.markdown().splitlines() if line.startswith("|")]
    assert len(lines) == 2 + 2
    assert {line.count(" | ") for line in lines} == {4}
    body = table.latex().split(r"\midrule")[1].split(r"\bottomrule")[0].strip().splitlines()
    assert [line.count(" & ") for line in body] == [4, 4]
    assert r"\toprule" in table.latex()
    assert "—" in lines[3]
    assert " -- " in body[1]
    assert tables_markdown([table, table]).count("| rate |") == 2
    assert tables_latex([table, table]).count(r"\begin{table}") == 2


def test_latex_escapes_what_latex_would_read():
    rows = rounds({0: [0.7]}, features=r"a_b & 50 % of {c} \d")
    text = result_tables(rows)[0].latex()
    assert r"a\_b \& 50 \% of \{c\} \textbackslash{}d" in text


def test_settings_make_groups_and_tuned_heads_belong_to_all_weight_decays():
    rows = [*small(), *rounds({0: [0.1]}, weight_decay_name="large")]
    found = groups(rows)
    assert [group.weight_decay for group in found] == ["base", "large"]
    tuned = Column("tuned", None, ("noisy validation",))
    assert all(
        group.values(tuned, 0.5, "test_accuracy") == {0: 0.6, 1: 0.6, 2: 0.6} for group in found
    )
    assert found[1].values(TEACHER, 0.5, "test_accuracy") == {0: 0.1}
    alone = [r for r in rows if r["method"] == "tuned"]
    assert [group.weight_decay for group in groups(alone)] == ["tuned"]


def test_unknown_values_are_left_out():
    rows = [*rounds({0: [0.7, math.nan], 1: [0.8, 0.9]}), row("mixture", 0, None)]
    (table,) = result_tables(rows)
    assert table.entry(SECOND, 0.5) == Entry(0.9, None, 1)
    assert Column("mixture") not in table.columns
    assert result_tables(rows, "label_recovery") == []


def test_rows_that_contradict_each_other_are_refused():
    with pytest.raises(errors.InvalidSetting, match=r"two of round 1 .* at rate 0\.5, seed 0"):
        groups(rounds({0: [0.7]}) + rounds({0: [0.8]}))
    with pytest.raises(errors.InvalidSetting, match="method of a row must be one of"):
        column_of({"method": "magic"})
    with pytest.raises(errors.InvalidSetting, match="a rate and a seed"):
        groups([{"method": "distill", "round": 1, "rate": 0.5}])


# ---- Files ------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".csv", ".json", ".parquet"])
def test_equal_rows_give_equal_bytes_and_other_rows_do_not(tmp_path, suffix):
    first, second, other = (tmp_path / f"{name}{suffix}" for name in "abc")
    write_rows(small(), first)
    write_rows(small(), second)
    changed = small()
    changed[0]["test_accuracy"] += 1e-16 + 2**-53
    write_rows(changed, other)
    assert first.read_bytes() == second.read_bytes() != other.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"{n}{suffix}" for n in "abc"]


def test_every_format_holds_the_same_rows_exactly(tmp_path):
    from pyarrow import parquet

    rows = [*small(), row("ablation", 0, 0.1 + 0.2, targets="top2", loss="gce", start="zero")]
    names = list(dict.fromkeys(name for r in rows for name in r))
    for suffix in (".csv", ".json", ".parquet"):
        write_rows(rows, tmp_path / f"t{suffix}")
    full = [{name: r.get(name) for name in names} for r in rows]
    assert json.loads((tmp_path / "t.json").read_text()) == full
    table = parquet.read_table(tmp_path / "t.parquet")
    assert table.column_names == names
    assert table.to_pylist() == full
    with open(tmp_path / "t.csv", newline="") as file:
        read = list(csv.DictReader(file))
    assert [{k: float(r[k]) for k in ("test_accuracy", "rate")} for r in read] == [
        {k: r[k] for k in ("test_accuracy", "rate")} for r in full
    ]
    assert read[0]["selected_on"] == read[0]["start"] == ""


def test_parquet_types_do_not_depend_on_what_is_known(tmp_path):
    from pyarrow import parquet

    write_rows(small(), tmp_path / "all.parquet")
    write_rows([row("distill", 0, None)], tmp_path / "none.parquet")
    schemas = [parquet.read_schema(tmp_path / f"{name}.parquet") for name in ("all", "none")]
    assert schemas[0] == schemas[1]


def test_parquet_without_pyarrow_names_the_extra(tmp_path, monkeypatch):
    import builtins

    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name.startswith("pyarrow"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(errors.InvalidSetting, match=r'install "\.\[study\]"'):
        write_rows(small(), tmp_path / "t.parquet")
    assert list(tmp_path.iterdir()) == []


def test_files_that_cannot_be_written_are_refused(tmp_path):
    with pytest.raises(errors.InvalidSetting, match=r"\.csv, \.json or \.parquet, got 't\.xlsx'"):
        write_rows(small(), tmp_path / "t.xlsx")
    with pytest.raises(errors.OutputError):
        write_rows(small(), tmp_path / "absent" / "t.csv")
    mixed = [row("distill", 0, 0.5, round=1), row("distill", 1, "high", round=1)]
    with pytest.raises(errors.InvalidSetting, match="column 'test_accuracy' must hold one kind"):
        write_rows(mixed, tmp_path / "t.parquet")
    assert list(tmp_path.iterdir()) == []
