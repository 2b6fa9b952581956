"""Bad input, bad answers, a bad database: each one clear line, and nothing is lost."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

import cut_migration
import httpx
import pytest
from bare_engine import BareEngine
from fault_rows import FULL
from sqlalchemy import text

from waystage.cli.main import run
from waystage.clock import HandClock
from waystage.daemon.auditing import Audit
from waystage.daemon.daemon import Daemon
from waystage.errors import StoreUnfit
from waystage.kernel import events
from waystage.plugin import Done, Step, Waiting
from waystage.registry import load_catalog
from waystage.store import Store
from waystage.store.shapes import known_revisions
from waystage.web.server import WebServer

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
TEXT = """
lifecycle: plain
services: [s]
initial: a
states:
  a: {signals: [go], next: {go: b}}
  b: {steps: [{use: bad.act, id: it, deadline: PT1H}], next: {done: end, refused: end}}
  end: {final: true}
"""


class Act(Step):
    """Answer as the test says.

    - use: bad.act
    """

    use: ClassVar[str] = "bad.act"
    answer: ClassVar[Callable[[Any], Any]] = lambda ctx: Done()

    def run(self, ctx: Any) -> Any:
        return Act.answer(ctx)


@pytest.fixture
def bare(database_url: str) -> Iterator[BareEngine]:
    """Give an engine with one run that is under way and shall not mind what happens beside it."""
    found = BareEngine(database_url, {Act.use: Act}, HandClock(START))
    found.open(found.lifecycle(TEXT), "beside")
    yield found
    found.stop()
    Act.answer = lambda ctx: Done()


def goes_on(bare: BareEngine) -> None:
    """See the run that stood beside to its end."""
    Act.answer = lambda ctx: Done()
    beside = next(row.id for row in bare.store.runs() if row.status == "open" and row.no == 1)
    bare.send(beside, events.signal("go", {}))
    bare.until(lambda: bare.store.run(beside).status == "ended")  # type: ignore[union-attr]  # it is there


def findings(bare: BareEngine) -> list[str]:
    """Give what an audit says."""
    with bare.store.reading() as connection:
        return [str(each) for each in Audit(connection, bare.definitions).findings()]


def one_line(said: str) -> bool:
    """Say whether it is a line that a person reads: short, and no trace of code."""
    return "\n" not in said and len(said) < 300 and not re.search(r"Traceback|0x[0-9a-f]{6}", said)


@pytest.mark.parametrize(
    ("output", "said"),
    [
        ({"score": [{"of": float("nan")}]}, "output.score[0].of is nan, which is no finite number"),
        ({"score": float("-inf")}, "output.score is -inf, which is no finite number"),
        ({"text": "x" * 270_000}, "the output has 270,011 bytes, more than 262,144"),
    ],
)
def test_an_output_that_cannot_be_kept_is_told_in_a_line(
    bare: BareEngine, output: dict[str, Any], said: str
) -> None:
    Act.answer = lambda ctx: Done(output)
    run = bare.open(bare.lifecycle(TEXT), "bad")
    bare.send(run, events.signal("go", {}))
    bare.until(lambda: bare.store.incidents(run=run))
    (incident,) = bare.store.incidents(run=run)
    assert said in incident.message
    assert one_line(incident.message)
    goes_on(bare)
    assert findings(bare) == []


def test_an_answer_after_the_deadline_is_dropped_and_told(bare: BareEngine) -> None:
    entered, leave = threading.Event(), threading.Event()

    def late(ctx: Any) -> Done:
        entered.set()
        assert leave.wait(120)
        return Done({"late": True})

    Act.answer = late
    definition = bare.lifecycle(TEXT.replace("deadline: PT1H", "deadline: PT0.2S"))
    run = bare.open(definition, "bad")
    bare.send(run, events.signal("go", {}))
    assert entered.wait(20)
    bare.until(lambda: bare.store.incidents(run=run))
    (incident,) = bare.store.incidents(run=run)
    assert "no answer within 0.2 s" in incident.message
    assert one_line(incident.message)
    leave.set()
    bare.until(lambda: any("late answer dropped" in line for line in bare.said(run)))
    body = bare.store.run_body(run)
    assert body is not None
    assert "it" not in body.get("steps", {})
    goes_on(bare)
    assert findings(bare) == []


def test_a_step_that_wants_to_wait_past_its_deadline_has_failed(bare: BareEngine) -> None:
    Act.answer = lambda ctx: Waiting(timedelta(hours=2), {"asked": True})
    run = bare.open(bare.lifecycle(TEXT), "bad")
    bare.send(run, events.signal("go", {}))
    bare.until(lambda: bare.store.incidents(run=run))
    assert "still waiting at its deadline" in bare.store.incidents(run=run)[0].message
    goes_on(bare)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("UPDATE history SET actor = 'mallory' WHERE run = 2 AND seq = 1", "s-2: row 1: it was"),
        ("DELETE FROM history WHERE run = 2 AND seq = 1", "s-2: row 1: it is missing"),
        ("UPDATE history SET at = at + 1 WHERE run = 2 AND seq = 2", "s-2: row 2: it was"),
    ],
)
def test_a_history_row_edited_by_hand_is_named_and_others_go_on(
    bare: BareEngine, change: str, said: str
) -> None:
    bare.open(bare.lifecycle(TEXT), "bad")
    bare.send("s-2", events.signal("go", {}))
    bare.until(lambda: bare.store.run("s-2").status == "ended")  # type: ignore[union-attr]  # it is there
    with bare.store.writing() as connection:
        connection.execute(text(change))
    found = findings(bare)
    assert found[0].startswith(said), found
    assert all(one_line(each) and each.startswith("s-2: ") for each in found)
    goes_on(bare)


def test_a_database_of_a_newer_version_is_refused_and_left_as_it_is(
    bare: BareEngine, database_url: str
) -> None:
    with bare.store.writing() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    before = bare.store.runs()
    with pytest.raises(StoreUnfit, match="written by a newer Waystage") as raised:
        Store(database_url)
    assert one_line(str(raised.value))
    assert bare.store.runs() == before
    with bare.store.writing() as connection:
        head = known_revisions()[1]
        connection.execute(text("UPDATE alembic_version SET version_num = :v"), {"v": head})
    goes_on(bare)
    assert findings(bare) == []


def test_a_payload_over_the_limit_is_refused_in_a_line(database_url: str, tmp_path: Path) -> None:
    root = tmp_path / "project"
    (root / "lifecycles").mkdir(parents=True)
    (root / "lifecycles" / "plain.yaml").write_text(TEXT.replace("bad.act", "model.check"))
    (root / "waystage.yaml").write_text(
        f"project: p\ndatabase: {database_url}\nservices: {{s: {{}}}}\n"
        "people: {otto: {roles: [operator]}}\nroles: {operator: [operate]}\n"
    )
    daemon = Daemon(root, catalog=load_catalog())
    web = WebServer(daemon, "127.0.0.1", 0)
    daemon.start()
    web.start()
    try:
        definition, snapshot = daemon.definitions.by_name("plain"), {"name": "m", "version": "1"}
        opening = daemon.opening(definition, "s", snapshot, "otto")
        run = daemon.engine.open(opening).result(timeout=120)
        token = json.loads((root / ".waystage/daemon.json").read_text())["token"]
        before = daemon.store.history(run)
        for size, status in ((2 << 20, 413), (100_000, 200)):
            answer = httpx.post(
                f"{web.url}/v1/signals", trust_env=False, timeout=30,
                headers={"Authorization": f"Bearer {token}", "X-Waystage-Person": "otto"},
                json={"name": "other", "run": run, "payload": {"text": "x" * size}},
            )  # fmt: skip
            assert answer.status_code == status, answer.text[:300]
            if status != 200:
                assert one_line(answer.json()["message"])
                assert daemon.store.history(run) == before
    finally:
        web.stop()
        daemon.stop()


@pytest.mark.parametrize(
    "words",
    [
        ("signal", "go", "--run", "s-1", "--payload", '{"x": [NaN]}'),
        ("set", "1", "x=Infinity", "--reason", "to see"),
    ],
)
def test_a_verb_that_is_given_no_finite_number_sends_nothing_and_says_so(
    words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WAYSTAGE_URL", "http://127.0.0.1:9")  # nobody listens there
    monkeypatch.setenv("WAYSTAGE_TOKEN", "any")
    assert run(list(words)) == 1
    told = capfd.readouterr().err.splitlines()
    assert told[-1] == "Error: NaN and Infinity are no values of JSON; nothing was sent"


def cut(url: str, place: Path, number: int, *planted: str) -> subprocess.CompletedProcess[str]:
    """Migrate to the later version and die at a statement."""
    path = os.pathsep.join([str(Path(cut_migration.__file__).parent), *sys.path])
    code = "import cut_migration; cut_migration.main()"
    command = [sys.executable, "-c", code, url, str(place), str(number), *planted]
    return subprocess.run(
        command, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": path},
        timeout=120, check=False,
    )  # fmt: skip


def shape(url: str) -> tuple[str, list[Any], set[str]]:
    """Give a database's version, its runs as they are stored, and the names of its tables."""
    from sqlalchemy import inspect

    from waystage.store.database import connect

    engine = connect(url)
    try:
        with engine.connect() as connection:
            version = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
            rows = connection.execute(text("SELECT no, head, body FROM runs ORDER BY no")).all()
            runs = [(row.no, bytes(row.head), bytes(row.body)) for row in rows]
            return str(version), runs, set(inspect(connection).get_table_names())
    finally:
        engine.dispose()


def test_a_migration_that_is_killed_in_the_middle_is_as_if_it_had_not_begun(
    database_url: str, tmp_path: Path, record: Any
) -> None:
    bare = BareEngine(database_url, {Act.use: Act}, HandClock(START))
    for n in range(3):
        bare.open(bare.lifecycle(TEXT), f"k{n}")
    bare.stop()
    later = cut_migration.write_migrations(tmp_path / "migrations")
    before = shape(database_url)
    numbers = range(1, 8) if FULL else (4,)
    wrong = 0
    for number in numbers:
        died = cut(database_url, later, number)
        assert died.returncode == -signal.SIGKILL, died.stderr
        wrong += shape(database_url) != before
    planted = tmp_path / "planted.db"
    Store(f"sqlite:///{planted}").close()
    whole = shape(f"sqlite:///{planted}")
    assert cut(f"sqlite:///{planted}", later, 3, "torn").returncode == -signal.SIGKILL
    assert shape(f"sqlite:///{planted}") != whole
    bare = BareEngine(database_url, {Act.use: Act}, HandClock(START))  # the version before goes on
    goes_on(bare)
    bare.stop()
    done = cut(database_url, later, 0)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= max(numbers)
    after = shape(database_url)
    assert after[2] - before[2] == {"later"}
    assert len(after[1]) == 3
    on = "SQLite" if database_url.startswith("sqlite") else "PostgreSQL"
    record(
        fault=f"a migration killed in the middle ({on})",
        promise="as if it had not begun, or whole",
        tried=len(numbers),
        wrong=wrong,
        how="SIGKILL at each statement of a migration that makes a table, fills a column, and "
        "removes rows; then the version before goes on, and the later one migrates",
        caught="committing in between: a table that nobody knows is left",
    )
