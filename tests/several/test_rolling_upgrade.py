"""Two versions of the daemon on one PostgreSQL: one goes, one comes, and nothing is lost."""

from __future__ import annotations

import signal
import time

import psycopg
import pytest
from side_by_side import LOAD, Load, Side, acted, make_project, marks, newer_version, until

from waystage.cli.main import run as waystage
from waystage.store import Store

FUTURE = """
lifecycle: future
mood: good
services: [s]
initial: a
states:
  a: {steps: [{use: side.act}], next: b}
  b: {timers: {soon: {after: PT0.3S}}, signals: [go], next: {soon: c, go: c}}
  c: {signals: [go], next: {go: d}}
  d: {steps: [{use: side.act}], next: end}
  end: {final: true}
"""
NEW_PLUGIN = """
lifecycle: later
services: [s]
initial: a
states:
  a: {timers: {soon: {after: PT0.2S}}, next: {soon: b}}
  b: {steps: [{use: side.later}], next: end}
  end: {final: true}
"""


@pytest.fixture(scope="session")
def next_version(tmp_path_factory):
    return newer_version(tmp_path_factory.mktemp("next"))


@pytest.fixture(scope="session")
def over_next_version(tmp_path_factory):
    return newer_version(tmp_path_factory.mktemp("over-next"), steps=2)


@pytest.mark.slow
def test_a_version_is_replaced_by_the_next_under_load(start, postgres_url, effects, next_version):
    old = start(postgres_url).up()
    load = Load(old)
    load.more(20)
    new = start(postgres_url, code=next_version).up()
    assert "from schema 0001 to 0002" in new.said
    assert new.get("health")["version"] == "9.1.0"
    load.sides.append(new)
    load.more(40)
    until(lambda: "one step newer than 0001" in old.said)
    assert {line.split()[2] for line in marks(effects)[-60:]} == {
        str(old.process.pid), str(new.process.pid)
    }, "both are at work"  # fmt: skip
    load.sides = [new]
    old.tell(signal.SIGTERM)
    assert old.ended() == 0
    load.more(20)
    opened = load.end()
    until(lambda: not new.ask("GET", "runs?status=open&limit=9").json())
    assert set(opened.values()) == {run["id"] for run in new.get("runs?limit=5000")}
    assert len(acted(effects)) == 3 * len(opened), "no step is left out"
    assert set(acted(effects).values()) == {1}, "and none is made twice"
    store = Store(postgres_url)  # this version still reads and writes there
    for run in list(opened.values())[::10]:
        moves = [" ".join(r[:4]) for row in store.history(run) for r in row.records]
        assert [m for m in moves if m.startswith("moved")] == [
            "moved a done b", "moved b soon c", "moved c done end"
        ]  # fmt: skip
    store.close()
    assert waystage(["--project", str(old.root), "audit", "verify"]) == 0


@pytest.mark.slow
def test_what_only_the_newer_version_can_read_is_left_to_it(
    start, postgres_url, effects, next_version
):
    old = start(postgres_url, without="side.later").up()
    new = start(postgres_url, {"load": LOAD, "future": FUTURE, "later": NEW_PLUGIN},
                code=next_version).up()  # fmt: skip
    until(lambda: "one step newer than 0001" in old.said)
    runs = [new.open(f"f{n}", "future").json()["run"] for n in range(20)]
    later = [new.open(f"l{n}", "later").json()["run"] for n in range(20)]
    both = [old.open(f"k{n}").json()["run"] for n in range(20)]
    states = lambda ids: {run["places"][0] for run in new.get("runs?limit=99") if run["id"] in ids}  # noqa: E731  # asked again and again
    until(lambda: states(runs) == {"c"})
    refused = old.ask("POST", f"runs/{runs[0]}/pause", reason="look")
    assert (refused.status_code, refused.json()["code"]) == (409, "E-NEWER"), refused.text
    assert "future has words that this version does not know" in refused.text
    told = old.ask("POST", "signals", name="go", service="s")
    assert told.status_code == 200, told.text
    until(lambda: states([*runs, *later, *both]) == {"end"} or new.get("incidents"))
    assert not new.get("incidents?all=true"), "nobody tried what he does not know"
    strange = {line.split()[2] for line in marks(effects) if line.split()[1].split("/")[0] in
               {*runs, *later}}  # fmt: skip
    assert strange == {str(new.process.pid)}
    assert set(acted(effects).values()) == {1}


@pytest.mark.slow
def test_a_daemon_that_has_not_seen_the_newer_one_yet_fails_none_of_its_steps(
    start, postgres_url, effects, next_version
):
    old = start(postgres_url, without="side.later", looks=1000, lease=6000).up()
    new = start(postgres_url, {"later": NEW_PLUGIN}, code=next_version, lease=6000).up()
    runs = [new.open(f"l{n}", "later").json()["run"] for n in range(20)]
    until(lambda: not new.ask("GET", "runs?status=open").json() or new.get("incidents"))
    assert not new.get("incidents?all=true"), "the old one took what it could not do"
    assert "one step newer" not in old.said, "it had not looked by itself"
    assert len(acted(effects)) == len(runs)
    assert {line.split()[2] for line in marks(effects)} == {str(new.process.pid)}


def stop_between_transactions(daemon: Side, url: str) -> None:
    """Stop a daemon that is the only one; in a transaction it would hold tables of the schema."""
    at_work = (
        "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() "
        "AND pid <> pg_backend_pid() AND xact_start IS NOT NULL AND backend_type = 'client backend'"
    )
    with psycopg.connect(url, autocommit=True) as connection:
        for _ in range(500):
            daemon.tell(signal.SIGSTOP)
            time.sleep(0.05)  # for the server to end what it is doing
            if not connection.execute(at_work).fetchall():
                return
            daemon.tell(signal.SIGCONT)
            time.sleep(0.05)
    raise AssertionError("it is always in a transaction")


@pytest.mark.slow
def test_no_daemon_goes_two_steps(start, postgres_url, over_next_version):
    old = start(postgres_url, lease=2).up()
    newest = start(postgres_url, code=over_next_version)
    assert newest.ended() == 1
    (line,) = newest.lines
    assert "is at work on this database" in line
    assert "knows schema 0001; it could not live with 0003" in line
    assert old.open("k").status_code == 200

    stop_between_transactions(old, postgres_url)
    time.sleep(2.5)  # until its word that it is at work is too old
    newest = start(postgres_url, code=over_next_version).up()
    old.tell(signal.SIGCONT)
    assert old.ended() == 1, "it finds a shape that it cannot live with, and ends"
    assert "can follow no further than one step from 0001: it ends" in old.lines[-1]
    again = start(postgres_url)
    assert again.ended() == 1
    (line,) = again.lines
    assert "schema 0003, which this version (0001) does not know, 2 steps newer" in line
    until(lambda: not newest.ask("GET", "runs?status=open").json())


@pytest.mark.slow
def test_sqlite_is_upgraded_in_place_with_a_copy_beside_it(start, tmp_path, effects, next_version):
    root = make_project(tmp_path / "project", "sqlite:///waystage.db")
    old = start("", root=root).up()
    run = old.open("k").json()["run"]
    looking = start("", root=root, code=next_version)
    assert looking.ended() == 1
    assert "another daemon (process" in looking.said, "never below one that is at work"
    assert not list(root.glob("*before*"))
    until(lambda: not old.get("runs?status=open"))
    old.tell(signal.SIGTERM)
    assert old.ended() == 0

    new = start("", root=root, code=next_version).up()
    assert "waystage.db.before-0002 is what it was before" in new.said
    assert [each["id"] for each in new.get("runs")] == [run]
    assert new.open("more").status_code == 200
    until(lambda: not new.get("runs?status=open"))
    new.tell(signal.SIGTERM)
    assert new.ended() == 0

    again = start("", root=root)
    assert again.ended() == 1
    (line,) = again.lines
    assert "written by a newer Waystage; upgrade, or restore a backup" in line
    assert waystage(["--project", str(root), "restore", str(root / "waystage.db.before-0002")]) == 0
    back = start("", root=root).up()
    assert [each["id"] for each in back.get("runs")] == [run]
    assert set(acted(effects).values()) == {1}
