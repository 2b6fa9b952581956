"""The same request from many at once, over real HTTP: one effect, and everyone is told which."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import clicking
import pytest
from fault_rows import FULL, scaled

from waystage.daemon.daemon import Daemon
from waystage.registry import load_catalog
from waystage.web.server import WebServer

ASKING = """
lifecycle: asking
services: [s]
initial: approve
states:
  approve:
    task: {title: "Go?", for: [role:judge], quorum: 2, outcomes: [approve, reject]}
    next: {approve: approved, reject: rejected}
  approved: {final: true}
  rejected: {final: true, outcome: rejected}
"""
COUNTING = """
lifecycle: counting
services: [s]
data: {count: {type: integer, default: 0}}
initial: rest
states:
  rest:
    signals: [hit, enough]
    next: {hit: {to: rest, set: {count: "{{ data.count + 1 }}"}}, enough: end}
  end: {final: true}
"""
PROJECT = """
project: clicked
database: DATABASE
services: {s: {}}
repositories: [{name: models, use: folder, services: ["*"], with: {path: models}}]
people: {otto: {roles: [operator]}, vera: {roles: [judge]}, victor: {roles: [judge]},
         vasco: {roles: [judge]}}
roles: {operator: [operate], judge: [decide]}
"""
JUDGES = ["vera", "victor", "vasco"]
CLIENTS = 8


def write_project(root: Path, url: str) -> Path:
    """Write a project with two lifecycles and a model."""
    (root / "lifecycles").mkdir(parents=True)
    (root / "lifecycles" / "asking.yaml").write_text(ASKING)
    (root / "lifecycles" / "counting.yaml").write_text(COUNTING)
    (root / "waystage.yaml").write_text(PROJECT.replace("DATABASE", url))
    place = root / "models" / "credit" / "1"
    place.mkdir(parents=True)
    (place / "model.onnx").write_bytes(b"weights")
    (place / "manifest.yaml").write_text(
        "name: credit\nversion: '1'\nservices: [s]\nauthor: dana\nformat: onnx\n"
    )
    return root


@contextmanager
def daemons(place: Path, url: str) -> Iterator[list[tuple[Daemon, WebServer, str]]]:
    """Have a daemon with its API, or two of them where the database takes two."""
    found = []
    for name in ("one",) if url.startswith("sqlite") else ("one", "two"):
        root = write_project(place / name, url)
        daemon = Daemon(root, catalog=load_catalog())
        web = WebServer(daemon, "127.0.0.1", 0)
        daemon.start()
        web.start()
        token = json.loads((root / ".waystage/daemon.json").read_text())["token"]
        found.append((daemon, web, token))
    try:
        yield found
    finally:
        for daemon, web, _ in found:
            web.stop()
            daemon.stop()


def orders_for(daemon: Daemon, each: int) -> list[dict[str, Any]]:
    """Give the requests: openings, answers to tasks, signals; a third of them each."""
    asking, counting = (daemon.definitions.by_name(n) for n in ("asking", "counting"))
    repository = daemon.connections.repository("s")
    snapshot = repository.get(daemon.connections, "credit", "1").model_dump(mode="json")
    runs = [daemon.engine.open(daemon.opening(asking, "s", snapshot, "otto", f"t{n}"))
            for n in range(each)]  # fmt: skip
    counter = daemon.engine.open(daemon.opening(counting, "s", snapshot, "otto", "counter"))
    [run.result(timeout=300) for run in runs]
    start = {"lifecycle": "asking", "service": "s", "model": "credit", "version": "1"}
    hit = {"name": "hit", "run": counter.result(timeout=300)}
    tasks = [task.id for task in daemon.store.tasks(limit=10_000)]
    return [
        *({"path": "runs", "body": start | {"key": f"key {n}"}, "people": ["otto"]}
          for n in range(each)),
        *({"path": f"tasks/{task}/complete", "body": {"outcome": "approve"}, "people": JUDGES}
          for task in tasks),
        *({"path": "signals", "body": hit | {"payload": {"n": n}, "key": f"hook {n}"},
           "people": ["otto"]} for n in range(each)),
    ]  # fmt: skip


def click(place: Path, url: str, each: int) -> tuple[int, int]:
    """Have eight processes ask for the same; give how many requests, and what was wrong."""
    with daemons(place, url) as found:
        daemon = found[0][0]
        orders = orders_for(daemon, each)
        given = {"orders": orders, "tokens": [token for *_, token in found],
                 "addresses": [web.url.removeprefix("http://") for _, web, _ in found]}  # fmt: skip
        (place / "orders.json").write_text(json.dumps(given))
        clients = [
            subprocess.Popen(
                [sys.executable, clicking.__file__, str(n), str(place / "orders.json")],
                stdout=subprocess.PIPE, text=True,
            )
            for n in range(CLIENTS)
        ]  # fmt: skip
        said = [json.loads(client.communicate(timeout=600)[0]) for client in clients]
        return len(orders) * CLIENTS, wrongs(daemon, orders, said, each)


def wrongs(daemon: Daemon, orders: list[Any], said: list[Any], each: int) -> int:
    """Count effects that came twice or not at all, and answers that do not fit them."""
    answers = defaultdict(list)
    for number, person, status, body in (row for rows in said for row in rows):
        answers[orders[number]["path"].split("/")[0], number].append((person, status, body))
    wrong = 0
    for (kind, _), rows in answers.items():
        if kind == "tasks":  # of three judges one comes too late and is told who was faster
            late = {person for person, status, _ in rows if status == 409}
            wrong += len(late) > 1 or any(s not in (200, 409) for _, s, _ in rows)
            wrong += any(p in late for p, s, _ in rows if s == 200)
        else:
            told = {json.dumps(body.get("run") or body["runs"]) for _, s, body in rows if s == 200}
            wrong += any(s != 200 for _, s, _ in rows) + (len(told) != 1)
    runs = daemon.store.runs(limit=100_000)
    counter = next(run for run in runs if run.lifecycle == "counting")
    body = daemon.store.run_body(counter.id)
    assert body is not None
    wrong += abs(body["data"]["count"] - each)
    asked = [run for run in runs if run.lifecycle == "asking"]
    wrong += abs(len(asked) - 2 * each)
    for run in asked:
        if run.status == "ended":
            history = daemon.store.history(run.id)
            votes = [row.actor for row in history if row.event["kind"] == "vote"]
            wrong += len(votes) != 2 or len(set(votes)) != 2
    return wrong + abs(sum(run.status == "ended" for run in asked) - each)


def test_what_is_asked_for_by_many_at_once_is_done_once(
    database_url: str, tmp_path: Path, record: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    each = scaled(full=200, part=8) // 3 + 1
    tried, wrong = click(tmp_path / "calm", database_url, each)
    calm = json.loads((tmp_path / "calm" / "orders.json").read_text())
    monkeypatch.setattr("waystage.daemon.decisions.signal_sent", lambda *_: None)
    monkeypatch.setattr("waystage.daemon.decisions.keep_signal", lambda *_: None)
    other, first = f"sqlite:///{tmp_path / 'planted.db'}", database_url.startswith("sqlite")
    planted = click(tmp_path / "planted", other, 3)[1] if FULL or first else 1
    on = "SQLite" if database_url.startswith("sqlite") else "PostgreSQL, two daemons"
    record(
        fault=f"double clicks, n approvers, the same webhook again and again ({on})",
        promise="exactly one effect",
        tried=tried,
        wrong=wrong,
        how=f"{CLIENTS} processes make the same {len(calm['orders'])} requests in different "
        "orders over the real API: openings, answers of three judges with a quorum of two, "
        "signals that count",
        caught=f"forgetting the keys of signals: {planted} wrong",
    )
    assert planted
