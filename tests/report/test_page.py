"""The page is one file that asks for nothing, says everything, and shows names as names."""

from __future__ import annotations

import base64
import hashlib
import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from itertools import pairwise

import pytest
from some_report import EVIL, START, bars, figure, measured, report

from waystage.draw.place import text_width
from waystage.plugin import Axis, Figure, Section, Series, Window
from waystage.report.history import history
from waystage.report.page import page, policy
from waystage.report.plot import svg
from waystage.report.scale import scale
from waystage.report.style import STYLE

VOID = {"meta", "br", "hr", "img", "link", "input"}


class Seen(HTMLParser):
    """Reads a page: its elements, their attributes and texts; complains of what is not closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


@pytest.fixture(scope="module")
def seen() -> Seen:
    return Seen(page(report(EVIL)))


def test_the_page_asks_for_nothing_from_anywhere(seen: Seen) -> None:
    assert seen.open == []
    tags = {tag for tag, _ in seen.tags}
    assert tags & {"script", "link", "img", "iframe", "object", "embed", "form", "base"} == set()
    for tag, attributes in seen.tags:
        assert "style" not in attributes, tag  # the policy would drop it
        assert not [name for name in attributes if name.startswith("on")], tag
        assert "src" not in attributes
        assert (attributes.get("href") or "#").startswith("#")
    assert "url(" not in STYLE
    assert "@import" not in STYLE
    assert not re.search(r"https?://(?!www\.w3\.org)", page(report()))


def test_the_policy_allows_the_page_s_own_style_and_nothing_else(seen: Seen) -> None:
    (told,) = [a["content"] for t, a in seen.tags if a.get("http-equiv")]
    digest = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
    assert told == policy()
    assert f"'sha256-{digest}'" in policy()
    assert "unsafe" not in policy()
    assert f"<style>{STYLE}</style>" in page(report())


def test_a_name_is_a_name_wherever_it_stands(seen: Seen) -> None:
    text = page(report(EVIL))
    assert "<script" not in text
    assert "\u202e" not in text
    shown = EVIL.replace("\u202e", " ")
    assert sum(shown in each for each in seen.texts) >= 12


def test_ids_are_given_once_and_links_lead_to_them(seen: Seen) -> None:
    ids = [attributes["id"] for _, attributes in seen.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    for _, attributes in seen.tags:
        if (href := attributes.get("href")) is not None:
            assert href[1:] in ids
        for name in (attributes.get("aria-labelledby") or "").split():
            assert name in ids


def test_what_is_missing_is_said_in_its_place() -> None:
    text = page(report(sections=(Section(id="roc", title="ROC", missing="No outcome yet."),)))
    assert '<p class="missing">No outcome yet.</p>' in text
    assert "No curves: No outcome yet." in text
    nothing = page(report(measurements=(), decisions=(), monitors=(), sections=()))
    assert "The lifecycle watches nothing here." in nothing
    assert "No person has decided anything about these runs." in nothing
    assert "is not checked" in nothing


def test_equal_reports_are_equal_bytes() -> None:
    assert page(report()) == page(report())


def test_every_plot_is_xml_with_a_title_and_a_description() -> None:
    for each in (figure(EVIL), bars(EVIL), bars("x", 1), *history(report()).figures):
        root = ET.fromstring(svg(each, "f1").replace("<svg ", '<svg xmlns="x" '))
        assert root.find("{x}title") is not None
        assert root.find("{x}desc") is not None
        assert root.get("aria-labelledby") == "f1-t f1-d"


def test_the_points_of_a_line_are_where_the_scale_puts_them() -> None:
    found = figure()
    text = svg(found, "f")
    (way,) = re.findall(r'class="line main" d="([^"]+)"', text)[-1:]
    places = [tuple(map(float, each.split())) for each in re.split("[ML]", way) if each]
    (x0, y0), (x1, y1), (x2, y2) = places
    assert (x1 - x0) / (x2 - x0) == pytest.approx(0.25, abs=1e-3)
    assert (y1 - y0) / (y2 - y0) == pytest.approx(0.75, abs=1e-3)
    assert y2 < y0


def test_lying_bars_are_as_long_as_their_numbers() -> None:
    text = svg(bars("b", 4), "f")
    wide = [float(each) for each in re.findall(r'class="bar other" x="\d[^"]*" y="[^"]*" '
                                               r'width="([^"]+)"', text)[1:]]  # fmt: skip
    assert [each / wide[0] for each in wide] == pytest.approx([1, 2, 3, 4], rel=0.01)


@pytest.mark.parametrize(
    ("axis", "values", "texts"),
    [
        (Axis(low=0, high=1, unit="share"), [], ["0%", "20%", "40%", "60%", "80%", "100%"]),
        (Axis(low=0), [3, 1820], ["0", "500", "1,000", "1,500", "2,000"]),
        (Axis(), [0.1, 0.1], ["0.090", "0.095", "0.100", "0.105", "0.110"]),
        (Axis(), [-1, 1], ["-1.0", "-0.5", "0", "0.5", "1.0"]),
        (Axis(), [], ["0", "0.2", "0.4", "0.6", "0.8", "1.0"]),
        (Axis(unit="time"), [START.timestamp(), START.timestamp() + 150 * 86400],
         ["Jan 2026", "Feb 2026", "Mar 2026", "Apr 2026", "May 2026"]),
        (Axis(unit="time"), [START.timestamp(), START.timestamp() + 4 * 86400],
         ["1 Jan", "2 Jan", "3 Jan", "4 Jan", "5 Jan"]),
    ],
)  # fmt: skip
def test_ticks_are_round_numbers_and_dates(
    axis: Axis, values: list[float], texts: list[str]
) -> None:
    found = scale(axis, values, 0, 100)
    assert [text for _, text in found.ticks] == texts
    assert found.at(found.low) == 0
    assert found.at(found.high) == 100
    assert found.at(found.high + 1) == 100


def test_the_history_shows_verdicts_limits_intervals_and_what_was_made_by_hand() -> None:
    found = history(report())
    (plot,) = found.figures
    series = {each.name: each for each in plot.series if each.name}
    assert set(series) == {"ok", "warning", "breach", "by hand", "warning below", "breach below"}
    assert series["breach"].y == (0.1,)
    assert [*series["ok"].low, *series["ok"].high] == pytest.approx([0.37, 0.47])
    assert set(series["warning below"].y) == {0.3}
    assert len(found.tables[0].rows) == 5
    assert found.tables[0].rows[1][8] == "by hand, otto"
    assert "1 without a verdict" in plot.about


@pytest.mark.parametrize(("count", "turned"), [(3, False), (8, True), (28, False)])
def test_labels_below_bars_neither_touch_nor_leave_the_picture(count: int, turned: bool) -> None:
    names = tuple(f"2026-12-{n + 1:02d}T06:00Z" for n in range(count))
    drawn = tuple(map(float, range(count)))
    counted = Series(name="requests", form="bars", x=drawn, y=(1.0,) * count)
    axes = {"x": Axis(title="from", labels=names), "y": Axis(title="requests")}
    text = svg(Figure(title="Requests", about="Some.", series=(counted,), **axes), "f")
    flat = re.findall(r'class="tick mid" x="([0-9.]+)" y="[0-9.]+">(2026[^<]+)<', text)
    assert ("rotate(-40)" in text) == turned
    assert turned == (not flat)
    ends = [(float(x) - text_width(each) / 2, float(x) + text_width(each) / 2) for x, each in flat]
    assert all(left[1] < right[0] for left, right in pairwise(ends))
    assert all(end <= 460 for _, end in ends)


def test_a_wide_table_is_not_squeezed_beside_a_figure() -> None:
    text = page(report())
    shown = text[text.index('<section id="history"') :]
    plots, _, rest = shown.partition("<details>")
    assert "<svg" in plots
    assert "<table" not in plots
    assert "every window, the newest first" in rest


def test_another_version_is_marked_and_not_joined_to_the_one_before() -> None:
    rows = (measured(0, 0.4, "ok"), measured(1, 0.3, "ok"),
            measured(2, 0.5, "ok", snapshot="credit/2"))  # fmt: skip
    (plot,) = history(report(measurements=rows)).figures
    assert [mark.text for mark in plot.marks] == ["credit/2"]
    (line,) = [each for each in plot.series if not each.name]
    assert line.y == (0.4, 0.3)


def test_one_window_alone_can_be_drawn() -> None:
    (plot,) = history(report(measurements=(measured(0, 0.4, "ok"),))).figures
    ET.fromstring(svg(plot, "f"))


def test_a_figure_of_one_value_can_be_drawn() -> None:
    flat = Figure(title="t", about="a", x=Axis(), y=Axis(),
                  series=(Series(name="s", x=(1, 1), y=(0, 0)),))  # fmt: skip
    ET.fromstring(svg(flat, "f"))
    assert Window(start=START, end=START)


def test_a_figure_that_cannot_be_drawn_is_told_and_the_others_are_shown() -> None:
    far = Figure(
        title="Far", about="too far apart", x=Axis(), y=Axis(),
        series=(Series(name="s", x=(1e308, -1e308), y=(1.0, 2.0)),),
    )  # fmt: skip
    section = Section(id="far", title="Far", figures=(far, figure("near")), by=f"x.{EVIL}")
    found = report()
    text = page(found.model_copy(update={"sections": (*found.sections, section)}))
    seen = Seen(text)
    assert seen.open == []
    told = "".join(seen.texts)
    assert "cannot be drawn: cannot convert float infinity to integer" in told
    assert "This figure of x.<script>" in told
    assert "<script" not in text
    assert text.count("<svg") == page(found).count("<svg") + 1
