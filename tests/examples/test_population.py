"""The traffic of the example: real rows, one stated change, and what it does to the model."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from waystage.spec.load import load_lifecycle

pytest.importorskip("sklearn", reason="the extra `demo` is not installed")

LIFECYCLE = Path(__file__).parents[2] / "lifecycles" / "scorecard.yaml"


@pytest.fixture(scope="module")
def quarters(example: Path) -> Any:
    import population

    return population.quarters(5)


@pytest.fixture(scope="module")
def lifecycle() -> Any:
    return load_lifecycle(LIFECYCLE).spec


def test_every_request_is_a_real_application_but_for_the_two_recoded_lists(
    example: Path, quarters: Any
) -> None:
    import population

    tables = {name: {v: k for k, v in t.items()} for name, t in population.BACK_TO_FRONT.items()}
    real = Counter((json.dumps(a.inputs), a.event) for a in population.applications())
    for quarter in quarters:
        migrated = 0
        for row in quarter.rows:
            if (json.dumps(row.inputs), row.event) not in real:
                back = {name: table[row.inputs[name]] for name, table in tables.items()}
                assert (json.dumps({**row.inputs, **back}), row.event) in real
                migrated += 1
        assert migrated / len(quarter.rows) == pytest.approx(quarter.migrated, abs=0.05)


def test_the_traffic_is_always_the_same(example: Path, quarters: Any) -> None:
    import population

    assert population.quarters(5) == quarters
    assert population.quarters(2) == quarters[:2]
    ids = [row.request_id for quarter in quarters for row in quarter.rows]
    assert len(ids) == len(set(ids)) == 5 * 13 * 140


def test_nobody_is_in_two_parts(example: Path) -> None:
    import population

    dealt = population.parts()
    assert [len(part) for part in dealt] == [500, 250, 250]
    assert [sum(a.event for a in part) for part in dealt] == [150, 75, 75]
    whole = Counter(json.dumps(a) for part in dealt for a in part)
    assert whole == Counter(json.dumps(a) for a in population.applications())


def test_what_judges_a_challenger_is_nothing_that_it_learnt_from(
    example: Path, quarters: Any
) -> None:
    import figures

    def people(rows: Any) -> set[str]:
        recoded = {"checking_account", "savings"}
        return {json.dumps({k: v for k, v in r.inputs.items() if k not in recoded}) for r in rows}

    learnt, judged = figures.halves(quarters[3])
    assert not people(learnt) & (people(judged) | people(quarters[4].rows))


def test_the_champion_is_ok_twice_then_warned_then_in_breach_and_none_by_luck(
    example: Path, champion: Path, quarters: Any, lifecycle: Any, scores: Any, simple_ks: Any
) -> None:
    import figures
    import numpy as np

    warn = lifecycle.params["ks_warn"].default
    floor = lifecycle.params["ks_floor"].default
    bounds = [(warn, 1.0), (warn, 1.0), (floor, warn), (0.0, floor)]
    for quarter, (low, high) in zip(quarters, bounds, strict=False):
        events = np.array([row.event for row in quarter.rows])
        found = scores(champion / "model.onnx", [row.inputs for row in quarter.rows])
        told = figures.ks_interval(events, found)
        assert told.value == pytest.approx(simple_ks(events.tolist(), found.tolist()), abs=1e-9)
        assert low < told.low < told.value < told.high < high, quarter.name


def test_every_quarter_has_enough_for_a_verdict(quarters: Any, lifecycle: Any) -> None:
    minimum = lifecycle.monitors["ks"].minimum
    for quarter in quarters:
        bad = sum(row.event for row in quarter.rows)
        assert bad > 2 * minimum.events
        assert len(quarter.rows) - bad > 2 * minimum.nonevents


def test_retraining_helps_after_the_change_and_not_before(example: Path, quarters: Any) -> None:
    import figures

    assert figures.duel(quarters[0]).low < 0
    assert figures.duel(quarters[3]).low > 0.1


def test_figures_agree_with_what_the_script_shows(example: Path, run: Any) -> None:
    told = run("population.py", "--check")
    assert told.returncode == 0, told.stderr
    shown = "".join(f"    {line}\n" for line in told.stdout.splitlines())
    assert shown in (example / "README.md").read_text(encoding="utf-8")


def test_a_quarter_is_written_as_json_lines(example: Path, run: Any, tmp_path: Path) -> None:
    told = run("population.py", "--quarter", "2", "--out", str(tmp_path / "rows.jsonl"))
    assert told.returncode == 0, told.stderr
    rows = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    assert len(rows) == 1820
    assert rows[0].keys() == {"request_id", "inputs", "event"}
