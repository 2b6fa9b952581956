"""The files of the run's snapshot on this machine, kept once per digest."""

from __future__ import annotations

import shutil
from pathlib import Path

from waystage.errors import Hopeless
from waystage.plugin import Context, DeploySpec, JsonObject, Opening, Role, Snapshot
from waystage_plugins.repositories.layout import locked
from waystage_plugins.repositories.tree import sync_directory, tree_digest, tree_files


def fetch_artifact(ctx: Context, snapshot: Snapshot | None = None) -> Path:
    """Give the directory with a snapshot's files, every byte checked against its digest.

    It is `artifacts/<hex of the digest>` in the daemon's directory; other versions with the
    same bytes share it. Raises `Hopeless` when the repository has other bytes.
    """
    wanted = snapshot or ctx.snapshot
    home = ctx.state / "artifacts"
    home.mkdir(exist_ok=True)
    place = home / wanted.digest.removeprefix("sha256:")
    # steps of several runs may want the same digest at once: one fetches, the others find it
    with locked(place.with_suffix(".lock")):
        if not _is_whole(place, wanted):
            shutil.rmtree(place, ignore_errors=True)
            _fetch(ctx, wanted, place)
    return place


def deploy_spec(
    ctx: Context,
    stage: str,
    source: Path,
    role: Role = "champion",
    image: str = "",
    endpoints: tuple[Opening, ...] = (),
) -> DeploySpec:
    """Say what should run: the run's snapshot from `source`, answering into the scoring log."""
    return DeploySpec(
        service=ctx.service,
        stage=stage,
        snapshot=ctx.snapshot,
        source=str(source),
        role=role,
        run=ctx.run,
        image=image,
        scoring_log=_scoring_log(ctx),
        endpoints=endpoints,
    )


def need_stage(ctx: Context) -> str:
    """Give the stage of the state, or raise `Hopeless` saying how it gets one."""
    if ctx.stage is None:
        raise Hopeless(f"state {ctx.state_name} belongs to no stage; give it stage: or stages:")
    return ctx.stage


def _scoring_log(ctx: Context) -> JsonObject | None:
    try:
        log = ctx.scoring_log
        return {"use": log.use, "with": log.model_dump(mode="json", by_alias=True)}
    except Hopeless:
        return None  # the project has none: what is asked and answered is not kept


def _is_whole(place: Path, snapshot: Snapshot) -> bool:
    return place.is_dir() and tree_digest(tree_files(place)) == snapshot.digest


def _fetch(ctx: Context, snapshot: Snapshot, place: Path) -> None:
    beside = place.with_suffix(".new")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir()
    try:
        fetched = ctx.repository.fetch(ctx, snapshot, beside)
        if not _is_whole(fetched, snapshot):
            raise Hopeless(f"the repository's files of {snapshot.id} are not {snapshot.digest}")
        fetched.rename(place)
        sync_directory(place.parent)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
