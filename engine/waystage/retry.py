"""When a failed attempt is tried again: exponential backoff, full jitter, a total budget."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and how far apart a step is tried; the defaults hold where YAML is silent."""

    tries: int = 3
    first: timedelta = timedelta(seconds=2)
    factor: float = 2.0
    cap: timedelta = timedelta(minutes=1)
    budget: timedelta | None = None


def next_try(
    policy: RetryPolicy, *, key: str, attempt: int, started: datetime, now: datetime,
    after: timedelta = timedelta(),
) -> datetime | None:  # fmt: skip
    """Give the instant of the next try, or None when the tries or the budget are used up.

    `attempt` counts the tries made so far, from 1. The jitter is drawn from the key and the
    attempt, so that replaying a history gives the same instants (full jitter as in Brooker,
    "Exponential Backoff And Jitter", 2015). It is not sooner than `after` from now, even where
    the policy's own waits are shorter.
    """
    if attempt >= policy.tries:
        return None
    try:
        ceiling = min(
            policy.first.total_seconds() * policy.factor ** (attempt - 1),
            policy.cap.total_seconds(),
        )
    except OverflowError:
        ceiling = policy.cap.total_seconds()
    due = now + max(timedelta(seconds=ceiling * _fraction(f"{key}#{attempt}")), after)
    if policy.budget is not None and due - started > policy.budget:
        return None
    return due


def _fraction(seed: str) -> float:
    digest = hashlib.sha256(seed.encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
