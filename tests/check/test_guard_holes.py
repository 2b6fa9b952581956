"""What can be decided about lists of guards: holes, overlaps, and guards that are never tried."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waystage.check import check_lifecycle
from waystage.check.cells import Cells
from waystage.expressions import compile_expression
from waystage.registry import load_catalog
from waystage.spec.load import parse_lifecycle

LIFECYCLE = """\
lifecycle: guarded
services: ["*"]
params:
  limit: {{type: number, default: 0.4}}
  mode: {{type: string, default: a}}
  on: {{type: boolean, default: true}}
initial: ask
states:
  ask:
    task:
      title: Go?
      for: [role:validator]
      form: {{ks: {{type: number}}, n: {{type: integer}}}}
      outcomes: [go]
    next:
      go:
{arrows}
  a: {{final: true}}
"""


def told(*guards: str, default: bool = True) -> list[tuple[str, int]]:
    """Give codes and entries (from 1; 0 is the list) for guards that lead to one state."""
    arrows = [f"        - {{if: '{guard}', to: a}}" for guard in guards]
    arrows += ["        - {to: a}"] if default else []
    loaded = parse_lifecycle(LIFECYCLE.format(arrows="\n".join(arrows)), "x.yaml")
    found = check_lifecycle(loaded, None, load_catalog())
    of_guards = [p for p in found if p.code != "W-FIELD-UNREAD"]
    return [(p.code, p.line - 16 if p.column > 9 else 0) for p in of_guards]


KS = "tasks.ask.form.ks"
N = "tasks.ask.form.n"


def test_a_gateway_with_less_and_greater_and_no_equal_has_a_hole() -> None:
    assert told(f"{KS} < 0.3", f"{KS} > 0.3") == [("W-GUARD-HOLE", 0)]
    assert told(f"{KS} < params.limit", f"{KS} > params.limit") == [("W-GUARD-HOLE", 0)]
    both = told(f"{KS} < 0.3", f"0.5 < {KS}", f"{KS} > 0.3 && {KS} < 0.5")
    assert both == [("W-GUARD-HOLE", 0)] * 2
    assert told(f"{N} < 3", f"{N} > 3") == [("W-GUARD-HOLE", 0)]


def test_what_is_left_to_the_last_entry_on_purpose_is_no_hole() -> None:
    assert told(f"{KS} < 0.3") == []
    assert told(f"{KS} < 0.3", f"{KS} > 0.5") == []
    assert told(f"{KS} < 0.3 || {KS} > 0.5", 'params.mode == "b"') == []
    assert told(f"{N} == 3") == []


def test_guards_that_take_everything_leave_the_last_entry_dead() -> None:
    assert told(f"{KS} < 0.3", f"{KS} >= 0.3") == [("W-GUARD-COVERED", 3)]
    assert told("params.on", "!params.on") == [("W-GUARD-COVERED", 3)]
    assert told(f"{N} <= 3", f"{N} >= 4") == [("W-GUARD-COVERED", 3)]
    assert told(f"{KS} <= 3", f"{KS} >= 4") == []


def test_a_wider_guard_hides_the_narrower_one_after_it() -> None:
    assert told(f"{KS} < 0.5", f"{KS} < 0.3") == [("E-GUARD-SHADOWED", 2)]
    assert told(f"{KS} < 0.3", f"{KS} < 0.5") == []
    assert told('params.mode in ["a", "b"]', 'params.mode == "b"') == [("E-GUARD-SHADOWED", 2)]
    assert told("params.on", f"params.on && {KS} < 0.3") == [("E-GUARD-SHADOWED", 2)]
    assert told(f"{KS} < 0.3", f"{KS} < 0.3") == [("E-GUARD-SHADOWED", 2)]


def test_a_guard_that_contradicts_itself_is_told() -> None:
    assert told(f"{KS} < 0.3 && {KS} > 0.5") == [("E-GUARD-NEVER", 1)]
    assert told('params.mode == "a" && params.mode == "b"') == [("E-GUARD-NEVER", 1)]
    assert told(f"{N} > 3 && {N} < 4") == [("E-GUARD-NEVER", 1)]
    assert told(f"{KS} > 3 && {KS} < 4") == []
    assert told(f"{KS} < params.limit && params.limit < {KS}") == [("E-GUARD-NEVER", 1)]


def test_guards_that_cross_are_told_and_steps_of_a_ladder_are_not() -> None:
    assert told(f"{KS} < 0.5", f"{KS} > 0.3") == [("W-GUARD-OVERLAP", 2), ("W-GUARD-COVERED", 3)]
    assert told(f"{KS} < 0.1", f"{KS} < 0.2", f"{KS} < 0.3") == []
    assert told(f"{KS} < 0.5 && {KS} > 0.1", f"{KS} > 0.3 && {KS} < 0.9") == [
        ("W-GUARD-OVERLAP", 2)
    ]
    assert told(f"{KS} < 0.5", f"{N} < 3") == []


def test_what_cannot_be_looked_into_is_left_alone() -> None:
    assert told('params.mode.startsWith("a")', 'params.mode.startsWith("ab")') == []
    assert told(f"size(params.mode) > {N}", f"size(params.mode) < {N}") == [("W-GUARD-HOLE", 0)]


def test_very_many_values_are_left_undecided() -> None:
    terms = " && ".join(f"{KS} * {n}.0 > {n}.5" for n in range(1, 30))
    assert told(terms) == []


ATOMS = st.one_of(
    st.tuples(st.sampled_from("xy"), st.sampled_from(["<", "<=", ">", ">=", "==", "!="]),
              st.integers(-2, 2)).map(lambda t: f"{t[0]} {t[1]} {t[2]}"),
    st.sampled_from(["x < y", "x >= y", "x == y"]),
)  # fmt: skip
GUARDS = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["&&", "||"]), inner).map(
            lambda t: f"({t[0]}) {t[1]} ({t[2]})"
        ),
        inner.map(lambda guard: f"!({guard})"),
    ),
    max_leaves=4,
)


@given(st.lists(GUARDS, min_size=1, max_size=3), st.floats(-4, 4), st.floats(-4, 4))
def test_whatever_happens_at_any_values_happens_in_one_of_the_cells(
    guards: list[str], x: float, y: float
) -> None:
    compiled = [compile_expression(guard, {"x", "y"}) for guard in guards]
    cells = Cells([each.ast for each in compiled], lambda _: False)
    truth = tuple(each.holds({"x": x, "y": y}) for each in compiled)
    assert truth in set(cells.truth.values())


@given(st.lists(GUARDS, min_size=1, max_size=3), st.integers(-5, 5), st.integers(-5, 5))
def test_the_same_is_true_of_whole_numbers(guards: list[str], x: int, y: int) -> None:
    compiled = [compile_expression(guard, {"x", "y"}) for guard in guards]
    cells = Cells([each.ast for each in compiled], lambda _: True)
    truth = tuple(each.holds({"x": x, "y": y}) for each in compiled)
    assert truth in set(cells.truth.values())


@pytest.mark.parametrize("guard", ["x < 1 && x > 1", "x > 0 && !(x > 0)", "x == 1 && x == 2"])
def test_contradictions_have_no_cell(guard: str) -> None:
    cells = Cells([compile_expression(guard, {"x"}).ast], lambda _: False)
    assert set(cells.truth.values()) == {(False,)}


def test_hundreds_of_guards_in_one_list_are_decided_in_seconds() -> None:
    began = time.process_time()
    found = told(*(f"tasks.ask.form.ks < {number}" for number in range(800)))
    assert found == []
    assert time.process_time() - began < 10
    backwards = told(*(f"tasks.ask.form.ks < {-number}" for number in range(800)))
    assert {code for code, _ in backwards} == {"E-GUARD-SHADOWED"}
    assert len(backwards) == 799
