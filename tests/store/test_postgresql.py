"""What PostgreSQL is asked for: durable commits, fair claims, one holder, faults told apart."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import insert, select, text
from sqlalchemy.exc import DBAPIError

from waystage.errors import StoreUnfit
from waystage.store import Store, fault_of
from waystage.store import schema as t
from waystage.store.commit import Batch
from waystage.store.leases import free_lease, take_lease

LEASE = 60_000_000


@pytest.fixture
def store(postgres_url: str):
    found = Store(postgres_url)
    yield found
    found.close()


@pytest.fixture
def other(postgres_url: str):
    found = Store(postgres_url)
    yield found
    found.close()


def order(store, *runs, due=0):
    with store.writing() as connection:
        for run in runs:
            row = {"run": run, "slot": "", "body": b"{}", "due_at": due, "fence": 0, "tries": 0}
            connection.execute(insert(t.work).values(row))


def claim(store, connection, owner, limit=10):
    claims = store.claim(connection, owner=owner, now=1, wall=0, lease=LEASE, limit=limit)
    return [(each.no, each.fence) for each in claims]


def test_stores_that_are_opened_together_make_the_tables_once(shared_postgres):
    url = shared_postgres.database(empty=True)
    try:
        with ThreadPoolExecutor(6) as pool:
            stores = list(pool.map(Store, [url] * 6))
        assert [store.runs() for store in stores] == [[]] * 6
        for store in stores:
            store.close()
    finally:
        shared_postgres.drop(url)


def test_a_server_that_loses_commits_is_overruled(shared_postgres, postgres_url):
    name = postgres_url.rpartition("/")[2]
    shared_postgres.sql(f"ALTER DATABASE {name} SET synchronous_commit = off")
    store = Store(postgres_url)
    with store.reading() as connection:
        assert connection.execute(text("SHOW synchronous_commit")).scalar() == "on"
    store.close()


def test_a_server_that_is_not_there_is_told_in_one_line_without_the_password():
    with pytest.raises(StoreUnfit, match="refused") as raised:
        Store("postgresql://me:geheim@127.0.0.1:1/none")
    assert "geheim" not in str(raised.value)


def test_names_are_kept_as_they_are_whatever_encoding_the_machine_asks_for(
    postgres_url, monkeypatch
):
    monkeypatch.setenv("PGCLIENTENCODING", "LATIN1")
    store = Store(postgres_url)
    batch = Batch()
    batch.history.append((1, 1, 5, "jürgen", b"{}", b"hash"))
    with store.writing() as connection:
        store.statements.write(connection, batch)
    with store.reading() as connection:
        assert connection.execute(text("SELECT actor FROM history")).scalar() == "jürgen"
        assert connection.execute(text("SELECT octet_length(actor) FROM history")).scalar() == 7
    store.close()


def test_what_one_daemon_claims_another_passes_over(store, other):
    order(store, 1, 2, 3)
    with store.writing() as mine, other.writing() as theirs:
        assert claim(store, mine, "a", limit=2) == [(1, 1), (2, 1)]
        assert claim(other, theirs, "b") == [(3, 1)], "it does not wait for the first"
    with other.writing() as connection:
        assert claim(other, connection, "b") == []


def test_a_lease_that_ran_out_is_claimed_under_a_higher_fence(store, other):
    order(store, 1)
    with store.writing() as connection:
        (lost,) = store.claim(connection, owner="a", now=1, wall=0, lease=-1, limit=1)
    with other.writing() as connection:
        assert claim(other, connection, "b") == [(1, 2)]
    with store.writing() as connection:
        assert store.fences(connection, [lost]) == {(1, ""): 2}
        assert store.postpone(connection, lost, 5, {}) is False


def test_a_claim_that_is_given_back_was_never_called(store, other):
    order(store, 1)
    with store.writing() as connection:
        claim(store, connection, "a")
        store.give_back(connection, store.owned(connection, "a"))
    with other.writing() as connection:
        (again,) = other.claim(connection, owner="b", now=1, wall=0, lease=LEASE, limit=1)
    assert (again.fence, again.tries) == (2, 1)


def test_a_batch_writes_all_its_rows_whatever_is_empty_in_them(store):
    batch = Batch()
    batch.put_work += [(run, "", b"{}", 5, None, None, 7, 0) for run in (1, 2**40)]
    batch.put_work.append((3, "r", b"{}", 5, "me", LEASE, 2**50, 1))
    batch.put_timers.append((1, "s", "n", 1, 5, None))
    batch.history.append((1, 1, 5, "me", b"\0\xff", b"hash"))
    for _ in range(2):  # rows that are there are replaced, but no history
        with store.writing() as connection:
            assert store.statements.write(connection, batch)
        batch.history.clear()
    batch = Batch(drop_work=[(1, ""), (3, "r")], drop_timers=[(1, "s")])
    with store.writing() as connection:
        assert store.statements.write(connection, batch)
        left = connection.execute(select(t.work.c.run, t.work.c.owner, t.work.c.lease_until)).all()
        assert left == [(2**40, None, None)]
        assert connection.execute(select(t.timers)).all() == []
        assert connection.execute(select(t.history.c.body)).scalar() == b"\0\xff"


def test_leases_live_by_the_clock_of_the_database(store, monkeypatch):
    monkeypatch.setattr("waystage.store.store.wall_seconds", lambda: 0.0)
    order(store, 1)
    with store.writing() as connection:
        claim(store, connection, "a")
        until = connection.execute(select(t.work.c.lease_until)).scalar()
        now = connection.execute(text("SELECT extract(epoch FROM now()) * 1000000")).scalar()
    assert 0 <= until - int(now) - LEASE < 10_000_000


def test_a_timer_is_taken_by_one_daemon(store, other):
    row = {"run": 1, "state": "s", "name": "n", "entry": 1, "due_at": 0}
    with store.writing() as connection:
        connection.execute(insert(t.timers).values(row))
    with store.writing() as mine, other.writing() as theirs:
        assert len(store.due_timers(mine, 1, 10)) == 1
        assert other.due_timers(theirs, 1, 10) == []


def test_a_lease_that_many_ask_for_at_once_has_one_holder(store):
    def ask(run: int) -> bool:
        with store.writing() as connection:
            return take_lease(connection, "one", run, "s", 1)

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(ask, range(1, 17))) == 1


def test_who_asks_while_the_lease_is_given_up_is_not_forgotten(store, other):
    with store.writing() as connection:
        assert take_lease(connection, "one", 1, "s", 1)
    with store.writing() as giving:
        assert free_lease(giving, 1, "s") is None
        asking = threading.Thread(target=lambda: _ask(other))
        asking.start()
        _until_it_waits(store)
    asking.join(timeout=120)
    with store.reading() as connection:
        assert connection.execute(select(t.leases.c.run, t.leases.c.held)).all() == [(2, 1)]


def _ask(store: Store) -> None:
    with store.writing() as connection:
        take_lease(connection, "one", 2, "s", 1)


def _until_it_waits(store: Store) -> None:
    waits = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
    for _ in range(10_000):
        with store.reading() as connection:
            if connection.execute(waits).scalar():
                return
    raise AssertionError("nobody stands in line")


def test_one_daemon_at_a_time_has_the_turn(store, other):
    with store.turn("outbox", "a", LEASE) as mine, other.turn("x", "b", LEASE) as free:
        assert mine is not None
        assert free is not None
        with other.turn("outbox", "b", LEASE) as theirs:
            assert theirs is None
    with other.turn("outbox", "b", LEASE) as theirs:
        assert theirs is not None, "who is done gives it back"


def test_who_hangs_past_the_lease_loses_the_turn_and_writes_nothing_under_it(store, other):
    with store.turn("outbox", "a", -1) as hanging:
        assert hanging is not None
        assert hanging.renew(), "nobody has taken it"
        hanging._lease = -1
        assert hanging.renew()
        with other.turn("outbox", "b", LEASE) as theirs:
            assert theirs is not None
            with store.writing() as connection:
                assert not hanging.holds(connection)
            assert not hanging.renew()
            hanging.give_back()
            with store.turn("outbox", "c", LEASE) as third:
                assert third is None, "what was lost is not given back"
            with other.writing() as connection:
                assert theirs.holds(connection)


def test_a_turn_is_not_taken_while_its_holder_writes_under_it(store, other):
    with store.turn("outbox", "a", -1) as mine:
        assert mine is not None
        taken = []

        def take() -> None:
            with other.turn("outbox", "b", LEASE) as theirs:
                taken.append(theirs is not None)

        taking = threading.Thread(target=take)
        with store.writing() as connection:
            assert mine.holds(connection)
            taking.start()
            taking.join(timeout=0.3)
            assert taking.is_alive(), "it waits for the end of the transaction"
        taking.join(timeout=120)
        assert taken == [True]


def test_what_a_dead_daemon_had_a_turn_for_is_free_when_one_of_its_machine_starts(store, other):
    with store.turn("outbox", "dead", LEASE):
        with other.writing() as connection:
            assert "dead" in other.owners(connection)
            other.release(connection, ["dead"])
        with other.turn("outbox", "b", LEASE) as theirs:
            assert theirs is not None


def test_faults_are_told_apart(store, other):
    def fault(*statements):
        try:
            with store.writing() as connection:
                for statement in statements:
                    connection.execute(statement)
        except DBAPIError as error:
            return fault_of(error)
        return None

    cursor = insert(t.cursors).values(repository="r", body=b"")
    assert fault(cursor, cursor) == "conflict"
    assert fault(insert(t.cursors).values(repository="x" * 100, body=b"")) == "refused"
    assert fault(insert(t.cursors).values(repository="\0", body=b"")) == "refused"
    assert fault(text("SELECT pg_terminate_backend(pg_backend_pid())")) == "unreachable"


def test_an_announcement_is_heard_by_the_others_when_it_is_committed(store, other):
    heard = threading.Event()
    listener = other.listen("b", heard.set)
    assert listener is not None
    try:
        assert heard.wait(10), "it looks once when it begins to listen"
        heard.clear()
        with store.writing() as connection:
            store.announce(connection, "b")
            store.announce(connection, "a")
            assert not heard.is_set()
        assert heard.wait(10)
    finally:
        listener.stop()
