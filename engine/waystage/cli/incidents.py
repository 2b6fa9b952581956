"""`waystage incidents, retry, skip, goto, set, abort`."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeVar

import click

from waystage.cli.client import Client
from waystage.cli.repairs import repair_all
from waystage.cli.show import emit_json, json_option, table, when

WHY = "Why; it is kept in the run's history."
F = TypeVar("F", bound=Callable[..., Any])


@click.command("incidents")
@click.option("--all", "everything", is_flag=True, help="Closed ones too.")
@click.option("--kind", default=None, help="As in failed, uncertain, guard.")
@click.option("--lifecycle", default=None, help="Only runs of this lifecycle.")
@click.option("--service", default=None, help="Only runs for this service.")
@click.option("--since", default=None, help="Opened from then on: 2026-03-01T00:00Z.")
@json_option
@click.pass_context
def incidents_verb(
    ctx: click.Context, everything: bool, kind: str | None, lifecycle: str | None,
    service: str | None, since: str | None, as_json: bool,
) -> None:  # fmt: skip
    """List the runs that are parked, and why."""
    asked = {"kind": kind, "lifecycle": lifecycle, "service": service, "since": since}
    found = Client(ctx).get("incidents", all=everything, **asked)
    if as_json:
        emit_json(found)
        return
    rows = [(i["id"], i["run"], i["state"], i["kind"], i["message"], when(i["opened_at"]), i["how"])
            for i in found]  # fmt: skip
    table("Incidents", ("id", "run", "state", "kind", "message", "since", "end"), rows)


def _many(verb: F) -> F:
    """Add what all verbs say that mend one incident or many."""
    for option in (
        click.option("--all-of", default=None, metavar="FILTER",
                     help='Many: "kind=failed lifecycle=L service=S since=DATE", or "all".'),
        click.option("--yes", is_flag=True, help="With --all-of: do it; else only look."),
        json_option,
    ):  # fmt: skip
        verb = option(verb)
    return verb


@click.command("retry")
@click.argument("incident", type=int, required=False)
@click.option("--reason", default="", help=WHY)
@_many
@click.pass_context
def retry_verb(ctx: click.Context, /, incident: int | None, reason: str, **how: Any) -> int:
    """Try again; the incident closes when it succeeds."""
    return _mend(ctx, incident, "retry", {"reason": reason}, **how)


@click.command("skip")
@click.argument("incident", type=int, required=False)
@click.option("--reason", required=True, help=WHY)
@_many
@click.pass_context
def skip_verb(ctx: click.Context, /, incident: int | None, reason: str, **how: Any) -> int:
    """Go on as if the step were done."""
    return _mend(ctx, incident, "skip", {"reason": reason}, **how)


@click.command("goto")
@click.argument("words", nargs=-1, required=True, metavar="[INCIDENT] STATE")
@click.option("--reason", required=True, help=WHY)
@_many
@click.pass_context
def goto_verb(ctx: click.Context, /, words: tuple[str, ...], reason: str, **how: Any) -> int:
    """Send the run to another state."""
    incident, (state, *more) = _one(words, how["all_of"])
    if more:
        raise click.UsageError("say one state: waystage goto INCIDENT STATE")
    return _mend(ctx, incident, "goto", {"to": state, "reason": reason}, **how)


@click.command("set")
@click.argument("words", nargs=-1, required=True, metavar="[INCIDENT] NAME=VALUE...")
@click.option("--reason", required=True, help=WHY)
@_many
@click.pass_context
def set_verb(ctx: click.Context, /, words: tuple[str, ...], reason: str, **how: Any) -> int:
    """Write variables of the run (values as JSON, or as text); then retry."""
    incident, given = _one(words, how["all_of"])
    values = dict(_value(each) for each in given)
    return _mend(ctx, incident, "set", {"values": values, "reason": reason}, **how)


@click.command("abort")
@click.argument("incident", type=int, required=False)
@click.option("--reason", required=True, help=WHY)
@_many
@click.pass_context
def abort_verb(ctx: click.Context, /, incident: int | None, reason: str, **how: Any) -> int:
    """End the run."""
    return _mend(ctx, incident, "abort", {"reason": reason}, **how)


def _one(words: tuple[str, ...], all_of: str | None) -> tuple[int | None, tuple[str, ...]]:
    """Give the incident, if one is meant, and the words behind it, of which there is one."""
    if all_of is not None:
        return None, words
    if not words[0].isdigit() or len(words) < 2:
        raise click.UsageError("say the incident's number first, or --all-of FILTER")
    return int(words[0]), words[1:]


def _value(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise click.UsageError(f"{text!r}: say NAME=VALUE")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def _mend(
    ctx: click.Context, incident: int | None, kind: str, body: dict[str, Any], *,
    all_of: str | None, yes: bool, as_json: bool,
) -> int:  # fmt: skip
    if (incident is None) == (all_of is None):
        raise click.UsageError("say either an incident's number, or --all-of FILTER")
    if all_of is not None:
        return repair_all(Client(ctx), kind, all_of, body, yes=yes, as_json=as_json)
    found = Client(ctx).post(f"incidents/{incident}/{kind}", body)
    text = f"set: {found['run']} waits for retry." if kind == "set" else (
        f"{kind}: {found['run']} goes on.")  # fmt: skip
    emit_json(found) if as_json else click.echo(text)
    return 0
