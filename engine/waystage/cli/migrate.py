"""`waystage migrate`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from waystage.cli.client import Client
from waystage.cli.plan import planned
from waystage.cli.show import emit_json, json_option, table
from waystage.errors import EXIT_FINE, EXIT_REFUSED, Conflict

if TYPE_CHECKING:
    from waystage.planning.plan import Plan


@click.command("migrate")
@click.option("--lifecycle", default=None, help="Only runs of this lifecycle.")
@click.option("--map", "mapping", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="Where runs go whose state is gone or changed.")  # fmt: skip
@click.option("--reason", default="", help="Why; it is kept in each run's history.")
@click.option("--yes", is_flag=True, help="Do it; else only what would be done is shown.")
@json_option
@click.pass_context
def migrate_verb(
    ctx: click.Context, lifecycle: str | None, mapping: Path | None, reason: str, yes: bool,
    as_json: bool,
) -> int:  # fmt: skip
    """Move open runs to their lifecycle's present text; those that cannot move stay."""
    name = lifecycle or (_named(mapping) if mapping else None)
    plans, _ = planned(ctx, None, mapping, name)
    if not yes:
        return _dry(plans, as_json)
    client, results = Client(ctx), []
    text = mapping.read_text(encoding="utf-8") if mapping else ""
    for plan in plans:
        if any(fit.verdict != "same" for fit in plan.fits):
            results += list(_apply(client, plan, text, reason))
    return _told(results, as_json)


def _named(mapping: Path) -> str:
    from waystage.planning.mapping import load_mapping

    return load_mapping(mapping).spec.migration


def _dry(plans: list[Plan], as_json: bool) -> int:
    from waystage.cli.planned import show_runs
    from waystage.planning.plan import plan_json

    if as_json:
        emit_json({"applied": False, "plans": [plan_json(plan) for plan in plans]})
        return EXIT_FINE
    for plan in plans:
        if plan.fits:
            click.echo(f"{plan.lifecycle} → {plan.new.hash[:12]}")
            show_runs(plan.fits)
    ready = sum(fit.migration is not None for plan in plans for fit in plan.fits)
    click.echo(f"{ready} runs would move; add --yes to move them." if ready
               else "No open run would move.")  # fmt: skip
    return EXIT_FINE


def _apply(client: Client, plan: Plan, text: str, reason: str) -> Iterator[dict[str, Any]]:
    known = client.get("files")["lifecycles"].get(plan.lifecycle)
    if known != plan.new.hash:
        raise Conflict(
            f"the daemon goes by another text of {plan.lifecycle} than the file; "
            "say waystage reload, or look at waystage health"
        )
    after: int | None = 0
    while after is not None:
        body = {"lifecycle": plan.lifecycle, "mapping": text, "reason": reason, "after": after,
                "apply": True}  # fmt: skip
        found = client.post("migrations", body)
        yield from (each for each in found["runs"] if each["verdict"] != "same")
        after = found["after"]


def _told(results: list[dict[str, Any]], as_json: bool) -> int:
    moved = [each for each in results if each["moved"]]
    if as_json:
        emit_json({"applied": True, "runs": results})
    else:
        rows = [(r["run"], "moved" if r["moved"] else r["verdict"],
                 "; ".join([*r["reasons"], *r["notes"]])) for r in results]  # fmt: skip
        table("Runs", ("run", "", "why"), rows)
        click.echo(f"{len(moved)} moved, {len(results) - len(moved)} stay as they are.")
    return EXIT_FINE if len(moved) == len(results) else EXIT_REFUSED
