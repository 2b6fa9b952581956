"""`waystage validate`."""

from __future__ import annotations

import gc
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from waystage.cli.place import PROJECT_FILE, find_project
from waystage.cli.show import emit_json, json_option, many
from waystage.errors import EXIT_FINE, EXIT_REFUSED, Invalid, NotFound, Problem, Unavailable

if TYPE_CHECKING:
    from waystage.spec.load import ProjectFiles


@click.command("validate")
@click.argument("path", type=click.Path(path_type=Path), required=False)
@click.option("--strict", is_flag=True, help="Warnings count as errors.")
@click.option("--sarif", "sarif_file", type=click.Path(path_type=Path), metavar="FILE",
              help="Write the problems as SARIF 2.1.0 too, for code scanning.")  # fmt: skip
@click.option("--github", is_flag=True, help="Print them as annotations of GitHub Actions.")
@json_option
@click.pass_context
def validate_verb(
    ctx: click.Context, path: Path | None, strict: bool, sarif_file: Path | None,
    github: bool, as_json: bool,
) -> int:  # fmt: skip
    """Prove a project, a directory of files, or one file, before anything runs.

    Files in a project are proved with all of it; of a directory its own problems are shown.
    """
    root, looked_at, problems = _prove(ctx, path)
    bad = [p for p in problems if strict or p.severity == "error"]
    if sarif_file is not None:
        _write_sarif(sarif_file, problems, root, strict=strict)
    if as_json:
        counts = looked_at | _counts(problems)
        emit_json({"ok": not bad, "counts": counts, "problems": [asdict(p) for p in problems]})
    else:
        _show(problems, root, looked_at, strict=strict, github=github)
    return EXIT_REFUSED if bad else EXIT_FINE


def _prove(ctx: click.Context, path: Path | None) -> tuple[Path, dict[str, int], Sequence[Problem]]:
    """Give where file names start, how many files were looked at, and their problems."""
    if path is not None and path.is_file():
        return Path(), {"files": 1}, _of_file(path)
    if path is not None and not path.is_dir():
        raise NotFound(f"there is no file or directory {path}")
    if path is not None and not (path / PROJECT_FILE).is_file():
        return _of_directory(path)
    root = find_project(path or ctx.obj["project"])
    try:
        files, problems = prove_project(root)
    except Invalid as error:
        return root, {}, error.problems
    return root, _looked_at(files), problems


def _of_directory(path: Path) -> tuple[Path, dict[str, int], Sequence[Problem]]:
    """Prove the files of a directory: with the project that it lies in, or each by itself."""
    inside = path.resolve()
    root = next((each for each in inside.parents if (each / PROJECT_FILE).is_file()), None)
    places = sorted(each for each in path.rglob("*.yaml") if each.is_file())
    if not places:
        raise NotFound(f"{path} has no file that ends in .yaml, and no {PROJECT_FILE}")
    if root is None:
        return Path(), {"files": len(places)}, [one for each in places for one in _of_file(each)]
    try:
        _, problems = prove_project(root)
    except Invalid as error:
        problems = error.problems
    own = [each for each in problems if (root / each.file).is_relative_to(inside)]
    return root, {"files": len(places)}, own


def prove_project(root: Path) -> tuple[ProjectFiles, Sequence[Problem]]:
    """Read and prove a project; raises `Invalid` when it cannot be read.

    Past keys that nobody knows it goes on, and tells all that is wrong.
    """
    from waystage.check import check_project
    from waystage.registry import load_catalog
    from waystage.spec.load import load_project
    from waystage.spec.salvage import Salvaged

    collecting = gc.isenabled()
    gc.disable()  # nearly all that is made is kept to the end; looking through it costs a third
    try:
        unknown: Sequence[Problem] = ()
        try:
            files = load_project(root)
        except Salvaged as error:
            files, unknown = error.rest, error.problems
        found = check_project(files, load_catalog(files.project.spec.plugins))
        return files, [*unknown, *found]
    finally:
        if collecting:
            gc.enable()


def _of_file(path: Path) -> Sequence[Problem]:
    """Prove what one file says by itself; of a stage or a project that is its own shape."""
    from waystage.check import check_lifecycle
    from waystage.registry import load_catalog
    from waystage.spec.load import (
        kind_of,
        load_lifecycle,
        load_project_file,
        load_scenario,
        load_stage,
        parse_block,
    )
    from waystage.spec.salvage import Salvaged
    from waystage.spec.source import read_source

    others = {"stage": load_stage, "project": load_project_file, "scenario": load_scenario}
    try:
        source = read_source(path)
        kind = kind_of(source)
        if kind == "block":
            parse_block(source.text, source.file)
            return ()
        if load := others.get(kind):
            load(path)
            return ()
        unknown: Sequence[Problem] = ()
        try:
            loaded = load_lifecycle(path)
        except Salvaged as error:
            loaded, unknown = error.rest, error.problems
        return [*unknown, *check_lifecycle(loaded, None, load_catalog())]
    except Invalid as error:
        return error.problems


def _looked_at(files: ProjectFiles) -> dict[str, int]:
    lifecycles, stages = len(files.lifecycles), len(files.stages)
    return {"files": 1 + lifecycles + stages, "lifecycles": lifecycles, "stages": stages}


def _show(
    problems: Sequence[Problem], root: Path, looked_at: dict[str, int],
    *, strict: bool, github: bool,
) -> None:  # fmt: skip
    if github:
        from waystage.cli.reports import annotated

        for line in annotated(problems, root, strict=strict):
            click.echo(line)
    else:
        for problem in problems:
            click.echo(f"{problem} [{problem.code}]")
    several = looked_at.get("files", 1) > 1
    where = f" ({many(looked_at['files'], 'file')})" if several else ""
    if not problems:
        click.echo(f"Everything that can be proved holds{where}.")
        return
    counts = _counts(problems)
    told = ", ".join(many(counts[f"{kind}s"], kind) for kind in ("error", "warning"))
    click.echo(f"{told}{where}{'; warnings count as errors' if strict else ''}")


def _counts(problems: Sequence[Problem]) -> dict[str, int]:
    errors = sum(problem.severity == "error" for problem in problems)
    return {"errors": errors, "warnings": len(problems) - errors}


def _write_sarif(file: Path, problems: Sequence[Problem], root: Path, *, strict: bool) -> None:
    from waystage.cli.reports import sarif

    text = json.dumps(sarif(problems, root, strict=strict), indent=2, ensure_ascii=False)
    try:
        file.write_text(f"{text}\n", encoding="utf-8")
    except OSError as error:
        reason = (error.strerror or "no").lower()
        raise Unavailable(f"{file} cannot be written: {reason}") from error
