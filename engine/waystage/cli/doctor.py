"""`waystage doctor`."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict

import click

from waystage.cli.place import find_project
from waystage.cli.show import emit_json, json_option, paragraph
from waystage.errors import EXIT_FINE, EXIT_REFUSED

MARKS = {"good": "ok   ", "note": "note ", "wrong": "WRONG"}


@click.command("doctor")
@json_option
@click.pass_context
def doctor_verb(ctx: click.Context, as_json: bool) -> int:
    """Look at everything that the project is built on; exit 1 if something is wrong.

    Nothing is changed and no message is sent.
    """
    from waystage.daemon.doctor import examine

    found = list(dict.fromkeys(examine(find_project(ctx.obj["project"]))))  # each cure once
    count = Counter(each.level for each in found)
    if as_json:
        emit_json({"wrong": count["wrong"], "found": [asdict(each) for each in found]})
    else:
        for each in found:
            paragraph(f"{MARKS[each.level]}  ", f"{each.area}: {each.said}")
            if each.cure:
                paragraph("         → ", each.cure)
        wrong = count["wrong"]
        click.echo(f"{wrong} {'thing is' if wrong == 1 else 'things are'} wrong."
                   if wrong else "Nothing is wrong.")  # fmt: skip
    return EXIT_REFUSED if count["wrong"] else EXIT_FINE
