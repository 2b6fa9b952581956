"""Writing what was scored to the scoring log, before it is answered."""

from __future__ import annotations

import re
import secrets
import time
from typing import Any

from waystage.clock import clock_from_environment
from waystage.plugin import ScoredRow, ScoringLog
from waystage_plugins.runtimes.serving.models import Models, Version
from waystage_plugins.scoring.sqlite import SqliteScoringLog

LOGS: dict[str, type[ScoringLog]] = {SqliteScoringLog.use: SqliteScoringLog}
REQUEST_ID = re.compile(r"^[A-Za-z0-9._:-]{1,128}$")


class Recorder:
    """Keeps one scoring log open."""

    def __init__(self) -> None:
        self._clock = clock_from_environment()
        self._logs: dict[str, ScoringLog] = {}

    def record(
        self,
        models: Models,
        version: Version,
        rows: list[dict[str, Any]],
        scores: list[float],
        latency: float,
        given: str | None,
    ) -> str:
        """Append one row per instance and give the request's id."""
        request = given if given and REQUEST_ID.match(given) else request_id()
        log = self._log(models.log)
        if log is None:
            return request
        now = self._clock.now()
        log.append(
            ScoredRow(
                request if len(rows) == 1 else f"{request}-{number}",
                now, models.service, models.stage, version.snapshot.id, version.role,
                score, row, latency / len(rows),
            )
            for number, (row, score) in enumerate(zip(rows, scores, strict=True))
        )  # fmt: skip
        return request

    def _log(self, wanted: dict[str, Any]) -> ScoringLog | None:
        if not wanted:
            return None
        use = wanted["use"]
        if use not in self._logs:
            self._logs[use] = LOGS[use].model_validate(wanted["with"])
        return self._logs[use]


def request_id() -> str:
    """Make a UUIDv7 (RFC 9562): 48 bits of milliseconds, then chance, so that ids sort by time."""
    value = (int(time.time() * 1000) << 80) | secrets.randbits(80)
    value = (value & ~(0xF << 76)) | (0x7 << 76)
    value = (value & ~(0x3 << 62)) | (0x2 << 62)
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
