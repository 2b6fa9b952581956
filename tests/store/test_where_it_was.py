"""Where snapshots ran at an instant, and in which role, is told as it was seen then."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, insert

from waystage.store import Store, reading_only
from waystage.store import schema as t
from waystage.store.codec import dump, instant
from waystage.store.database import connect
from waystage.store.rare import displace, place

RUN = {"no": 1, "id": "s-1", "opened_by": "k", "lifecycle": "l", "definition": "d", "service": "s",
       "snapshot": "m/1", "status": "open", "places": "a", "revision": 1, "body": dump({}),
       "head": b"", "opened_at": 0, "changed_at": 0, "there_since": 0}  # fmt: skip
ACTS = st.lists(
    st.tuples(
        st.sampled_from(["champion", "challenger", "gone"]), st.sampled_from(["m/1", "m/2", "m/3"])
    ),
    min_size=3, max_size=6,
)  # fmt: skip


class Inventory:
    """The inventory of one runtime, in a database of its own."""

    def __init__(self, root: Path) -> None:
        url = f"sqlite:///{root / 'x.db'}"
        Store(url).close()
        self.writer, self.reader = connect(url), reading_only(url)
        with self.writer.begin() as connection:
            connection.execute(insert(t.runs).values(**RUN))

    def begin_anew(self) -> None:
        with self.writer.begin() as connection:
            connection.execute(delete(t.placements))

    def act(self, what: str, snapshot: str, at: int, mode: str) -> None:
        row = {"service": "s", "stage": "PROD", "runtime": "r", "mode": mode, "role": what,
               "snapshot": snapshot, "digest": "", "run": 1, "since": at}  # fmt: skip
        gone = what == "gone"
        told = displace("s", "PROD", "r", snapshot, at) if gone else place(row, {})
        with self.writer.begin() as connection:
            for each in told:
                connection.execute(each)

    def roles(self, at: int | None = None) -> dict[str, str]:
        found = self.reader.placements(at=None if at is None else instant(at))
        return {row.snapshot: row.role for row in found}


@pytest.fixture(scope="module")
def inventory(tmp_path_factory: pytest.TempPathFactory) -> Inventory:
    return Inventory(tmp_path_factory.mktemp("inventory"))


@given(acts=ACTS, mode=st.sampled_from(["online", "batch"]))
@example(acts=[("champion", "m/1"), ("champion", "m/2"), ("gone", "m/2")], mode="online")
@example(acts=[("champion", "m/1"), ("champion", "m/2"), ("challenger", "m/3")], mode="online")
@example(acts=[("champion", "m/1"), ("champion", "m/2"), ("challenger", "m/2")], mode="online")
@settings(max_examples=25)
def test_roles_of_the_past_are_those_of_then(
    inventory: Inventory, acts: list[tuple[str, str]], mode: str
) -> None:
    inventory.begin_anew()
    seen = {}
    for number, (what, snapshot) in enumerate(acts):
        inventory.act(what, snapshot, at=1_000_000 * number, mode=mode)
        seen[1_000_000 * number] = inventory.roles()
    assert {at: inventory.roles(at) for at in seen} == seen
