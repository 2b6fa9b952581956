"""Runs a Kafka scorer that kills itself (SIGKILL) at a named point of some batch.

`python kafka_killer.py LIVES POINT BATCH -P -m MODULE DIRECTORY LOCK`: the first LIVES lives
die at POINT of their BATCH-th batch. With the point `poison` they die whenever they score a row
whose income is `KILLER`, with the point `beside` only when version 2 does, while the other version
scores, too, if it is let. With the point `done_first` they say that a batch is
done before they answer it: the mistake that the test of this must find.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

from waystage_plugins.runtimes.kafka import __main__ as program
from waystage_plugins.runtimes.kafka import work
from waystage_plugins.runtimes.kafka.lane import Lane
from waystage_plugins.runtimes.kafka.work import Work

KILLER = 666.0
MEETING_SECONDS = 0.5
POINTS = ("read", "logged", "half_answered", "answered", "done")


def main() -> int:
    lives, point, batch, _, _, _, directory, lock = sys.argv[1:]
    sys.argv = [sys.argv[0], directory, lock]
    died = Path(directory) / "died.txt"
    before = len(died.read_text()) if died.exists() else 0
    if before < int(lives):
        _plant(point, int(batch), died)
    return program.main()


def _plant(point: str, batch: int, died: Path) -> None:
    begun, scoring = 0, {"1": threading.Event(), "2": threading.Event()}
    do, done, deliver, produce = Work.do, Lane._done, work._deliver, work._produce
    score = work._score

    def die(at: str) -> None:
        if at == point and begun >= batch:
            with died.open("a") as file:
                file.write("x")
            os.kill(os.getpid(), signal.SIGKILL)

    def counted(self: Work, producer: Any, messages: Any) -> None:
        nonlocal begun
        begun += any(work.probe_of(message) is None for message in messages)
        die("read")
        do(self, producer, messages)
        die("answered")

    def delivered(producer: Any, messages: Any) -> None:
        die("logged")
        deliver(producer, messages)

    def produced(producer: Any, message: Any, failed: Any) -> None:
        produce(producer, message, failed)
        if point == "half_answered" and begun >= batch:
            producer.flush(10)
            die("half_answered")

    def said(self: Lane, consumer: Any, messages: Any) -> None:
        done(self, consumer, messages)
        die("done")

    def scored(version: Any, requests: Any) -> Any:
        if any(row.get("income") == KILLER for request in requests for row in request.rows):
            die("poison")
            if point == "beside":
                meet(version.snapshot.version)
        return score(version, requests)

    def meet(version: str) -> None:
        scoring[version].set()
        scoring["1" if version == "2" else "2"].wait(MEETING_SECONDS)
        if version == "2":
            die("beside")
        time.sleep(MEETING_SECONDS)  # long enough for the other one to die beside it
        scoring[version].clear()

    work._score = scored
    Work.do, Lane._done = counted, said  # type: ignore[method-assign]  # that is the point
    work._deliver, work._produce = delivered, produced
    if point == "done_first":
        _plant_mistake(batch, died)


def _plant_mistake(batch: int, died: Path) -> None:
    begun, turn = 0, Lane._turn

    def too_early(self: Lane, consumer: Any, producer: Any) -> None:
        consume = consumer.consume

        class Early:
            def __getattr__(self, name: str) -> Any:
                return getattr(consumer, name)

            def consume(self, *limits: Any) -> Any:
                nonlocal begun
                found = consume(*limits)
                good = [message for message in found if message.error() is None]
                if good and work.probe_of(good[-1]) is None:
                    begun += 1
                    consumer.commit(message=good[-1], asynchronous=False)
                    if begun >= batch:
                        died.write_text("x" * 99)
                        os.kill(os.getpid(), signal.SIGKILL)
                return found

        turn(self, Early(), producer)  # type: ignore[arg-type]  # all that a turn asks of it

    Lane._turn = too_early  # type: ignore[method-assign]  # that is the point


if __name__ == "__main__":
    sys.exit(main())
