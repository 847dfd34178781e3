"""Results show themselves in a line and as a table, whatever their size and their names."""

from __future__ import annotations

import dataclasses
import html.parser

import numpy as np
import pytest

import gramlab
from gramlab.check import CheckSettings, run_check, run_path_check
from gramlab.check.correlations import measure_correlations
from gramlab.diagnosis import DiagnosisSettings, diagnose
from gramlab.numerics.text import html_table, short_repr
from gramlab.population.block_fit import fit_block_model
from gramlab.population.check import check_population, plane_diagram

EVIL = "<script>alert('rows')</script>"


@pytest.fixture(scope="module")
def features() -> gramlab.Features:
    rng = np.random.default_rng(0)
    labels = np.arange(240) % 5
    return gramlab.Features(
        3 * rng.standard_normal((5, 8))[labels] + rng.standard_normal((240, 8)),
        labels,
        test_x=rng.standard_normal((9, 8)),
        test_labels=labels[:9],
        provenance={"source": EVIL},
    )


@pytest.fixture(scope="module")
def checked(features):
    matrix = gramlab.corruption_matrix("symmetric", 5, 0.3)
    settings = CheckSettings(rounds=3, weight_decay=1e-2, noise_matrix=matrix)
    return run_check(features, settings)


@pytest.fixture(scope="module")
def path(features):
    return run_path_check(features, CheckSettings(rounds=2), [1e-2, 1e-1])


def walk(thing: object, seen: set[int]) -> list[object]:
    """Every dataclass in a result, and in what its fields hold."""
    if isinstance(thing, dict):
        return walk([*thing.values()], seen)
    if isinstance(thing, list | tuple):
        return [one for value in thing for one in walk(value, seen)]
    if not dataclasses.is_dataclass(thing) or not type(thing).__module__.startswith("gramlab."):
        return []
    if id(thing) in seen:
        return []
    seen.add(id(thing))
    return [thing, *walk(vars(thing), seen)]


def test_no_result_fills_the_screen(features, checked, path):
    model = gramlab.ClassBlockModel(4, 50, 0.4, 0.1)
    setting = {"rate": 0.2, "weight_decay": 1e-3}
    grids = {"rates": np.linspace(0, 0.5, 30), "rounds": [1, 2], "round": 1}
    whole = check_population(model, "symmetric", **setting, max_rounds=2)
    results = [
        features,
        checked,
        path,
        gramlab.GeneralizedCrossEntropyHead(1e-2).fit(
            features, gramlab.one_hot(features.labels, 5)
        ),
        measure_correlations(features),
        whole,
        whole.population.exact(2),
        whole.population.types,
        plane_diagram(model, "rate-round", "symmetric", **setting, **grids, max_rounds=1),
        fit_block_model(features),
        diagnose(features, DiagnosisSettings(rate=0.2, folds=2, max_rounds=2)),
    ]
    found = walk(results, set())
    kinds = {type(one).__name__ for one in found}
    assert {
        "Rounds", "Fit", "ClosedFormFit", "LocalFit", "Comparison", "CheckResult", "Spectrum",
        "Targets", "CorruptedLabels", "PathCheck", "DistillationPath", "Diagnosis", "Suspects",
        "TransitionEstimate", "LabelPosterior", "BlockFit", "PhaseDiagram", "Population",
        "TypePredictions", "CorrelationsResult", "Superclasses", "ClassCorrelations",
    } <= kinds  # fmt: skip
    for one in found:
        text = repr(one)
        assert len(text) <= 600, text
        assert text.count("\n") <= 4, text
        assert text.startswith(type(one).__name__)


def test_a_repr_says_what_matters_and_makes_nothing(features):
    made = []

    @dataclasses.dataclass(eq=False)
    class Found:
        values: np.ndarray
        table: np.ndarray
        later: object
        name: str = ""
        pair: tuple[float, float] = (0.25, 1 / 3)
        parts: tuple[object, ...] = ()
        hidden: int = dataclasses.field(default=1, repr=False)

        __repr__ = short_repr

    one = Found(np.array([2.0, -1.5]), np.zeros((30, 4), np.int64), lambda: made.append(1))
    assert repr(one) == (
        "Found(values=<2 float64, -1.5 to 2>, table=<30 x 4 int64>, pair=(0.25, 0.333333), "
        "parts=())"
    )
    one.parts = (one, one)
    assert "parts=<2 Found>" in repr(one)
    fit = gramlab.SoftmaxHead(1e-2).fit(features, gramlab.one_hot(features.labels, 5))
    assert "weights=<8 x 5 float64>, weight_decay=0.01, stats=SolveStats(" in repr(fit)
    assert "probabilities" not in repr(fit)
    assert fit.probabilities.shape == (240, 5)
    assert "probabilities=<240 x 5 float64>" in repr(fit)
    assert made == []


class Cells(html.parser.HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.rows: list[list[str]] = []

    def handle_starttag(self, tag, attrs) -> None:
        self.tags.append(tag)
        if tag == "tr":
            self.rows.append([])

    def handle_data(self, data) -> None:
        if self.tags[-1] in ("th", "td"):
            self.rows[-1].append(data)


def cells(thing) -> list[list[str]]:
    """Rows of the table that a notebook shows; nothing but a table is in it."""
    found = Cells()
    found.feed(thing._repr_html_())
    assert set(found.tags) == {"table", "caption", "thead", "tbody", "tr", "th", "td"}
    return found.rows


def test_tables_show_the_numbers_of_the_results(checked, path):
    rounds, compared, whole, over = map(
        cells, (checked.exact, checked.comparison, checked, path.path)
    )
    assert [row[0] for row in rounds] == ["round", "1", "2", "3"]
    for t, one in enumerate(checked.comparison, 1):
        assert compared[t][:2] == [str(t), f"{one.max_abs:.3g}"]
        assert compared[t][2] == f"{100 * one.argmax_agreement:.2f} %"
        assert compared[t][-1] == f"{100 * one.certified.undecided:.2f} %"
        scores = checked.scores(checked.exact[t - 1])
        assert whole[t][3] == f"{100 * scores['label_recovery']:.2f} %"
        assert whole[t][4] == f"{100 * scores['test_accuracy']:.2f} %"
    assert [row[:2] for row in over[1:]] == [
        ["0.01", "1"],
        ["0.01", "2"],
        ["0.1", "1"],
        ["0.1", "2"],
    ]
    unknown = gramlab.compare(checked.linearized, checked.exact)
    assert cells(unknown)[1][3] == "–"


def test_names_of_the_data_are_escaped(checked):
    assert EVIL in repr(checked.exact)
    assert "<script>" not in checked.exact._repr_html_()
    shown = html_table([{"a": EVIL, "b": float("nan")}], [(EVIL, "a", ""), ("b", "b", "%")], EVIL)
    assert "<script" not in shown
    assert shown.count("&lt;script&gt;") == 3
    assert "<td>–</td>" in shown
