"""Columns packed for PostgreSQL are the very bytes that its driver would make of them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waystage.store.packing import packed

psycopg = pytest.importorskip("psycopg", reason="the extra postgresql is not installed")

BIG = st.integers(-(2**63), 2**63 - 1)
SMALL = st.integers(-(2**31), 2**31 - 1)
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"))
KINDS: dict[str, st.SearchStrategy[Any]] = {
    "BIGINT": BIG, "INTEGER": SMALL, "TEXT": TEXT, "BYTEA": st.binary()
}  # fmt: skip
COLUMNS = st.sampled_from(sorted(KINDS)).flatmap(
    lambda kind: st.tuples(st.just(kind), st.lists(KINDS[kind] | st.none(), min_size=1))
)


def loaded(kind: str, data: bytes) -> Any:
    """Read it as the driver reads what a server sends."""
    from psycopg.adapt import Transformer
    from psycopg.pq import Format

    array = {"BIGINT": "int8", "INTEGER": "int4", "TEXT": "text", "BYTEA": "bytea"}[kind]
    oid = psycopg.adapters.types[array].array_oid
    return Transformer().get_loader(oid, Format.BINARY).load(data)


@given(COLUMNS)
def test_what_is_packed_is_read_as_what_it_was(column: tuple[str, list[Any]]) -> None:
    kind, values = column
    assert loaded(kind, packed(kind, values)) == values


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_server_reads_it_as_what_it_was(kind: str, postgres_url: str) -> None:
    from waystage.store.packing import teach

    ends = {"BIGINT": [-(2**63), None, 2**63 - 1], "INTEGER": [-(2**31), 0, 2**31 - 1],
            "TEXT": ["", None, "ä\u2028𝄞"], "BYTEA": [b"", b"\0\xff", None]}[kind]  # fmt: skip
    with psycopg.connect(postgres_url) as connection:
        teach(connection.adapters)
        for values in (ends, ends[:1], [None], ends * 200):
            asked = connection.execute(f"SELECT %b::{kind}[]", [packed(kind, values)])
            (found,) = asked.fetchone()
            assert [bytes(v) if isinstance(v, memoryview) else v for v in found] == values
