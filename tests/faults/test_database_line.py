"""A database behind a bad line, and one that is restarted: nothing is lost or doubled."""

from __future__ import annotations

import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pytest
from bare_engine import BareEngine
from fault_rows import FULL, scaled
from postgres_server import NoServer, PostgresServer
from rough_proxy import RoughProxy

from waystage.daemon.engine import Engine
from waystage.errors import Unavailable
from waystage.plugin import Done, Step
from waystage.store import Store
from waystage.store.codec import chained, dump, micros

TEXT = """
lifecycle: lined
services: [s]
initial: a
states:
  a: {steps: [{use: line.quick}], next: {done: b}}
  b: {steps: [{use: line.pooled}], next: {done: c}}
  c: {timers: {soon: {after: PT0.2S}}, next: {soon: d}}
  d: {lease: "{{ service }} {{ run.id }}", steps: [{use: line.pooled}], next: {done: end}}
  end: {final: true}
"""
WAY = ["moved a done b", "moved b done c", "moved c soon d", "moved d done end"]


class Quick(Step):
    """Do nothing, in the loop.

    - use: line.quick
    """

    use: ClassVar[str] = "line.quick"
    inline: ClassVar[bool] = True
    refuses: ClassVar[bool] = False

    def run(self, ctx: Any) -> Done:
        return Done()


class Pooled(Quick):
    """Do nothing, in a thread.

    - use: line.pooled
    """

    use: ClassVar[str] = "line.pooled"
    inline: ClassVar[bool] = False


CATALOG = {each.use: each for each in (Quick, Pooled)}
HANDS = 6  # that ask each daemon for runs


@dataclass
class Load:
    """Someone who opens runs without end, and asks again when it was not done."""

    bare: BareEngine
    name: str
    told: dict[str, str] = field(default_factory=dict)  # the run that each key was told to be
    again: int = 0
    answered: float = 0.0  # when the last answer came
    stopping: threading.Event = field(default_factory=threading.Event)

    def work(self, hand: int) -> None:
        definition, number = self.bare.lifecycle(TEXT), 0
        while not self.stopping.is_set():
            key = f"{self.name} {hand} {number}"
            try:
                self.told[key] = self.bare.asked(definition, key).result(timeout=300)
                self.answered, number = time.monotonic(), number + 1
            except Unavailable:
                self.again += 1


@contextmanager
def loaded(
    server: PostgresServer, url: str, seed: int, commit: float
) -> Iterator[tuple[list[Load], list[Any]]]:
    """Have two daemons under load, each behind a line of its own."""
    proxies = [RoughProxy(server.port, seed * 10 + n, commit=commit) for n in range(2)]
    name = url.rpartition("/")[2]
    urls = [f"postgresql://waystage@127.0.0.1:{proxy.port}/{name}" for proxy in proxies]
    loads = [Load(BareEngine(each, CATALOG, lease=2.0), f"load {n}") for n, each in enumerate(urls)]
    threads = [threading.Thread(target=load.work, args=(hand,)) for load in loads
               for hand in range(HANDS)]  # fmt: skip
    for thread in threads:
        thread.start()
    try:
        yield loads, proxies
    finally:
        for load in loads:
            load.stopping.set()
        for proxy in proxies:
            proxy.rough.clear()
        for thread in threads:
            thread.join(timeout=90)
        for load in loads:
            load.bare.stop()
        for proxy in proxies:
            proxy.close()


def wrongs(store: Store, loads: list[Load], patience: float) -> tuple[int, int]:
    """Count runs, and those that are lost, stuck, doubled or not what their history says."""
    end = time.monotonic() + patience
    while store.runs(status="open", limit=1) and time.monotonic() < end:
        time.sleep(0.05)
    rows = {row.id: row for row in store.runs(limit=100_000)}
    told = [run for load in loads for run in load.told.values()]
    wrong = len(told) - len(set(told)) + sum(run not in rows for run in told)
    for run, row in rows.items():
        history = store.history(run)
        moves = [" ".join(r[:4]) for each in history for r in each.records if r[0] == "moved"]
        head = b"\0" * 32
        for each in history:
            body = dump({"event": each.event, "records": each.records})
            head = chained(head, each.seq, micros(each.at), each.actor, body)
            wrong += head.hex() != each.hash
        wrong += moves != WAY or row.status != "ended"
    return len(rows), wrong


@pytest.fixture
def server(request: pytest.FixtureRequest) -> Iterator[PostgresServer]:
    """Give a server that may be ended at full scale, and the shared one otherwise."""
    if not FULL:
        yield request.getfixturevalue("shared_postgres")
        return
    try:
        found = PostgresServer()
    except NoServer as error:
        pytest.skip(str(error))
    yield found
    found.remove()


def lived(
    server: PostgresServer, seed: int, seconds: float, restarts: int, commit: float = 0.04,
    patience: float = 120,
) -> dict[str, Any]:  # fmt: skip
    """Live with a bad line, and with restarts; give what was done and what was wrong.

    What has not ended after `patience` seconds is stuck.
    """
    url, back = server.database(), []
    with loaded(server, url, seed, commit) as (loads, proxies):
        for proxy in proxies:
            proxy.rough.set()
        time.sleep(seconds)
        for proxy in proxies:
            proxy.rough.clear()
        for _ in range(restarts):
            server.stop(signal.SIGQUIT)
            time.sleep(1)
            server.start()
            back.append(until_answered(loads))
    cuts = sum((proxy.cuts for proxy in proxies), start=Counter[str]())
    store = Store(url)
    bare = BareEngine(url, CATALOG, lease=2.0)  # what was left is taken up by a daemon that comes
    rows, wrong = wrongs(store, loads, patience)
    bare.stop()
    store.close()
    again = sum(load.again for load in loads)
    return {"rows": rows, "wrong": wrong, "cuts": cuts, "again": again, "back": back}


def until_answered(loads: list[Load]) -> float:
    """Give how long it takes until each daemon answers again."""
    began = time.monotonic()
    while any(load.answered < began for load in loads) and time.monotonic() < began + 60:
        time.sleep(0.01)
    return time.monotonic() - began


def test_a_bad_line_and_restarts_lose_and_double_nothing(
    server: PostgresServer, record: Any, progress: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # who cuts lines at will is not the steps' fault: they are in no quarantine for it
    monkeypatch.setattr("waystage.daemon.workers.POISON", 1_000_000)
    seeds = scaled(full=10, part=1)
    results = [lived(server, seed, scaled(full=10, part=1), scaled(full=2, part=0))
               for seed in progress(range(seeds), seeds, "bad lines")]  # fmt: skip
    cuts = sum((each["cuts"] for each in results), start=Counter[str]())
    back = [seconds for each in results for seconds in each["back"]]
    monkeypatch.setattr(Engine, "_find_out", believe)
    tries = (lived(server, seed, 4, 0, 0.5, 20)["wrong"] for seed in range(90, 99))
    planted = next(filter(None, tries), 0) if FULL else 1
    slow = sum(seconds > 5 for seconds in back)
    assert planted, "the check does not see the planted bug"
    record(
        fault="database restarted, COMMIT's answer lost, slow and cut lines",
        promise="reconnects within 5 s, nothing lost or doubled",
        tried=sum(each["rows"] for each in results),
        wrong=sum(each["wrong"] for each in results) + slow,
        how=f"two daemons under load, PostgreSQL behind a bad line: {cuts['before']} lines cut "
        f"before COMMIT, {cuts['after']} after it, {cuts['anywhere']} elsewhere; "
        f"{len(back)} crashes of the server, answering again within "
        f"{max(back, default=0):.1f} s; {sum(each['again'] for each in results)} openings told "
        "that nothing was done, and asked again",
        caught=f"taking a lost answer for a yes: {planted} runs lost or stuck",
    )


def believe(engine: Engine, tx: Any, items: Any, _error: Any) -> None:
    """Take what may be committed as committed (planted)."""
    engine._committed(tx, items)
