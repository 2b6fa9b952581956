"""`waystage where, why-runtime, measurements`."""

from __future__ import annotations

from typing import Any

import click

from waystage.cli.client import Client
from waystage.cli.drift import why
from waystage.cli.show import emit_json, json_option, table, when


@click.command("where")
@click.argument("service", required=False)
@click.option("--at", default=None, help="At this instant, 2026-03-01T00:00Z; else now.")
@json_option
@click.pass_context
def where_verb(ctx: click.Context, service: str | None, at: str | None, as_json: bool) -> None:
    """Say where every version of a service runs."""
    rows = Client(ctx).get("placements", service=service, at=at)
    if as_json:
        emit_json(rows)
        return
    for stage in dict.fromkeys(row["stage"] for row in rows):
        shown = [(r["runtime"], r["role"], r["snapshot"], _health(r), when(r["since"]))
                 for r in rows if r["stage"] == stage]  # fmt: skip
        table(stage, ("runtime", "role", "snapshot", "seen", "since (UTC)"), shown)
        told = dict.fromkeys(line for r in rows if r["stage"] == stage for line in _addresses(r))
        for line in sorted(told):
            click.echo(f"  {line}")
        if told:
            click.echo()
    if not rows:
        click.echo(f"{service} runs nowhere." if service else "Nothing runs anywhere.")


@click.command("why-runtime")
@click.argument("service")
@click.argument("stage")
@json_option
@click.pass_context
def why_runtime_verb(ctx: click.Context, service: str, stage: str, as_json: bool) -> None:
    """Say which runtime of a stage serves a service, in each mode, and why."""
    found = Client(ctx).get(f"stages/{stage}/runtimes", service=service)
    if as_json:
        emit_json(found)
        return
    if not found["known"]:
        click.echo(f"waystage.yaml lists no service {service!r}; if there were one:")
    rows = [(c["name"], mode["mode"], c["use"], ", ".join(c["services"]),
             "yes" if c["prefer"] else "", "yes" if c["fits"] else "no")
            for mode in found["modes"] for c in mode["candidates"]]  # fmt: skip
    table(f"Runtimes of {stage}", ("runtime", "mode", "plugin", "services", "prefer", "fits"), rows)
    for mode in found["modes"]:
        click.echo(f"{mode['mode']:8}{mode['runtime'] or 'no runtime'}: {mode['why']}")
    first = "steps that ask for no mode; online goes before batch"
    click.echo(f"{'any':8}{found['any'] or 'no runtime'}: {first}")


@click.command("measurements")
@click.argument("service", required=False)
@click.option("--monitor", default=None, help="Only what this monitor measured.")
@json_option
@click.pass_context
def measurements_verb(
    ctx: click.Context, service: str | None, monitor: str | None, as_json: bool
) -> None:
    """List what monitors measured, with interval and verdict."""
    rows = Client(ctx).get("measurements", service=service, monitor=monitor)
    if as_json:
        emit_json(rows)
        return
    shown = [
        (r["monitor"], r["snapshot"], f"{r['start'][:10]}/{r['end'][:10]}", _value(r["body"]),
         r["verdict"], _why(r["body"]))
        for r in rows
    ]  # fmt: skip
    table("Measurements", ("monitor", "snapshot", "window", "value", "verdict", "why"), shown)


def _why(body: dict[str, Any]) -> str:
    """Give the reason of a verdict, and who had it measured by hand, if anybody had."""
    by = body.get("by_hand", {}).get("by")
    return "; ".join(filter(None, (f"by hand, {by}" if by else "", body.get("reason", ""))))


def _health(row: dict[str, Any]) -> str:
    if row["mode"] == "batch":
        return "batch"
    lag = row["drift"].get("lag")
    waits = "" if lag is None else f", lag {lag}"
    if row["state"] in ("", "ok"):
        return f"{row['state'] or row['seen']}{waits}"
    return f"{row['state']}{waits}: {why(row)}"


def _addresses(row: dict[str, Any]) -> list[str]:
    """Say where requests go; what stands beside the champion is asked by itself alone."""
    said = "the challenger alone answers at" if row["role"] == "challenger" else "requests go to"
    return [f"{said} {each}" for each in _endpoints(row)]


def _endpoints(row: dict[str, Any]) -> list[str]:
    """Give the addresses; where there are several, with what is spoken there and their names."""
    found = row["body"]["deployed"].get("endpoints") or []
    if len(found) == 1:
        return [str(found[0]["url"])]
    return [f"{each['url']} ({each['protocol']}, {each['name']})" for each in found]


def _value(body: dict[str, Any]) -> str:
    if body.get("value") is None:
        return "–"
    value, low, high = body["value"], body.get("low"), body.get("high")
    if low is None or high is None or low == value == high:  # a count is what it is
        return _number(value)
    return f"{_number(value)} [{_number(low)}, {_number(high)}]"


def _number(value: float) -> str:
    return f"{value:.0f}" if float(value).is_integer() and abs(value) > 1 else f"{value:.3f}"
