"""`waystage import`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from waystage.cli.place import find_project
from waystage.cli.show import clean, emit_json, json_option, many, table
from waystage.errors import (
    EXIT_FINE,
    EXIT_REFUSED,
    Conflict,
    Invalid,
    NotFound,
    Unavailable,
)

if TYPE_CHECKING:
    from waystage.bpmn import Entry, Finding, Imported

STDOUT = "-"
STATES = {"mapped": "mapped", "hand": "by hand", "left": "left out"}


@click.command("import")
@click.argument("path", type=click.Path(path_type=Path))
@click.option("-o", "--out", default=None, metavar="FILE",
              help="Where the YAML goes; - prints it. Else lifecycles/ID.yaml.")  # fmt: skip
@click.option("--force", is_flag=True, help="Write over a file that is there.")
@click.option("--process", default="", metavar="ID", help="Which process, if there are several.")
@click.option("--map", "map_file", type=click.Path(path_type=Path), default=None, metavar="FILE",
              help="What delegates, variables, groups and signals are called here.")  # fmt: skip
@click.option("--service", "services", multiple=True, metavar="NAME",
              help="For which service it is; may be repeated.")  # fmt: skip
@json_option
@click.pass_context
def import_verb(
    ctx: click.Context, path: Path, out: str | None, force: bool, process: str,
    map_file: Path | None, services: tuple[str, ...], as_json: bool,
) -> int:  # fmt: skip
    """Make a lifecycle of a BPMN 2.0 process, and account for each of its elements."""
    from waystage.bpmn import Mapping, import_bpmn, read_mapping

    _hold_services(services)
    mapping = read_mapping(map_file) if map_file else Mapping()
    imported = import_bpmn(_content(path), path.name, process=process, mapping=mapping,
                           services=services)  # fmt: skip
    root = _project(ctx)
    target = _written(imported, out, root, force=force)
    again = _judged(imported, root)
    if as_json:
        yaml = {"yaml": imported.text} if out == STDOUT else {"file": str(target)}
        emit_json({"ok": imported.fine, **yaml, "said_again": again} | imported.report.as_json())
    else:
        if out == STDOUT:
            click.echo(imported.text, nl=False)
        else:
            _show(imported, path.name, target)
        _told(imported, path.name, again, err=out == STDOUT)
    return EXIT_FINE if imported.fine else EXIT_REFUSED


def _hold_services(services: tuple[str, ...]) -> None:
    from pydantic import TypeAdapter, ValidationError

    from waystage.spec.values import ServiceGlob

    for name in services:
        try:
            TypeAdapter(ServiceGlob).validate_python(name)
        except ValidationError:
            text = f"{name!r} is no service; write lower-kebab-case, with * and ? for any letters"
            raise click.BadParameter(text, param_hint="--service") from None


def _content(path: Path) -> bytes:
    """Read no more than is looked at."""
    from waystage.bpmn.xml import MAX_BYTES

    try:
        with path.open("rb") as stream:
            return stream.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise NotFound(f"there is no file {path}") from None
    except OSError as error:
        reason = (error.strerror or "no reason is known").lower()
        raise Unavailable(f"{path} cannot be read: {reason}") from error


def _project(ctx: click.Context) -> Path | None:
    given = ctx.obj["project"]
    try:
        return find_project(given)
    except NotFound:
        if given is not None:
            raise
        return None


def _written(imported: Imported, out: str | None, root: Path | None, *, force: bool) -> Path:
    target = Path(out) if out else (root or Path()) / "lifecycles" / f"{imported.id}.yaml"
    if out == STDOUT:
        return target
    if target.exists() and not force:
        raise Conflict(f"{target} is there already; --force writes over it, --out elsewhere")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(imported.text, encoding="utf-8")
    except OSError as error:
        reason = (error.strerror or "no reason is known").lower()
        raise Unavailable(f"{target} cannot be written: {reason}") from error
    return target


def _judged(imported: Imported, root: Path | None) -> int:
    """Prove the lifecycle, in its project if that can be read; give what was known already."""
    from waystage.bpmn import judge
    from waystage.check import check_lifecycle
    from waystage.registry import load_catalog
    from waystage.spec.load import load_project

    files = None
    if root is not None:
        try:
            files = load_project(root)
        except Invalid:
            files = None  # `waystage validate` tells what is wrong with it
    catalog = load_catalog(files.project.spec.plugins) if files else load_catalog()
    return judge(imported, check_lifecycle(imported.loaded, files, catalog))


def _show(imported: Imported, file: str, target: Path) -> None:
    rows = [_row(entry) for entry in imported.report.entries.values()]
    columns = ("line", "element", "", "became, or what to do")
    table(f"{file} → {target}", columns, rows)


def _row(entry: Entry) -> tuple[str, str, str, str]:
    element = entry.element
    became = entry.became[0] if entry.became else ""
    more = f" (and {len(entry.became) - 1} more)" if len(entry.became) > 1 else ""
    said = "; ".join([*entry.hands, *entry.notes])
    text = ": ".join(part for part in (f"{became}{more}", said) if part)
    name = f"{element.kind} {element.name or element.id}"
    return str(element.spot.line), name, STATES[entry.state], text


def _told(imported: Imported, file: str, again: int, *, err: bool) -> None:
    """Say what was wrong, what `validate` says of what came of it, and how much there is."""
    counts, findings = imported.report.counts, imported.report.findings
    original = [each for each in findings if not each.yaml]
    proved = [each for each in findings if each.yaml]
    for title, found in (("Wrong in the original:", original),
                         ("What `waystage validate` says of it:", proved)):  # fmt: skip
        if found:
            click.echo(f"\n{title}", err=err)
            for each in found:
                click.echo(clean(_line(file, each)), err=err)
    more = f", and {again} that say the same as the table" if again else ""
    click.echo(
        f"\n{counts['elements']} elements: {counts['mapped']} mapped, {counts['hand']} by hand, "
        f"{counts['left']} left out. {many(len(original), 'mistake')} in the original; "
        f"{many(len(proved), 'problem')} of the lifecycle{more}.",
        err=err,
    )


def _line(file: str, found: Finding) -> str:
    at = f"{file}:{found.line}:{found.column}" if found.line else file
    where = f" (YAML {found.yaml})" if found.yaml else ""
    hint = f"; {found.hint}" if found.hint else ""
    about = f"{found.element}: " if found.yaml and found.element else ""
    return f"{at}: {about}{found.message}{hint}{where} [{found.code}]"
