"""Mending many incidents at once: what the verbs of incidents do with `--all-of`."""

from __future__ import annotations

from collections import Counter
from typing import Any

import click

from waystage.cli.client import Client
from waystage.cli.show import emit_json, table, when
from waystage.errors import EXIT_FINE, EXIT_REFUSED

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
    while after is not None:
        found = client.post("repairs", order | {"after": after, "apply": True})
        done += found["incidents"]
        after = found["after"]
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


def _told(kind: str, done: list[dict[str, Any]], as_json: bool) -> int:
    left = [each for each in done if not each["done"]]
    if as_json:
        emit_json({"applied": True, "incidents": done})
    else:
        for why, count in Counter(each["why"] for each in left).most_common(SHOWN):
            click.echo(f"{count} × {why}")
        click.echo(f"{kind}: {len(done) - len(left)} done, {len(left)} not.")
    return EXIT_REFUSED if left else EXIT_FINE
