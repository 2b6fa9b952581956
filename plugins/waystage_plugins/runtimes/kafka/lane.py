"""A role's way from topic to topic: read, score, log, answer, and only then call it done."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

from waystage.plugin import Role
from waystage_plugins.runtimes.kafka.hand import Hand
from waystage_plugins.runtimes.kafka.link import Link, consuming, producing
from waystage_plugins.runtimes.kafka.messages import Message
from waystage_plugins.runtimes.kafka.troubles import UNDONE, Trouble, Unkept, trouble_of
from waystage_plugins.runtimes.kafka.turns import Turns
from waystage_plugins.runtimes.kafka.work import Work
from waystage_plugins.runtimes.serving.models import Models
from waystage_plugins.runtimes.serving.scores import Recorder

POLL_SECONDS, LOOK_SECONDS, LAG_SECONDS = 0.1, 0.05, 1.0
ASK_SECONDS = 5.0
FIRST_WAIT, LONGEST_WAIT = 0.2, 15.0
# somebody else has the partition now and reads the requests again
TAKEN_AWAY = frozenset(
    {
        KafkaError.REBALANCE_IN_PROGRESS, KafkaError.ILLEGAL_GENERATION,
        KafkaError.UNKNOWN_MEMBER_ID, KafkaError._ASSIGNMENT_LOST, KafkaError._STATE,
    }
)  # fmt: skip


class Lane:
    """Consumes the requests in the role's group while the role has a version that answers.

    Whatever fails closes the clients, so that nothing is called done; after a while, longer
    each time, it begins anew with the first request that is not done. While it waits it takes
    no requests: they stay with the brokers, or go to another member of the group.
    """

    def __init__(
        self, role: Role, link: Link, secrets: Mapping[str, str], models: Models,
        recorder: Recorder, directory: Path, turns: Turns,
    ) -> None:  # fmt: skip
        self._role, self._link, self._secrets, self._models = role, link, secrets, models
        self._hand = Hand(directory / f"in-hand-{role}.json", f"{link.url} {link.group}", turns)
        self._work = Work(role, link, models, recorder, self._hand)
        self._ended = threading.Event()
        self._trouble: Trouble | None = None
        self._partitions: list[int] = []
        self._lag: dict[int, int] = {}
        self._of = self._skipped = 0
        self._wait, self._next_look = FIRST_WAIT, 0.0
        self._thread = threading.Thread(target=self._run, name=f"lane {role}", daemon=True)
        self._thread.start()

    def seen(self) -> dict[str, Any]:
        """Give what the runtime wants to know of it."""
        trouble = self._trouble
        counts: Counter[str] = self._work.counts
        return {
            "partitions": list(self._partitions), "of": self._of, "lag": sum(self._lag.values()),
            "trouble": [trouble.reason, trouble.text] if trouble else None,
            "skipped": self._skipped, **counts,
        }  # fmt: skip

    def end(self) -> None:
        """Have it finish what is in hand and leave the group."""
        self._ended.set()

    def wait(self, seconds: float) -> None:
        """Wait until it has left the group."""
        self._thread.join(seconds)
        if not self._thread.is_alive():
            self._hand.close()

    def _group(self) -> str | None:
        number = self._models.table.labels.get(self._role)
        return None if number is None else self._link.group_of(self._role, number)

    def _run(self) -> None:
        while not self._ended.is_set():
            group = self._group()
            if group is None:
                self._ended.wait(LOOK_SECONDS)
                continue
            try:
                self._consume(group)
            except Exception as error:  # noqa: BLE001  # a lane goes on whatever comes
                self._tell(trouble_of(error))
                self._ended.wait(self._wait)
                self._wait = min(2 * self._wait, LONGEST_WAIT)

    def _consume(self, group: str) -> None:
        watched = {"error_cb": self._heard}
        consumer = Consumer(consuming(self._link, self._secrets, group) | watched)
        producer = Producer(producing(self._link, self._secrets) | watched)
        try:
            consumer.subscribe([self._link.requests], on_assign=self._assigned)
            while not self._ended.is_set() and self._group() == group:
                self._turn(consumer, producer)
        finally:
            self._partitions, self._lag = [], {}
            consumer.close()
            producer.close()

    def _turn(self, consumer: Consumer, producer: Producer) -> None:
        messages = _take(consumer, self._link.batch)
        assigned = sorted(each.partition for each in consumer.assignment())
        if assigned != self._partitions or time.monotonic() >= self._next_look:
            self._look(consumer)
            self._partitions = assigned
            self._next_look = time.monotonic() + LAG_SECONDS
        good = [message for message in messages if message.error() is None]
        for message in messages:
            if error := message.error():
                self._failed(consumer, message, error)
        if good:
            self._work.do(producer, good)
            self._done(consumer, good)
            self._wait, self._trouble = FIRST_WAIT, None

    def _done(self, consumer: Consumer, messages: Sequence[Message]) -> None:
        """Say that the requests are answered; one that somebody else reads again is no loss.

        Only what the brokers wrote down is forgotten: the rest may come back to this lane.
        """
        ends: dict[int, int] = {}
        for message in messages:
            ends[message.partition() or 0] = (message.offset() or 0) + 1
        offsets = [TopicPartition(self._link.requests, p, end) for p, end in ends.items()]
        try:
            told = consumer.commit(offsets=offsets, asynchronous=False) or []
        except KafkaException as error:
            if error.args[0].code() not in TAKEN_AWAY:
                raise
            self._work.counts["left_to_others"] += len(messages)
            return
        for each in told:
            if each.error and each.error.code() not in TAKEN_AWAY:
                raise KafkaException(each.error)
        left = {each.partition for each in told if each.error}
        self._hand.forget([each for each in messages if (each.partition() or 0) not in left])

    def _assigned(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Write down where a partition begins for a group that never read it.

        Only then is nothing skipped when the scorer dies before its first request is done.
        """
        if not partitions:
            return
        topic = consumer.list_topics(self._link.requests, timeout=ASK_SECONDS)
        every = [
            TopicPartition(self._link.requests, number)
            for number in topic.topics[self._link.requests].partitions
        ]
        known = consumer.committed(every, timeout=ASK_SECONDS)
        for each in known:
            if each.error:
                raise KafkaException(each.error)
        unread = [each for each in known if each.offset < 0]
        # a partition that came later is read whole, also by those who began with the latest
        late = unread == known and (self._link.start == "latest" or self._role != "champion")
        if unread:
            begins = [_beginning(consumer, each, late=late) for each in unread]
            consumer.commit(offsets=begins, asynchronous=False)
        self._mended()

    def _failed(self, consumer: Consumer, message: Message, error: KafkaError) -> None:
        if error.code() == KafkaError._AUTO_OFFSET_RESET:
            self._skip(consumer, TopicPartition(self._link.requests, message.partition() or 0))
        elif error.fatal():
            raise KafkaException(error)
        else:
            self._heard(error)

    def _skip(self, consumer: Consumer, partition: TopicPartition) -> None:
        """Begin anew behind requests that the brokers no longer have, and say so."""
        low, _ = _bounds(consumer, partition)
        (known,) = consumer.committed([partition], timeout=ASK_SECONDS)
        self._skipped += max(0, low - known.offset)
        behind = TopicPartition(partition.topic, partition.partition, low)
        consumer.commit(offsets=[behind], asynchronous=False)
        raise Unkept(
            f"partition {partition.partition} of {self._link.requests}: the requests from "
            f"{known.offset} to {low - 1} are gone: the brokers did not keep them long enough"
        )

    def _look(self, consumer: Consumer) -> None:
        """Learn whether the topic is there and how many requests wait."""
        try:
            found = consumer.list_topics(self._link.requests, timeout=ASK_SECONDS)
            topic = found.topics[self._link.requests]
            if topic.error:
                raise KafkaException(topic.error)
            self._of = len(topic.partitions)
            self._lag = {each.partition: _lag(consumer, each) for each in consumer.assignment()}
            self._mended()
        except KafkaException as error:
            self._tell(trouble_of(error))

    def _heard(self, error: KafkaError) -> None:
        trouble = trouble_of(KafkaException(error))
        if trouble.lasting:
            self._tell(trouble)

    def _mended(self) -> None:
        """Forget what was wrong with the brokers; only a batch that is done shows the rest."""
        if self._trouble is not None and self._trouble.reason not in UNDONE:
            self._trouble = None

    def _tell(self, trouble: Trouble) -> None:
        if self._trouble is None or self._trouble.text != trouble.text:
            print(f"{self._role}: {trouble.reason}: {trouble.text}", flush=True)
        self._trouble = trouble


def _take(consumer: Consumer, most: int) -> list[Any]:
    """Give what is there as soon as anything is; a single request does not wait for more."""
    first = consumer.poll(POLL_SECONDS)
    if first is None:
        return []
    return [first, *(consumer.consume(most - 1, 0) if most > 1 else ())]


def _bounds(consumer: Consumer, partition: TopicPartition) -> tuple[int, int]:
    """Give the offsets of the first request that is kept and of the next one to come."""
    found = consumer.get_watermark_offsets(partition, timeout=ASK_SECONDS)
    if found is None:
        raise KafkaException(KafkaError(KafkaError._TIMED_OUT))
    return int(found[0]), int(found[1])


def _beginning(consumer: Consumer, partition: TopicPartition, *, late: bool) -> TopicPartition:
    low, high = _bounds(consumer, partition)
    return TopicPartition(partition.topic, partition.partition, high if late else low)


def _lag(consumer: Consumer, partition: TopicPartition) -> int:
    low, high = _bounds(consumer, partition)
    (at,) = consumer.position([partition])
    if at.offset < 0:
        (at,) = consumer.committed([partition], timeout=ASK_SECONDS)
    return max(0, high - max(low, at.offset))
