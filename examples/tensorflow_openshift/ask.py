"""Ask the champion in PROD for scores of real applications, and tell the scoring log.

    python ask.py --rows 1000 --labels

What a program before the model does: it sends applications to the address that `waystage where`
tells, TensorFlow Serving's REST protocol, and writes what was answered to the project's scoring
log. With `--labels` it tells at once how each application came out (as the data say it), which a
bank knows a year later. The monitors of the lifecycle read that log.
"""

from __future__ import annotations

import argparse
import json
import ssl
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
from take_round import SERVICE, Stuck, told
from train import COLUMNS, NUMBERS, read, shipped_data

from waystage.client import ScoringClient

TOGETHER = 50  # rows in one request
PATIENCE = 600.0  # seconds for a busy daemon to take what was answered


def champion() -> tuple[str, str]:
    """Give version and address of the champion in PROD."""
    for row in told("where", SERVICE):
        if row["stage"] == "PROD" and row["role"] == "champion":
            return row["snapshot"], row["body"]["deployed"]["endpoints"][0]["url"]
    raise Stuck("nothing of credit-risk runs in PROD yet; python take_round.py takes it there")


def applications(place: Path, count: int) -> Iterator[tuple[dict[str, Any], int]]:
    """Give applications as rows of JSON, each with its event."""
    columns, events = read(place)
    for number in range(min(count, len(events))):
        row = {name: columns[name][number].item() for name in COLUMNS}
        yield row | {name: float(row[name]) for name in NUMBERS}, int(events[number])


def predict(http: httpx.Client, url: str, rows: list[dict[str, Any]]) -> list[float]:
    """Send one scoring request and give its scores."""
    answer = http.post(f"{url}:predict", json={"instances": rows})
    if answer.status_code != 200:
        raise Stuck(f"{url}:predict: HTTP {answer.status_code}: {answer.text[:300]}")
    return [float(each) for each in answer.json()["predictions"]]


def main() -> None:
    """Ask and tell."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, help="CSV as train.py reads it; else German Credit")
    parser.add_argument("--rows", type=int, default=100)
    parser.add_argument("--labels", action="store_true", help="tell how they came out, too")
    parser.add_argument("--ca", default="", help="PEM file with who signed the Route's certificate")
    asked = parser.parse_args()
    snapshot, url = champion()
    daemon = json.loads(Path(".waystage/daemon.json").read_text())["url"]
    token = told("token", "--service", SERVICE)["token"]
    now = datetime.fromisoformat(told("clock")["now"])
    rows = list(applications(asked.data or shipped_data(), asked.rows))
    trusted = ssl.create_default_context(cafile=asked.ca or None)
    scores: list[float] = []
    requests: list[str] = []
    with (
        httpx.Client(timeout=30, verify=trusted) as http,
        ScoringClient(daemon, token, service=SERVICE, stage="PROD") as log,
    ):
        for start in range(0, len(rows), TOGETHER):
            part = [row for row, _ in rows[start : start + TOGETHER]]
            found = predict(http, url, part)
            answered = zip(found, part, strict=True)
            requests += [log.score(s, row, snapshot=snapshot, at=now) for s, row in answered]
            scores += found
        if asked.labels:
            for request, (_, event) in zip(requests, rows, strict=True):
                log.label(request, event, at=now)
        log.flush(seconds=PATIENCE)
    print(f"{snapshot} at {url}: {len(scores)} scores from {min(scores):.3f} to {max(scores):.3f}")


if __name__ == "__main__":
    sys.exit(main())
