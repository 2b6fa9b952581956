"""What the runtime learns of a server from outside: from its answers, its files, its process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from waystage.plugin import Difference, Endpoint, Observation, Phase, Services
from waystage.plugin.answers import Speech
from waystage_plugins.runtimes.files import last_lines, read_json
from waystage_plugins.runtimes.holder import exit_code, say_exit, wait_for
from waystage_plugins.runtimes.serving.config import FAILURE, LOG, SERVER, VERSIONS, Config, Entry

NOTICE_SECONDS = 5.0


def model_url(port: object, model: str) -> str:
    """Give the address of a model; `:predict` and the like are put behind it."""
    return f"http://127.0.0.1:{port}/v1/models/{model}"


def ask(ctx: Services, port: object) -> dict[str, Any] | None:
    """Ask a server what it holds; None when it does not answer."""
    import httpx

    try:
        answer = ctx.http.get(f"http://127.0.0.1:{port}{VERSIONS}", timeout=5)
        found = answer.json() if answer.status_code == 200 else None
    except (httpx.TransportError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def await_notice(ctx: Services, directory: Path, revision: int) -> None:
    """Give the server the moment that it needs to see the change."""

    def noticed() -> bool:
        port = read_json(directory / SERVER).get("port")
        seen = ask(ctx, port) if port else None
        return bool(seen and seen["revision"] >= revision)

    wait_for(directory, noticed, NOTICE_SECONDS)


def observed(seen: dict[str, Any], config: Config, entry: Entry, port: int) -> Observation:
    """Say how a deployment fares by what its server told.

    The latest of its role is ready once it has the label; an earlier one while it is loaded.
    """
    mine = seen["versions"].get(str(entry.number))
    if mine is None or (mine["asked"] != config.asked(entry.number) and not mine["digest"]):
        return said("pending", "loading", "the version is loading")
    if mine["state"] != "AVAILABLE":
        failed = mine["state"] == "END"
        told = mine["error"] if failed else "the version is loading"
        return said("failed" if failed else "pending", mine["reason"] or "loading", told)
    same_role = [each.number for each in config.entries if each.role == entry.role]
    if same_role[-1] == entry.number and seen["labels"].get(entry.role) != entry.number:
        return said("pending", "labelling", f"the label {entry.role} is about to move here")
    answering = seen["labels"].get(entry.role)
    others = "" if answering == entry.number else f"; {entry.role} is version {answering}"
    return Observation(
        phase="ready",
        digest=mine["digest"],
        endpoints=tuple(_endpoint(each, seen, config, entry, port) for each in config.speaks),
        message=f"version {entry.number} answers{others}",
        generation=entry.key,
    )


def _endpoint(
    protocol: Speech, seen: dict[str, Any], config: Config, entry: Entry, port: int
) -> Endpoint:
    url = model_url(port, config.model)
    if protocol == "grpc":
        url = f"grpc://127.0.0.1:{seen.get('grpc_port')}/{config.model}"
    if entry.role != "champion":
        url += f"/labels/{entry.role}"
    return Endpoint(protocol=protocol, url=url)


def dead(directory: Path, *, restart: bool = False) -> Observation:
    """Say why the directory's server does not run, and whether it is to be started again."""
    failure = read_json(directory / FAILURE)
    if failure:
        seen = said("failed", failure["reason"], failure["message"])
    else:
        code = exit_code(directory)
        how = "is gone" if code is None else say_exit(code)
        last = last_lines(directory / LOG, 1) or "it printed nothing"
        seen = said("failed", "died", f"the server's process {how}; last line: {last}")
    return gone(seen, restart=restart)


def gone(seen: Observation, *, restart: bool) -> Observation:
    """Say besides that no process is there, and whether one is to be started again."""
    differs = (Difference(what="process", wanted="a process", found=seen.message),)
    return seen.model_copy(update={"differs": differs, "restart": restart})


def said(phase: Phase, reason: str, message: str) -> Observation:
    """Say what there is to say where nothing answers."""
    return Observation(phase=phase, reason=reason, message=message[:1000])
