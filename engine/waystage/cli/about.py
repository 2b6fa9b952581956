"""`waystage version, completion`."""

from __future__ import annotations

import click

from waystage import __version__
from waystage.cli.show import json_option


@click.command("version")
@json_option
def version_verb(as_json: bool) -> None:
    """Print the version."""
    click.echo(f'{{"version": "{__version__}"}}' if as_json else f"waystage {__version__}")


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion_verb(shell: str) -> None:
    """Print what makes a shell complete verbs: eval "$(waystage completion bash)"."""
    from click.shell_completion import get_completion_class

    from waystage.cli.main import waystage

    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(waystage, {}, "waystage", "_WAYSTAGE_COMPLETE").source())
