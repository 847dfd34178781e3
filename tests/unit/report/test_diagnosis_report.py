"""The diagnosis page: escaped, self-contained, sortable by mouse and keyboard, fit for a phone."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import replace

import numpy as np
import pytest
from browser import Browser
from test_report import Page

from gramlab.diagnosis import DiagnosisSettings, diagnose
from gramlab.diagnosis.trial import Score
from gramlab.diagnosis.unlabelled import UnlabelledRows
from gramlab.features import Features
from gramlab.figures import diagnosis_displays
from gramlab.report import diagnosis_report
from gramlab.report.page import percent

EVIL = "<script>alert(1)</script>"
SUSPECTS = ("rows", "given", "proposed", "precision", "precision_low", "precision_high")
NOTHING = np.empty(0, dtype=np.int64)


@pytest.fixture(scope="module")
def diagnosis():
    rng = np.random.default_rng(0)
    labels = np.arange(150) % 3
    x = rng.standard_normal((3, 6))[labels] + 0.4 * rng.standard_normal((150, 6))
    features = Features(
        x, labels, class_names=[EVIL, '"q" & more', "日本"], provenance={"source": "it's <b>.npz"}
    )
    return diagnose(features, DiagnosisSettings(rate=0.3, folds=3, max_rounds=2, seed=1))


@pytest.fixture(scope="module")
def html(diagnosis) -> str:
    return diagnosis_report(diagnosis, diagnosis_displays(diagnosis))


@pytest.fixture(scope="module")
def identified(diagnosis) -> str:
    """The page of the same diagnosis of rows with long identifiers, four of them set aside."""
    names = [f"photos/of summer 2024/{EVIL}{row:05d}.jpg" for row in range(154)]
    rows = {"features not finite": np.array([150]), "no label": np.array([151, 152, 153])}
    origin = replace(diagnosis.origin, identifiers=names, set_aside=rows)
    predicted, probability = np.array([0, 2, -1]), np.array([0.61, 0.987, np.nan])
    bare = UnlabelledRows(rows["no label"], predicted, probability, Score(0.876, 0.012))
    outliers = replace(diagnosis.outliers, rows=np.array([7, 149]))
    known = replace(diagnosis, planted=None, origin=origin, unlabelled=bare, outliers=outliers)
    return diagnosis_report(known, diagnosis_displays(diagnosis))


def test_page_calls_rows_as_the_caller_does(diagnosis, html, identified):
    page = Page(identified)
    assert EVIL not in identified
    assert "identifier" not in Page(html).text

    def called(row: object) -> str:
        return f"photos/of summer 2024/{EVIL}{int(str(row)):05d}.jpg"

    suspects = [row for row in page.rows if len(row) == 9 and row[0].isdigit()]
    assert [int(row[1]) for row in suspects] == diagnosis.suspects.rows.tolist()
    assert [row[2] for row in suspects] == [called(row[1]) for row in suspects]
    words = " ".join(page.text.split())
    voter = diagnosis.explanations[0][-1].voters[0]
    assert f"row {voter}, {called(voter)} (" in words
    assert f"1 (features not finite): 150 ({called(150)}); 3 (no label): 151 (" in words
    assert [row[:2] for row in page.rows if row[0] in ("7", "149") and len(row) == 5] == [
        [row, called(row)] for row in ("7", "149")
    ]
    assert "87.6 ± 1.2 % are predicted rightly." in words
    assert [row for row in page.rows if row[0] in ("151", "152", "153")] == [
        ["151", called(151), EVIL, percent(0.61)],
        ["152", called(152), "日本", percent(0.987)],
        ["153", called(153), "–", "–"],
    ]


def test_no_share_is_rounded_to_none_or_all():
    assert percent(1e-12) == "<0.000001\N{NO-BREAK SPACE}%"
    assert percent(1.0 - 1e-12) == ">99.999999\N{NO-BREAK SPACE}%"
    assert percent(0.0) == "0.0\N{NO-BREAK SPACE}%"


def test_page_loads_nothing_and_runs_only_its_own_script(html):
    page = Page(html)
    assert EVIL not in html
    assert not page.every("b")
    assert not re.search(r"""(src|href|action|data)\s*=\s*["']?\s*(https?:|//)""", html, re.I)
    assert not re.search(r"@import|url\(|fetch|XMLHttp|import\(", html)
    assert not [a for _, attrs in page.tags for a in attrs if a.startswith("on")]
    (script,) = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    (policy,) = [m["content"] for m in page.every("meta") if m.get("http-equiv") is not None]
    assert policy == (
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
        f"script-src 'sha256-{digest}'"
    )


def test_page_names_classes_that_labels_cannot_tell_apart(diagnosis, html):
    assert "may not tell some classes apart" not in html
    matrix = np.array([[0.5, 0.5, 0.0], [0.5, 0.5, 0.0], [0.0, 0.0, 1.0]])
    estimate = replace(diagnosis.estimate, matrix=matrix, lower=matrix, upper=matrix)
    mixed = replace(diagnosis, estimate=estimate)
    page = diagnosis_report(mixed, diagnosis_displays(diagnosis))
    words = " ".join(Page(page).text.split())
    assert "may not tell some classes apart: " + EVIL + ', "q" & more.' in words
    assert EVIL not in page


def test_page_names_classes_that_consist_of_suspects(diagnosis, html):
    assert "since the class would be lost" not in html
    none = diagnosis.posterior.posterior.copy()
    none[diagnosis.given == 1, 1] = 0.0
    lost = replace(diagnosis, posterior=replace(diagnosis.posterior, posterior=none))
    words = " ".join(Page(diagnosis_report(lost, diagnosis_displays(diagnosis))).text.split())
    assert 'All rows given as "q" & more are suspects.' in words


def test_page_says_its_doubt_under_the_advice_and_claims_nothing(diagnosis, html):
    assert "in doubt" not in Page(html).text
    suspects = replace(diagnosis.suspects, withheld="labels may all be right")
    page = Page(diagnosis_report(replace(diagnosis, suspects=suspects)))
    words = " ".join(page.text.split())
    advice = " ".join(diagnosis.advice.sentence.split())
    doubt = "This advice is in doubt, as are the accuracies it rests on: labels may all be right."
    assert words.count(f"{advice} {doubt}") == 1
    assert f"{len(suspects)} of 150 labels are suspected, and nothing is claimed of them." in words
    assert "truly wrong (nothing was claimed)" in words
    shown = [row for row in page.rows if len(row) == 8 and row[0].isdigit()]
    assert {row[4] for row in shown} == {"not claimed"}
    suspects = replace(suspects, **dict.fromkeys(SUSPECTS, NOTHING))
    none = replace(diagnosis, suspects=suspects, explanations=[])
    words = " ".join(Page(diagnosis_report(none)).text.split())
    assert "None of the 150 labels is suspected, and nothing is claimed of any." in words


def test_page_sums_up_every_class(diagnosis, html):
    table = diagnosis.classes.columns()
    names = [diagnosis.features.class_names[k] for k in table["class"]]
    rows = Page(html).rows
    start = next(i for i, row in enumerate(rows) if row[-1] == "doubt")
    shown = rows[start + 1 : start + 1 + len(names)]
    assert [row[0] for row in shown] == names
    assert [int(row[1]) for row in shown] == table["rows"]
    assert [int(row[2].split(" ")[0]) for row in shown] == table["suspected"]
    assert [float(row[3]) for row in shown] == [round(c, 1) for c in table["claimed_wrong"]]
    assert [int(row[5]) for row in shown] == table["confident_rows"]


def test_page_holds_the_advice_and_every_suspect(diagnosis, html):
    page = Page(html)
    assert " ".join(diagnosis.advice.sentence.split()) in page.text
    ranks = [row[:2] for row in page.rows if len(row) == 8 and row[0].isdigit()]
    assert [int(row) for _, row in ranks] == diagnosis.suspects.rows.tolist()
    ranked = diagnosis.ranked_settings()
    ways = [one.exact.setting for place, one in enumerate(ranked) if place < 12 or one.roles]
    shown = [row for row in page.rows if row[0].split(" (")[0] in {way.way for way in ways}]
    assert [row[0].split(" (")[0] for row in shown] == [way.way for way in ways]
    assert [row[0] for row in shown if "advised" in row[0]] == [
        f"{one.exact.setting.way} ({', '.join(one.roles)})"
        for one in ranked
        if "advised" in one.roles
    ]
    assert any(way.cleaned for way in ways)
    names = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert {str(a["href"])[1:] for a in page.every("a")} <= set(names)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    found = Browser(tmp_path_factory.mktemp("profile"))
    yield found
    found.close()


@pytest.fixture
def opened(browser, html, tmp_path):
    path = tmp_path / "report.html"
    path.write_text(html, encoding="utf-8")
    browser.requests.clear()
    browser.errors.clear()
    browser.size(1200, 900)
    browser.open(path)
    return browser


COLUMN = (
    "[...document.querySelectorAll('table.sortable tbody tr')].map(r => r.cells[{}].dataset.value)"
)
STATES = "[...document.querySelectorAll('table.sortable th')].map(h => h.getAttribute('aria-sort'))"


def column(browser, number: int) -> list[float]:
    return [float(value) for value in browser.run(COLUMN.format(number))]


def test_headers_sort_by_mouse(opened):
    ranks = column(opened, 0)
    assert ranks == sorted(ranks)
    opened.run("document.querySelectorAll('table.sortable th button')[1].click()")
    assert column(opened, 1) == sorted(column(opened, 1))
    assert column(opened, 0) != ranks
    assert opened.run(STATES)[:3] == [None, "ascending", None]
    opened.run("document.querySelectorAll('table.sortable th button')[1].click()")
    assert column(opened, 1) == sorted(column(opened, 1), reverse=True)
    assert opened.run(STATES)[1] == "descending"
    assert opened.errors == []


def test_headers_sort_by_keyboard(opened):
    opened.run("document.querySelector('table.sortable').closest('.scroll').focus()")
    for _ in range(2):
        opened.key("Tab")
    assert opened.run("document.activeElement.textContent") == "row"
    opened.key("Enter", "\r")
    assert column(opened, 1) == sorted(column(opened, 1))
    assert opened.run(STATES)[1] == "ascending"


# What marks the advised row, and what is said of each suspect, that leaves the window or the frame
# of its table; and rows of tables that are wider than their frames.
HIDDEN = """
(() => {
  const cut = (one) => {
    const box = one.getBoundingClientRect();
    const frame = one.closest('.scroll').getBoundingClientRect();
    return !box.width || box.left < Math.max(0, frame.left) - 1
      || box.right > Math.min(innerWidth, frame.right) + 1;
  };
  const marks = ['tr.advised > *', '.role'];
  for (const name of ['row', 'given', 'proposed', 'wrong with probability'])
    marks.push(`table.sortable td[data-label="${name}"]`);
  const none = marks.filter((mark) => !document.querySelector(mark));
  const hidden = marks.filter((mark) => [...document.querySelectorAll(mark)].some(cut));
  const frames = [...document.querySelectorAll('.scroll')];
  const wide = frames.filter((frame) => frame.scrollWidth > frame.clientWidth);
  return [...none, ...hidden, ...wide.map((s) => s.getAttribute('aria-label'))];
})()
"""


def test_page_asks_for_nothing_and_fits_a_window_and_a_phone(opened, identified, tmp_path):
    assert [u for u in opened.requests if not u.startswith(("data:", "file:"))] == []
    assert len([u for u in opened.requests if u.startswith("file:")]) == 1
    other = tmp_path / "identified.html"
    other.write_text(identified, encoding="utf-8")
    named = HIDDEN.replace("const none", "marks.push('td.identifier'); const none")
    for page, hidden in ((None, HIDDEN), (other, named)):
        for width, mobile in ((1280, False), (390, True)):
            opened.size(width, 844, mobile=mobile)
            if page is not None:
                opened.open(page)
            assert opened.run("document.documentElement.scrollWidth") <= width
            assert opened.run(hidden) == []
    assert opened.errors == []
