"""`waystage validate`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from waystage.cli.client import find_project
from waystage.cli.show import emit_json, json_option
from waystage.errors import EXIT_FINE, EXIT_REFUSED, Invalid, NotFound, Problem


@click.command("validate")
@click.argument("path", type=click.Path(path_type=Path), required=False)
@click.option("--strict", is_flag=True, help="Warnings count as errors.")
@json_option
@click.pass_context
def validate_verb(ctx: click.Context, path: Path | None, strict: bool, as_json: bool) -> int:
    """Prove a project, or one lifecycle file, before anything runs."""
    problems = _problems(ctx, path)
    bad = [p for p in problems if strict or p.severity == "error"]
    if as_json:
        emit_json({"ok": not bad, "problems": [asdict(p) for p in problems]})
    else:
        for problem in problems:
            click.echo(f"{problem} [{problem.code}]")
        click.echo(_summary(problems) if problems else "Everything that can be proved holds.")
    return EXIT_REFUSED if bad else EXIT_FINE


def _problems(ctx: click.Context, path: Path | None) -> list[Problem]:
    from waystage.check import check_lifecycle, check_project
    from waystage.registry import load_catalog
    from waystage.spec.load import load_lifecycle, load_project

    try:
        if path is not None and path.is_file():
            return check_lifecycle(load_lifecycle(path), None, load_catalog())
        if path is not None and not path.is_dir():
            raise NotFound(f"there is no file or directory {path}")
        files = load_project(find_project(path or ctx.obj["project"]))
        return check_project(files, load_catalog(files.project.spec.plugins))
    except Invalid as error:
        return list(error.problems)


def _summary(problems: list[Problem]) -> str:
    errors = sum(p.severity == "error" for p in problems)
    warnings = len(problems) - errors
    return f"{errors} error{'s' * (errors != 1)}, {warnings} warning{'s' * (warnings != 1)}"
