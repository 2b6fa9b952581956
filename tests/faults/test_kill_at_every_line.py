"""SIGKILL at any line of the engine, and again while another daemon goes on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest
from fault_rows import FULL, scaled

TOOL = Path(__file__).parents[1] / "helpers" / "line_killer.py"
LIFECYCLES = ("working", "decided", "watched")
PROCESSES = (os.cpu_count() or 1) if FULL else 1
PROMISE = (
    "no gap, no doubled transition or effect, nothing acknowledged is lost; the audit is clean"
)
HOW = (
    "fork, trace, SIGKILL at a random passing of the line, another daemon goes on; three "
    "lifecycles: steps, retries, undo, lease, timer, child; tasks, branches, incident, pause, "
    "signal; monitors, stage; SQLite"
)
BUGS = {
    "told-early": "told before the commit",
    "split-commit": "runs committed before their history",
    "new-key": "a new key at each call",
}


def tried(how: str, lifecycle: str, tries: int, bug: str = "") -> Iterator[dict[str, Any]]:
    """Give what the tool tells; it ends when nobody listens any more."""
    words = [[sys.executable, str(TOOL), how, lifecycle, *map(str, (share, PROCESSES, tries)), bug]
             for share in range(PROCESSES)]  # fmt: skip
    processes = [subprocess.Popen(each, stdout=subprocess.PIPE, text=True) for each in words]
    try:
        yield from map(json.loads, as_they_come(processes))
        assert [process.wait(timeout=300) for process in processes] == [0] * PROCESSES
    finally:
        for process in processes:
            process.terminate()  # it throws its directory away
        for process in processes:
            process.wait(timeout=120)


def as_they_come(processes: list[subprocess.Popen[str]]) -> Iterator[str]:
    """Give the lines of all of them, each when it is there, until all have ended."""
    lines: SimpleQueue[str | None] = SimpleQueue()

    def read(process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        with process.stdout:
            for line in process.stdout:
                lines.put(line)
        lines.put(None)

    for process in processes:
        threading.Thread(target=read, args=(process,), daemon=True).start()
    ended = 0
    while ended < len(processes):
        line = lines.get()
        if line is None:
            ended += 1
        else:
            yield line


def found(bug: str, tries: int) -> int:
    """Give after how many crashes a planted bug shows."""
    for number, told in enumerate(tried("once", "decided", tries, bug), 1):
        if told["other"]:
            return number
    raise AssertionError(f"{bug} was not found by {tries} crashes")


@pytest.mark.parametrize("lifecycle", LIFECYCLES)
def test_a_daemon_killed_at_any_line_loses_and_doubles_nothing(lifecycle, record, progress):
    results = list(progress(tried("once", lifecycle, scaled(full=0, part=10)), 2000, lifecycle))
    crashed = [told for told in results if told["crashed"]]
    wrong = [told for told in results if told["other"]]
    for told in wrong[:5]:
        print(told)
    record(fault="SIGKILL at any line of the engine", promise=PROMISE, how=HOW,
           tried=len(crashed), wrong=len(wrong))  # fmt: skip


def test_a_planted_bug_is_found_by_killing_at_lines(record):
    bugs = BUGS if FULL else ["told-early"]
    after = {bug: found(bug, 300) for bug in bugs}
    caught = "; ".join(f"{BUGS[bug]}: found by crash {number}" for bug, number in after.items())
    record(fault="SIGKILL at any line of the engine", promise=PROMISE, how=HOW,
           tried=0, wrong=0, caught=caught)  # fmt: skip


def test_a_daemon_killed_again_while_it_recovers_loses_and_doubles_nothing(record, progress):
    tries = scaled(full=1002, part=3) // len(LIFECYCLES)
    results = [
        told
        for lifecycle in LIFECYCLES
        for told in progress(tried("twice", lifecycle, tries), tries, lifecycle)
    ]
    wrong = [told for told in results if told["other"]]
    for told in wrong[:5]:
        print(told)
    bug = "split-commit"
    planted = enumerate(tried("twice", "decided", 100, bug), 1) if FULL else ()
    number = next((n for n, told in planted if told["other"]), 0)
    record(
        fault="a second SIGKILL during recovery", promise=PROMISE,
        how="as above, and another SIGKILL at a random line while the second daemon goes on",
        tried=sum(told["crashed"] for told in results), wrong=len(wrong),
        caught=f"{BUGS[bug]}: found by crash {number}" if number else "",
    )  # fmt: skip
