"""`waystage demo`: the whole loop on this machine, nothing faked but the clock."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("demo")
@click.argument("directory", type=click.Path(path_type=Path), default=Path("demo-project"))
@click.option("--keep", is_flag=True, help="Leave the project and its daemon running.")
@click.option("--stop", is_flag=True, help="Play nothing; end what --keep left running.")
def demo_verb(directory: Path, keep: bool, stop: bool) -> int:
    """Play a model's life: approve, deploy, watch, retrain, replace."""
    from waystage.cli.demo.story import end_kept, play

    return end_kept(directory) if stop else play(directory, keep=keep)
