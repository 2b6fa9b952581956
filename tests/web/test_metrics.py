"""`/metrics` as Prometheus reads it, `/v1/ready` and `/v1/health` when things go wrong."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.web.conftest import Api

from waystage.daemon import health
from waystage.web.metrics import MOST_SERIES, bounded

# the grammar of Prometheus' text format, version 0.0.4
LABEL = r'[a-zA-Z_]\w*="(?:[^"\\\n]|\\["\\n])*"'
SAMPLE = re.compile(
    rf"(?P<name>[a-zA-Z_:][\w:]*)(?:\{{(?P<labels>{LABEL}(?:,{LABEL})*)\}})? (?P<value>\S+)"
)


@pytest.fixture
def api(project: Path) -> Iterator[Api]:
    found = Api(project)
    yield found
    found.stop()


def metrics(api: Api) -> dict[str, float]:
    """Read all series, holding each line to the format."""
    headers = {"Authorization": f"Bearer {api.token}"}
    answer = api.http.get("/metrics", headers=headers)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    found: dict[str, float] = {}
    typed: set[str] = set()
    for line in answer.text.splitlines():
        if line.startswith("# TYPE "):
            name = line.split()[2]
            assert name not in typed
            typed.add(name)
        elif not line.startswith("# HELP "):
            sample = SAMPLE.fullmatch(line)
            assert sample, line
            assert re.sub(r"_(bucket|sum|count)$", "", sample["name"]) in typed, line
            key = line.rpartition(" ")[0]
            assert key not in found
            found[key] = float(sample["value"])
    return found


def test_metrics_tell_what_runs_wait_for(api: Api) -> None:
    api.task()
    api.incident()
    found = metrics(api)
    assert found['waystage_runs{lifecycle="asking",status="open"}'] == 1
    assert found['waystage_state_runs{lifecycle="asking",state="approve"}'] == 1
    assert found['waystage_state_oldest_seconds{lifecycle="asking",state="approve"}'] >= 0
    assert found['waystage_tasks_open{lifecycle="asking"}'] == 1
    assert found['waystage_incidents_open{lifecycle="breaking",kind="failed"}'] == 1
    assert found["waystage_writer_up"] == 1
    name = 'waystage_step_seconds_bucket{use="test.moody",answer="failed",le='
    buckets = [found[f'{name}"{edge}"}}'] for edge in ("0.001", "60.0", "1800.0", "+Inf")]
    assert buckets == sorted(buckets)
    assert (
        buckets[-1] == found['waystage_step_seconds_count{use="test.moody",answer="failed"}'] == 1
    )
    assert found["waystage_events_total"] >= 3


def test_the_number_of_series_is_bounded() -> None:
    many = {(f"l{number}", "open"): float(number) for number in range(MOST_SERIES * 5)}
    summed = bounded(many, summed=True)
    assert len(summed) == MOST_SERIES
    assert sum(summed.values()) == sum(many.values())
    assert bounded(many, summed=False)["other", "other"] == MOST_SERIES * 4


def test_a_daemon_that_works_is_ready_and_says_so_to_anyone(api: Api) -> None:
    answer = api.http.get("/v1/ready")
    assert (answer.status_code, answer.json()) == (200, {"ready": True, "why": []})


def _not_ready(api: Api, says: str) -> None:
    answer = api.http.get("/v1/ready")
    assert answer.status_code == 503
    assert says in answer.json()["why"][0], answer.text


def test_a_writer_that_hangs_is_not_ready_but_lives(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "PATIENCE", 0.1)
    going = threading.Event()
    api.daemon.engine.act(lambda tx: going.wait(20))
    _not_ready(api, "did not take its turn")
    going.set()
    api.until(lambda: api.http.get("/v1/ready").status_code == 200)


def test_a_database_that_cannot_be_written_and_a_full_disk_are_not_ready(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:  # what the writer finds out does not end it
        fault = property(lambda _: "disk I/O error", lambda *_: None)
        broken.setattr(type(api.daemon.engine), "fault", fault, raising=False)
        _not_ready(api, "cannot be written: disk I/O error")
        assert metrics(api)["waystage_writer_up"] == 0
    if api.daemon.store.shared:
        return  # PostgreSQL's disk is its own server's
    monkeypatch.setattr(health, "LEAST_BYTES", 1 << 60)
    _not_ready(api, "are free on the disk")


def test_work_that_waits_too_long_is_not_ready(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "lag", lambda *_: 90.0)
    _not_ready(api, "due work waits since 90 s")


def test_a_daemon_whose_writer_has_stopped_does_not_live(api: Api) -> None:
    assert api.http.get("/v1/health").status_code == 200

    class Broken(BaseException):
        """What no transaction expects."""

    def stop(tx: Any) -> None:
        raise Broken("of all things")

    api.daemon.engine.act(stop)
    api.until(lambda: api.daemon.engine.failure is not None)
    answer = api.http.get("/v1/health")
    assert (answer.status_code, answer.json()["ok"]) == (503, False)
    assert "of all things" in answer.json()["message"]
    _not_ready(api, "the writer has stopped")
