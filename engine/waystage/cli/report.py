"""`waystage report`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import click

from waystage.cli.client import Client
from waystage.cli.show import clean, json_option

if TYPE_CHECKING:
    from waystage.report.model import Report

ENDINGS = {"html": ".html", "json": ".json", "card": ".md", "card-json": ".json"}


@click.command("report")
@click.argument("service")
@click.option("--window", default="", help="2026-01-01/2026-02-01, P30D, 30d, 2026-Q1, last-month; "
              "else that of the newest measurement.")  # fmt: skip
@click.option("--stage", default="", help="Else the one in which the lifecycle measures.")
@click.option("--version", default="", help="A snapshot, 3 or credit/3; else the champion.")
@click.option("--format", "form", type=click.Choice(list(ENDINGS)), default=None,
              help="Else by the name of --output; card is the model card.")  # fmt: skip
@click.option("--output", "-o", type=click.Path(dir_okay=False, path_type=Path), default=None,
              help="The file to write, - the terminal; else SERVICE-report.html.")  # fmt: skip
@json_option
@click.pass_context
def report_verb(
    ctx: click.Context, service: str, window: str, stage: str, version: str, form: str | None,
    output: Path | None, as_json: bool,
) -> None:  # fmt: skip
    """Write a report about a service's model: one page with curves, verdicts and decisions.

    The page needs no network and no script, and prints to PDF from any browser. --json prints the
    same data.
    """
    from waystage.report.model import Report

    asked = {"stage": stage, "version": version, "window": window}
    found = Report.model_validate(Client(ctx).get(f"reports/{quote(service, safe='')}", **asked))
    kind = "json" if as_json else form or _by_name(output)
    text = written(found, kind)
    if (as_json and output is None) or output == Path("-"):
        click.echo(text, nl=False)
        return
    place = output or Path(_name(service, kind))
    place.write_text(text, encoding="utf-8")
    first = found.summary[0].text if found.summary else ""
    click.echo(clean(f"{place}: {found.snapshot.id} in {found.stage}. {first}"))


def written(report: Report, kind: str) -> str:
    """Write the report as `html`, `json`, `card` (Markdown) or `card-json`."""
    from waystage.report.card import card_of
    from waystage.report.page import page

    if kind == "html":
        return page(report)
    if kind == "card":
        return card_of(report).markdown()
    value: Any = report if kind == "json" else card_of(report)
    return f"{value.model_dump_json(indent=1)}\n"


def _by_name(output: Path | None) -> str:
    endings = {".json": "json", ".md": "card"}
    return endings.get(output.suffix, "html") if output else "html"


def _name(service: str, kind: str) -> str:
    return f"{service}-{'card' if kind.startswith('card') else 'report'}{ENDINGS[kind]}"
