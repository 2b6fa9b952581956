"""`waystage graph`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from waystage.cli.client import Client
from waystage.cli.past import history_of
from waystage.errors import NotFound

if TYPE_CHECKING:
    from waystage.draw import Chart, Track


FORMS = {".svg": "svg", ".mmd": "mermaid", ".mermaid": "mermaid"}


@click.command("graph")
@click.argument("what", metavar="FILE|LIFECYCLE|RUN")
@click.option("--format", "form", type=click.Choice(["svg", "mermaid"]), default=None,
              help="Else by the name of --output, or svg.")  # fmt: skip
@click.option("--output", "-o", type=click.Path(dir_okay=False, path_type=Path), default=None,
              help="Write to this file, not to the terminal.")  # fmt: skip
@click.pass_context
def graph_verb(ctx: click.Context, what: str, form: str | None, output: Path | None) -> None:
    """Draw a lifecycle, or where a run is in its own and how it came there."""
    from waystage.draw import mermaid, svg

    by_name = FORMS.get(output.suffix) if output else "svg"
    if form is None and by_name is None:
        raise click.UsageError(f"-o {output}: name it .svg or .mmd, or say --format")
    chart, track = _chart(ctx, what)
    draw: dict[str, Callable[[Chart, Track | None], str]] = {"svg": svg, "mermaid": mermaid}
    text = draw[form or by_name or "svg"](chart, track)
    if output is None:
        click.echo(text, nl=False)
        return
    output.write_text(text, encoding="utf-8")
    click.echo(f"{chart.title} is drawn in {output}.")


def _chart(ctx: click.Context, what: str) -> tuple[Chart, Track | None]:
    from waystage.draw import chart_of
    from waystage.spec.load import load_lifecycle

    if Path(what).is_file():
        return chart_of(load_lifecycle(Path(what)).spec), None
    if what.endswith((".yaml", ".yml")):
        raise NotFound(f"there is no file {what}")
    client = Client(ctx)
    named = client.root / "lifecycles" / f"{what}.yaml" if client.root else None
    if named is not None and named.is_file():
        return chart_of(load_lifecycle(named).spec), None
    return _of_run(client, what)


def _of_run(client: Client, run: str) -> tuple[Chart, Track]:
    from waystage.draw import chart_of, track_of
    from waystage.spec.lifecycle import Lifecycle

    found = client.get(f"runs/{run}")
    chart = chart_of(Lifecycle.model_validate(client.get(f"runs/{run}/lifecycle")))
    records = [record for row in history_of(client, run) for record in row["records"]]
    return chart, track_of(chart, found["places"], records)
