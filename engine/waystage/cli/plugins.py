"""`waystage plugins`."""

from __future__ import annotations

import click

from waystage.cli.show import emit_json, json_option, table


@click.command("plugins")
@click.argument("use", required=False)
@json_option
def plugins_verb(use: str | None, as_json: bool) -> None:
    """List the plugins, or show one with its example and fields."""
    from waystage.registry import find, load_catalog

    catalog = load_catalog()
    if use:
        plugin = find(catalog, use)
        if as_json:
            emit_json(plugin.model_json_schema())
            return
        click.echo(f"{plugin.use} ({plugin.kind})\n\n{plugin.__doc__ or ''}")
        rows = [(f.alias or n, "yes" if f.is_required() else "", f.description or "")
                for n, f in plugin.model_fields.items()]  # fmt: skip
        table("Fields", ("field", "needed", "what"), rows)
        return
    rows3 = [(p.kind, p.use, (p.__doc__ or "").strip().splitlines()[0]) for p in catalog.values()]
    if as_json:
        emit_json([{"kind": kind, "use": name, "what": what} for kind, name, what in rows3])
    else:
        table("Plugins", ("kind", "use", "what"), sorted(rows3))
