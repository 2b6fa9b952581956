"""What a sidecar has done and could not do, for people and for Prometheus."""

from __future__ import annotations

import threading
from collections.abc import Iterator

MEANING = {
    "requests": "Requests that were passed on.",
    "recorded": "Scoring requests that are in the journal or were delivered from it.",
    "dropped": "Scoring requests that were answered and found no room in the journal.",
    "delivered": "Rows that the daemon has taken.",
    "refused": "Rows that the daemon refuses for good; they lie in refused.jsonl.",
    "failures": "Attempts to deliver that failed and are repeated.",
    "copies": "Copies of scoring requests that the challenger's side has answered.",
    "copies_failed": "Copies that it did not answer, or not with scores.",
    "copies_dropped": "Copies for which there was no room while others waited.",
    "upstream_failures": "Requests that the model server did not answer.",
    "unscored": "Scoring requests that the model server refused or failed; they are not told.",
}


class Tally:
    """Counters since the process began, and what was wrong last."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._counted = dict.fromkeys(MEANING, 0)
        self.trouble = ""  # why rows wait; empty while they are delivered

    def count(self, name: str, more: int = 1) -> int:
        """Count and give the new number."""
        with self._guard:
            self._counted[name] += more
            return self._counted[name]

    def __getitem__(self, name: str) -> int:
        return self._counted[name]

    def health(self, waiting: int, damaged: int) -> dict[str, object]:
        """Tell how it goes; `ok` is false when a row was lost or the daemon refuses some."""
        with self._guard:
            counted = dict(self._counted)
        fine = not (counted["dropped"] or counted["refused"] or damaged)
        told = {"ok": fine, "waiting_bytes": waiting, "damaged_bytes": damaged}
        return told | counted | {"trouble": self.trouble}

    def lines(self, waiting: int, damaged: int) -> Iterator[str]:
        """Give the lines of Prometheus' text format."""
        for name, meaning in MEANING.items():
            yield f"# HELP waystage_sidecar_{name}_total {meaning}"
            yield f"# TYPE waystage_sidecar_{name}_total counter"
            yield f"waystage_sidecar_{name}_total {self._counted[name]}"
        for name, value, meaning in (
            ("waiting_bytes", waiting, "Bytes in the journal that the daemon has not taken."),
            ("damaged_bytes", damaged, "Bytes in the journal that cannot be read."),
        ):
            yield f"# HELP waystage_sidecar_{name} {meaning}"
            yield f"# TYPE waystage_sidecar_{name} gauge"
            yield f"waystage_sidecar_{name} {value}"
