"""Showing a simulated run: what has happened, what it waits for, what could come next."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypeAlias

from waystage.cli.show import clean

if TYPE_CHECKING:
    from rich.console import Console

    from waystage.simulate.explore import Explorer, Option
    from waystage.simulate.simulation import Simulation

Seen: TypeAlias = tuple[int, int, int]
LONGEST = 300


def past(sim: Simulation, seen: Seen = (0, 0, 0)) -> Seen:
    """Print the states, messages and incidents since `seen`; gives what is seen then."""
    visits, sent, parked = (part[count:] for part, count in zip(_parts(sim), seen, strict=True))
    happened = [(v.at, f"→ {v.state}") for v in visits]
    happened += [(m.at, f"message to {m.to or 'those who may answer'}: {m.title}: {m.text}")
                 for m in sent]  # fmt: skip
    happened += [(p.at, f"parked in {p.state} ({p.kind}): {p.message}") for p in parked]
    console = _console()
    for at, text in sorted(happened, key=lambda each: each[0]):
        console.print(f"{at:%Y-%m-%d %H:%M:%S}  {clean(text)}")
    now = [len(part) for part in _parts(sim)]
    return now[0], now[1], now[2]


def _parts(sim: Simulation) -> tuple[list[Any], list[Any], list[Any]]:
    return sim.visits, sim.sent, sim.parked


def present(explorer: Explorer, options: list[Option]) -> None:
    """Print where the run is, what would be called with what, and a numbered list."""
    sim, console = explorer.sim, _console()
    console.print(f"\n{sim.now:%Y-%m-%d %H:%M:%S}  in {', '.join(sim.run.places)}", style="bold")
    for order in sim.pending.orders.values():
        shown = json.dumps(order.config, ensure_ascii=False, default=str)
        console.print(f"  calls {order.use} with {clean(shown)[:LONGEST]}")
    for task in sim.pending.tasks.values():
        body = task.body
        console.print(f"  asks {', '.join(body['for'])}: {clean(body['title'])}")
        if not explorer.candidates(task):
            console.print("    nobody may answer: see for: and exclude:")
        for name, field in body["form"].items():
            need = " (needed)" if field.get("required") else ""
            console.print(f"    {name}: {field['type']}{need}")
    first = sim.earliest()
    for timer in sorted(sim.pending.timers.values(), key=lambda each: each.due):
        if first and timer.due > first.due:
            console.print(f"  later: {timer.name} of {timer.state} at {timer.due:%Y-%m-%d %H:%M}")
    _options(console, options)


def _options(console: Console, options: list[Option]) -> None:
    from rich.table import Table

    table = Table(box=None, show_header=False, pad_edge=False)
    for number, option in enumerate(options, 1):
        table.add_row(f"  {number}", option.name, clean(option.text))
    console.print(table)


def _console() -> Console:
    from rich.console import Console

    return Console(soft_wrap=False, highlight=False, markup=False)
