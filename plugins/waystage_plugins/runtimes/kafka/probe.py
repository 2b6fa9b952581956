"""A scoring request that goes the whole way: into the requests, out of the answers."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

from waystage.errors import Hopeless, Retryable
from waystage.plugin import JsonObject, new_request_id
from waystage_plugins.runtimes.kafka.link import Link, client, producing
from waystage_plugins.runtimes.kafka.messages import REQUEST_HEADER, header
from waystage_plugins.runtimes.serving.config import PROBE_HEADER

ASK_SECONDS = 5.0
LOOK_SECONDS = 0.05


def probe(
    link: Link, secrets: Mapping[str, str], whom: str, partition: int,
    rows: list[JsonObject], seconds: float,
) -> list[JsonObject]:  # fmt: skip
    """Send rows to `role/number` by one of its partitions and give the answers.

    Raises `Retryable` when none comes in time, `Hopeless` when the rows are refused.
    """
    from confluent_kafka import Consumer, KafkaException

    settings = client(link, secrets) | {"group.id": f"{link.group}.probe", "fetch.wait.max.ms": 50,
                                        "enable.auto.commit": False}  # fmt: skip
    reader = Consumer(settings)
    try:
        _stand_at_end(reader, link)
        name = new_request_id()
        _send(link, secrets, name, whom, partition, rows)
        return _answers(_await(reader, name, seconds), whom)
    except KafkaException as error:
        raise Retryable(f"the probe of {link.url}: {error.args[0].str()}") from error
    finally:
        reader.close()


def reachable(link: Link, secrets: Mapping[str, str]) -> list[str]:
    """Say what of brokers and topics is not there."""
    from confluent_kafka import KafkaException, Producer

    asking = Producer(client(link, secrets))
    try:
        known = asking.list_topics(timeout=ASK_SECONDS)
    except KafkaException as error:
        return [f"the brokers {link.brokers} do not answer: {error.args[0].str()}"]
    finally:
        asking.close()
    wanted = [link.requests, link.answers, *([link.dead_letters] if link.dead_letters else [])]
    return [f"there is no topic {topic}" for topic in wanted
            if "{" not in topic and topic not in known.topics]  # fmt: skip


def _stand_at_end(reader: Any, link: Link) -> None:
    from confluent_kafka import KafkaException, TopicPartition

    topic = reader.list_topics(link.answers, timeout=ASK_SECONDS).topics[link.answers]
    if topic.error:
        raise KafkaException(topic.error)
    ends = []
    for number in topic.partitions:
        bounds = reader.get_watermark_offsets(
            TopicPartition(link.answers, number), timeout=ASK_SECONDS
        )
        ends.append(TopicPartition(link.answers, number, bounds[1]))
    reader.assign(ends)


def _send(
    link: Link, secrets: Mapping[str, str], name: str, whom: str, partition: int,
    rows: list[JsonObject],
) -> None:  # fmt: skip
    from confluent_kafka import Producer

    writer = Producer(producing(link, secrets))
    try:
        writer.produce(
            link.requests, json.dumps({"instances": rows}).encode(), partition=partition,
            headers=[(REQUEST_HEADER, name), (PROBE_HEADER, whom)],
        )  # fmt: skip
        if writer.flush(ASK_SECONDS):
            raise Retryable(f"the brokers {link.brokers} do not take the probe")
    finally:
        writer.purge()
        writer.close()


def _await(reader: Any, name: str, seconds: float) -> JsonObject:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        for message in reader.consume(500, LOOK_SECONDS):
            if message.error() is None and header(message, REQUEST_HEADER) == name:
                found: JsonObject = json.loads(message.value())
                return found
    raise Retryable(
        f"no answer to the probe within {seconds:g} s; it may wait behind other requests"
    )


def _answers(told: JsonObject, whom: str) -> list[JsonObject]:
    if "error" in told:
        raise Hopeless(f"{whom} refuses the probe: {str(told['error'])[:500]}")
    predictions = told["predictions"]
    assert isinstance(predictions, list)
    return [{"score": each["score"]} for each in predictions if isinstance(each, dict)]
