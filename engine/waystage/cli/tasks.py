"""`waystage tasks, claim, release, delegate, complete`."""

from __future__ import annotations

import json
from typing import Any

import click

from waystage.cli.client import Client
from waystage.cli.show import emit_json, json_option, table, when


@click.command("tasks")
@click.option("--all", "everything", is_flag=True, help="Closed ones too.")
@json_option
@click.pass_context
def tasks_verb(ctx: click.Context, everything: bool, as_json: bool) -> None:
    """List what waits for people."""
    tasks = Client(ctx).get("tasks", all=everything)
    if as_json:
        emit_json(tasks)
        return
    rows = [
        (t["id"], t["run"], t["body"]["title"], ", ".join(t["body"]["for"]),
         _answers(t), when(t["body"].get("due")))
        for t in tasks
    ]  # fmt: skip
    table("Tasks", ("task", "run", "title", "for", "answers", "due"), rows)


def _answers(task: dict[str, Any]) -> str:
    """Say what can be answered, or what was answered and by whom."""
    if task["status"] == "open":
        return " | ".join(task["body"]["outcomes"])
    if task["status"] == "left":
        return "none: the run went on"
    return ", by ".join(filter(None, (task["outcome"], task["closed_by"])))


@click.command("claim")
@click.argument("task", type=int)
@json_option
@click.pass_context
def claim_verb(ctx: click.Context, task: int, as_json: bool) -> None:
    """Say that you are at a task."""
    found = Client(ctx).post(f"tasks/{task}/claim", {})
    emit_json(found) if as_json else click.echo(f"Task {task} is {found['claimed_by']}'s.")


@click.command("release")
@click.argument("task", type=int)
@json_option
@click.pass_context
def release_verb(ctx: click.Context, task: int, as_json: bool) -> None:
    """Give a claimed task back."""
    found = Client(ctx).post(f"tasks/{task}/release", {})
    emit_json(found) if as_json else click.echo(f"Task {task} is free.")


@click.command("delegate")
@click.argument("task", type=int)
@click.argument("person")
@json_option
@click.pass_context
def delegate_verb(ctx: click.Context, task: int, person: str, as_json: bool) -> None:
    """Hand a task to someone else who could answer it."""
    found = Client(ctx).post(f"tasks/{task}/delegate", {"person": person})
    emit_json(found) if as_json else click.echo(f"Task {task} is {found['claimed_by']}'s.")


@click.command("complete")
@click.argument("task", type=int)
@click.option("--outcome", required=True, help="One of the task's answers.")
@click.option("--form", "fields", multiple=True, metavar="NAME=VALUE", help="A field of the form.")
@click.option("--comment", default="", help="Why; every answer but an approval needs it.")
@json_option
@click.pass_context
def complete_verb(
    ctx: click.Context,
    task: int,
    outcome: str,
    fields: tuple[str, ...],
    comment: str,
    as_json: bool,
) -> None:
    """Answer a task."""
    body = {"outcome": outcome, "form": dict(_field(each) for each in fields), "comment": comment}
    found = Client(ctx).post(f"tasks/{task}/complete", body)
    if as_json:
        emit_json(found)
    else:
        again = " (it was answered so before)" if found.get("repeated") else ""
        click.echo(f"Task {task}: {found['outcome']}{again}.")


def _field(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals:
        raise click.UsageError(f"--form {text!r}: say NAME=VALUE")
    try:
        parsed = json.loads(value)
    except json.JSONDecodeError:
        return name, value
    return name, parsed if isinstance(parsed, bool | int | float) and str(
        parsed
    ) == value else value
