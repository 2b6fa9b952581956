"""Histories as a version wrote them, and what the present kernel makes of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any
from unittest.mock import patch

import orjson

from waystage import library, people, timers
from waystage.kernel import Definition, Event, Run, advance, compile_lifecycle
from waystage.plugin import Plugin
from waystage.simulate import Lifecycles, Rules, World, play, simulation
from waystage.simulate.player import RUN
from waystage.spec.lifecycle import Lifecycle
from waystage.spec.load import load_lifecycle, load_scenario

RULES = Rules(timers.next_fire, people.may_answer, people.check_answer, people.same_answer)


def record(place: Path, catalog: Mapping[str, type[Plugin]]) -> None:
    """Play every shipped scenario and write the lifecycles and what happened."""
    shipped = [load_lifecycle(path) for path in library.lifecycles()]
    ready = Lifecycles({each.spec.lifecycle: each for each in shipped}, catalog)
    world = World(RULES, dict(catalog), lifecycles=ready)
    for loaded in shipped:
        prepared = ready[loaded.spec.lifecycle]
        uses = {work.spec.use for node in prepared.definition.nodes.values() for work in node.works}
        changes = {use: str(getattr(catalog[use], "changes", "none")) for use in sorted(uses)}
        # as the store keeps it
        spec = loaded.spec.model_dump(
            mode="json", by_alias=True, exclude_none=True, exclude_defaults=True
        )
        body = {"hash": loaded.digest, "changes": changes, "spec": spec}
        _write(place / f"{loaded.spec.lifecycle}.json", [body])
    for path in library.scenarios():
        scenario = load_scenario(path)
        prepared = ready[scenario.spec.lifecycle]
        rows: list[dict[str, Any]] = []
        with patch.object(simulation, "advance", _recording(rows)):
            assert play(scenario, prepared, world).ok
        definition = stored(place / f"{scenario.spec.lifecycle}.json")
        _write(place / f"{path.stem}.jsonl", list(played(definition, rows)))


def _recording(rows: list[dict[str, Any]]) -> Any:
    """Give `advance`, which also notes what it was given."""

    def noting(definition: Definition, run: Run, event: Event, now: datetime) -> Any:
        if run.id != RUN:  # a lifecycle that is called: its parent is told how it ended
            return advance(definition, run, event, now)
        if not rows:
            rows.append({"opened": run.to_json()})
        del rows[run.revision + 1 :]  # the scenario took something back
        said = orjson.loads(orjson.dumps(event.to_json()))
        rows.append({"at": now.isoformat(), "actor": event.actor, "event": said})
        return advance(definition, run, event, now)

    return noting


def played(definition: Definition, rows: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Play what was noted from its opening and say what each event led to.

    Simulated runs may have a monitor's memory made up for the verdict that a scenario wants;
    what is kept is what the kernel alone makes of the events.
    """
    run = Run.from_json(rows[0]["opened"])
    yield rows[0]
    for row in rows[1:]:
        event = Event.from_json(row["event"], row["actor"])
        step = advance(definition, run, event, datetime.fromisoformat(row["at"]))
        run = step.run
        yield row | {"records": [r.to_json() for r in step.records], "run": digest(run)}


def digest(run: Run) -> str:
    """Give a short hash of a run's value."""
    text = json.dumps(run.to_json(), sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps(row, sort_keys=True, separators=(",", ":"), default=str) for row in rows]
    path.write_text("\n".join(lines) + "\n")


def differences(file: Path) -> Iterator[str]:
    """Play a recorded history again and say where it comes out otherwise."""
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    definition = stored(file.with_name(f"{rows[0]['opened']['lifecycle']}.json"))
    for number, (was, now) in enumerate(zip(rows, played(definition, rows), strict=True), 1):
        event = was.get("event", {})
        where = f"{file.name}:{number}: {event.get('kind')} in {event.get('state', 'the run')}"
        if was.get("records") != now.get("records"):
            yield f"{where}: it says {now['records']}, and said {was['records']}"
        elif was.get("run") != now.get("run"):
            yield f"{where}: the run is another one after it"


def stored(file: Path) -> Definition:
    """Compile a lifecycle as a database kept it."""
    body = json.loads(file.read_text())
    spec = Lifecycle.model_validate(body["spec"])
    return compile_lifecycle(spec, body["hash"], lambda use: str(body["changes"].get(use, "none")))
