"""`waystage measure`."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import click

from waystage.cli.client import Client
from waystage.cli.show import clean, emit_json, json_option, when


@click.command("measure")
@click.argument("monitor")
@click.argument("service")
@click.option("--window", default="", help="2026-01-01/2026-02-01, P30D, 30d, 2026-Q1, last-month; "
              "else the newest one that the monitor itself would take.")  # fmt: skip
@click.option("--stage", default="", help="Else the one in which the lifecycle measures.")
@click.option("--version", default="", help="A snapshot, 3 or credit/3; else the champion.")
@click.option("--record/--no-record", default=False,
              help="Keep it, marked as made by hand; else it is only shown.")  # fmt: skip
@json_option
@click.pass_context
def measure_verb(
    ctx: click.Context, monitor: str, service: str, window: str, stage: str, version: str,
    record: bool, as_json: bool,
) -> int:  # fmt: skip
    """Measure a monitor now; no run moves by it, and nothing is counted.

    A length alone (30d) ends where the monitor's own windows end: when labels are expected to be
    there. The verdict is that of this window alone. Exits 1 for a breach or an error.
    """
    client = Client(ctx)
    asked = {"service": service, "stage": stage, "version": version, "window": window}
    path = f"monitors/{quote(monitor, safe='')}/measure"
    found = client.post(path, asked) if record else client.get(path, **asked)
    emit_json(found) if as_json else _show(found)
    return 1 if found["verdict"] in ("breach", "error") else 0


def _show(found: dict[str, Any]) -> None:
    body = found["body"]
    lines = {
        "monitor": f"{found['monitor']} ({found['use']})",
        "of": f"{found['snapshot']} in {found['stage']}, {found['service']}, run {found['run']}",
        "window": f"{when(found['start'])} to {when(found['end'])} UTC",
        "value": _value(body),
        "interval": _interval(body),
        "verdict": " – ".join(filter(None, (found["verdict"], body.get("reason", "")))),
        "limits": ", ".join(f"{level} {side} {value:g}" for level, limit in body["limits"].items()
                            for side, value in limit.items()) or "none",
        "counts": ", ".join(f"{name} {count:,}" for name, count in body.get("counts", {}).items()),
        "notes": ", ".join(f"{name} {_note(told)}" for name, told in body.get("notes", {}).items()),
        "query": body["query"]["digest"],
        "kept": f"yes, as made by hand by {body['by_hand']['by']}" if found["recorded"] else "no",
    }  # fmt: skip
    for name, text in lines.items():
        if text:
            click.echo(f"{name:9}{clean(text)}")


def _note(told: Any) -> str:
    return f"{told:.6g}" if isinstance(told, float) else str(told)


def _value(body: dict[str, Any]) -> str:
    return "none" if body.get("value") is None else f"{body['value']:.6g}"


def _interval(body: dict[str, Any]) -> str:
    if body.get("low") is None or body.get("high") is None:
        return "none"
    level, method = body.get("level", 0.95), body.get("method", "")
    return f"{body['low']:.6g} to {body['high']:.6g} ({level:.0%}, {method})"
