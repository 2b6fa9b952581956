"""`waystage simulate`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from waystage.cli.show import emit_json, json_option
from waystage.errors import EXIT_FINE, EXIT_REFUSED, WaystageError

if TYPE_CHECKING:
    from waystage.cli.stepped import Seen
    from waystage.cli.worlds import Bench
    from waystage.simulate.chance import Finding, Searched
    from waystage.simulate.explore import Explorer, Option
    from waystage.simulate.prepared import Prepared

BEGINS = datetime(2026, 1, 5, 9, tzinfo=UTC)


@click.command("simulate")
@click.argument("lifecycle", metavar="LIFECYCLE|FILE")
@click.option("--choose", default=None, metavar="A,B,…",
              help="What happens next, by name or number, instead of asking.")  # fmt: skip
@click.option("--random", "runs", type=click.IntRange(1), metavar="N", default=None,
              help="Play N runs by chance and tell what they should not come to.")  # fmt: skip
@click.option("--seed", type=click.IntRange(0), default=None,
              help="The first run's seed; each has the next one. Else by chance.")  # fmt: skip
@click.option("--tag", "tags", multiple=True, metavar="NAME=VALUE", help="A tag of the snapshot.")
@click.option("--param", "params", multiple=True, metavar="NAME=VALUE",
              help="A parameter of the run.")  # fmt: skip
@click.option("--service", default="", help="Else the first that the lifecycle is for.")
@json_option
@click.pass_context
def simulate_verb(
    ctx: click.Context, lifecycle: str, choose: str | None, runs: int | None, seed: int | None,
    tags: tuple[str, ...], params: tuple[str, ...], service: str, as_json: bool,
) -> int:  # fmt: skip
    """Step through a lifecycle on a virtual clock, or let runs go by chance; calls nothing.

    A choice is the name of what happens, and what it brings: `done verdict=keep`.
    """
    from waystage.cli.worlds import bench

    path = Path(lifecycle)
    place = bench(ctx, [path] if path.is_file() else [])
    prepared = _prepared(place, path) if path.is_file() else place.prepared(lifecycle)
    if runs is not None:
        return _by_chance(place, prepared, runs, seed, as_json=as_json)
    explorer = _explorer(place, prepared, service, _pairs(tags), _pairs(params))
    return _Steps(explorer, choose.split(",") if choose is not None else None).go()


def _prepared(place: Bench, path: Path) -> Prepared:
    from waystage.simulate import prepare
    from waystage.spec.load import load_lifecycle

    return prepare(load_lifecycle(path), place.world.catalog)


def _explorer(
    place: Bench, prepared: Prepared, service: str, tags: dict[str, str], params: dict[str, str]
) -> Explorer:
    from waystage.simulate.cast import open_run, people_of, service_of, tags_of
    from waystage.simulate.explore import Explorer
    from waystage.simulate.sample import read

    chosen = (tags_of(prepared) or [{}])[0] | tags
    unknown = [name for name in params if name not in prepared.spec.params]
    if unknown:
        known = ", ".join(prepared.spec.params) or "none"
        raise click.BadParameter(f"there is no parameter {unknown[0]!r}; there is {known}")
    service = service or service_of(prepared, place.world)
    given = {name: read(value, prepared.spec.params[name].json_schema())
             for name, value in params.items()}  # fmt: skip
    run = open_run(prepared, place.world, service, chosen, given)
    people = people_of(prepared, place.world)
    return Explorer(prepared, place.world, run, BEGINS, people)


def _pairs(words: Sequence[str]) -> dict[str, str]:
    found = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise click.BadParameter(f"{word!r}: write NAME=VALUE")
        found[name] = value
    return found


class _Steps:
    """Asks what happens next, or takes it from a list, and lets it happen."""

    def __init__(self, explorer: Explorer, choices: list[str] | None) -> None:
        from waystage.simulate.together import Together

        self.together, self.choices = Together(explorer), choices
        self.seen: Seen = {}

    def go(self) -> int:
        """Go on until the run ends or nobody says anything more."""
        self._show_past()
        while options := self.together.options():
            self._show(options)
            if self.choices is not None and not self.choices:
                return EXIT_FINE
            try:
                self._take(options, self._word())
            except (WaystageError, click.UsageError) as error:
                if self.choices is not None:
                    raise
                click.echo(f"  {error}")
            self._show_past()
        ended = self.together.first.ended
        outcome = self.together.first.explorer.sim.run.outcome
        click.echo(f"The run has ended: {outcome}." if ended else "Nothing can happen any more.")
        return EXIT_FINE if ended else EXIT_REFUSED

    def _word(self) -> str:
        if self.choices is not None:
            word = self.choices.pop(0).strip()
            click.echo(f"> {word}")
            return word
        answer: str = click.prompt(">", prompt_suffix=" ")
        return answer

    def _take(self, options: list[Option], line: str) -> None:
        word, *rest = line.split()
        by_number = word.isdigit() and 1 <= int(word) <= len(options)
        named = [options[int(word) - 1]] if by_number else [o for o in options if o.name == word]
        if not named:
            names = ", ".join(dict.fromkeys(option.name for option in options))
            raise click.BadParameter(f"{word!r} cannot happen now; there is {names}")
        named[0].act(_pairs(rest))

    def _show_past(self) -> None:
        """Say what has happened since the last time."""
        from waystage.cli.stepped import past

        self.seen = past(self.together, self.seen)

    def _show(self, options: list[Option]) -> None:
        from waystage.cli.stepped import present

        present(self.together, options)


def _by_chance(
    place: Bench, prepared: Prepared, runs: int, seed: int | None, *, as_json: bool
) -> int:
    from random import SystemRandom

    from waystage.simulate.chance import search

    first = SystemRandom().randrange(1_000_000) if seed is None else seed
    result = search(prepared, place.world, BEGINS, runs, first)
    if as_json:
        emit_json(_as_json(result, first))
    else:
        _tell(prepared, result, first)
    return EXIT_REFUSED if result.findings else EXIT_FINE


def _as_json(result: Searched, seed: int) -> dict[str, Any]:
    from dataclasses import asdict

    return {"ok": not result.findings, "seed": seed, **asdict(result)}


def _tell(prepared: Prepared, result: Searched, seed: int) -> None:
    from waystage.cli.show import clean

    name = prepared.spec.lifecycle
    for finding in result.findings:
        click.echo(f"{finding.kind} in {finding.state}: {clean(finding.message)}")
        click.echo(f"  the way: {' → '.join(finding.way)}")
        click.echo(f"  again: {_again(name, finding)}")
    told = f"{result.runs} runs with {result.choices} events, seeds from {seed} on"
    click.echo(f"{name}: {len(result.findings)} findings in {told}; {result.ended} runs ended.")


def _again(name: str, finding: Finding) -> str:
    return f"waystage simulate {name} --random 1 --seed {finding.seed}"
