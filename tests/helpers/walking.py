"""Small lifecycles at work without a daemon: definitions from texts, runs that are played."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from waystage import library
from waystage.kernel import Definition, Event, Run, advance, compile_lifecycle, events
from waystage.kernel.advance import Step
from waystage.spec.load import parse_block, parse_lifecycle

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SNAPSHOT = {"name": "credit", "version": "1", "digest": "sha256:" + "0" * 64, "tags": {}}


def blocks() -> dict[str, Any]:
    """Give the shipped blocks, which shipped lifecycles include."""
    found = [parse_block(path.read_text(), path.name) for path in library.blocks()]
    return {each.spec.block: each for each in found}


def definition(text: str) -> Definition:
    """Compile a lifecycle's text; it may include shipped blocks."""
    loaded = parse_lifecycle(text, blocks=blocks())
    return compile_lifecycle(loaded.spec, loaded.digest)


def fresh(d: Definition) -> Run:
    """Give a run as it is opened."""
    params = {name: field.default for name, field in d.spec.params.items()}
    data = {name: field.default for name, field in d.spec.data.items()}
    return Run("s-1", d.spec.lifecycle, d.hash, "s", SNAPSHOT, params, data=data)


def opened(d: Definition) -> Run:
    """Give a run after its start."""
    return advance(d, fresh(d), events.start(), NOW).run


def play(d: Definition, run: Run, event: Event, at: datetime = NOW) -> Step:
    """Give what an event leads to."""
    return advance(d, run, event, at)


def answered(d: Definition, run: Run, output: dict[str, Any] | None = None) -> Run:
    """Answer the step that is under way."""
    state, activity = next((s, a) for s, a in run.activities.items() if a.get("busy"))
    event = events.step_done(state, run.entered[state], activity["index"], output or {})
    return advance(d, run, event, NOW).run


def fired(d: Definition, run: Run, state: str, name: str) -> Run:
    """Let a timer of a state fire."""
    return advance(d, run, events.timer_fired(state, run.entered[state], name), NOW).run


def voted(d: Definition, run: Run, state: str, outcome: str, who: str = "vera") -> Run:
    """Answer the task of a state."""
    return advance(d, run, events.vote(state, run.entered[state], outcome, {}, who), NOW).run
