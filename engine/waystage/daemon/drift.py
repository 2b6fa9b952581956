"""What a look at a deployment means, and when it is made so again; pure, so that it can be proved.

Four states: `ok`; `degraded`, it is as it was applied and does not do well; `drifted`, somebody
made it otherwise, or it is gone; `unknown`, it cannot be looked at, which is not taken for gone.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict

from waystage.plugin import Difference, Observation

State: TypeAlias = Literal["", "ok", "degraded", "drifted", "unknown"]
STARTING = timedelta(minutes=5)  # for which what was well may start anew unreported
WINDOW = timedelta(hours=1)  # in which restores are counted
MOST = 5  # restores in it; then somebody else manages this
FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=10), timedelta(minutes=5)
GONE = frozenset({"deleted", "process"})  # words for what nothing is left of


class Kept(BaseModel):
    """What differs of one deployment and what was done about it, as the inventory keeps it."""

    model_config = ConfigDict(frozen=True)

    differs: tuple[Difference, ...] = ()
    gone: bool = False  # nothing answers any more
    restart: bool = False  # the runtime's own to start again, whatever the stage says
    starting_since: datetime | None = None
    count: int = 0  # restores that were begun, ever
    restored: tuple[datetime, ...] = ()  # when the last ones were begun
    begun: datetime | None = None  # one whose end is not kept yet
    error: str = ""  # how the last one failed
    held: str = ""  # why it is not made so now
    given_up: bool = False
    asked_by: str = ""  # a person wants it made so once
    asked_why: str = ""
    told: str = ""  # what people were told last
    tells: int = 0  # how often they were told something
    lag: int | None = None  # requests that wait for it, where it says

    def to_json(self) -> dict[str, Any]:
        """Give what is not at its default."""
        return self.model_dump(mode="json", exclude_defaults=True)

    @property
    def what(self) -> str:
        """Say in one line what differs."""
        return "; ".join(say(each) for each in self.differs)


class Judged(BaseModel):
    """What a look means: the state, why, and what is kept of it."""

    state: State
    why: str
    kept: Kept


def judge(
    seen: Observation, digest: str, before: State, last_phase: str, kept: Kept, now: datetime
) -> Judged:
    """Say what a look means for a deployment that was `before`, and `last_phase` a look ago."""
    differs = _differs(seen, digest)
    if differs:
        kept = _calmed(kept, before, now)
        changed = {"differs": differs, "gone": is_gone(seen, digest), "restart": seen.restart,
                   "starting_since": None}  # fmt: skip
        kept = kept.model_copy(update=changed)
        return Judged(state="drifted", why=kept.what, kept=kept)
    if seen.phase == "unknown":
        state = "unknown" if last_phase == "unknown" else before  # one slip is no news
        return Judged(state=state, why=seen.message, kept=kept)
    if seen.phase == "pending":
        return _starting(seen, before, kept, now)
    kept = kept.model_copy(update={"differs": (), "gone": False, "restart": False,
                                   "starting_since": None, "held": ""})  # fmt: skip
    if seen.phase == "ready":
        cleared = kept.model_copy(update={"error": "", "begun": None, "asked_by": ""})
        return Judged(state="ok", why="", kept=cleared)
    return Judged(state="degraded", why=seen.message or seen.reason or seen.phase, kept=kept)


def is_gone(seen: Observation, digest: str) -> bool:
    """Say whether nothing answers any more where a deployment should be, because of a drift.

    What failed as it was applied is not gone: it is there, and does not do well.
    """
    differs = _differs(seen, digest)
    ended = seen.phase in ("absent", "failed") and differs != ()
    return ended or any(each.what in GONE for each in differs)


def _differs(seen: Observation, digest: str) -> tuple[Difference, ...]:
    if seen.differs:
        return seen.differs
    if seen.phase == "absent":
        return (Difference(what="deleted", wanted="a deployment", found="nothing"),)
    if seen.digest not in (None, digest):
        return (Difference(what="digest", wanted=digest, found=str(seen.digest)),)
    return ()


def _starting(seen: Observation, before: State, kept: Kept, now: datetime) -> Judged:
    since = kept.starting_since or now
    kept = kept.model_copy(update={"starting_since": since})
    if before in ("", "ok") and now - since < STARTING:
        return Judged(state=before, why="", kept=kept)
    state: State = "drifted" if before == "drifted" and kept.differs else "degraded"
    return Judged(state=state, why=f"it is starting: {seen.message or seen.reason}", kept=kept)


def _calmed(kept: Kept, before: State, now: datetime) -> Kept:
    """Begin anew where no restore was needed for a whole window."""
    if before == "drifted" or (kept.restored and now - kept.restored[-1] < WINDOW):
        return kept
    return kept.model_copy(update={"restored": (), "given_up": False})


def next_restore(kept: Kept, now: datetime) -> datetime | None:
    """Give when a deployment may be made so again; None when it is only reported.

    The first time is at once, then the pause doubles. What was given up is left to a person, but
    for what is the runtime's own to start again: that is tried once in a window.
    """
    if kept.begun is not None or kept.asked_by or not kept.restored:
        return now
    last: datetime = kept.restored[-1]
    recent = counted(kept, now)
    if kept.given_up:
        return last + WINDOW if kept.restart else None
    pause = FIRST_PAUSE * float(2 ** max(0, recent - 1))
    return last + min(pause, LONGEST_PAUSE)


def counted(kept: Kept, now: datetime) -> int:
    """Count the restores of the last window."""
    return sum(now - at < WINDOW for at in kept.restored)


def standing(kept: Kept, state: str, on_drift: str, now: datetime) -> str:
    """Say what is done about a drift, or why nothing is; empty where there is nothing to say."""
    if state != "drifted":
        return ""
    last = f"; the last try failed: {kept.error}" if kept.error else ""
    if kept.starting_since is not None:
        return f"it was made as it was and is starting{last}"
    if not (kept.restart or kept.asked_by or kept.begun or on_drift == "restore"):
        return f"on_drift: report: it is left as it is{last}"
    at = next_restore(kept, now)
    if at is None:
        return f"restored {MOST} times: someone else manages this, so it is only reported{last}"
    if kept.held:
        return f"it waits: {kept.held}{last}"
    return f"it is made as it was at {max(at, now):%Y-%m-%d %H:%M:%S} UTC{last}"


def say(each: Difference) -> str:
    """Say what differs: from what, to what, by whom and since when as far as that is known."""
    if each.what == "deleted":
        text = f"{each.wanted or 'it'} is gone"
    elif each.what == "process":
        text = each.found
    else:
        text = f"{each.what}: {each.found or 'none'}, not {each.wanted or 'none'}"
    by = f", by {each.by}" if each.by else ""
    at = f" at {each.at:%Y-%m-%d %H:%M:%S} UTC" if each.at else ""
    return f"{text}{by}{at}"
