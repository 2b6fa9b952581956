"""What is done with a batch of requests: scored, logged, answered or refused with the reason."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial

from confluent_kafka import KafkaError, KafkaException, Producer

from waystage.errors import WaystageError
from waystage.plugin import Role, ScoredRow
from waystage_plugins.runtimes.kafka.hand import Hand
from waystage_plugins.runtimes.kafka.link import DELIVERY_MS, Link
from waystage_plugins.runtimes.kafka.messages import (
    Message,
    Outgoing,
    Poison,
    Request,
    answer,
    dead_letter,
    place,
    probe_of,
    read_request,
    refusal,
)
from waystage_plugins.runtimes.kafka.troubles import Undelivered, Unlogged
from waystage_plugins.runtimes.serving.models import Models, Table, Version
from waystage_plugins.runtimes.serving.protocol import Scores
from waystage_plugins.runtimes.serving.scores import Recorder, scored_rows
from waystage_plugins.runtimes.tensors import BadRows

FULL_SECONDS = 0.1


class Work:
    """Takes batches of a role. A challenger's scores are logged and not answered.

    Raises `Unlogged` or `Undelivered` when a batch must be read again.
    """

    def __init__(
        self, role: Role, link: Link, models: Models, recorder: Recorder, hand: Hand
    ) -> None:
        self._role, self._link, self._models, self._recorder = role, link, models, recorder
        self._hand = hand
        self.counts: Counter[str] = Counter(scored=0, refused=0, probed=0, quarantined=0)

    def do(self, producer: Producer, messages: Sequence[Message]) -> None:
        """Do all of a batch; what returns has been logged and has been answered."""
        table = self._models.table
        probes = [message for message in messages if probe_of(message) is not None]
        others = [message for message in messages if probe_of(message) is None]
        out = [*self._probed(table, probes), *self._scored(table, others)]
        _deliver(producer, out)

    def _probed(self, table: Table, probes: Sequence[Message]) -> Iterator[Outgoing]:
        """Answer the probes that are for this role, by the very version that they name."""
        for message in probes:
            role, _, number = (probe_of(message) or "").partition("/")
            if role != self._role:
                continue
            self.counts["probed"] += 1
            version = (
                table.versions.get(int(number)) if number.isascii() and number.isdigit() else None
            )
            if version is None or version.model is None:
                reason = f"version {number[:20]} is not loaded here"
                yield refusal(message, reason, self._link.answers)
                continue
            for request, scores in self._carefully(version, [message]):
                if isinstance(scores, str):
                    yield refusal(message, scores, self._link.answers)
                elif isinstance(request, Request):
                    yield answer(request, scores, self._link.answers, version.snapshot)

    def _scored(self, table: Table, messages: Sequence[Message]) -> Iterator[Outgoing]:
        number = table.labels.get(self._role)
        if number is None:
            raise Unlogged(f"the {self._role} was taken away")
        if not messages:
            return
        began, version = time.perf_counter(), table.versions[number]
        done = list(self._carefully(version, messages))
        took = (time.perf_counter() - began) * 1000
        good = [(r, s) for r, s in done if isinstance(r, Request) and not isinstance(s, str)]
        self._log(table, version, good, took)
        self.counts["scored"] += len(good)
        self.counts["refused"] += len(done) - len(good)
        if self._role != "champion":
            return
        for request, scores in done:
            if isinstance(request, Request) and not isinstance(scores, str):
                yield answer(request, scores, self._link.answers, version.snapshot)
            else:
                message = request.message if isinstance(request, Request) else request
                yield self._refused(message, str(scores))

    def _refused(self, message: Message, reason: str) -> Outgoing:
        if self._link.dead_letters:
            return dead_letter(message, reason, self._link.dead_letters)
        return refusal(message, reason, self._link.answers)

    def _carefully(
        self, version: Version, messages: Sequence[Message]
    ) -> Iterator[tuple[Request | Message, Scores | str]]:
        """Give every message with its scores; what has killed scorers is not scored again."""
        for some in self._hand.portions(version.number, messages):
            if why := self._hand.refuses(some):
                self.counts["quarantined"] += 1
                print(f"{self._role}: quarantined {place(some[0])}: {why}", flush=True)
                yield some[0], why
                continue
            with self._hand.holding(some):
                done = list(self._each(version, some))
            yield from done

    def _each(
        self, version: Version, messages: Sequence[Message]
    ) -> Iterator[tuple[Request | Message, Scores | str]]:
        """Give every message with its scores, or with why it has none."""
        assert version.model is not None
        columns = list(version.model.columns)
        read: list[Request | tuple[Message, str]] = []
        for message in messages:
            try:
                read.append(read_request(message, columns))
            except Poison as error:
                read.append((message, str(error)))
        requests = [each for each in read if isinstance(each, Request)]
        scored = iter(_score(version, requests))
        for each in read:
            if isinstance(each, Request):
                yield each, next(scored)
            else:
                yield each

    def _log(
        self, table: Table, version: Version, done: list[tuple[Request, Scores]], took: float
    ) -> None:
        log = table.config.scoring_log
        rows = sum(len(request.rows) for request, _ in done)
        if log is None or not rows:
            return
        keep: list[ScoredRow] = []
        for request, scores in done:
            keep += scored_rows(
                request.ids, request.rows, list(scores), at=self._recorder.clock.now(),
                service=table.config.model, stage=table.config.stage,
                snapshot=version.snapshot.id, role=self._role, latency_ms=took / rows,
            )  # fmt: skip
        try:
            self._recorder.record(log, keep)
        except Exception as error:  # whatever a log raises
            raise Unlogged(f"the scoring log cannot be written: {error}") from error


def _score(version: Version, requests: Sequence[Request]) -> list[Scores | str]:
    """Score all rows in one go, or, where some do not fit, each request by itself."""
    assert version.model is not None
    if not requests:
        return []
    try:
        scores = version.model.score([row for request in requests for row in request.rows])
    except (BadRows, WaystageError) as error:
        if len(requests) == 1:
            return [str(error)]
        return [_score(version, [request])[0] for request in requests]
    found: list[Scores | str] = []
    for request in requests:
        found.append(scores[: len(request.rows)])
        scores = scores[len(request.rows) :]
    return found


def _deliver(producer: Producer, messages: Sequence[Outgoing]) -> None:
    """Return when the brokers have every message; raises `Undelivered`."""
    while messages:
        failed: list[tuple[Outgoing, KafkaError]] = []
        for message in messages:
            _produce(producer, message, failed)
        if producer.flush(DELIVERY_MS / 1000 + 5):
            raise Undelivered("the brokers take no answers")
        messages = [each.instead for each, error in failed if _too_large(error) and each.instead]
        lost = [error for each, error in failed if not (_too_large(error) and each.instead)]
        if lost:
            raise Undelivered(f"the brokers refuse answers: {lost[0].str()}")


def _produce(
    producer: Producer, message: Outgoing, failed: list[tuple[Outgoing, KafkaError]]
) -> None:
    told = partial(_note, message, failed)
    while True:
        try:
            producer.produce(
                message.topic, message.value, message.key, headers=message.headers,
                on_delivery=told,
            )  # fmt: skip
        except BufferError:
            producer.poll(FULL_SECONDS)  # the queue is full: let the brokers take some
        except KafkaException as error:
            failed.append((message, error.args[0]))
            return
        else:
            return


def _note(
    message: Outgoing,
    failed: list[tuple[Outgoing, KafkaError]],
    error: KafkaError | None,
    _: object,
) -> None:
    if error is not None:
        failed.append((message, error))


def _too_large(error: KafkaError) -> bool:
    return error.code() == KafkaError.MSG_SIZE_TOO_LARGE
