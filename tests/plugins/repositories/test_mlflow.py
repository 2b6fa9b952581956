"""MLflow's registry as a repository, against a real server and what its own client logged."""

from __future__ import annotations

import json
import logging
import shutil
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any, NoReturn

import httpx
import pytest
from mlflow_logging import Registry

from waystage.errors import Conflict, Hopeless, NotFound
from waystage.testing import FakeContext, check_repository, check_step
from waystage_plugins.repositories import Mlflow
from waystage_plugins.repositories.tree import tree_digest, tree_files
from waystage_plugins.steps.annotate import Annotate
from waystage_plugins.steps.model_check import CheckModel

pytestmark = pytest.mark.heavy


def test_mlflow_keeps_the_contract(
    registry: Registry, mlflow: Mlflow, ctx: FakeContext, name: str, tmp_path: Path
) -> None:
    made = check_repository(mlflow, ctx, _source(tmp_path), _manifest(name))
    assert made.id == f"{name}/1"


def test_a_logged_model_is_a_snapshot_with_all_that_mlflow_knows(
    registry: Registry, mlflow: Mlflow, ctx: FakeContext, name: str
) -> None:
    registry.register(name, "table", services="credit-risk, heloc-1", candidate="champion")
    (found,) = mlflow.snapshots(ctx)
    assert found.id == f"{name}/1"
    assert found.services == ("credit-risk", "heloc-1")
    assert found.tags == {"candidate": "champion"}
    assert [(c.name, c.type) for c in found.inputs] == [
        ("income", "number"), ("purpose", "string"), ("months", "integer"),
    ]  # fmt: skip
    assert [(c.name, c.type) for c in found.outputs] == [("score", "number")]
    assert found.example[0] == {"income": 1.5, "purpose": "car", "months": 6}
    assert found.metrics == {"auc": 0.71, "ks": 0.4}
    assert (found.author, found.format) == ("dana", "mlflow")
    assert (found.lineage.run, found.lineage.commit) == (registry.logged["run"], "c0ffee")
    assert found.lineage.data, "MLflow's digest of the training data is told"
    assert found.digest == tree_digest(tree_files(registry.files(name, "1")))


def test_a_saved_model_with_named_tensors_has_columns(
    registry: Registry, mlflow: Mlflow, ctx: FakeContext, name: str
) -> None:
    registry.register(name, "arrays", services="credit-risk", author="vera")
    found = mlflow.get(ctx, name, "1")
    assert (found.format, found.author) == ("savedmodel", "vera")
    assert [(c.name, c.type) for c in found.inputs] == [("income", "number"), ("purpose", "string")]
    assert [(c.name, c.type) for c in found.outputs] == [("score", "number")]


def test_those_who_look_first_at_once_see_the_same(
    registry: Registry, mlflow: Mlflow, ctx: FakeContext, name: str
) -> None:
    registry.register(name, "arrays", services="credit-risk")
    assert ctx.http is not None, "one client for all of them"
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: mlflow.get(ctx, name, "1"), range(8)))
    assert found == [found[0]] * 8


def test_a_model_without_a_signature_is_refused_by_model_check(
    registry: Registry, mlflow: Mlflow, ctx: FakeContext, name: str
) -> None:
    registry.register(name, "bare", services="credit-risk")
    ctx.snapshot, ctx.repository = mlflow.get(ctx, name, "1"), mlflow
    answer = CheckModel().run(ctx)
    assert "the manifest has no inputs" in str(answer)


def test_what_is_fetched_is_what_was_pinned(
    registry: Registry, mlflow: Mlflow, ctx: FakeContext, name: str, tmp_path: Path
) -> None:
    registry.register(name, "arrays", services="credit-risk")
    found = mlflow.get(ctx, name, "1")
    fetched = mlflow.fetch(ctx, found, tmp_path)
    assert tree_files(fetched) == found.files
    assert (fetched / "data/model/saved_model.pb").read_bytes() == b"a graph"


@pytest.mark.parametrize("how", ["changed", "deleted", "added", "all gone"])
def test_files_that_change_after_the_first_look_are_refused(
    registry: Registry, mlflow: Mlflow, ctx: FakeContext, tmp_path: Path, how: str
) -> None:
    name = f"changing-{how.replace(' ', '-')}"
    source = _source(tmp_path)
    made = mlflow.register(ctx, source, {"name": name, "services": ["credit-risk"]}, key="k")
    files = registry.files(name, "1")
    if how == "changed":
        (files / "model.onnx").write_bytes(b"other weights")
    elif how == "deleted":
        (files / "model.onnx").unlink()
    elif how == "added":
        (files / "more.bin").write_bytes(b"more")
    else:
        shutil.rmtree(files)
    said = {"changed": "model.onnx has sha256:", "added": "more.bin is there but not listed"}
    with pytest.raises(Hopeless, match=said.get(how, "model.onnx is missing")):
        mlflow.fetch(ctx, made, tmp_path)
    assert mlflow.get(ctx, name, "1") == made, "the pin holds"
    assert not list(tmp_path.glob(".incoming-*"))


def test_a_daemon_that_lost_its_pins_sees_by_the_tag_that_files_were_changed(
    registry: Registry, mlflow: Mlflow, ctx: FakeContext, name: str, tmp_path: Path
) -> None:
    mlflow.register(ctx, _source(tmp_path), _manifest(name), key="k")
    (registry.files(name, "1") / "model.onnx").write_bytes(b"other weights")
    other = FakeContext(tmp_path / "other")
    with pytest.raises(Hopeless, match="they were changed"):
        mlflow.get(other, name, "1")


def test_a_version_without_files_is_refused_and_told_once(
    registry: Registry, mlflow: Mlflow, ctx: FakeContext, name: str, tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    mlflow.register(ctx, _source(tmp_path), _manifest(name), key="k")
    shutil.rmtree(registry.files(name, "1"))
    other = FakeContext(tmp_path / "other")
    with caplog.at_level(logging.WARNING):
        cursor, found = mlflow.watch(other, {})
        other.clock.turn(timedelta(minutes=6))
        cursor, again = mlflow.watch(other, cursor)
    assert found == again == []
    assert len([r for r in caplog.records if "has no artifacts" in r.getMessage()]) == 1


def test_a_version_that_was_refused_is_looked_at_again_after_a_while(
    registry: Registry, mlflow: Mlflow, ctx: FakeContext, name: str, tmp_path: Path
) -> None:
    mlflow.register(ctx, _source(tmp_path), _manifest(name), key="k")
    files, other = registry.files(name, "1"), FakeContext(tmp_path / "other")
    files.rename(files.with_name("away"))
    cursor, _ = mlflow.watch(other, {})
    files.with_name("away").rename(files)
    cursor, soon = mlflow.watch(other, json.loads(json.dumps(cursor)))
    assert soon == [], "what is large is not read every few seconds"
    other.clock.turn(timedelta(minutes=6))
    assert [s.id for s in mlflow.watch(other, cursor)[1]] == [f"{name}/1"]


def test_versions_are_told_once_they_are_for_a_service(
    registry: Registry, mlflow: Mlflow, ctx: FakeContext, name: str
) -> None:
    for services in ("", "credit-risk", ""):
        registry.register(name, "table", services=services)
    cursor, found = mlflow.watch(ctx, {})
    assert [s.version for s in found] == ["2"]
    registry.tag(name, "1", "services", "credit-risk")
    cursor, found = mlflow.watch(ctx, json.loads(json.dumps(cursor)))
    assert [s.version for s in found] == ["1"], "also one older than others that were told"
    assert mlflow.watch(ctx, cursor) == (cursor, [])


def test_a_model_that_was_deleted_and_made_again_is_another_one(
    registry: Registry, mlflow: Mlflow, ctx: FakeContext, name: str
) -> None:
    registry.register(name, "table", services="credit-risk")
    cursor, (first,) = mlflow.watch(ctx, {})
    url = f"{registry.server.url}/api/2.0/mlflow/registered-models/delete"
    httpx.request("DELETE", url, json={"name": name}, trust_env=False).raise_for_status()
    registry.register(name, "arrays", services="credit-risk")
    _, (second,) = mlflow.watch(ctx, cursor)
    assert (first.id, first.digest != second.digest) == (second.id, True)


def test_the_tags_of_the_registered_model_stand_behind_those_of_the_version(
    registry: Registry, mlflow: Mlflow, ctx: FakeContext, name: str
) -> None:
    registry.register(name, "table", team="risk", candidate="challenger")
    for key, value in (("services", "credit-risk"), ("candidate", "none"), ("area", "retail")):
        registry.post("registered-models/set-tag", {"name": name, "key": key, "value": value})
    (found,) = mlflow.snapshots(ctx)
    assert found.services == ("credit-risk",)
    assert found.tags == {"team": "risk", "area": "retail", "candidate": "challenger"}


def test_a_run_that_was_deleted_leaves_a_model_without_metrics(
    registry: Registry, mlflow: Mlflow, ctx: FakeContext, name: str, tmp_path: Path
) -> None:
    registry.register(name, "table", services="credit-risk")
    with closing(sqlite3.connect(registry.server.root / "mlflow.db")) as database, database:
        database.execute("UPDATE model_versions SET run_id = ? WHERE name = ?", ("0" * 32, name))
    found = mlflow.get(ctx, name, "1")
    assert (found.metrics, found.author, found.lineage.run) == ({}, "", None)
    assert found.inputs, "what its files say is still there"


def test_what_was_registered_is_an_mlflow_version_with_run_metrics_and_tags(
    registry: Registry, mlflow: Mlflow, ctx: FakeContext, name: str, tmp_path: Path
) -> None:
    source = _source(tmp_path)
    (source / "model.sig").write_bytes(b"a signature")
    manifest = _manifest(name) | {"metrics": {"auc": 0.8}, "lineage": {"parent": "credit/1"}}
    made = mlflow.register(ctx, source, manifest, key="run-1/2/register")
    assert made.metrics == {"auc": 0.8}
    assert made.lineage.parent == "credit/1"
    assert (made.tags, made.author) == ({"candidate": "challenger"}, "dana")
    assert mlflow.signature(ctx, made) == b"a signature"
    assert list(made.files) == ["model.onnx"]
    run = registry.get("runs/get", run_id=registry.version(name)["run_id"])["run"]
    assert run["info"]["status"] == "FINISHED"
    assert [(m["key"], m["value"]) for m in run["data"]["metrics"]] == [("auc", 0.8)]


def test_an_attempt_that_died_before_it_registered_is_gone_on_with(
    registry: Registry, mlflow: Mlflow, ctx: FakeContext, name: str, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    from waystage_plugins.repositories import mlflow_register

    with monkeypatch.context() as patched:
        patched.setattr(mlflow_register, "_log", _die)
        with pytest.raises(KeyboardInterrupt):
            mlflow.register(ctx, _source(tmp_path), _manifest(name), key="k")
    made = mlflow.register(ctx, tmp_path / "source", _manifest(name), key="k")
    assert made.version == "1"
    home = registry.get("experiments/get-by-name", experiment_name="waystage")["experiment"]
    found = registry.post("runs/search", {"experiment_ids": [home["experiment_id"]]})["runs"]
    mine = [run for run in found if run["info"]["run_name"] == f"waystage: {name}"]
    assert len(mine) == 1, "its run was used again"


def test_a_version_of_ones_own_choice_is_refused(
    mlflow: Mlflow, ctx: FakeContext, name: str, tmp_path: Path
) -> None:
    with pytest.raises(Hopeless, match="MLflow numbers versions itself"):
        mlflow.register(ctx, _source(tmp_path), {"name": name, "version": "7"}, key="k")


def test_aliases_are_those_of_mlflow(
    registry: Registry, mlflow: Mlflow, ctx: FakeContext, name: str
) -> None:
    for _ in range(2):
        registry.register(name, "table", services="credit-risk")
    assert mlflow.alias(ctx, "no-such-model", "champion") is None
    registry.post("registered-models/alias", {"name": name, "alias": "champion", "version": "1"})
    assert mlflow.alias(ctx, name, "champion") == "1"
    with pytest.raises(Conflict, match="points to 1, not to nothing as expected"):
        mlflow.set_alias(ctx, name, "champion", "2", expect=None)
    mlflow.set_alias(ctx, name, "champion", "2", expect="1")
    assert mlflow.alias(ctx, name, "champion") == "2"
    with pytest.raises(NotFound):
        mlflow.set_alias(ctx, name, "champion", "9", expect="2")
    with pytest.raises(Hopeless, match="reserved"):
        mlflow.set_alias(ctx, name, "v1", "1", expect=None)


def test_notes_are_tags_of_the_version(
    registry: Registry, mlflow: Mlflow, ctx: FakeContext, name: str
) -> None:
    registry.register(name, "table", services="credit-risk")
    ctx.snapshot, ctx.repository = mlflow.get(ctx, name, "1"), mlflow
    world = lambda: mlflow.get(ctx, name, "1").tags  # noqa: E731  # a name for what is compared
    for stage in ("DEV", "PROD"):
        check_step(Annotate(notes={"in": stage}), ctx, world=world)
    assert world() == {"in": "PROD"}
    for tag in ("services", "author", "waystage.digest"):
        with pytest.raises(Hopeless, match="give the note another name"):
            mlflow.annotate(ctx, ctx.snapshot, {tag: "x"})


@pytest.mark.parametrize(("name", "version"), [
    ("nope", "1"), ("..", "1"), ("a'b", "1"), ("nope", "x"), ("nope", "9" * 30),
])  # fmt: skip
def test_what_is_not_there_is_not_found(
    registry: Registry, ctx: FakeContext, name: str, version: str
) -> None:
    with pytest.raises(NotFound):
        Mlflow(url=registry.server.url).get(ctx, name, version)


def test_a_name_that_is_none_here_is_told(
    registry: Registry, ctx: FakeContext, caplog: pytest.LogCaptureFixture
) -> None:
    registry.register("Credit Risk", "table", services="credit-risk")
    assert Mlflow(url=registry.server.url, models=("Credit*",)).watch(ctx, {})[1] == []
    assert "'Credit Risk' is no name for a model here" in caplog.text


def _die(*_: object) -> NoReturn:
    raise KeyboardInterrupt


def _source(root: Path) -> Path:
    source = root / "source"
    source.mkdir()
    (source / "model.onnx").write_bytes(b"weights")
    return source


def _manifest(name: str) -> dict[str, Any]:
    return {
        "name": name, "services": ["credit-risk"], "author": "dana", "format": "onnx",
        "tags": {"candidate": "challenger"},
    }  # fmt: skip
