"""Why a container does not run, in one word and one line for a person."""

from __future__ import annotations

from typing import Any, NamedTuple

Thing = dict[str, Any]
PATIENCE = 3  # times that an engine starts something again before it counts as a crash loop
KILLED = 137


class Trouble(NamedTuple):
    """What is wrong; `lasting` says that waiting alone will not mend it."""

    reason: str
    message: str
    lasting: bool


def started_over(seen: Thing, last_line: str) -> Trouble | None:
    """Say that a container that does not answer was started again and again by its engine."""
    count = seen.get("RestartCount", 0)
    if count < PATIENCE:
        return None
    told = f"crash loop: started again {count} times, last log line: {last_line or 'nothing'}"
    return Trouble("crash_loop", told, True)


def container_trouble(seen: Thing, last_line: str) -> Trouble | None:
    """Say what keeps a container from running, by what the engine tells of it."""
    state = seen["State"]
    if state.get("Running") and not state.get("Restarting"):
        return None
    if state.get("Status") == "created":
        told = state.get("Error") or "it was made and not started"
        return Trouble("not_started", f"not started: {told}", bool(state.get("Error")))
    if state.get("Paused"):
        return Trouble("paused", "somebody paused the container", True)
    if state.get("OOMKilled"):
        return Trouble("out_of_memory", "out of memory: give limits: {memory: …} more", True)
    code, line = state.get("ExitCode"), last_line or "it printed nothing"
    if state.get("Restarting"):
        told = f"crash loop: exit code {code}, last log line: {line}"
        return Trouble("crash_loop", told, seen.get("RestartCount", 0) >= PATIENCE)
    if code in (0, KILLED, 143):
        return Trouble("stopped", f"the container was stopped; last log line: {line}", True)
    return Trouble("crashed", f"it ended with code {code}, last log line: {line}", True)
