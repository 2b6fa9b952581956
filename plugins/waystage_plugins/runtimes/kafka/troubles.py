"""What goes wrong between a scorer and its brokers, in words."""

from __future__ import annotations

from typing import NamedTuple

from confluent_kafka import KafkaError, KafkaException

REASONS: dict[int, str] = {
    KafkaError._AUTHENTICATION: "auth_failed",
    KafkaError.SASL_AUTHENTICATION_FAILED: "auth_failed",
    KafkaError._SSL: "tls_failed",
    KafkaError._RESOLVE: "unreachable",
    KafkaError._ALL_BROKERS_DOWN: "unreachable",
    KafkaError._TRANSPORT: "unreachable",
    KafkaError._TIMED_OUT: "unreachable",
    KafkaError.UNKNOWN_TOPIC_OR_PART: "no_topic",
    KafkaError._UNKNOWN_TOPIC: "no_topic",
    KafkaError.TOPIC_AUTHORIZATION_FAILED: "not_allowed",
    KafkaError.GROUP_AUTHORIZATION_FAILED: "not_allowed",
    KafkaError.CLUSTER_AUTHORIZATION_FAILED: "not_allowed",
}
# a connection that ends is opened again by the library; it is trouble if no broker is left
PASSING = frozenset({KafkaError._TRANSPORT, KafkaError._TIMED_OUT})


class Trouble(NamedTuple):
    """What is wrong; `lasting` where the client library does not mend it by itself."""

    reason: str
    text: str
    lasting: bool = True


class Unlogged(Exception):
    """The scoring log cannot be written."""


class Undelivered(Exception):
    """The brokers did not take an answer."""


class Unkept(Exception):
    """The brokers threw requests away that were not done."""


UNDONE = frozenset({"log_unwritable", "undelivered", "broken"})
OURS = {Unlogged: "log_unwritable", Undelivered: "undelivered", Unkept: "skipped"}


def trouble_of(error: Exception) -> Trouble:
    """Say in words what an error of the client library, or of our own, means."""
    if isinstance(error, KafkaException) and isinstance(error.args[0], KafkaError):
        said = error.args[0]
        reason = REASONS.get(said.code(), said.name().lower().lstrip("_"))
        return Trouble(reason, said.str(), said.code() not in PASSING)
    return Trouble(OURS.get(type(error), "broken"), f"{error or type(error).__name__}")
