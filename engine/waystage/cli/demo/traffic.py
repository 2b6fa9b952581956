"""Production traffic: real rows sent over HTTP week by week, their outcomes told later."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

from waystage.cli.demo.world import World

ROWS_PER_REQUEST = 10
LABEL_DELAY = timedelta(days=30)


@dataclass
class Traffic:
    """Sends weeks of requests and, thirty days later, their labels."""

    world: World
    waiting: list[tuple[datetime, list[dict[str, Any]]]] = field(default_factory=list)
    sent: int = 0

    def week(self, url: str, rows: list[Any]) -> None:
        """Send a week's requests to the endpoint."""
        now = datetime.fromisoformat(self.world.api("clock")["now"])
        labels = []
        for start in range(0, len(rows), ROWS_PER_REQUEST):
            part = rows[start : start + ROWS_PER_REQUEST]
            request = part[0].request_id
            answer = self.world.http.post(
                f"{url}:predict",
                json={"instances": [row.inputs for row in part]},
                headers={"X-Request-Id": request},
            )
            answer.raise_for_status()
            due = (now + LABEL_DELAY).isoformat()
            labels += [{"request_id": f"{request}-{n}", "event": row.event, "at": due}
                       for n, row in enumerate(part)]  # fmt: skip
        self.sent += len(rows)
        self.waiting.append((now + LABEL_DELAY, labels))

    def tell_outcomes(self) -> None:
        """Tell the labels that are known by now."""
        now = datetime.fromisoformat(self.world.api("clock")["now"])
        for _, labels in [each for each in self.waiting if each[0] <= now]:
            self.world.api("labels", {"labels": labels})
        self.waiting = [each for each in self.waiting if each[0] > now]


def population(example: Path) -> ModuleType:
    """Load the example's `population.py`."""
    spec = importlib.util.spec_from_file_location("population", example / "population.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
