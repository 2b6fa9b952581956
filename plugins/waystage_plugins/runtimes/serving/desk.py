"""What every endpoint of a server does with a request: choose the version, score, log."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from waystage.errors import WaystageError
from waystage.plugin import new_request_id
from waystage_plugins.runtimes.serving import protocol
from waystage_plugins.runtimes.serving.hand import HAND, Hand
from waystage_plugins.runtimes.serving.mirror import Mirror
from waystage_plugins.runtimes.serving.models import Models, Table, Version
from waystage_plugins.runtimes.serving.protocol import Problem, Rows, Scores, Target
from waystage_plugins.runtimes.serving.scores import Recorder, row_ids, scored_rows
from waystage_plugins.runtimes.tensors import BadRows


class Scored(NamedTuple):
    """What came of a request."""

    version: Version
    request_id: str
    scores: Scores


class Desk:
    """Scores requests, whichever way they come, by the models that there are now."""

    def __init__(self, models: Models, recorder: Recorder) -> None:
        self.models, self._recorder = models, recorder
        self.mirror = Mirror(recorder, Hand(models.directory / HAND))

    def score(
        self, target: Target, read_rows: Callable[[Sequence[str]], Rows], *, name: str | None,
        probe: bool, began: float,
    ) -> Scored:  # fmt: skip
        """Score what `read_rows` gives for the model's columns, and keep it unless it is a probe.

        `name` is the request's own, `began` the reading of `time.perf_counter` when it came.
        Raises `Problem`.
        """
        table, name = self.models.table, name or new_request_id()
        version, role = protocol.pick(table, target, name)
        if version.model is None:
            told = f": {version.error}" if version.error else ""
            raise Problem(503, f"version {version.number} is {version.state}{told}")
        columns = list(version.model.columns)
        rows = read_rows(columns)
        own = protocol.take_ids(rows, columns)
        try:
            ids = row_ids(name, own)
        except ValueError as error:
            raise Problem(400, str(error)) from error
        read = (time.perf_counter() - began) * 1000
        scores = _scores(version, rows)
        took = (time.perf_counter() - began) * 1000
        if not probe:
            self._record(table, version, role, ids, rows, scores, took)
            if role == "champion":
                self.mirror.offer(table, name, ids, rows, read)
        return Scored(version, ids[0] if len(ids) == 1 else name, scores)

    def _record(
        self, table: Table, version: Version, role: str, ids: list[str], rows: Rows,
        scores: Scores, took: float,
    ) -> None:  # fmt: skip
        """Keep what was scored; a request that cannot be kept is not answered."""
        log = table.config.scoring_log
        if log is None:
            return
        scored = scored_rows(
            ids, rows, list(scores), at=self._recorder.clock.now(), service=table.config.model,
            stage=table.config.stage, snapshot=version.snapshot.id, role=role,
            latency_ms=took / len(rows),
        )  # fmt: skip
        try:
            self._recorder.record(log, scored)
        except Exception as error:  # whatever a log raises
            print(f"scoring log: {error}", file=sys.stderr, flush=True)
            raise Problem(503, f"the scoring log cannot be written: {error}") from error


def _scores(version: Version, rows: Rows) -> Scores:
    assert version.model is not None
    try:
        return version.model.score(rows)
    except BadRows as error:
        raise Problem(400, str(error)) from error
    except WaystageError as error:
        raise Problem(500, str(error)) from error
