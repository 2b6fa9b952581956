"""Take one version all the way to PROD, as the people of this project, and say what happens.

    python take_round.py german-credit/1 --tag 1.0.0

It waits for the run that the registered version opens (a challenger's is opened by hand), approves
it as vera with the tag for its image, and releases it as otto; between, it says where the run is.
The hours of soaking pass, or are turned where the daemon was started with `--turned-clock`. All is
done by the command line, as people would do it. It ends with 0 when the version serves in PROD.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
import time
from contextlib import redirect_stderr, redirect_stdout
from typing import Any

from waystage.cli.main import run

LIFECYCLE, SERVICE = "tensorflow-openshift", "credit-risk"
ANSWERS = {"approve": ("vera", "approve"), "release": ("otto", "go")}
LIVE = "production.serving"
PAUSE = 0.5  # seconds between two looks


class Stuck(SystemExit):
    """It does not go on; the text says why."""


def waystage(*words: str, person: str = "") -> str:
    """Run a verb of the command line; raises `Stuck` with its words when it refuses."""
    said, refused = io.StringIO(), io.StringIO()
    with redirect_stdout(said), redirect_stderr(refused):
        code = run([*(["--as", person] if person else []), *words])
    if code:
        raise Stuck(f"waystage {' '.join(words)}: {refused.getvalue().strip()}")
    return said.getvalue()


def told(*words: str) -> Any:
    """Run a verb that answers with JSON."""
    return json.loads(waystage(*words, "--json"))


def run_of(snapshot: str) -> str:
    """Give the newest run of the version, empty while there is none."""
    runs = told("list", "--service", SERVICE)
    return next((str(each["id"]) for each in runs if each["snapshot"] == snapshot), "")


def opened(snapshot: str, patience: float) -> str:
    """Wait until a run of the version is open, and give its name."""
    end = time.monotonic() + patience
    while not (name := run_of(snapshot)):
        if time.monotonic() > end:
            raise Stuck(f"{snapshot} opens no run; `waystage doctor` says whether MLflow answers")
        time.sleep(PAUSE)
    return name


def follow(name: str, tag: str, patience: float) -> str:
    """Go with the run until it serves or has ended; give where it came to."""
    place, since, answered = "", time.monotonic(), ""
    while True:
        found = told("show", name)
        ended = found["status"] == "ended"
        now = f"ended: {found['outcome']}" if ended else ", ".join(found["places"])
        if now != place:
            print(f"  {now}", flush=True)
            place, since = now, time.monotonic()
            if place.endswith(".soak"):
                turn("PT1H")
        if place == LIVE or ended:
            return place
        for incident in found["incidents"]:
            raise Stuck(f"{name} is parked: {incident['message']}")
        if place in ANSWERS and place != answered:
            answered = answer(name, place, tag)
        if not place.endswith(".soak") and time.monotonic() - since > patience:
            raise Stuck(f"{name} stays in {place}; `waystage show {name}` says what would move it")
        time.sleep(PAUSE)


def answer(name: str, place: str, tag: str) -> str:
    """Answer the run's open task as the person who may; give the place once it is done."""
    for task in told("tasks"):
        if task["run"] == name:
            person, outcome = ANSWERS[place]
            form = ["--form", f"image_tag={tag}"] if place == "approve" else []
            waystage("complete", str(task["id"]), "--outcome", outcome, *form, person=person)
            print(f"  {person} says {outcome}", flush=True)
            return place
    return ""


def turn(by: str) -> None:
    """Turn the daemon's clock, if it is one that can be turned."""
    try:
        waystage("clock", "--turn", by, person="otto")
    except Stuck as error:
        print(f"  (it soaks for an hour; {error})", flush=True)


def main() -> int:
    """Follow the version and say how it ended."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("snapshot", metavar="NAME/VERSION")
    parser.add_argument("--tag", required=True, help="of the image that is built")
    parser.add_argument("--open", action="store_true", help="open its run by hand")
    parser.add_argument("--patience", type=float, default=900, help="seconds for one state")
    asked = parser.parse_args()
    if asked.open:
        waystage("start", LIFECYCLE, SERVICE, asked.snapshot, person="olga")
    name = opened(asked.snapshot, asked.patience)
    print(f"{name}: {asked.snapshot}", flush=True)
    came_to = follow(name, asked.tag, asked.patience)
    print(waystage("where", SERVICE))
    return 0 if came_to == LIVE else 1


if __name__ == "__main__":
    sys.exit(main())
