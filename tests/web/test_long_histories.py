"""A run with more rows of history than the daemon gives in one answer is told whole."""

from __future__ import annotations

import json
from typing import Any

import pytest
from sqlalchemy import insert, select, update

from waystage.cli.main import run as waystage
from waystage.store.schema import history, runs

ROWS = 10_002  # the daemon gives ten thousand in an answer


@pytest.fixture
def long_run(api: Any) -> str:
    """Open a run and write a long past for it, as years of ticks would."""
    run = api.open()
    api.until(lambda: api.get(f"runs/{run}")["tasks"])
    with api.daemon.store.writing() as connection:
        row = connection.execute(select(history).order_by(history.c.seq.desc())).mappings().first()
        past = [dict(row) | {"seq": seq} for seq in range(row["seq"] + 1, ROWS + 1)]
        connection.execute(insert(history), past)
        connection.execute(update(runs).values(revision=ROWS))
    return run


def seen(capfd: Any, *words: str) -> list[int]:
    capfd.readouterr()
    assert waystage(["--project", *words, "--json"]) == 0
    return [row["seq"] for row in json.loads(capfd.readouterr().out)]


def test_a_history_of_many_answers_is_shown_whole_or_only_its_end(api, long_run, capfd):
    asked = (str(api.root), "history", long_run)
    assert seen(capfd, *asked) == list(range(1, ROWS + 1))
    assert seen(capfd, *asked, "--last", "3") == [ROWS - 2, ROWS - 1, ROWS]
    assert seen(capfd, *asked, "--last", str(10 * ROWS)) == list(range(1, ROWS + 1))
    rows = api.get(f"runs/{long_run}/history", after=5, limit=2)
    assert [row["seq"] for row in rows] == [6, 7]
    assert api.ask("GET", f"runs/{long_run}/history", params={"limit": 0}).status_code == 400
    assert api.get(f"runs/{long_run}/history", after=ROWS) == []
