"""Plugins that raise, hang, crash, leak, flood, tell secrets: each ends in one clear line."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hostile_plugins import CANARY, SECRET, Hostile, alive

from waystage.kernel import events
from waystage.store.codec import dump

ONCE = "retry: {max: 1}"


@pytest.fixture
def hostile(tmp_path: Path):
    found = Hostile(tmp_path, "sqlite:///waystage.db", "execution: {memory: 512}\n")
    yield found
    found.stop()


def step(do: str, use: str = "evil", more: str = ONCE, secret: bool = False) -> str:
    told = f", secret: {dump(SECRET).decode()}" if secret else ""
    return f"[{{use: hostile.{use}, id: it, with: {{do: {do}{told}}}, {more}}}]"


ENDS = {
    "raise": "ZeroDivisionError: no \\0 \\udcff such thing",
    "unspeakable": "Silent",
    "leave": "SystemExit: 3",
    "nan": "output.score is nan, which is no finite number",
    "huge": "more than 262,144: keep bigger things as artefacts",
    "text": "the plugin answered str, not Done, Waiting or Refused",
    "list": "the output is list, not a mapping of names to values",
    "fact": "'deployed' is told as a fact and is none",
    "never": "is no time from nothing to a year",
    "no_time": "waits 'soon', which is no time from nothing to a year",
}
DIES = {
    "exit": "its process ended with exit code 9 before it answered; its last line: about to leave",
    "segfault": "its process died of SIGSEGV (a segmentation fault) before it answered",
    "kill": "its process died of SIGKILL (killed, maybe for its memory) before it answered",
    "allocate": "MemoryError; it may take 512 MiB, as `execution: memory` says",
    "garbage": "its process said what is no answer",
    "lie": "its process said what is no answer: 'X'",
    "too_much": "its process said 2,130,706,432 bytes at once",
    "mute": "its process died of SIGKILL",  # by itself: without its daemon nothing goes on
    "hang": "no answer within 2 s",
}


@pytest.mark.parametrize("use", ["evil", "threaded", "inline"])
def test_what_is_no_answer_ends_in_one_clear_line(hostile, use):
    for do in ENDS:
        hostile.lifecycle(do.replace("_", "-"), step(do, use))
    hostile.lifecycle("kind", "[{use: hostile.kind}]")
    hostile.start()
    runs = {do: hostile.open(do.replace("_", "-")) for do in ENDS}
    for do, run in runs.items():
        message = hostile.incident(run).message
        assert ENDS[do] in message
        assert "\n" not in message
    run = hostile.open("kind")
    hostile.until(lambda: hostile.outcome(run) == "done")


def test_a_process_that_dies_or_lies_ends_in_one_clear_line_and_others_go_on(hostile):
    for do in DIES:
        hostile.lifecycle(do.replace("_", "-"), step(do, more=f"{ONCE}, timeout: PT2S"))
    hostile.lifecycle("kind", "[{use: hostile.kind}]")
    hostile.start()
    runs = {do: hostile.open(do.replace("_", "-")) for do in DIES}
    run = hostile.open("kind")
    hostile.until(lambda: hostile.outcome(run) == "done")
    for do, run in runs.items():
        assert DIES[do] in hostile.incident(run).message
        assert len(hostile.said(run)) < 10


def test_a_step_that_hangs_is_dead_with_its_group_soon_after_its_timeout(hostile):
    hostile.lifecycle("orphan", step("orphan", more=f"{ONCE}, timeout: PT1S"))
    hostile.start()
    run = hostile.open("orphan")
    hostile.until(lambda: hostile.lines("orphan.txt"))
    (orphan,) = map(int, hostile.lines("orphan.txt"))
    assert alive(orphan)
    hostile.until(lambda: not alive(orphan))
    assert "no answer within 1 s" in hostile.incident(run).message


def test_what_a_step_left_running_in_its_group_is_killed_with_it(hostile):
    hostile.lifecycle("behind", step("left_behind"))
    hostile.start()
    run = hostile.open("behind")
    hostile.until(lambda: hostile.outcome(run) == "done")
    hostile.until(lambda: not alive(int(hostile.lines("orphan.txt")[0])), 3)


def test_a_flood_of_lines_is_counted_and_not_written(hostile, caplog):
    caplog.set_level(logging.INFO)
    for do in ("flood", "flood-log"):
        hostile.lifecycle(do, step(do.replace("-", "_")))
    hostile.start()
    for do in ("flood", "flood-log"):
        run = hostile.open(do)
        hostile.until(lambda run=run: hostile.outcome(run) == "done")
        lines = [r.getMessage() for r in caplog.records if r.getMessage().startswith(f"{run} ")]
        assert 200 <= len(lines) <= 202
        assert max(map(len, lines)) < 2100
        assert "more lines" in lines[-1]


@pytest.mark.parametrize("use", ["evil", "threaded"])
def test_a_secret_gets_into_no_log_no_database_and_no_answer(hostile, use, caplog, monkeypatch):
    monkeypatch.setenv("HOSTILE_CANARY", CANARY)
    caplog.set_level(logging.DEBUG)
    tells = ["error", "log", "output", "refusal", "memo"] + ["print"] * (use == "evil")
    for do in tells:
        hostile.lifecycle(do, step(f"tell_{do}", use, secret=True))
    daemon = hostile.start()
    runs = {do: hostile.open(do) for do in tells}
    for do in ("error", "output", "refusal", "memo"):
        message = hostile.incident(runs[do]).message
        assert ("cannot log in with •••" if do == "error" else "tells env/HOSTILE_") in message
    for do in set(tells) & {"log", "print"}:
        hostile.until(lambda run=runs[do]: hostile.outcome(run) == "done")
    assert caplog.text.count("the password is •••") == (3 if use == "evil" else 1)
    api = [str(daemon.store.run_body(run)) for run in runs.values()]
    hostile.stop()
    kept = [path.read_bytes() for path in hostile.root.glob("waystage.db*")]
    for canary in (CANARY, "tweet%2Fcanary"):
        assert canary not in caplog.text
        assert canary not in str(api)
        assert all(canary.encode() not in each for each in kept)


def test_a_secret_is_in_no_argument_and_what_runs_is_asked_of_the_daemon(hostile, monkeypatch):
    monkeypatch.setenv("HOSTILE_CANARY", CANARY)
    hostile.lifecycle("look", step("look_around", secret=True))
    daemon = hostile.start()
    run = hostile.open("look")
    hostile.until(lambda: hostile.outcome(run) == "done")
    assert daemon.store.run_body(run)["steps"]["it"] == {"arguments": False, "placements": 0}


def test_memo_and_waiting_work_from_process_to_process(hostile):
    hostile.lifecycle("wait", step("wait"))
    daemon = hostile.start()
    run = hostile.open("wait")
    hostile.until(lambda: hostile.outcome(run) == "done")
    assert daemon.store.run_body(run)["steps"]["it"] == {"count": 3}
    assert hostile.lines("calls.txt") == [f"{run}/1/it"] * 4, "the same key each time"


@pytest.mark.parametrize("use", ["evil", "threaded"])
def test_a_step_whose_run_is_aborted_hears_it(hostile, use):
    hostile.lifecycle("heed", step("heed", use))
    daemon = hostile.start()
    run = hostile.open("heed")
    hostile.until(lambda: hostile.lines("calls.txt"))
    no = daemon.store.run(run).no
    daemon.engine.submit(no, events.repair("abort", "", {"reason": "enough"}, "otto")).result(10)
    hostile.until(lambda: hostile.lines("heeded.txt"), 3)
    assert hostile.outcome(run) == "aborted"


def test_each_isolated_step_is_in_a_process_group_of_its_own(hostile):
    hostile.lifecycle("nothing", step("nothing"))
    daemon = hostile.start()
    runs = [hostile.open("nothing") for _ in range(6)]
    for run in runs:
        hostile.until(lambda run=run: hostile.outcome(run) == "done")
    said = [daemon.store.run_body(run)["steps"]["it"] for run in runs]
    assert all(each["pid"] == each["group"] != os.getpid() for each in said)
    assert len({each["pid"] for each in said}) == 6


def test_the_operator_isolates_any_plugin_by_its_name_or_a_pattern(tmp_path):
    setting = 'execution: {isolate: ["hostile.k*", hostile.inline, hostile.gauge]}\n'
    hostile = Hostile(tmp_path, "sqlite:///waystage.db", setting)
    hostile.lifecycle("kind", "[{use: hostile.kind, id: it}]")
    hostile.lifecycle("inline", step("exit", "inline"))
    daemon = hostile.start()
    try:
        kind, inline = hostile.open("kind"), hostile.open("inline")
        hostile.until(lambda: hostile.outcome(kind) == "done")
        assert daemon.store.run_body(kind)["steps"]["it"]["pid"] != os.getpid()
        assert DIES["exit"] in hostile.incident(inline).message
    finally:
        hostile.stop()


def test_threads_that_hang_for_ever_do_not_hold_up_the_others(tmp_path):
    hostile = Hostile(tmp_path, "sqlite:///waystage.db", "execution: {threads: 2}\n")
    hostile.lifecycle("hang", step("ignore", "threaded", f"{ONCE}, timeout: PT0.2S"))
    hostile.lifecycle("kind", "[{use: hostile.kind}]")
    hostile.start()
    try:
        hung = [hostile.open("hang") for _ in range(5)]
        kind = hostile.open("kind")
        hostile.until(lambda: hostile.outcome(kind) == "done", 10)
        assert all("no answer within 0.2 s" in hostile.incident(run).message for run in hung)
    finally:
        hostile.stop()


def test_the_daemon_gets_a_new_process_that_forks_when_that_one_is_killed(hostile):
    hostile.lifecycle("nothing", step("nothing"))
    daemon = hostile.start()
    first = hostile.open("nothing")
    hostile.until(lambda: hostile.outcome(first) == "done")
    daemon.engine.workers._lanes.executor("hostile.evil")._nursery._process.kill()
    second = hostile.open("nothing")
    hostile.until(lambda: hostile.outcome(second) == "done")


def test_a_crash_after_the_effect_is_looked_up_or_asked_and_never_repeated_blindly(hostile):
    hostile.lifecycle("looking", step("exit", "looking"))
    hostile.lifecycle("asking", step("exit", "asking"))
    hostile.start()
    looking, asking = hostile.open("looking"), hostile.open("asking")
    hostile.until(lambda: hostile.outcome(looking) == "done")
    assert hostile.lines("looks.txt") == [f"{looking}/1/it"]
    incident = hostile.incident(asking)
    assert incident.kind == "uncertain"
    assert "exit code 9" in incident.message
    assert sorted(hostile.lines("calls.txt")) == sorted([f"{looking}/1/it", f"{asking}/1/it"])


def test_a_process_is_there_before_a_new_one_could_have_imported_the_plugins(hostile):
    hostile.lifecycle("nothing", step("nothing"))
    hostile.start()
    first = hostile.open("nothing")
    hostile.until(lambda: hostile.outcome(first) == "done")
    took = []
    for _ in range(5):
        began = time.monotonic()
        run = hostile.open("nothing")
        hostile.until(lambda run=run: hostile.outcome(run) == "done")
        took.append(time.monotonic() - began)
    print("seconds a call in a process of its own:", [f"{each:.3f}" for each in took])
    began = time.monotonic()
    subprocess.run([sys.executable, "-c", "import waystage_plugins.listed"], check=True)
    assert min(took) < time.monotonic() - began


def test_a_step_whose_process_died_three_times_is_put_in_quarantine(hostile):
    more = "retry: {max: 10, backoff: {first: PT0.01S, max: PT0.02S}}"
    hostile.lifecycle("poison", step("segfault", more=more))
    daemon = hostile.start()
    run = hostile.open("poison")
    incident = hostile.incident(run)
    assert incident.kind == "poison"
    assert "3 calls were cut off by a crash: its process died of SIGSEGV" in incident.message
    assert len(hostile.lines("calls.txt")) == 3
    mend = events.repair("retry", "work", {"reason": "once more"}, "otto")
    daemon.engine.submit(daemon.store.run(run).no, mend).result(10)
    hostile.until(lambda: len(hostile.lines("calls.txt")) == 6)
    hostile.until(lambda: daemon.store.incidents(run=run)[0].kind == "poison")


CIRCLE = """
lifecycle: circle
services: [s]
initial: a
states:
  a: {steps: [{use: test.act}], next: {done: b, refused: end}}
  b: {steps: [{use: test.pooled}], next: {done: a, refused: end}}
  end: {final: true}
"""


def test_going_in_circles_without_a_wait_is_parked_after_a_hundred_moves(bench):
    """`validate` refuses this lifecycle; the engine does not rely on it."""
    run = bench.open(bench.lifecycle(CIRCLE))
    bench.until(lambda: bench.store.incidents(run=run))
    (incident,) = bench.store.incidents(run=run)
    assert incident.kind == "endless"
    assert "100 transitions without a wait" in incident.message
    assert len(bench.play.calls) == 101
