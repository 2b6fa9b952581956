"""Whether what clients were told could have happened one after the other.

The search of Wing and Gong ("Testing and Verifying Concurrent Objects", 1993) with the memory
of Lowe ("Testing for linearizability", 2017): an operation may come next if none that is left
ended before it began; what was tried with the same operations done and the same state is not
tried again.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

State = Hashable


@dataclass(frozen=True)
class Operation:
    """What a client asked for, what it was told, and between which two instants."""

    asked: tuple[Any, ...]
    told: Any
    began: float
    ended: float


def linearizable(
    operations: list[Operation],
    start: State,
    step: Callable[[State, tuple[Any, ...]], tuple[State, Any]],
) -> bool:
    """Say whether some order explains all answers; `step` gives new state and right answer."""
    todo = sorted(operations, key=lambda o: o.began)
    seen: set[tuple[int, State]] = set()
    stack: list[tuple[int, State]] = [(0, start)]
    every = (1 << len(todo)) - 1
    while stack:
        done, state = stack.pop()
        if done == every:
            return True
        if (done, state) in seen:
            continue
        seen.add((done, state))
        first = min(o.ended for n, o in enumerate(todo) if not done >> n & 1)
        for n, operation in enumerate(todo):
            if done >> n & 1:
                continue
            if operation.began > first:
                break
            after, right = step(state, operation.asked)
            if right == operation.told:
                stack.append((done | 1 << n, after))
    return False
