"""`waystage plan`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from waystage.cli.place import find_project
from waystage.cli.show import emit_json, json_option
from waystage.errors import EXIT_FINE, Invalid, NotFound

if TYPE_CHECKING:
    from waystage.planning.plan import Plan


@click.command("plan")
@click.argument("path", type=click.Path(path_type=Path), required=False)
@click.option("--from", "old", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="Compare two files; no database is looked at.")  # fmt: skip
@click.option("--map", "mapping", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="Plan as if runs moved by this mapping.")  # fmt: skip
@json_option
@click.pass_context
def plan_verb(
    ctx: click.Context, path: Path | None, old: Path | None, mapping: Path | None, as_json: bool
) -> int:
    """Say what changed lifecycles mean before they are taken: text, bounds, open runs."""
    if old is not None:
        found, gone = [_between(old, path)], dict[str, int]()
    else:
        found, gone = planned(ctx, path, mapping)
    if as_json:
        from waystage.planning.plan import plan_json

        emit_json({"plans": [plan_json(plan) for plan in found], "gone": gone})
        return EXIT_FINE
    _show(found, gone, two_files=old is not None)
    return EXIT_FINE


def _show(found: list[Plan], gone: dict[str, int], *, two_files: bool) -> None:
    from waystage.cli.planned import show_plan
    from waystage.planning.mapping import draft

    for plan in found:
        show_plan(plan, two_files=two_files)
        if homes := plan.homes():
            click.echo("A mapping to begin with (waystage plan --map FILE):\n")
            click.echo(draft(plan.lifecycle, homes))
    for name, runs in gone.items():
        click.echo(f"{name}: is in no file any more; {runs} open runs go on by the text they have")
    if not found and not gone:
        click.echo("The project has no lifecycles.")


def planned(
    ctx: click.Context, path: Path | None, mapping: Path | None, lifecycle: str | None = None
) -> tuple[list[Plan], dict[str, int]]:
    """Plan a project's lifecycles, or one file, against the project's database."""
    from waystage.daemon.plans import Question, abandoned, candidate, plans, reader_of
    from waystage.planning.mapping import load_mapping
    from waystage.registry import load_catalog
    from waystage.spec.load import load_project

    a_file = path is not None and path.is_file()
    if path is not None and not path.exists():
        raise NotFound(f"there is no file or directory {path}")
    files = load_project(find_project(ctx.obj["project"] if a_file else path or
                                      ctx.obj["project"]))  # fmt: skip
    chosen = dict(files.lifecycles)
    if a_file and path is not None:
        loaded = candidate(files, path)
        chosen = {loaded.spec.lifecycle: loaded}
    if lifecycle is not None:
        if lifecycle not in chosen:
            raise NotFound(f"there is no lifecycle {lifecycle!r}; there is {', '.join(chosen)}")
        chosen = {lifecycle: chosen[lifecycle]}
    catalog = load_catalog(files.project.spec.plugins)
    question = Question(files, chosen, catalog, load_mapping(mapping) if mapping else None)
    store = reader_of(files)
    try:
        return list(plans(question, store)), {} if a_file else abandoned(question, store)
    finally:
        if store is not None:
            store.close()


def _between(old: Path, new: Path | None) -> Plan:
    from waystage.check import check_lifecycle
    from waystage.daemon.definitions import Definitions
    from waystage.planning.plan import Known, plan_of
    from waystage.registry import load_catalog
    from waystage.spec.load import load_lifecycle

    if new is None:
        raise click.UsageError("say both files: waystage plan --from OLD.yaml NEW.yaml")
    catalog = load_catalog()
    texts = [load_lifecycle(old, blocks_of=new), load_lifecycle(new)]
    problems = [p for text in texts for p in check_lifecycle(text, None, catalog)]
    if errors := [p for p in problems if p.severity == "error"]:
        raise Invalid(errors)
    definitions = Definitions(None, catalog)
    return plan_of(definitions.of(texts[1]), Known(definitions.of(texts[0])), catalog)
