"""How a scorer reaches its brokers and topics; what of it is secret comes from elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from waystage.plugin.values import Value
from waystage_plugins.runtimes.serving.config import Config

PASSWORD, KEY_PASSWORD = "sasl.password", "ssl.key.password"  # librdkafka's words
FETCH_KIB = 16_384  # of requests that wait in a scorer's memory
DELIVERY_MS = 30_000
# a scorer that is busy with one batch for longer than this is taken for dead by its group
LONGEST_BATCH_MS = 300_000


class Login(Value):
    """Who the scorer is for the brokers."""

    mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]
    username: str


class Cover(Value):
    """The files of TLS; empty ones are left to the system, or not used."""

    ca: str = ""
    certificate: str = ""
    key: str = ""


class Link(Value):
    """Brokers, topics and group, with `{service}` and `{stage}` put in."""

    brokers: str
    requests: str
    answers: str
    dead_letters: str = ""
    group: str
    start: Literal["earliest", "latest"] = "earliest"
    batch: int = 200
    session_ms: int = 10_000
    login: Login | None = None
    cover: Cover | None = None

    @property
    def url(self) -> str:
        """Name the topics as one address, for people."""
        return f"kafka://{self.brokers}/{self.requests}?answers={self.answers}"

    def group_of(self, role: str, number: int) -> str:
        """Give the consumer group of a role.

        Each challenger has one of its own, so that it reads what the champion reads and
        begins with what comes after it.
        """
        return self.group if role == "champion" else f"{self.group}.{role}.{number}"


class ScorerConfig(Config):
    """All deployments of one service in one stage, and where their requests come from."""

    link: Link


def client(link: Link, secrets: Mapping[str, str]) -> dict[str, Any]:
    """Give librdkafka's settings of any client of these brokers."""
    settings: dict[str, Any] = {
        "bootstrap.servers": link.brokers,
        "client.id": "waystage",
        "log_level": 4,
        "security.protocol": _protocol(link),
    }
    if link.login:
        settings |= {
            "sasl.mechanism": link.login.mechanism,
            "sasl.username": link.login.username,
            PASSWORD: secrets.get(PASSWORD, ""),
        }
    if link.cover:
        files = {"ca": "ssl.ca.location", "certificate": "ssl.certificate.location",
                 "key": "ssl.key.location"}  # fmt: skip
        told = link.cover.model_dump()
        settings |= {name: told[field] for field, name in files.items() if told[field]}
        if KEY_PASSWORD in secrets:
            settings[KEY_PASSWORD] = secrets[KEY_PASSWORD]
    return settings


def consuming(link: Link, secrets: Mapping[str, str], group: str) -> dict[str, Any]:
    """Give the settings of a member of a group, which alone says when a request is done."""
    return client(link, secrets) | {
        "group.id": group,
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        # where nothing is committed is decided on our own, and committed before the first request
        "auto.offset.reset": "error",
        "partition.assignment.strategy": "cooperative-sticky",
        "session.timeout.ms": link.session_ms,
        "heartbeat.interval.ms": max(100, link.session_ms // 3),
        "max.poll.interval.ms": LONGEST_BATCH_MS,
        "queued.max.messages.kbytes": FETCH_KIB,
        "fetch.wait.max.ms": 100,
    }


def producing(link: Link, secrets: Mapping[str, str]) -> dict[str, Any]:
    """Give the settings of a producer whose answers are kept by all replicas, each once."""
    return client(link, secrets) | {
        "acks": "all",
        "enable.idempotence": True,
        "linger.ms": 1,
        "compression.type": "lz4",
        "message.timeout.ms": DELIVERY_MS,
    }


def _protocol(link: Link) -> str:
    if link.login:
        return "SASL_SSL" if link.cover else "SASL_PLAINTEXT"
    return "SSL" if link.cover else "PLAINTEXT"
