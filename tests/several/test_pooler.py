"""PgBouncer between the daemons and PostgreSQL, in each of its modes."""

from __future__ import annotations

import signal

import pytest
from pgbouncer import NoBouncer, PgBouncer
from postgres_server import USER
from side_by_side import Load, acted, until

from waystage.daemon.doctor import examine
from waystage.errors import StoreUnfit
from waystage.store import Store
from waystage.store.database import connect, has_sessions
from waystage.store.pooler import look

pytestmark = pytest.mark.heavy


@pytest.fixture
def through(shared_postgres, postgres_url):
    """Give a way to the database through a pooler in some mode."""
    made = []

    def make(mode, **more):
        try:
            made.append(PgBouncer(shared_postgres.port, mode, USER, **more))
        except NoBouncer as error:
            pytest.skip(str(error))
        return made[-1].url(postgres_url)

    yield make
    for bouncer in made:
        bouncer.close()


def mode_of(url):
    engine = connect(url, session=False)
    try:
        return look(engine).mode
    finally:
        engine.dispose()


def test_it_is_seen_how_a_database_is_reached(through, postgres_url):
    assert mode_of(postgres_url) == "direct"
    assert mode_of(through("session")) == "session"
    assert mode_of(through("transaction")) == "transaction"
    assert mode_of(through("transaction", size=1)) == "transaction"


def test_in_session_mode_all_is_as_without_a_pooler(through):
    store = Store(through("session"))
    assert has_sessions(store.engine)
    listener = store.listen("a", lambda: None)
    assert listener is not None
    listener.stop()
    store.close()


def test_in_statement_mode_it_is_refused_in_one_line(through):
    with pytest.raises(StoreUnfit, match="transaction blocks not allowed") as raised:
        Store(through("statement"))
    assert "\n" not in str(raised.value)


def test_sessions_that_lose_commits_are_refused_with_the_cure(
    through, shared_postgres, postgres_url
):
    name = postgres_url.rpartition("/")[2]
    shared_postgres.sql(f"ALTER DATABASE {name} SET synchronous_commit = off")
    with pytest.raises(StoreUnfit, match="ALTER ROLE … SET synchronous_commit = on"):
        Store(through("transaction"))


@pytest.mark.slow
def test_two_daemons_work_through_transaction_mode(through, start, effects):
    url = through("transaction", size=8)
    first, second = start(url).up(), start(url).up()
    assert "pooler in transaction mode: daemons do not wake each other" in first.said
    load = Load(first, second)
    load.more(60)
    for side in (first, second):
        assert side.get("incidents") == []
    found = {(each.area, each.level) for each in examine(first.root)}
    assert ("pooler", "note") in found
    assert ("database", "good") in found
    load.sides = [second]
    first.tell(signal.SIGTERM)
    assert first.ended() == 0
    opened = load.end()
    until(lambda: not second.get("runs?status=open"))
    assert len(acted(effects)) == 3 * len(opened)
    assert set(acted(effects).values()) == {1}
    assert second.get("ready")["ready"]
    assert "prepared statement" not in first.said + second.said
