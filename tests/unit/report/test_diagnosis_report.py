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
from gramlab.features import Features
from gramlab.figures import diagnosis_displays
from gramlab.report import diagnosis_report

EVIL = "<script>alert(1)</script>"


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


def test_page_holds_the_advice_and_every_suspect(diagnosis, html):
    page = Page(html)
    assert " ".join(diagnosis.advice.sentence.split()) in page.text
    ranks = [row[:2] for row in page.rows if len(row) == 8 and row[0].isdigit()]
    assert [int(row) for _, row in ranks] == diagnosis.suspects.rows.tolist()
    ways = [one.exact.setting for one in diagnosis.ranked_settings()[:12]]
    shown = [row for row in page.rows if row[0] in {way.way for way in ways}]
    assert [row[0] for row in shown] == [way.way for way in ways]
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


def test_page_asks_for_nothing_and_fits_a_phone(opened):
    assert [u for u in opened.requests if not u.startswith(("data:", "file:"))] == []
    assert len([u for u in opened.requests if u.startswith("file:")]) == 1
    opened.size(390, 844, mobile=True)
    assert opened.run("document.documentElement.scrollWidth") <= 390
    assert opened.errors == []
