"""The verbs, by what people do with them: verb → module below waystage.cli.

The function there has the verb's name.
"""

from __future__ import annotations

import importlib

import click

SECTIONS: dict[str, dict[str, str]] = {
    "Begin": {
        "demo": "demo",
        "init": "project",
        "add": "adding",
        "up": "up",
    },
    "Write lifecycles": {
        "validate": "validate",
        "test": "test",
        "simulate": "simulate",
        "plan": "plan",
        "migrate": "migrate",
        "replay": "replay",
        "reload": "reload",
        "graph": "graph",
        "plugins": "plugins",
        "schema": "schema",
        "import": "importing",
    },
    "Follow runs": {
        "start": "runs",
        "list": "runs",
        "show": "runs",
        "history": "runs",
        "where": "inventory",
        "drift": "drift",
        "why-runtime": "inventory",
        "measurements": "inventory",
        "measure": "measure",
        "report": "report",
        "evidence": "evidence",
        "labels": "labels",
        "signal": "signals",
    },
    "Decide": {
        "tasks": "tasks",
        "claim": "tasks",
        "release": "tasks",
        "delegate": "tasks",
        "complete": "tasks",
    },
    "Mend and hold": {
        "incidents": "incidents",
        "retry": "incidents",
        "skip": "incidents",
        "goto": "incidents",
        "set": "incidents",
        "abort": "incidents",
        "pause": "pauses",
        "resume": "pauses",
        "stop-the-line": "line",
        "open-the-line": "line",
        "override": "line",
    },
    "Operate": {
        "health": "reload",
        "doctor": "doctor",
        "audit": "audit",
        "token": "token",
        "backup": "backup",
        "restore": "backup",
        "purge": "purge",
        "sidecar": "sidecar",
        "clock": "clock",
        "completion": "about",
        "version": "about",
    },
}
# what other tools call it
ELSEWHERE = {
    "approve": "complete TASK --outcome approve",
    "cancel": "abort RUN",
    "check": "validate",
    "decide": "complete TASK --outcome OUTCOME",
    "deploy": "start LIFECYCLE SERVICE NAME/VERSION",
    "help": "--help",
    "lint": "validate",
    "log": "history RUN",
    "logs": "history RUN",
    "ls": "list",
    "new": "init DIRECTORY",
    "promote": "start LIFECYCLE SERVICE NAME/VERSION",
    "ps": "list, or where SERVICE",
    "reject": "complete TASK --outcome reject --comment …",
    "rollback": "signal rollback.wanted --run RUN",
    "run": "start LIFECYCLE SERVICE NAME/VERSION",
    "runs": "list",
    "serve": "up",
    "server": "up",
    "status": "list, or show RUN",
}
VERBS = {verb: module for verbs in SECTIONS.values() for verb, module in verbs.items()}


class Verbs(click.Group):
    """A group that imports a verb when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Give the verbs in the order in which people meet them."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Import one verb."""
        module = VERBS.get(name)
        if module is None:
            return None
        found = importlib.import_module(f"waystage.cli.{module}")
        command: click.Command = getattr(found, f"{name.replace('-', '_')}_verb")
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the verb; one that is not there is told with those that may be meant."""
        try:
            return super().resolve_command(ctx, args)
        except click.NoSuchCommand as error:
            name = error.command_name
            message = f"there is no verb {name!r}."
            if meant := ELSEWHERE.get(name.lower()):
                raise click.UsageError(f"{message} Say: waystage {meant}", ctx) from error
            raise click.NoSuchCommand(name, message, possibilities=VERBS, ctx=ctx) from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the verbs by section, each with its first sentence."""
        widest = max(len(verb) for verb in VERBS)
        for title, verbs in SECTIONS.items():
            with formatter.section(title):
                rows = [(verb.ljust(widest), _says(self.get_command(ctx, verb))) for verb in verbs]
                formatter.write_dl(rows)


def _says(command: click.Command | None) -> str:
    return command.get_short_help_str(limit=300) if command else ""
