"""The report is one page that loads nothing, escapes all and claims no more than is certified."""

from __future__ import annotations

import base64
import copy
import dataclasses
import re
from html.parser import HTMLParser
from importlib import resources
from itertools import pairwise

import numpy as np
import pytest

from gramlab.check import CheckResult, CheckSettings, run_check
from gramlab.diagnosis import DiagnosisSettings
from gramlab.features import Features
from gramlab.figures import check_displays, figure_png
from gramlab.figures.style import at_most
from gramlab.report import check_report, headline
from gramlab.report.page import command
from gramlab.report.page import percent as _percent

EVIL = "<script>alert(1)</script>"
VOID = {"meta", "link", "img", "br"}


class Page(HTMLParser):
    """Collects tags, attributes and text, and checks that every tag is closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.rows: list[list[str]] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        if "style" not in self._open:
            self.words.append(data)
        if {"td", "th"} & set(self._open):
            self.rows[-1][-1] += data

    @property
    def text(self) -> str:
        return " ".join("".join(self.words).split())

    def every(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.tags if name == tag]


def features(*, test: bool = True) -> Features:
    rng = np.random.default_rng(0)
    labels = np.arange(45) % 3
    x = rng.standard_normal((3, 6))[labels] + 0.6 * rng.standard_normal((45, 6))
    return Features(
        x,
        labels,
        test_x=x[:9] + 0.1 if test else None,
        test_labels=labels[:9] if test else None,
        class_names=[EVIL, '"quoted" & more', "日本"],
        provenance={"source": "it's <b>.npz", "note": {"by": EVIL}},
    )


@pytest.fixture(scope="module")
def result() -> CheckResult:
    settings = CheckSettings(weight_decay=1e-2, rounds=3, rate=0.4, seed=7, unit_norm=True)
    return run_check(features(), settings)


@pytest.fixture(scope="module")
def drawn(result):
    return check_displays(result)


@pytest.fixture(scope="module")
def html(result, drawn) -> str:
    return check_report(result, drawn)


@pytest.fixture(scope="module")
def page(html) -> Page:
    return Page(html)


def test_page_is_whole_and_structured(html, page):
    assert html.startswith("<!DOCTYPE html>")
    assert page.every("html") == [{"lang": "en"}]
    assert [tag for tag, _ in page.tags].count("h1") == 1
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch("h[1-6]", tag)]
    assert all(b <= a + 1 for a, b in pairwise(levels))
    names = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(set(names)) == len(names)
    targets = [attrs["href"] for attrs in page.every("a")]
    assert targets[0] == "#content"  # the skip link comes first
    assert {str(target)[1:] for target in targets} <= set(names)
    for attrs in page.every("table"):
        assert attrs in ({}, {"class": "facts"})
    assert html.count('<div class="scroll" role="region"') == len(page.every("table"))


def test_page_loads_nothing(html, page):
    assert not page.every("script")
    assert not re.search(r"""(src|href|action|data)\s*=\s*["']?\s*(https?:|//)""", html, re.I)
    assert not re.search(r"@import|url\(", html)
    assert not [attrs for _, attrs in page.tags for name in attrs if name.startswith("on")]
    (policy,) = [
        attrs["content"] for attrs in page.every("meta") if attrs.get("http-equiv") is not None
    ]
    assert policy == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    for attrs in page.every("img"):
        assert str(attrs["src"]).startswith("data:image/png;base64,")


def test_text_from_the_data_is_escaped(html, page):
    assert EVIL not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    # A reader still sees the names as they are.
    assert page.text.count(EVIL) == 2
    assert '"quoted" & more' in page.text
    assert "日本" in page.text
    assert not page.every("b")


def test_every_rounds_numbers_are_in_their_columns(result, page):
    for one in result.as_dict()["rounds"]:
        t = one["round"]
        accuracy, certificates, spent = (
            row[1:] for row in page.rows if row[0] in (f"{t}", f"{t} (teacher)")
        )
        assert accuracy == [
            _percent(one["linearized"]["label_recovery"]),
            _percent(one["exact"]["label_recovery"]),
            _percent(one["linearized"]["test_accuracy"]),
            _percent(one["exact"]["test_accuracy"]),
            f"{one['distance']['max_abs']:.4g}",
            _percent(one["argmax_agreement"]),
            _percent(one["certified_disagreement"]),
        ]
        assert certificates == [
            *(_percent(one["chain"]["certified"][x]) for x in ("right", "wrong", "undecided")),
            at_most(one["chain"]["weights_bound"]),
            *(_percent(one["own"]["certified"][x]) for x in ("right", "wrong", "undecided")),
            at_most(one["exact"]["certificate"]["weights_bound"]),
            at_most(one["exact"]["certificate"]["relative_gap"]),
            f"{one['exact']['solver']['passes']:.4g}",
            one["exact"]["solver"]["result"],
            at_most(one["error_recursion"]["residual"]),
            at_most(one["error_recursion"]["tolerance"]),
        ]
        assert spent == [
            f"{t * result.settings.weight_decay:.3g}",
            *(f"{one['entropy'][x]:.5g}" for x in ("value", "low", "high", "least")),
            f"{one['weight_norm']['value']:.4g}",
            at_most(one["weight_norm"]["most"]),
        ]


def test_student_and_spectrum_are_on_the_page(result, page):
    found = result.as_dict()
    student = found["partial_label_student"]
    for head, name in (("linearized", "theory"), ("exact", "exact")):
        assert [
            name,
            _percent(student[head]["label_recovery"]),
            _percent(student[head]["test_accuracy"]),
            _percent(student["top_two_coverage"][head]),
        ] in page.rows
    gap = found["spectrum"]["gap"]
    facts = dict(row for row in page.rows if len(row) == 2)
    told = f"{gap['value']:.6g}, certified to {at_most(gap['error_at_most'])}"
    assert facts["Gap after eigenvalue 3"] == told
    within = found["spectrum"]["correlations"]["within"]
    assert facts["Cosine inside a class"].startswith(f"mean {within['mean']:.4g}, ")


def test_figures_are_inline_with_alternatives_and_captions(result, drawn, page):
    images = page.every("img")
    assert len(images) == len(drawn) == len(page.every("figcaption"))
    for attrs, figure in zip(images, drawn.values(), strict=True):
        encoded = str(attrs["src"]).split(",", 1)[1]
        assert base64.b64decode(encoded) == figure_png(figure)
        assert len(str(attrs["alt"])) > 40
    alternatives = " ".join(str(attrs["alt"]) for attrs in images)
    assert _percent(result.as_dict()["rounds"][2]["exact"]["label_recovery"]) in alternatives


def test_equal_results_give_equal_pages_without_dates(result, html):
    assert check_report(result) == html
    assert not re.search(r"20\d\d-\d\d|\d\d:\d\d", html)


def test_command_makes_the_result_again(page):
    assert (
        """gramlab check 'it'"'"'s <b>.npz' --noise symmetric --rate 0.4 --weight-decay 0.01 """
        "--rounds 3 --seed 7 --unit-norm" in page.text
    )


def test_commands_tell_what_is_not_usual_in_words_of_the_command_line():
    settings = CheckSettings(rate=np.float64(0.25), center=True, tolerance=1e-6, certify="round")
    told = command("check", "a b.npz", settings, always=("rounds",), never=("tolerance",))
    assert told == "gramlab check 'a b.npz' --rate 0.25 --rounds 5 --center --certify round"
    planned = DiagnosisSettings(center=False, rate=0.1)
    assert command("diagnose", "x", planned, ()) == "gramlab diagnose x --rate 0.1 --no-center"


def test_provenance_and_settings_are_told(result, page):
    assert result.features.fingerprint in page.text
    for name, version in result.as_dict()["provenance"]["versions"].items():
        assert f"{name} {version}" in page.text
    assert "step: unit_norm" in page.text


def test_no_test_split_and_no_noise():
    settings = CheckSettings(weight_decay=1e-2, rounds=1, rate=0.0)
    page = Page(check_report(run_check(features(test=False), settings)))
    assert "no test rows (the features have none)" in page.text
    assert "Without added noise, the exact teacher recovers" in page.text
    assert "None" not in page.text
    assert "nan" not in page.text.lower().split()


def rounds(*rows: tuple[float, float, float]) -> dict:
    """What ``headline`` reads, from (measured recovery, certified right, undecided) by round."""
    return {
        "settings": {"rate": 0.5, "noise": "symmetric", "certify": "chain"},
        "data": {"n_samples": 1000, "realized_rate": 0.512},
        "equivalent": {"sentence": "3 rounds at 1: one training at 3 gives the same class"},
        "rounds": [
            {
                "round": t,
                "exact": {"label_recovery": measured, "test_accuracy": None},
                "linearized": {"label_recovery": 0.88},
                "certified": {"right": right, "undecided": undecided},
            }
            for t, (measured, right, undecided) in enumerate(rows, 1)
        ],
    }


@pytest.mark.parametrize(
    ("last", "said", "never"),
    [
        ((0.85, 0.845, 0.01), "has risen to", "fallen"),
        ((0.75, 0.745, 0.01), "has fallen to", "risen"),
        ((0.825, 0.815, 0.02), "cannot tell from no change", "(825 rows; certified"),
        ((0.8, 0.79, 0.03), "cannot tell from no change", "fallen"),
    ],
)
def test_headline_claims_only_what_is_certified(last, said, never):
    text = " ".join(headline(rounds((0.82, 0.815, 0.01), last)))
    assert said in text
    assert never not in text
    assert text.startswith("At 50\N{NO-BREAK SPACE}% symmetric noise (51.2\N{NO-BREAK SPACE}%")


def test_headline_names_the_most_where_it_is_at_neither_end():
    middle = (0.9, 0.9, 0.0)
    unsure = (0.9, 0.81, 0.1)  # which leaves room for the first round to be above it
    text = " ".join(headline(rounds((0.82, 0.82, 0.0), unsure, (0.8, 0.8, 0.0))))
    assert "up to 90.0\N{NO-BREAK SPACE}% is measured; which round has the most is not" in text
    text = " ".join(headline(rounds((0.82, 0.82, 0.0), middle, (0.8, 0.8, 0.0))))
    assert "3 rounds at 1: one training at 3 gives the same class, certified." in text
    assert "Between, it is 90.0\N{NO-BREAK SPACE}% at round 2, the most (certified)." in text
    for ends in ((0.9, 0.9, 0.0), (0.95, 0.95, 0.0)):
        assert "the most" not in " ".join(headline(rounds(ends, middle, (0.8, 0.8, 0.0))))


def test_captions_name_the_colours_that_the_heat_map_has(result, drawn):
    gram = drawn["gram_heatmap"]
    for diverging, said, never in ((True, "Red blocks", "Bright"), (False, "Bright blocks", "Red")):
        changed = copy.copy(gram)
        changed.diverging = diverging
        text = Page(check_report(result, drawn | {"gram_heatmap": changed})).text
        assert said in text
        assert never not in text


def test_headline_of_equal_rounds_and_of_one_round():
    text = " ".join(headline(rounds((0.82, 0.82, 0.0), (0.82, 0.82, 0.0))))
    assert "is the same, 820 of 1000 rows (certified)" in text
    assert "on all 1000 training rows" in text
    assert "class that exact rounds from the given labels reach is certified" in text
    found = rounds((0.82, 0.82, 0.0), (0.82, 0.82, 0.0))
    found["settings"]["certify"] = "round"
    assert "the exact optimum's class is certified" in " ".join(headline(found))
    text = " ".join(headline(rounds((0.82, 0.81, 0.02))))
    assert "certified on 980 of the 1000 training rows" in text
    assert "After" not in text


def test_planted_failures_are_said_at_the_top(result, drawn):
    broken = copy.copy(result)
    rows = list(result.comparison)
    rows[1] = dataclasses.replace(rows[1], recursion_error=1.0)
    fits = list(result.exact)
    stats = dataclasses.replace(fits[2].stats, result="pass limit", message="stopped <early>")
    fits[2] = dataclasses.replace(fits[2], stats=stats)
    object.__setattr__(
        broken, "comparison", dataclasses.replace(result.comparison, rounds=tuple(rows))
    )
    object.__setattr__(broken, "exact", dataclasses.replace(result.exact, fits=tuple(fits)))
    page = Page(check_report(broken, drawn))
    assert "does not hold within its rounding bound at round 2" in page.text
    assert "round 3: stopped <early>" in page.text
    sound = Page(check_report(result, drawn)).text
    assert "does not hold" not in sound
    assert "Not every exact head" not in sound


@pytest.mark.parametrize(
    ("share", "text"), [(1.0, "100.0"), (0.0, "0.0"), (0.99996, "99.996"), (1e-5, "0.001")]
)
def test_percent_rounds_nothing_to_all_or_nothing(share, text):
    assert _percent(share) == f"{text}\N{NO-BREAK SPACE}%"
    assert _percent(None) == "–"


def test_template_is_part_of_the_package():
    for name in (
        "base.html.j2",
        "check.html.j2",
        "diagnosis.html.j2",
        "parts.html.j2",
        "style.css",
    ):
        assert resources.files("gramlab.report").joinpath(name).is_file()
