"""Charts of SCXML said in our language: what is said how, and what is refused for which reason."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from judging import CANNOT, DIFFERS, PASSED, Verdict, judge
from scxml_chart import read_chart
from scxml_saying import say
from suites import Case

from waystage.spec.load import parse_lifecycle

NAMESPACE = 'xmlns="http://www.w3.org/2005/07/scxml" version="1.0"'


def chart(body: str, attributes: str = "") -> bytes:
    return f"<scxml {NAMESPACE} {attributes}>{body}</scxml>".encode()


def judged(body: str, first: str, *events: str) -> Verdict:
    """Judge a chart: the first configuration, then `event: configuration` one by one."""
    steps = [each.partition(": ") for each in events]
    told = tuple((name, 0.0, tuple(sorted(found.split()))) for name, _, found in steps)
    return judge(Case("own", chart(body), tuple(sorted(first.split())), told))


def said(body: str, *events: str) -> dict[str, Any]:
    lifecycle = say(read_chart(chart(body).decode()), list(events)).lifecycle
    parse_lifecycle(yaml.safe_dump(lifecycle, sort_keys=False))
    return lifecycle


def test_states_and_arrows_are_said_as_they_are() -> None:
    body = '<state id="A"><transition event="go" target="b"/></state><state id="b"/>'
    assert said(body, "go") == {
        "lifecycle": "chart", "services": ["s"], "initial": "s_a",
        "states": {
            "s_a": {"wait": True, "next": {"go": [{"to": "s_b"}]}, "signals": ["go"]},
            "s_b": {"wait": True},
        },
    }  # fmt: skip


ONE_OF = """
<parallel id="p">
  <state id="a"><state id="a1"><transition event="t" target="a2"/></state><state id="a2"/></state>
  <state id="b">{}</state>
</parallel>
<state id="out"/>
"""
COUNT = """
<datamodel><data id="n" expr="1"/></datamodel>
<state id="a">
  <onexit><assign location="n" expr="n * 2"/></onexit>
  <transition event="go" cond="n == 1" target="b"><assign location="n" expr="n + 3"/></transition>
</state>
<state id="b">
  <onentry><assign location="n" expr="n * 10"/></onentry>
  <transition cond="n === 50" target="right"/>
  <transition target="wrong"/>
</state>
<state id="right"/><state id="wrong"/>
"""
QUEUE = """
<state id="a"><onentry><raise event="one"/><raise event="two"/></onentry>
  <transition event="two" target="wrong"/>
  <transition event="one" target="b"><raise event="three"/></transition></state>
<state id="b"><onentry><raise event="four"/></onentry>
  <transition event="two" target="c"/><transition event="*" target="wrong"/></state>
<state id="c"><transition event="three" target="d"/><transition event="*" target="wrong"/></state>
<state id="d"><transition event="four" target="right"/></state>
<state id="right"/><state id="wrong"/>
"""
DELAYS = """
<state id="a"><onentry><send event="late" delay="2s"/><send event="soon" delay=".5s"/></onentry>
  <transition event="soon" target="b"/></state>
<state id="b"><transition event="late" target="right"/></state>
<state id="right"/>
"""


HISTORY = """
<state id="a"><transition event="back" target="h"/></state>
<state id="b" initial="b1">
  <history id="h"><transition target="b2"/></history>
  <transition event="out" target="a"/>
  <state id="b1"><transition event="t" target="b3"/></state>
  <state id="b2"><transition event="t" target="b1"/></state>
  <state id="b3"/>
</state>
"""
SOME_OF = """
<parallel id="p">
  <state id="a"><state id="a1"><transition event="t" target="a2"/></state><state id="a2"/></state>
  <state id="b"><state id="b1"><transition event="u" target="b2"/></state>
    <state id="b2"><transition event="t" target="out"/></state></state>
</parallel>
<state id="out"><transition event="u" target="b2"/></state>
"""
FIRST_LEAVES = """
<parallel id="p">
  <state id="a"><transition event="t" target="out"/></state>
  <state id="b"><state id="b1"><transition event="t" target="b2"/></state><state id="b2"/></state>
</parallel>
<state id="out"/>
"""


@pytest.mark.parametrize(
    ("body", "first", "events"),
    [
        (HISTORY, "a", ["back: b2", "t: b1", "t: b3", "out: a", "back: b3"]),
        (SOME_OF, "a1 b1", ["t: a2 b1", "t: a2 b1", "u: a2 b2", "t: out", "u: a1 b2"]),
        (FIRST_LEAVES, "a b1", ["t: out"]),
        (ONE_OF.format('<transition event="t" target="out"/>'), "a1 b", ["t: a2 b", "t: out"]),
        (COUNT, "a", ["go: right"]),
        (QUEUE, "right", []),
        ('<state id="a"><transition event="x.y" target="b"/></state><state id="b"/>', "a",
         ["x: a", "x.yz: a", "x.y.z: b"]),
        ('<state id="a"><transition event="t" cond="1 &gt; 2" target="b"/><state id="c"/></state>'
         '<state id="b"/>', "c", ["t: c", "t: c"]),
        ('<state id="a" initial="f"><transition event="done.state.a" target="b"/>'
         '<final id="f"/></state><state id="b"/>', "b", []),
    ],
    ids=["history", "out of one state of a branch, and back into it", "the first branch leaves",
         "out of a branch", "content in order", "raised events queue up", "prefixes",
         "no guard holds", "the end of a state"],
)  # fmt: skip
def test_what_can_be_said_means_the_same(body: str, first: str, events: list[str]) -> None:
    assert judged(body, first, *events) == Verdict("own", PASSED)


def test_what_is_sent_later_comes_in_the_order_of_its_delays() -> None:
    case = Case("own", chart(DELAYS), ("a",), (("x", 1.0, ("b",)), ("x", 3.0, ("right",))))
    assert judge(case) == Verdict("own", PASSED)


LATER = '<datamodel><data id="n" expr="1"/></datamodel>' + FIRST_LEAVES.replace(
    'event="t" target="out"', 'event="t" cond="n == 1" target="out"'
)


@pytest.mark.parametrize(
    ("body", "kind", "why"),
    [
        ('<parallel id="p"><history id="h"><transition target="a"/></history><state id="a"/>'
         '</parallel>', CANNOT, "history of a parallel state"),
        ('<state id="a"><invoke/></state>', CANNOT, "a child session in place"),
        ('<state id="a"><onentry><script>x</script></onentry></state>', CANNOT, "script"),
        ('<state id="a"><transition cond="In(\'b\')" target="a"/></state>', CANNOT, "In()"),
        (LATER, CANNOT, "goes before those of later branches"),
        (ONE_OF.format('<transition event="t" target="b"/>').replace("a2", "b"), CANNOT, "branch"),
        (ONE_OF.format('<onexit/><transition event="t" target="b"><raise event="x"/></transition>')
         .replace("<onexit/>", '<onexit><raise event="y"/></onexit>'), DIFFERS,
         "an arrow inside of a branch stays in it"),
        ('<state id="a"><transition cond="nobody == 1" target="a"/></state>', DIFFERS, "an error"),
        ('<state id="a"><transition target="b"/></state><state id="b"><transition target="a"/>'
         '</state>', DIFFERS, "a loop in which nothing waits"),
        (DELAYS.replace(".5s", "2s"), DIFFERS, "fire in no given order"),
        ('<state id="a"><onentry><assign location="_x" expr="1"/></onentry></state>', CANNOT,
         "system variables"),
    ],
)  # fmt: skip
def test_what_cannot_be_said_is_refused_with_its_reason(body: str, kind: str, why: str) -> None:
    verdict = judged(body, "a", "t: a")
    assert (verdict.kind, why in verdict.reason) == (kind, True), verdict


def test_another_place_than_expected_is_a_failure_that_says_where() -> None:
    verdict = judged('<state id="a"><transition event="t" target="b"/></state><state id="b"/>',
                     "a", "t: a")  # fmt: skip
    assert verdict.reason == "after event 1, t: in b instead of a"
