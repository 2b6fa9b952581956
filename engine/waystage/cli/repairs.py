"""Mending many incidents at once: what the verbs of incidents do with `--all-of`."""

from __future__ import annotations

from typing import Any

import click

from waystage.cli.client import Client
from waystage.cli.show import emit_json, paragraph, table, when
from waystage.errors import EXIT_FINE, EXIT_REFUSED, Unavailable

KEYS = ("kind", "lifecycle", "service", "state", "run", "since")
SHOWN = 20


def repair_all(
    client: Client, kind: str, all_of: str, body: dict[str, Any], *, yes: bool, as_json: bool
) -> int:
    """Show and count what is meant, or with `yes` mend it; exit 1 if some could not be mended."""
    order = {"kind": kind, "all_of": chosen(all_of), **body}
    if not yes:
        return _looked(client.post("repairs", order), as_json)
    done: list[dict[str, Any]] = []
    after: int | None = 0
    try:
        while after is not None:
            found = client.post("repairs", order | {"after": after, "apply": True})
            done += found["incidents"]
            after = found["after"]
    except (KeyboardInterrupt, Unavailable):
        _told(kind, done, as_json, whole=False)
        click.echo("It was cut off; more may be done by now. Say the same again for the others.",
                   err=True)  # fmt: skip
        raise
    return _told(kind, done, as_json)


def chosen(text: str) -> dict[str, str]:
    """Read `kind=failed lifecycle=scorecard`; `all` chooses nothing out."""
    if text.strip() == "all":
        return {}
    given = dict(part.partition("=")[::2] for part in text.replace(",", " ").split())
    wrong = [name for name, value in given.items() if name not in KEYS or not value]
    if wrong or not given:
        known = ", ".join(f"{key}=…" for key in KEYS)
        raise click.UsageError(f"--all-of {text!r}: say {known}, or all")
    return given


def _looked(found: dict[str, Any], as_json: bool) -> int:
    if as_json:
        emit_json(found)
        return EXIT_FINE
    rows = [(i["id"], i["run"], i["state"], i["kind"], i["message"], when(i["opened_at"]))
            for i in found["incidents"][:SHOWN]]  # fmt: skip
    table("Incidents", ("id", "run", "state", "kind", "message", "since"), rows)
    count = found["found"]
    if count > SHOWN:
        click.echo(f"… and {count - SHOWN} more")
    click.echo(f"{found['kind']} is for {count} incident{'s' * (count != 1)}; add --yes to do it."
               if count else "No open incident is meant.")  # fmt: skip
    return EXIT_FINE


def _told(kind: str, done: list[dict[str, Any]], as_json: bool, *, whole: bool = True) -> int:
    left = [each for each in done if not each["done"]]
    if as_json:
        emit_json({"applied": True, "whole": whole, "incidents": done})
    else:
        alike: dict[str, list[str]] = {}
        for each in left:
            why = each["why"].replace(f"incident {each['id']} ", "the incident ")
            alike.setdefault(why, []).append(f"{each['id']} ({each['run']})")
        for why, which in sorted(alike.items(), key=lambda one: -len(one[1]))[:SHOWN]:
            more = f", … and {len(which) - SHOWN} more" if len(which) > SHOWN else ""
            click.echo(f"{len(which)} × {why}")
            paragraph("    ", ", ".join(which[:SHOWN]) + more)
        click.echo(f"{kind}: {len(done) - len(left)} done, {len(left)} not.")
    return EXIT_REFUSED if left else EXIT_FINE
