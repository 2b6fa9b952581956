"""Showing a simulated run: what has happened, what it waits for, what could come next."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, TypeAlias

from waystage.cli.show import clean, terminal

if TYPE_CHECKING:
    from rich.console import Console

    from waystage.simulate.explore import Explorer, Option
    from waystage.simulate.simulation import Armed
    from waystage.simulate.together import Member, Together

Seen: TypeAlias = dict[str, tuple[int, int, int]]  # of each run: how much of its parts
LONGEST = 300


def past(together: Together, seen: Seen) -> Seen:
    """Print the states, messages and incidents since `seen`; gives what is seen then."""
    nothing = (0, 0, 0)
    happened = [each for member in together.members
                for each in _since(member, seen.get(member.explorer.run.id, nothing))]  # fmt: skip
    console = terminal()
    for at, text in sorted(happened, key=lambda each: each[0]):
        console.print(f"{at:%Y-%m-%d %H:%M:%S}  {clean(text)}")
    return {
        member.explorer.run.id: (len(sim.visits), len(sim.sent), len(sim.parked))
        for member in together.members if (sim := member.explorer.sim)
    }  # fmt: skip


def _since(member: Member, counts: tuple[int, int, int]) -> list[tuple[datetime, str]]:
    sim, lead = member.explorer.sim, member.lead
    happened = [(v.at, f"→ {lead}{v.state}") for v in sim.visits[counts[0] :]]
    happened += [(m.at, f"message to {m.to or 'those who may answer'}: {m.title}: {m.text}")
                 for m in sim.sent[counts[1] :]]  # fmt: skip
    happened += [(p.at, f"parked in {lead}{p.state} ({p.kind}): {p.message}")
                 for p in sim.parked[counts[2] :]]  # fmt: skip
    return happened


def present(together: Together, options: list[Option]) -> None:
    """Print where the runs are, what would be called with what, and a numbered list."""
    console = terminal()
    now = together.first.explorer.sim.now
    places = [m.lead + place for m in together.live for place in m.explorer.sim.run.places]
    console.print(f"\n{now:%Y-%m-%d %H:%M:%S}  in {', '.join(places)}", style="bold")
    for member in together.live:
        _waits(console, member.explorer)
    due = min((t.due for m in together.live if (t := m.explorer.sim.earliest())), default=now)
    for timer, lead in sorted(_timers(together), key=lambda each: each[0].due):
        if timer.due > due:
            name = f"{timer.name} of {lead}{timer.state}"
            console.print(f"  later: {name} at {timer.due:%Y-%m-%d %H:%M}")
    _options(console, options)


def _timers(together: Together) -> Iterator[tuple[Armed, str]]:
    for member in together.live:
        for timer in member.explorer.sim.pending.timers.values():
            yield timer, member.lead


def _waits(console: Console, explorer: Explorer) -> None:
    for order in explorer.sim.pending.orders.values():
        shown = json.dumps(order.config, ensure_ascii=False, default=str)
        console.print(f"  calls {order.use} with {clean(shown)[:LONGEST]}")
    for task in explorer.sim.pending.tasks.values():
        body = task.body
        console.print(f"  asks {', '.join(body['for'])}: {clean(body['title'])}")
        if not explorer.candidates(task):
            console.print("    nobody may answer: see for: and exclude:")
        for name, field in body["form"].items():
            need = " (needed)" if field.get("required") else ""
            console.print(f"    {name}: {field['type']}{need}")


def _options(console: Console, options: list[Option]) -> None:
    from rich.table import Table

    table = Table(box=None, show_header=False, pad_edge=False)
    for number, option in enumerate(options, 1):
        table.add_row(f"  {number}", option.name, clean(option.text))
    console.print(table)
