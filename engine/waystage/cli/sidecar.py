"""`waystage sidecar`."""

from __future__ import annotations

import logging
import os
import signal
import sys
from pathlib import Path

import click

from waystage.cli import logs
from waystage.errors import EXIT_FINE

MEGABYTE = 1_000_000


def _address(
    _ctx: click.Context, _option: click.Parameter, text: str | None
) -> tuple[str, int] | None:
    if text is None:
        return None
    host, _, port = text.removeprefix("http://").rstrip("/").rpartition(":")
    if not host or not port.isdigit() or int(port) > 65535:
        raise click.BadParameter(f"{text}: say HOST:PORT, as 127.0.0.1:8501")
    return host.strip("[]"), int(port)


@click.command("sidecar")
@click.option("--service", required=True, envvar="WAYSTAGE_SERVICE", help="Whose model it is.")
@click.option("--stage", required=True, envvar="WAYSTAGE_STAGE", help="Where it runs.")
@click.option("--snapshot", required=True, envvar="WAYSTAGE_SNAPSHOT_ID",
              help="Which version answers: NAME/VERSION.")  # fmt: skip
@click.option("--role", type=click.Choice(["champion", "challenger"]), default="champion",
              envvar="WAYSTAGE_ROLE", show_default=True,
              help="As what the snapshot answers.")  # fmt: skip
@click.option("--daemon", required=True, envvar="WAYSTAGE_URL",
              help="Where they are told; https, or this machine's.")  # fmt: skip
@click.option("--token-file", type=click.Path(dir_okay=False, path_type=Path), default=None,
              envvar="WAYSTAGE_TOKEN_FILE",
              help="Holds the token of the service; else WAYSTAGE_TOKEN.")  # fmt: skip
@click.option("--ca", type=click.Path(exists=True, dir_okay=False), default=None,
              envvar="WAYSTAGE_CA", help="Certificates that are believed.")  # fmt: skip
@click.option("--upstream", default="127.0.0.1:8501", callback=_address, show_default=True,
              envvar="WAYSTAGE_UPSTREAM", help="The model server.")  # fmt: skip
@click.option("--listen", default="127.0.0.1:8500", callback=_address, show_default=True,
              envvar="WAYSTAGE_LISTEN",
              help="Where requests come; 0.0.0.0:PORT for those of other machines.")  # fmt: skip
@click.option("--journal", required=True, type=click.Path(file_okay=False, path_type=Path),
              envvar="WAYSTAGE_JOURNAL", help="A directory of its own.")  # fmt: skip
@click.option("--journal-mb", type=click.IntRange(1, 1_000_000), default=1000, show_default=True,
              envvar="WAYSTAGE_JOURNAL_MB", help="How large the journal may become.")  # fmt: skip
@click.option("--score", default="", envvar="WAYSTAGE_SCORE",
              help="Where the score is in an answer, as probabilities.1.")  # fmt: skip
@click.option("--columns", default="", envvar="WAYSTAGE_COLUMNS",
              help="Names of the values, where a row is one list: income,age.")  # fmt: skip
@click.option("--timeout", type=click.FloatRange(0.1, 3600), default=60.0, show_default=True,
              help="Seconds for an answer of the model server.")  # fmt: skip
@click.option("--durable", is_flag=True, envvar="WAYSTAGE_DURABLE",
              help="Answer only what would outlive a power cut: slower.")  # fmt: skip
@click.option("--mirror", default=None, callback=_address, envvar="WAYSTAGE_MIRROR",
              help="A challenger's sidecar, which gets copies of scoring requests.")  # fmt: skip
@click.option("--log", type=click.Choice(["text", "json"]), default="text", show_default=True,
              help="Lines for people, or a JSON object per line.")  # fmt: skip
def sidecar_verb(
    service: str, stage: str, snapshot: str, role: str, daemon: str, token_file: Path | None,
    ca: str | None, upstream: tuple[str, int], listen: tuple[str, int], journal: Path,
    journal_mb: int, score: str, timeout: float, durable: bool, mirror: tuple[str, int] | None,
    columns: str, log: str,
) -> int:  # fmt: skip
    """Stand before a model server, pass its requests on, and tell the scoring log of them.

    The server speaks TensorFlow Serving's REST protocol. What was answered is in a journal on
    disk first, and delivered until the daemon has it; requests are answered all the same while
    the daemon is away. `/waystage/health` and `/waystage/metrics` say how it goes.
    """
    from waystage.sidecar.rows import About
    from waystage.sidecar.run import Settings, Sidecar

    logs.begin(log, quiet=False)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    settings = Settings(
        listen, upstream, daemon, journal, os.environ.get("WAYSTAGE_TOKEN", ""), token_file, ca,
        journal_mb * MEGABYTE, timeout, durable, mirror,
    )  # fmt: skip
    names = tuple(name.strip() for name in columns.split(",") if name.strip())
    sidecar = Sidecar(settings, About(service, stage, snapshot, role, score, names))
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, lambda *_: sidecar.stop())
    click.echo(f"listening on port {sidecar.port}, passing on to {upstream[0]}:{upstream[1]}")
    sys.stdout.flush()
    sidecar.run()
    return EXIT_FINE
