"""What a scorer had in hand when it died tells its next life which request to be careful with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from threading import Event, Thread
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("confluent_kafka", reason="confluent-kafka is not installed")

from confluent_kafka import KafkaError, KafkaException

from waystage_plugins.runtimes.kafka.hand import MOST_ENDS, Hand
from waystage_plugins.runtimes.kafka.lane import Lane
from waystage_plugins.runtimes.kafka.turns import Turns


class Lying(NamedTuple):
    """A message at its place; it says no more than that."""

    at: tuple[int, int]

    def topic(self) -> str:
        return "requests"

    def partition(self) -> int:
        return self.at[0]

    def offset(self) -> int:
        return self.at[1]

    def key(self) -> Any: ...
    def value(self) -> Any: ...
    def headers(self) -> Any: ...


class Killed(Exception):
    """What stands for the end of the process: nothing is written after it."""


def life(file: Path, messages: Sequence[Lying], killer: Lying | None, version: int = 1) -> set[Any]:
    """Score what is there until it kills; give what was set aside."""
    hand, aside = Hand(file, "here", Turns()), set()
    try:
        for some in hand.portions(version, messages):
            if hand.refuses(some):
                aside.add(some[0])
                continue
            before = None
            with hand.holding(some):
                before = file.read_bytes()
            if killer in some:
                file.write_bytes(before)  # as it was while they were scored
                raise Killed
        hand.forget(messages)
    finally:
        hand.close()
    return aside


MESSAGES = st.sets(st.tuples(st.integers(0, 2), st.integers(0, 6)), min_size=1, max_size=12)


@settings(max_examples=60, deadline=None)
@given(MESSAGES, st.data())
def test_the_killer_alone_is_set_aside_after_three_deaths(
    tmp_path_factory: pytest.TempPathFactory, places: set[tuple[int, int]], data: st.DataObject
) -> None:
    file = tmp_path_factory.mktemp("hand") / "in-hand.json"
    messages = [Lying(at) for at in sorted(places)]
    killer = data.draw(st.sampled_from(messages))
    for _ in range(MOST_ENDS):
        with pytest.raises(Killed):
            life(file, messages, killer)
    assert life(file, messages, killer) == {killer}
    assert life(file, [Lying((0, 99))], None) == set()


def test_nothing_is_held_against_what_was_scored_before_the_end(tmp_path: Path) -> None:
    file, messages = tmp_path / "in-hand.json", [Lying((0, n)) for n in range(4)]
    assert life(file, messages, None) == set()
    hand = Hand(file, "here", Turns())
    assert list(hand.portions(1, messages)) == [messages], "they go together again"
    hand.close()


@pytest.mark.parametrize("refused", [True, False], ids=["commit refused", "partition refused"])
def test_what_was_set_aside_and_comes_back_is_set_aside_again(
    tmp_path: Path, refused: bool
) -> None:
    file, killer, later = tmp_path / "in-hand.json", Lying((0, 5)), Lying((0, 6))
    for _ in range(MOST_ENDS):
        with pytest.raises(Killed):
            life(file, [killer, later], killer)
    lane: Any = Lane.__new__(Lane)
    lane._hand, lane._link = Hand(file, "here", Turns()), SimpleNamespace(requests="requests")
    lane._work = SimpleNamespace(counts=Counter())
    moved = KafkaError(KafkaError.REBALANCE_IN_PROGRESS)

    def commit(offsets: Any, asynchronous: bool) -> Any:
        if refused:
            raise KafkaException(moved)
        return [SimpleNamespace(partition=each.partition, error=moved) for each in offsets]

    for _ in range(2):
        first, second = lane._hand.portions(1, [killer, later])
        assert (first, second) == ([killer], [later])
        assert lane._hand.refuses(first) == "it ended the scorer 3 times"
        with lane._hand.holding(second):
            pass
        lane._done(SimpleNamespace(commit=commit), [killer, later])
    lane._done(SimpleNamespace(commit=lambda **_: []), [killer, later])
    assert list(lane._hand.portions(1, [killer, later])) == [[killer, later]]
    lane._hand.close()


def test_another_version_of_the_model_may_try_again(tmp_path: Path) -> None:
    file, message = tmp_path / "in-hand.json", Lying((0, 5))
    for _ in range(MOST_ENDS):
        with pytest.raises(Killed):
            life(file, [message], message)
    assert life(file, [message], None, version=2) == set()


@pytest.mark.parametrize("text", ["", "[]", "no json", '{"where": "elsewhere", "spans": 7}'])
def test_what_cannot_be_read_or_is_of_other_topics_says_nothing(tmp_path: Path, text: str) -> None:
    file, messages = tmp_path / "in-hand.json", [Lying((0, 1)), Lying((0, 2))]
    file.write_text(text)
    hand = Hand(file, "here", Turns())
    assert list(hand.portions(1, messages)) == [messages]
    hand.close()


def test_an_error_while_scoring_is_no_death(tmp_path: Path) -> None:
    file, message = tmp_path / "in-hand.json", Lying((0, 1))
    hand = Hand(file, "here", Turns())
    for _ in range(MOST_ENDS + 1):
        (some,) = hand.portions(1, [message])
        assert not hand.refuses(some)
        with pytest.raises(OSError, match="told"), hand.holding(some):
            raise OSError("told")
    hand.close()


def test_a_suspect_is_scored_while_the_other_lane_has_nothing_in_hand(tmp_path: Path) -> None:
    mine, theirs, turns = tmp_path / "mine.json", tmp_path / "theirs.json", Turns()
    with pytest.raises(Killed):
        life(mine, [Lying((0, 1))], Lying((0, 1)))
    suspecting, other = Hand(mine, "here", turns), Hand(theirs, "here", turns)
    holds, ends = Event(), Event()

    def beside() -> None:
        with other.holding([Lying((0, 7))]):
            holds.set()
            ends.wait(60)

    lane = Thread(target=beside, daemon=True)
    with suspecting.holding([Lying((0, 1))]):
        lane.start()
        assert not holds.wait(0.1)
        assert theirs.read_bytes() == b"", "nothing will be held against it"
    assert holds.wait(60)
    with suspecting.holding([Lying((0, 2))]):  # what never ended anything is scored beside it
        ends.set()
    lane.join(60)
    suspecting.close()
    other.close()


def test_who_asks_to_be_alone_waits_for_who_scores() -> None:
    turns, told = Turns(), list[str]()

    def alone() -> None:
        with turns.taken(alone=True):
            told.append("alone")

    lane = Thread(target=alone, daemon=True)
    with turns.taken(alone=False):
        lane.start()
        lane.join(0.1)
        told.append("beside")
    lane.join(60)
    assert told == ["beside", "alone"]
