"""Take one version all the way to PROD, as the people of this project, and say what happens.

    python take_round.py german-credit/1 --tag 1.0.0

It waits for the run that the registered version opens (a challenger's is opened by hand), approves
it as vera with the tag for its image, and releases it as otto; between, it says where the run is.
The hours of soaking pass, or are turned where the daemon was started with `--turned-clock`. All is
done by the command line, as people would do it. It ends with 0 when the version serves in PROD.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from typing import Any

LIFECYCLE, SERVICE = "tensorflow-openshift", "credit-risk"
ANSWERS = {"approve": ("vera", "approve"), "release": ("otto", "go")}
LIVE = "production.serving"
PAUSE = 1.0  # second between two looks


class Stuck(SystemExit):
    """It does not go on; the text says why."""


def waystage(*words: str, person: str = "") -> str:
    """Run the command line; raises `Stuck` with its words when it refuses."""
    own = ["--as", person] if person else []
    command = [sys.executable, "-m", "waystage.cli.main", *own, *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Stuck(f"waystage {' '.join(words)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def told(*words: str) -> Any:
    """Run a verb that answers with JSON."""
    return json.loads(waystage(*words, "--json"))


def run_of(snapshot: str) -> str:
    """Give the newest run of the version, empty while there is none."""
    runs = told("list", "--service", SERVICE)
    return next((str(run["id"]) for run in runs if run["snapshot"] == snapshot), "")


def opened(snapshot: str, patience: float) -> str:
    """Wait until a run of the version is open, and give its name."""
    end = time.monotonic() + patience
    while not (run := run_of(snapshot)):
        if time.monotonic() > end:
            raise Stuck(f"{snapshot} opens no run; `waystage doctor` says whether MLflow answers")
        time.sleep(PAUSE)
    return run


def follow(run: str, tag: str, patience: float) -> str:
    """Go with the run until it serves or has ended; give where it came to."""
    place, since, answered = "", time.monotonic(), ""
    while True:
        found = told("show", run)
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
            raise Stuck(f"{run} is parked: {incident['message']}")
        if place in ANSWERS and place != answered:
            answered = answer(run, place, tag)
        if not place.endswith(".soak") and time.monotonic() - since > patience:
            raise Stuck(f"{run} stays in {place}; `waystage show {run}` says what would move it")
        time.sleep(PAUSE)


def answer(run: str, place: str, tag: str) -> str:
    """Answer the run's open task as the person who may; give the place once it is done."""
    for task in told("tasks"):
        if task["run"] == run:
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
        waystage("start", LIFECYCLE, SERVICE, asked.snapshot, person="otto")
    run = opened(asked.snapshot, asked.patience)
    print(f"{run}: {asked.snapshot}", flush=True)
    came_to = follow(run, asked.tag, asked.patience)
    print(waystage("where", SERVICE))
    return 0 if came_to == LIVE else 1


if __name__ == "__main__":
    sys.exit(main())
