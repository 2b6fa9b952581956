"""W1 by SpiffWorkflow: ten script tasks a process, its state saved to SQLite after each.

SpiffWorkflow has no store of its own, so this saves what its serializer gives, in the way that is
kindest to it: one durable transaction for one task of each process in flight. Runs in an
environment of its own; prints one line of JSON.
"""

from __future__ import annotations

import argparse
import io
import json
import sqlite3
import time
from importlib.metadata import version
from itertools import pairwise
from typing import Any

from lxml import etree
from SpiffWorkflow.bpmn.parser import BpmnParser
from SpiffWorkflow.bpmn.serializer import BpmnWorkflowSerializer
from SpiffWorkflow.bpmn.workflow import BpmnWorkflow
from SpiffWorkflow.util.task import TaskState

STEPS = 10
BPMN = "http://www.omg.org/spec/BPMN/20100524/MODEL"


def process() -> bytes:
    """Write a process of ten script tasks in a row."""
    tasks = "".join(
        f'<scriptTask id="t{n}"><script>answer = {{"number": {n}}}</script></scriptTask>'
        for n in range(STEPS)
    )
    names = ["begin", *(f"t{n}" for n in range(STEPS)), "end"]
    flows = "".join(
        f'<sequenceFlow id="f{n}" sourceRef="{source}" targetRef="{target}"/>'
        for n, (source, target) in enumerate(pairwise(names))
    )
    return (
        f'<definitions xmlns="{BPMN}" targetNamespace="w1"><process id="w1" isExecutable="true">'
        f'<startEvent id="begin"/>{tasks}<endEvent id="end"/>{flows}</process></definitions>'
    ).encode()


def specification() -> Any:
    """Parse the process."""
    parser = BpmnParser()
    parser.add_bpmn_xml(etree.parse(io.BytesIO(process())))
    return parser.get_spec("w1")


class Saved:
    """Processes in flight, and the file that holds them."""

    def __init__(self, database: str) -> None:
        self._file = sqlite3.connect(database, isolation_level=None)
        self._file.execute("PRAGMA journal_mode=WAL")
        self._file.execute("PRAGMA synchronous=FULL")
        self._file.execute("CREATE TABLE process (no INTEGER PRIMARY KEY, body TEXT)")
        self._serializer = BpmnWorkflowSerializer()

    def save(self, processes: dict[int, BpmnWorkflow]) -> None:
        """Make the state of these processes durable."""
        rows = [(no, self._serializer.serialize_json(one)) for no, one in processes.items()]
        self._file.execute("BEGIN IMMEDIATE")
        self._file.executemany("INSERT OR REPLACE INTO process VALUES (?, ?)", rows)
        self._file.execute("COMMIT")

    def ended(self) -> int:
        """Count the processes that the file holds as completed."""
        bodies = self._file.execute("SELECT body FROM process")
        return sum(bool(json.loads(body)["completed"]) for (body,) in bodies)


def step(one: BpmnWorkflow) -> None:
    """Run the next script task, and what comes before it without work."""
    while (task := one.get_next_task(state=TaskState.READY)) is not None:
        task.run()
        if type(task.task_spec).__name__ == "ScriptTask":
            break
    if one.get_next_task(state=TaskState.READY) is None:
        one.refresh_waiting_tasks()


def measure(database: str, runs: int, in_flight: int) -> dict[str, float]:
    """Run all processes and give transitions per second and the slowest percent."""
    saved, given = Saved(database), specification()
    flying: dict[int, BpmnWorkflow] = {}
    born: dict[int, float] = {}
    took, begun, began = [], 0, time.perf_counter()
    while begun < runs or flying:
        while begun < runs and len(flying) < in_flight:
            flying[begun], born[begun] = BpmnWorkflow(given), time.perf_counter()
            begun += 1
        for one in flying.values():
            step(one)
        over = [no for no, one in flying.items() if _over(one)]
        saved.save(flying)
        now = time.perf_counter()
        took += [now - born.pop(no) for no in over]
        for no in over:
            del flying[no]
    seconds = time.perf_counter() - began
    if saved.ended() != runs:
        raise SystemExit(f"{saved.ended()} processes are saved as completed, not {runs}")
    took.sort()
    return {"rate": runs * STEPS / seconds, "p99_seconds": took[int(len(took) * 0.99)]}


def _over(one: BpmnWorkflow) -> bool:
    """Run what is left without work; the last task's save also saves the end."""
    rest = one.get_next_task(state=TaskState.READY)
    if rest is not None and type(rest.task_spec).__name__ != "ScriptTask":
        one.run_all()
    return bool(one.completed)


def main() -> None:
    """Measure once and print the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, required=True)
    parser.add_argument("--in-flight", type=int, required=True)
    parser.add_argument("--database", required=True, help="a file that is made")
    given = parser.parse_args()
    found = measure(given.database, given.runs, given.in_flight)
    print(json.dumps({"version": version("SpiffWorkflow"), **found}))


if __name__ == "__main__":
    main()
