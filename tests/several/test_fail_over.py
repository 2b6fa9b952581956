"""A primary that dies, and its synchronous replica that takes its place."""

from __future__ import annotations

import signal

import pytest
from postgres_server import USER, NoServer, PostgresServer
from side_by_side import LOAD, Load, acted, until
from sqlalchemy import text

from waystage.cli.main import run as waystage
from waystage.errors import StoreUnfit
from waystage.store import Store
from waystage.store.address import address


@pytest.fixture
def pair():
    """A primary and its replica, of the test's own."""
    made = []
    try:
        made.append(PostgresServer())
        made.append(made[0].replica())
    except NoServer as error:
        for server in made:
            server.remove()
        pytest.skip(str(error))
    yield made
    for server in made:
        server.remove()


@pytest.mark.slow
def test_nothing_acknowledged_is_lost_when_the_replica_takes_over(pair, start, effects):
    primary, replica = pair
    name = primary.database().rpartition("/")[2]
    url = f"postgresql://{USER}@127.0.0.1:{primary.port},127.0.0.1:{replica.port}/{name}"
    sides = [start(url, {"load": LOAD}).up() for _ in range(2)]
    load = Load(*sides)
    load.more(30)
    primary.stop(signal.SIGQUIT)
    before = len(load.opened)
    replica.promote()
    load.more(10)  # the daemons find the new primary by themselves
    opened = load.end()
    assert before < len(opened)
    until(lambda: not sides[0].get("runs?status=open"))
    kept = {run["id"] for run in sides[1].get("runs?limit=5000")}
    assert set(opened.values()) <= kept, "what was acknowledged is there"
    assert len(acted(effects)) == 3 * len(kept)
    for side in sides:
        side.tell(signal.SIGTERM)
        assert side.ended() == 0
    assert waystage(["--project", str(sides[0].root), "audit", "verify"]) == 0


def test_a_server_that_only_reads_from_now_on_is_let_go(postgres_url, shared_postgres):
    store = Store(postgres_url)
    name = postgres_url.rpartition("/")[2]
    with store.reading() as connection:
        pid = connection.execute(text("SELECT pg_backend_pid()")).scalar()
    shared_postgres.sql(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    try:
        store.engine.dispose()
        with pytest.raises(Exception, match="read-only"), store.committing() as connection:
            connection.execute(text("DELETE FROM cursors"))
        shared_postgres.sql(f"ALTER DATABASE {name} SET default_transaction_read_only = off")
        with store.committing() as connection:
            connection.execute(text("DELETE FROM cursors"))
            assert connection.execute(text("SELECT pg_backend_pid()")).scalar() != pid
    finally:
        store.close()


def test_several_servers_are_written_as_postgresql_s_own_tools_write_them():
    found = address("postgresql://me:pw@one:5432,two/name?sslmode=require")
    assert found.query["host"] == ("one:5432", "two")
    assert found.query["target_session_attrs"] == "read-write"
    assert found.query["sslmode"] == "require"
    assert (found.username, found.password, found.database) == ("me", "pw", "name")
    assert address(found.render_as_string(hide_password=False)) == found
    chosen = address("postgresql://one,two/name?target_session_attrs=any")
    assert chosen.query["target_session_attrs"] == "any"
    assert address("postgresql://one:5432/name").host == "one"
    with pytest.raises(StoreUnfit, match="several servers are written") as raised:
        address("postgresql://me:geheim@one:port/name")
    assert "geheim" not in str(raised.value)
