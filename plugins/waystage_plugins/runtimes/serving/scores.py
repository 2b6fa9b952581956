"""Writing what was scored to the scoring log, before it is answered."""

from __future__ import annotations

import json
import queue
import re
import threading
from concurrent.futures import Future
from typing import Any

from waystage.clock import clock_from_environment
from waystage.plugin import JsonObject, ScoredRow, ScoringLog
from waystage_plugins.scoring import SCORING_LOGS

LOGS: dict[str, type[ScoringLog]] = {log.use: log for log in SCORING_LOGS}
REQUEST_ID = re.compile(r"[A-Za-z0-9._:/@+=-]{1,128}")
MOST_ROWS = 10_000


class Recorder:
    """Keeps rows durably; those of requests that come at the same time share one transaction."""

    def __init__(self) -> None:
        self.clock = clock_from_environment()
        self._waiting: queue.SimpleQueue[_Order] = queue.SimpleQueue()
        self._logs: dict[str, ScoringLog] = {}
        threading.Thread(target=self._work, name="scoring log", daemon=True).start()

    def record(self, log: JsonObject, rows: list[ScoredRow]) -> None:
        """Return when the rows are kept; raises what the log raises when they cannot be."""
        order = _Order(json.dumps(log, sort_keys=True), rows)
        self._waiting.put(order)
        order.kept.result()

    def _work(self) -> None:
        while True:
            orders = self._next()
            for settings in dict.fromkeys(order.settings for order in orders):
                self._keep(settings, [order for order in orders if order.settings == settings])

    def _next(self) -> list[_Order]:
        orders = [self._waiting.get()]
        while sum(len(order.rows) for order in orders) < MOST_ROWS:
            try:
                orders.append(self._waiting.get_nowait())
            except queue.Empty:
                break
        return orders

    def _keep(self, settings: str, orders: list[_Order]) -> None:
        try:
            self._log(settings).append(row for order in orders for row in order.rows)
        except BaseException as error:  # noqa: BLE001  # it is raised where the answers wait
            for order in orders:
                order.kept.set_exception(error)
        else:
            for order in orders:
                order.kept.set_result(None)

    def _log(self, settings: str) -> ScoringLog:
        if settings not in self._logs:
            wanted = json.loads(settings)
            self._logs[settings] = LOGS[wanted["use"]].model_validate(wanted.get("with") or {})
        return self._logs[settings]


class _Order:
    def __init__(self, settings: str, rows: list[ScoredRow]) -> None:
        self.settings, self.rows = settings, rows
        self.kept: Future[None] = Future()


def row_ids(request: str, own: list[str | None]) -> list[str]:
    """Give each row its id: its own, else the request's, numbered where there are several rows.

    Raises `ValueError` for an id that is malformed or given twice.
    """
    several = len(own) > 1
    ids = [mine or (f"{request}-{n}" if several else request) for n, mine in enumerate(own)]
    for each in (request, *ids):
        if not REQUEST_ID.fullmatch(each):
            raise ValueError(
                f"request id {each[:60]!r}: letters, digits and . _ : / @ + = - only, at most 128"
            )
    if len(set(ids)) != len(ids):
        raise ValueError("two rows of the request have the same request id")
    return ids


def scored_rows(
    ids: list[str], rows: list[dict[str, Any]], scores: list[float | None], **about: Any
) -> list[ScoredRow]:
    """Pair rows with ids and scores; `about` is what all of them share."""
    triples = zip(ids, rows, scores, strict=True)
    return [ScoredRow(request_id=i, inputs=row, score=s, **about) for i, row, s in triples]
