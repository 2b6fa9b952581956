"""`waystage start, list, show, history`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import click

from waystage.cli.client import Client
from waystage.cli.drift import why
from waystage.cli.past import history_of
from waystage.cli.show import clean, emit_json, json_option, table, when
from waystage.cli.told import told

NEWEST = 1000  # rows of a history among which the reason of its end is looked for
# what the kernel's own timers of a task are to people
OF_TASKS = {"@remind": "reminder", "@due": "task is due", "@escalate": "escalation"}


@click.command("start")
@click.argument("lifecycle")
@click.argument("service")
@click.argument("snapshot", metavar="NAME/VERSION")
@click.option("--key", default="", help="What may open this run only once.")
@json_option
@click.pass_context
def start_verb(
    ctx: click.Context, lifecycle: str, service: str, snapshot: str, key: str, as_json: bool
) -> None:
    """Open a run by hand."""
    name, slash, version = snapshot.partition("/")
    if not slash:
        raise click.UsageError("say the snapshot as NAME/VERSION, as in credit/3")
    body = {
        "lifecycle": lifecycle,
        "service": service,
        "model": name,
        "version": version,
        "key": key,
    }
    client = Client(ctx)
    found = client.post("runs", body)
    emit_json(found) if as_json else click.echo(_opened(client.get(f"runs/{found['run']}")))


def _opened(run: dict[str, Any]) -> str:
    if run["status"] == "open":
        return f"Run {run['id']} is open."
    again = "open another one with a --key of your own"
    return f"Run {run['id']} is the one that this opens, and has ended ({run['outcome']}); {again}."


@click.command("list")
@click.option("--service", default=None, help="Only runs for this service.")
@click.option("--open", "status", flag_value="open", default=None, help="Only runs that are open.")
@json_option
@click.pass_context
def list_verb(ctx: click.Context, service: str | None, status: str | None, as_json: bool) -> None:
    """List runs, the newest first."""
    client = Client(ctx)
    runs = client.get("runs", service=service, status=status)
    if as_json:
        emit_json(runs)
        return
    rows = [
        (r["id"], r["lifecycle"], r["snapshot"], _standing(r), when(r["changed_at"])) for r in runs
    ]
    table("Runs", ("run", "lifecycle", "snapshot", "state", "since"), rows)
    if client.running and not client.get("files")["ok"]:
        text = "Warning: changed files are not taken up; new runs go by those before"
        click.echo(f"{text} (waystage health)", err=True)


@click.command("show")
@click.argument("run")
@json_option
@click.pass_context
def show_verb(ctx: click.Context, run: str, as_json: bool) -> None:
    """Show where a run is, why it waits and what would move it.

    Of a run that ended otherwise than `done`: what was refused or breached before.
    """
    client = Client(ctx)
    found = client.get(f"runs/{run}")
    if as_json:
        emit_json(found)
        return
    click.echo(f"{found['id']}: {found['lifecycle']} on {found['snapshot']} for {found['service']}")
    click.echo(f"state     {_state(found)}")
    if found["parent"]:
        click.echo(f"called by {found['parent']['run']} in {found['parent']['state']}")
    for child in found["children"]:
        click.echo(f"called    {child['id']}: {child['lifecycle']}, {_state(child)}")
    if found["status"] == "ended" and found["outcome"] != "done":
        for line in last_turn(history_of(client, run, after=found["revision"] - NEWEST)):
            click.echo(line)
    for line in _reasons(found):
        click.echo(line)


@click.command("history")
@click.argument("run")
@click.option(
    "--last", type=click.IntRange(1), default=None, metavar="N", help="Only its newest N rows."
)
@json_option
@click.pass_context
def history_verb(ctx: click.Context, run: str, last: int | None, as_json: bool) -> None:
    """Show everything that happened to a run."""
    client = Client(ctx)
    after = client.get(f"runs/{run}")["revision"] - last if last else 0
    rows = list(history_of(client, run, after=after))
    if as_json:
        emit_json(rows)
        return
    shown = [(row["seq"], when(row["at"]), _who(row), line) for row in rows for line in told(row)]
    table(f"History of {run}", ("#", "at", "who", "what"), shown)


def _state(run: dict[str, Any]) -> str:
    places = ", ".join(run["places"])
    return places if run["status"] == "open" else f"ended: {run['outcome']}"


def last_turn(rows: Iterable[dict[str, Any]]) -> list[str]:
    """Say what was refused or breached at last, unless a person decided something after it."""
    told = ""
    for record in (each for row in rows for each in row["records"]):
        what, state, name, said = (*record, "", "", "")[:4]  # what is empty at the end is not kept
        if what == "vote":
            told = ""
        elif what == "refused":
            told = f"refused    {state}: {clean(said)}"
        elif what == "measured" and said.partition(" ")[0] in ("breach", "error"):
            told = f"measured   {state}: {name} {said}"
    return [told] if told else []


def _standing(run: dict[str, Any]) -> str:
    paused = [f"paused by {run['paused']['by']}"] if run["paused"] else []
    return "; ".join([_state(run) or "begins", *paused, *(_held(each) for each in run["waits"])])


def _held(wait: dict[str, Any]) -> str:
    until = f"until {when(wait['until'])} UTC" if wait["until"] else "until it is opened"
    return f"waits for {wait['stage']} {until} ({wait['why']})"


def _reasons(run: dict[str, Any]) -> list[str]:
    lines = [f"held up    {_held(each)}" for each in run["waits"]]
    if lines:
        lines.append(f"           go on all the same: waystage override {run['id']} --reason …")
    if run["paused"]:
        lines.append(f"paused     by {run['paused']['by']}: {run['paused']['reason']}")
        lines.append(f"           let it go on: waystage resume {run['id']}")
    for each in run["found"]:
        lines.append(f"{each['step']:10} {each['verdict']}: {clean(each['why'])}")
    for row in run["drifted"]:
        since = f"since {when(row['state_since'])} UTC"
        lines.append(f"{row['state']:10} in {row['stage']}/{row['runtime']} {since}: {why(row)}")
        lines.append("           what is done about it: waystage drift")
    for step in run["steps"]:
        said = f": {step['said']}" if step["said"] else ""
        lines.append(f"at work    {step['use']} in {step['state']}{clean(said)}")
    for task in run["tasks"]:
        who = task["claimed_by"] or ", ".join(task["body"]["for"])
        lines.append(f"waits for  task {task['id']} “{task['body']['title']}” ({who})")
    for timer in (each for each in run["timers"] if each["name"] != "@window"):
        what = OF_TASKS.get(timer["name"].partition(".")[0], f"timer {timer['name']}")
        lines.append(f"waits for  {what} at {when(timer['due'])} UTC")
    for incident in run["incidents"]:
        lines.append(f"parked     incident {incident['id']}: {incident['message']}")
        lines.append(f"           mend it: waystage retry {incident['id']}, or skip, goto, abort")
    return lines


def _who(row: dict[str, Any]) -> str:
    via = row["event"].get("via", "")
    return f"{row['actor']} ({via})" if via else str(row["actor"])
