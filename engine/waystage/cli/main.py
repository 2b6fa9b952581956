"""The entry: finds the verb, and turns every error into one line and an exit code."""

from __future__ import annotations

import gc
import io
import sys
import tempfile
import traceback
from pathlib import Path
from typing import Any

import click

from waystage import __version__
from waystage.cli.verbs import Verbs
from waystage.errors import EXIT_BUG, EXIT_FINE, EXIT_INTERRUPTED, EXIT_REFUSED, WaystageError

YOUNG = 50_000  # objects made before the collector looks; imports alone make some hundred thousand


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--project", type=click.Path(path_type=Path), default=None,
              help="The project's directory; else the nearest one upward.")  # fmt: skip
@click.option("--as", "person", envvar="WAYSTAGE_AS", default="",
              help="Who acts; else whose token it is, or the daemon's user.")  # fmt: skip
@click.version_option(__version__, prog_name="waystage", message="%(prog)s %(version)s")
@click.pass_context
def waystage(ctx: click.Context, project: Path | None, person: str) -> None:
    """Run model lifecycles that are written as YAML state machines."""
    ctx.obj = {"project": project, "person": person}


def main(arguments: list[str] | None = None) -> None:
    """Run a verb: 0 fine, 1 problems found or refused, 3 our bug, 130 interrupted."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal that has no “ or → gets a ?
            stream.reconfigure(errors="replace")
    gc.set_threshold(YOUNG, 50, 1000)  # most verbs end within a second: a quarter of it was this
    code = run(arguments)
    gc.freeze()  # what is about to end need not be looked through
    sys.exit(code)


def run(arguments: list[str] | None = None) -> int:
    """Run a verb and give its exit code."""
    out = sys.stdout
    try:
        result: Any = waystage.main(arguments, prog_name="waystage", standalone_mode=False)
    except click.exceptions.Abort:
        return EXIT_INTERRUPTED
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except click.ClickException as error:
        error.show()
        return EXIT_REFUSED
    except WaystageError as error:
        click.echo(str(error), err=True)
        return EXIT_REFUSED
    except BrokenPipeError:
        return EXIT_FINE
    except SystemExit as ended:
        # when who reads goes away (`… | head`), rich ends so, and click after it has put a stream
        # in place of stdout that says nothing of it
        if sys.stdout is out and not isinstance(ended.__context__, BrokenPipeError):
            raise
        return EXIT_FINE
    except OSError as error:
        return _told_by_the_system(error) if error.filename is not None else _bug(error)
    except Exception as error:  # noqa: BLE001  # whatever is left is our bug, told in one line
        return _bug(error)
    return result if isinstance(result, int) else EXIT_FINE


def _told_by_the_system(error: OSError) -> int:
    """Tell which file could not be used, and why: the world's no, and no bug of ours."""
    reason = (error.strerror or type(error).__name__).lower()
    cure = ""
    if isinstance(error, PermissionError):
        cure = "; it needs the user whose file or directory that is, or another place"
    elif not (home := Path(error.filename).parent).is_dir():
        cure = f"; there is no directory {home}"
    click.echo(f"{error.filename}: {reason}{cure}", err=True)
    return EXIT_REFUSED


def _bug(error: Exception) -> int:
    with tempfile.NamedTemporaryFile("w", prefix="waystage-", suffix=".txt", delete=False) as file:
        file.write("".join(traceback.format_exception(error)))
    text = f"This is a bug of Waystage: {type(error).__name__}: {error}\nDetails: {file.name}"
    click.echo(text, err=True)
    return EXIT_BUG


if __name__ == "__main__":
    main()
