"""`waystage evidence`."""

from __future__ import annotations

import hashlib
from pathlib import Path

import click

from waystage.cli.place import find_project
from waystage.cli.show import clean, emit_json, json_option
from waystage.errors import EXIT_FINE, EXIT_REFUSED

VERIFY = "verify"


@click.command("evidence")
@click.argument("what", nargs=-1, required=True, metavar="RUN|SERVICE | verify FILE")
@click.option("--out", "-o", type=click.Path(dir_okay=False, path_type=Path), default=None,
              help="The zip to write; else RUN-evidence.zip.")  # fmt: skip
@json_option
@click.pass_context
def evidence_verb(
    ctx: click.Context, what: tuple[str, ...], out: Path | None, as_json: bool
) -> int:
    """Pack all evidence about a run or a service into one zip, or verify such a pack.

    In it are the report, the model card, decisions, measurements, definitions, manifests, and the
    histories with their hash chains. The same database gives the same bytes. `verify` needs no
    project; `sha256sum -c SHA256SUMS` in the unpacked files says whether they were changed.
    """
    if len(what) == 2 and what[0] == VERIFY:
        return _verify(Path(what[1]), as_json)
    if len(what) != 1:
        raise click.UsageError("say a RUN or a SERVICE, or verify FILE")
    return _pack(ctx, what[0], out or Path(f"{what[0]}-evidence.zip"), as_json)


def _pack(ctx: click.Context, what: str, out: Path, as_json: bool) -> int:
    from waystage.daemon.daemon import Daemon
    from waystage.daemon.evidence import evidence

    daemon = Daemon(find_project(ctx.obj["project"]), upgrade=False)  # never started: it reads
    try:
        found = evidence(daemon, what)
    finally:
        daemon.store.close()
    beside = out.with_name(out.name + ".new")
    beside.write_bytes(found)
    beside.replace(out)
    digest = f"sha256:{hashlib.sha256(found).hexdigest()}"
    if as_json:
        emit_json({"file": str(out), "digest": digest, "bytes": len(found)})
    else:
        click.echo(f"{out}: {len(found):,} bytes, {digest}. Keep the digest elsewhere, too.")
    return EXIT_FINE


def _verify(path: Path, as_json: bool) -> int:
    from waystage.daemon.evidence import verified

    told, findings = verified(path)
    if as_json:
        emit_json({name: told.get(name) for name in ("subject", "project", "at", "runs")}
                  | {"files": len(told["files"]), "findings": findings})  # fmt: skip
        return EXIT_REFUSED if findings else EXIT_FINE
    for each in findings:
        click.echo(clean(each))
    good = f"{len(findings)} findings" if findings else "every file is as it was packed"
    click.echo(clean(f"{path}: {told.get('subject')} of {told.get('project')}, {told.get('at')}, "
                     f"{len(told['files'])} files: {good}."))  # fmt: skip
    return EXIT_REFUSED if findings else EXIT_FINE
