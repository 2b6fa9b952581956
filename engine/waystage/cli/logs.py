"""How the daemon's log looks: lines for people, or one JSON object per line."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime


def begin(style: str, *, quiet: bool) -> None:
    """Write the log to standard error as `text` or `json`; quiet says only what is wrong."""
    handler = logging.StreamHandler()
    handler.setFormatter(
        Structured() if style == "json"
        else logging.Formatter("%(asctime)s %(levelname)-7s %(message)s", "%H:%M:%S")
    )  # fmt: skip
    level = logging.WARNING if quiet else logging.INFO
    logging.basicConfig(level=level, handlers=[handler])
    logging.getLogger("httpx").setLevel(logging.WARNING)


class Structured(logging.Formatter):
    """One JSON object per line, with the run and the step that the line is about."""

    def format(self, record: logging.LogRecord) -> str:
        from waystage.daemon.meter import CALLING

        told = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        calling = CALLING.get()
        if calling is not None:
            told |= {"run": calling[0], "step": calling[1]}
        for name in ("run", "step"):  # who logs may say it: extra={"run": …}
            if name in record.__dict__:
                told[name] = str(record.__dict__[name])
        if record.exc_info:
            told["error"] = self.formatException(record.exc_info)
        return json.dumps(told, ensure_ascii=False)
