"""Pictures show every state and every arrow, and nothing lies on something else."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from itertools import combinations
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from waystage import library
from waystage.cli.main import run as waystage
from waystage.draw import Chart, chart_of, mermaid, svg, track_of
from waystage.draw.chart import Box
from waystage.draw.place import LINE
from waystage.draw.route import Frame, Plan, plan_of
from waystage.spec.lifecycle import Lifecycle
from waystage.spec.load import load_lifecycle, parse_lifecycle

SVG = "{http://www.w3.org/2000/svg}"
SHIPPED = library.lifecycles()
STRANGE = """
lifecycle: strange
services: ["*"]
initial: ask
states:
  ask:
    title: "a < b & 'c' \\"d\\" ]]>"
    task: {title: t, for: [role:x]}
    next: {approve: [{if: 'data.n < 3 && data.n > 1', to: both}, {to: both}], reject: done}
  both:
    branches:
      left: {initial: one, states: {one: {wait: true, next: {go: two}}, two: {final: true}}}
      right: {initial: one, states: {one: {wait: true, next: {go: one}}}}
    next: {done: done}
  done: {final: true}
"""


def shipped(file: Path) -> Chart:
    return chart_of(load_lifecycle(file).spec)


def titles(text: str) -> list[str]:
    return [each.text or "" for each in ET.fromstring(text).iter(f"{SVG}title")]


def hold(chart: Chart) -> Plan:
    """Hold a drawing to what makes it readable."""
    plan = plan_of(chart)
    for holder in (chart.root, *chart.boxes.values()):
        for child in holder.children:
            assert inside(plan.frames[child], plan.frames[holder]), child.path
        for one, other in combinations(holder.children, 2):
            assert apart(plan.frames[one], plan.frames[other]), (one.path, other.path)
    for line in plan.lines:
        source, target = plan.frames[line.link.source], plan.frames[line.link.target]
        assert on_border(line.points[0], source), line.link.full
        assert on_border(line.points[-1], target), line.link.full
        label = Frame(line.label[0] - 1, line.label[1] - LINE / 2, 2, LINE)
        for box in leaves(chart):
            assert apart(label, plan.frames[box]), (line.link.full, box.path)
    drawn = [link for link in chart.links if link.source is not link.target]
    assert len(plan.lines) == len(drawn)
    return plan


def leaves(chart: Chart) -> list[Box]:
    return [box for box in chart.boxes.values() if not box.children]


def inside(inner: Frame, outer: Frame) -> bool:
    return (
        outer.x <= inner.x
        and outer.y < inner.y
        and inner.x + inner.width <= outer.x + outer.width + 0.01
        and inner.y + inner.height <= outer.y + outer.height + 0.01
    )


def apart(one: Frame, other: Frame) -> bool:
    return (
        one.x + one.width <= other.x + 0.01
        or other.x + other.width <= one.x + 0.01
        or one.y + one.height <= other.y + 0.01
        or other.y + other.height <= one.y + 0.01
    )


def on_border(point: tuple[float, float], frame: Frame) -> bool:
    x, y = point
    level = min(abs(y - frame.y), abs(y - frame.y - frame.height))
    return level < 0.01 and frame.x - 0.01 <= x <= frame.x + frame.width + 0.01


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.stem)
def test_every_shipped_lifecycle_is_drawn_whole(file: Path) -> None:
    chart = shipped(file)
    hold(chart)
    shown = titles(svg(chart))
    assert set(chart.boxes) <= set(shown)
    assert {link.full for link in chart.links if link.source is not link.target} <= set(shown)


def test_a_stage_list_is_one_box_that_names_its_stages() -> None:
    chart = chart_of(load_lifecycle(next(f for f in SHIPPED if f.stem == "scorecard")).spec)
    assert chart.boxes["promote"].stages == ("DEV", "SIT", "UAT")
    assert "promote.deploy" in chart.boxes
    assert "DEV → SIT → UAT" in svg(chart)


def test_texts_that_mean_something_to_xml_or_mermaid_are_only_texts() -> None:
    chart = chart_of(parse_lifecycle(STRANGE).spec)
    hold(chart)
    picture = svg(chart)
    assert "a < b & 'c' \"d\" ]]>" in "".join(ET.fromstring(picture).itertext())
    assert "data.n < 3 && data.n > 1" in "".join(titles(picture))
    text = mermaid(chart)
    assert "a #60; b #38;" in text
    assert "#34;d#34;" in text


def test_mermaid_has_every_state_and_every_arrow() -> None:
    chart = chart_of(parse_lifecycle(STRANGE).spec)
    lines = mermaid(chart).splitlines()
    assert lines[0] == "flowchart TB"
    assert sum("-->|" in line for line in lines) == len(chart.links)
    assert sum("subgraph" in line for line in lines) == 3
    assert sum(line.strip() == "end" for line in lines) == 3


def test_a_run_is_marked_where_it_is_and_where_it_was() -> None:
    chart = chart_of(load_lifecycle(next(f for f in SHIPPED if f.stem == "scorecard")).spec)
    records = [
        ["moved", "prebuild", "done", "approve"],
        ["vote", "approve", "approve", "vera"],
        ["moved", "approve", "approve", "build"],
        ["moved", "build", "done", "promote"],
        ["moved", "promote.DEV.deploy", "done", "promote.DEV.soak"],
        ["moved", "promote.DEV.passed", "done", "promote.SIT"],
    ]
    track = track_of(chart, ["promote.SIT.deploy"], records)
    assert track.here == {"promote.deploy": ("SIT",)}
    assert {"prebuild", "approve", "build", "promote", "promote.soak"} <= track.been
    assert "compare" not in track.been
    went = {(link.source.path, link.target.path) for link in chart.links if track.went(link)}
    assert went == {("prebuild", "approve"), ("approve", "build"), ("build", "promote"),
                    ("promote.deploy", "promote.soak")}  # fmt: skip
    picture = svg(chart, track)
    assert "here: SIT" in picture
    assert "hereState" in mermaid(chart, track).splitlines()[-1]


@given(data=st.data(), count=st.integers(1, 9))
@settings(max_examples=60, deadline=None)
def test_whatever_points_where_nothing_lies_on_something_else(
    data: st.DataObject, count: int
) -> None:
    hold(chart_of(data.draw(lifecycles(count))))


@st.composite
def lifecycles(draw: st.DrawFn, count: int) -> Lifecycle:
    names = [f"s{number}" for number in range(count)]
    nested = draw(st.sets(st.sampled_from(names), max_size=3))
    targets = [*names, *(f"{name}.{inner}" for name in nested for inner in ("a", "b"))]

    def state(inner: bool) -> dict[str, object]:
        ways = draw(st.dictionaries(st.sampled_from(["go", "stop", "retry"]),
                                    st.sampled_from([*targets, *(("a", "b") if inner else ())]),
                                    max_size=3))  # fmt: skip
        return {"wait": True, "next": ways}

    states: dict[str, object] = {}
    for name in names:
        own = state(inner=False)
        if name in nested:
            own.pop("wait")
            own["states"] = {"a": state(inner=True), "b": state(inner=True)}
        states[name] = own
    return Lifecycle.model_validate(
        {"lifecycle": "random", "services": "*", "initial": names[0], "states": states}
    )


def test_a_chain_of_many_states_is_drawn() -> None:
    states = {f"s{n}": {"wait": True, "next": {"go": f"s{n + 1}"}} for n in range(1200)}
    chart = chart_of(Lifecycle.model_validate(
        {"lifecycle": "long", "services": "*", "initial": "s0",
         "states": states | {"s1200": {"final": True}}}))  # fmt: skip
    assert len(plan_of(chart).lines) == 1200


def test_the_verb_writes_by_the_name_of_the_file(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    source = str(SHIPPED[0])
    assert waystage(["graph", source, "-o", str(tmp_path / "x.svg")]) == 0
    assert ET.fromstring((tmp_path / "x.svg").read_text()).tag == f"{SVG}svg"
    assert waystage(["graph", source, "-o", str(tmp_path / "x.mmd")]) == 0
    assert (tmp_path / "x.mmd").read_text().startswith("flowchart TB")
    capfd.readouterr()
    assert waystage(["graph", source, "--format", "mermaid"]) == 0
    assert capfd.readouterr().out == (tmp_path / "x.mmd").read_text()
    assert waystage(["graph", str(tmp_path / "none.yaml")]) == 1
    assert "there is no file" in capfd.readouterr().err
