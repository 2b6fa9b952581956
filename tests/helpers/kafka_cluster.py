"""A Kafka cluster for tests: librdkafka's mock brokers, which speak the real protocol over TCP."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable, Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

PATIENCE = 120.0
ONE_FETCH = 0.05


class KafkaCluster:
    """Brokers in this process that other processes can reach; ended by `close`."""

    def __init__(self, brokers: int = 1) -> None:
        self._kafka = pytest.importorskip(
            "confluent_kafka", reason="confluent-kafka is not installed"
        )
        self._c = _library()
        self._client = self._c.rd_kafka_new(0, _settings(self._c, brokers), None, 0)
        self._cluster = self._c.rd_kafka_handle_mock_cluster(self._client)
        # else a group that was empty waits three seconds for further members
        self._c.rd_kafka_mock_group_initial_rebalance_delay_ms(self._cluster, 0)
        self.brokers = self._c.rd_kafka_mock_cluster_bootstraps(self._cluster).decode()

    @property
    def ports(self) -> list[int]:
        """The brokers' ports on 127.0.0.1."""
        return [int(each.rpartition(":")[2]) for each in self.brokers.split(",")]

    def create(self, *topics: str, partitions: int = 4) -> None:
        """Make topics."""
        for topic in topics:
            create = self._c.rd_kafka_mock_topic_create
            assert create(self._cluster, topic.encode(), partitions, 1) == 0

    def down(self, broker: int = 1) -> None:
        """Let a broker vanish, with its connections."""
        assert self._c.rd_kafka_mock_broker_set_down(self._cluster, broker) == 0

    def up(self, broker: int = 1) -> None:
        """Let it come back."""
        assert self._c.rd_kafka_mock_broker_set_up(self._cluster, broker) == 0

    def send(self, topic: str, value: bytes | None, **more: Any) -> None:
        """Write one message and wait until the brokers have it."""
        self.send_all(topic, [value], **more)

    def send_all(self, topic: str, values: Iterable[bytes | None], **more: Any) -> None:
        """Write messages and wait until the brokers have them."""
        failed: list[str] = []
        producer = self._kafka.Producer({"bootstrap.servers": self.brokers, "linger.ms": 1})
        for value in values:
            producer.produce(
                topic, value, on_delivery=lambda e, _: e and failed.append(str(e)), **more
            )
        assert producer.flush(PATIENCE) == 0
        assert failed == []

    def read(self, topic: str, enough: Callable[[list[Any]], bool]) -> list[Any]:
        """Read a topic from its beginning until `enough` holds; every message that came."""
        reader = self.reader(topic)
        found: list[Any] = []
        deadline = time.monotonic() + PATIENCE
        try:
            while not enough(found):
                assert time.monotonic() < deadline, f"{len(found)} messages in {topic}"
                found += [m for m in reader.consume(1000, ONE_FETCH) if m.error() is None]
        finally:
            reader.close()
        return found

    def reader(self, topic: str) -> Any:
        """Give a consumer without a group that stands at the beginning of a topic."""
        reader = self._kafka.Consumer(
            {"bootstrap.servers": self.brokers, "group.id": "test.reader",
             "enable.auto.commit": False, "fetch.wait.max.ms": 50}
        )  # fmt: skip
        known = reader.list_topics(topic, timeout=300).topics[topic].partitions
        reader.assign([self._kafka.TopicPartition(topic, number, 0) for number in known])
        return reader

    def committed(self, group: str, topic: str, partitions: int = 4) -> list[int]:
        """Give the offsets that a group has committed, -1001 where it has none."""
        reader = self._kafka.Consumer({"bootstrap.servers": self.brokers, "group.id": group})
        try:
            wanted = [self._kafka.TopicPartition(topic, number) for number in range(partitions)]
            return [found.offset for found in reader.committed(wanted, timeout=300)]
        finally:
            reader.close()

    def commit(self, group: str, topic: str, partition: int, offset: int = 0) -> None:
        """Say for a group how far it has read a partition."""
        member = self._kafka.Consumer({"bootstrap.servers": self.brokers, "group.id": group})
        try:
            done = self._kafka.TopicPartition(topic, partition, offset)
            member.commit(offsets=[done], asynchronous=False)
        finally:
            member.close()

    def close(self) -> None:
        """End the brokers."""
        self._c.rd_kafka_destroy(self._client)


def _settings(library: ctypes.CDLL, brokers: int) -> int:
    settings: int = library.rd_kafka_conf_new()
    text = ctypes.create_string_buffer(500)
    for name, value in (("test.mock.num.brokers", brokers), ("log_level", 3)):
        given = library.rd_kafka_conf_set(
            settings, name.encode(), str(value).encode(), text, len(text)
        )
        assert given == 0, text.value
    return settings


def _library() -> ctypes.CDLL:
    """Give the librdkafka that the package brings along: more of it than Python's names reach."""
    spec = find_spec("confluent_kafka")
    assert spec is not None
    assert spec.origin is not None
    (found,) = (Path(spec.origin).parent.parent / "confluent_kafka.libs").glob("librdkafka*")
    library = ctypes.CDLL(str(found))
    pointer, text = ctypes.c_void_p, ctypes.c_char_p
    for name, answer, *taken in (
        ("rd_kafka_conf_new", pointer),
        ("rd_kafka_conf_set", ctypes.c_int, pointer, text, text, text, ctypes.c_size_t),
        ("rd_kafka_new", pointer, ctypes.c_int, pointer, text, ctypes.c_size_t),
        ("rd_kafka_handle_mock_cluster", pointer, pointer),
        ("rd_kafka_mock_cluster_bootstraps", text, pointer),
        ("rd_kafka_mock_group_initial_rebalance_delay_ms", None, pointer, ctypes.c_int32),
        ("rd_kafka_mock_topic_create", ctypes.c_int, pointer, text, ctypes.c_int, ctypes.c_int),
        ("rd_kafka_mock_broker_set_down", ctypes.c_int, pointer, ctypes.c_int32),
        ("rd_kafka_mock_broker_set_up", ctypes.c_int, pointer, ctypes.c_int32),
        ("rd_kafka_destroy", None, pointer),
    ):
        function = getattr(library, name)
        function.restype, function.argtypes = answer, taken
    return library
