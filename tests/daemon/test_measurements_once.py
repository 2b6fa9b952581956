"""A measurement is kept once: a replay counts nothing twice, not even by a planted bug."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import insert, select
from sqlalchemy.exc import IntegrityError

from waystage.daemon.playing import Playing
from waystage.errors import Hopeless
from waystage.kernel import events
from waystage.plugin import Measurement
from waystage.store import schema as t

WATCHED = """
lifecycle: watched
services: [s]
monitors:
  psi: {use: test.gauge, window: {length: P1D}, breach: {above: 0.25}}
initial: serving
states:
  serving:
    timers: {often: {every: PT1H}}
    next: {often: look}
  look:
    verify: psi
    next: {ok: serving, warn: serving, breach: serving, insufficient: serving}
"""


def rows(bench: Any) -> list[Any]:
    with bench.store.engine.connect() as connection:
        return list(connection.execute(select(t.measurements).order_by(t.measurements.c.id)))


@pytest.fixture
def measured(bench: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Have a run that looks every hour; give the engine's bench."""
    gauge = bench.engine.workers._catalog["test.gauge"]
    monkeypatch.setattr(gauge, "measure", lambda *_: Measurement(value=0.1))
    bench.open(bench.lifecycle(WATCHED))
    return bench


def test_a_measurement_that_is_kept_again_by_a_bug_is_one_row(
    measured: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep = Playing._keep_measurement

    def twice(self: Playing, *told: Any) -> None:
        keep(self, *told)
        keep(self, *told)

    monkeypatch.setattr(Playing, "_keep_measurement", twice)
    measured.turn(timedelta(hours=1))
    (row,) = rows(measured)
    values = {name: getattr(row, name) for name in row._fields if name != "id"}
    with pytest.raises(IntegrityError), measured.store.engine.begin() as connection:
        connection.execute(insert(t.measurements).values(values))


def test_the_same_window_measured_again_is_a_row_of_a_higher_number(measured: Any) -> None:
    for _ in range(3):
        measured.turn(timedelta(hours=1))
    found = rows(measured)
    assert len(found) == 3
    assert len({(row.start, row.end) for row in found}) == 1
    numbers = [row.number for row in found]
    assert numbers == sorted(set(numbers))


RETRIED = WATCHED.replace("PT1H}}", "P1D}}")


def test_what_was_measured_after_an_error_and_a_retry_is_kept_beside_it(
    bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers: list[Any] = [Hopeless("the log is away"), Measurement(value=0.1)]

    def measure(*_: Any) -> Measurement:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(bench.engine.workers._catalog["test.gauge"], "measure", measure)
    run = bench.open(bench.lifecycle(RETRIED))
    bench.turn(timedelta(days=1))
    (found,) = bench.store.incidents()
    bench.send(run, events.repair("retry", found.state, {"reason": "it is back"}, "otto"))
    bench.settle()
    assert [row.verdict for row in rows(bench)] == ["error", "ok"]
    assert len({(row.start, row.end) for row in rows(bench)}) == 1
    assert bench.places(run) == ("serving",)
