"""Steps that fetch, keep, name, pack and tell."""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from waystage.errors import Conflict, Hopeless
from waystage.plugin import Championed, Done, Registered, Services, Snapshot
from waystage.testing import FakeContext, check_step, run_to_end
from waystage_plugins.images.bundle import BuildBundle
from waystage_plugins.notifiers.log import LogNotifier
from waystage_plugins.repositories.folder import Folder
from waystage_plugins.steps.notify import Notify
from waystage_plugins.steps.register import Register
from waystage_plugins.steps.repository_fetch import FetchSnapshot
from waystage_plugins.steps.set_champion import SetChampion

DATA = "sha256:" + "d" * 64


def versions(ctx: FakeContext) -> list[str]:
    return [snapshot.id for snapshot in ctx.repository.snapshots(ctx)]


def trained(ctx: FakeContext, manifest: str | None = "metrics: {ks: 0.5}\n") -> str:
    """Put what a training job wrote into the project; give its path from there."""
    directory = ctx.project / "trained"
    directory.mkdir()
    (directory / "model.onnx").write_text("new weights")
    if manifest is not None:
        (directory / "manifest.yaml").write_text(manifest)
    return "trained"


def test_fetched_files_are_kept_under_their_digest(ctx: FakeContext) -> None:
    answer = check_step(
        FetchSnapshot(), ctx, world=lambda: sorted(p.name for p in ctx.state.rglob("*"))
    )
    assert isinstance(answer, Done)
    assert isinstance(answer.output, FetchSnapshot.Output)
    assert answer.output.path.endswith(ctx.snapshot.digest.removeprefix("sha256:"))
    assert (Path(answer.output.path) / "model.onnx").read_bytes() == b"weights"


def test_many_steps_that_want_one_digest_fetch_it_once_and_all_find_it_whole(
    ctx: FakeContext,
) -> None:
    fetched: list[str] = []

    class Counting(Folder):
        use = "test.counting"

        def fetch(self, services: Services, snapshot: Snapshot, into: Path) -> Path:
            fetched.append(snapshot.id)
            return super().fetch(services, snapshot, into)

    ctx.repository = Counting(path="models")
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: FetchSnapshot().run(ctx), range(16)))
    assert fetched == ["credit/1"]
    assert all(answer == answers[0] for answer in answers)


def test_a_retrained_model_is_registered_with_its_lineage(ctx: FakeContext) -> None:
    step = Register.model_validate({"from": trained(ctx), "data": DATA, "tags": {"why": "ks"}})
    answer = check_step(step, ctx, world=lambda: versions(ctx))
    made = ctx.repository.get(ctx, "credit", "2")
    assert isinstance(answer, Done)
    assert answer.facts == (Registered(name="credit", version="2", digest=made.digest),)
    assert (made.lineage.parent, made.lineage.run) == ("credit/1", ctx.run)
    assert made.lineage.data == DATA
    assert made.tags == {"candidate": "challenger", "why": "ks"}
    assert made.metrics == {"ks": 0.5}


def test_what_the_manifest_leaves_open_is_taken_from_the_parent(ctx: FakeContext) -> None:
    run_to_end(Register.model_validate({"from": trained(ctx, None)}), ctx)
    made, parent = ctx.repository.get(ctx, "credit", "2"), ctx.snapshot
    for field in ("services", "format", "author", "inputs", "outputs", "example"):
        assert getattr(made, field) == getattr(parent, field)


def test_what_the_manifest_says_goes_before_the_parent(ctx: FakeContext) -> None:
    manifest = 'version: "1"\nauthor: robo\nformat: onnx\ntags: {candidate: champion}\n'
    run_to_end(Register.model_validate({"from": trained(ctx, manifest)}), ctx)
    made = ctx.repository.get(ctx, "credit", "2")
    assert (made.author, made.format, made.tags["candidate"]) == ("robo", "onnx", "champion")


def test_a_version_may_be_named_but_not_taken(ctx: FakeContext) -> None:
    source = trained(ctx)
    run_to_end(Register.model_validate({"from": source, "version": "2026.1"}), ctx)
    assert versions(ctx) == ["credit/1", "credit/2026.1"]
    ctx.key += "-again"
    with pytest.raises(Conflict, match=r"credit/2026\.1 is in repository folder models already"):
        run_to_end(Register.model_validate({"from": source, "version": "2026.1"}), ctx)


def test_nothing_to_register_is_said(ctx: FakeContext) -> None:
    with pytest.raises(Hopeless, match="nowhere is not a directory"):
        run_to_end(Register.model_validate({"from": "nowhere"}), ctx)


def test_the_champion_moves_and_says_who_was_it_before(
    ctx: FakeContext, release: Callable[..., FakeContext]
) -> None:
    run_to_end(SetChampion(), ctx)
    second = release({"model.onnx": b"other weights"})
    answer = check_step(
        SetChampion(), second, world=lambda: second.repository.alias(ctx, "credit", "champion")
    )
    assert isinstance(answer, Done)
    assert answer.output == SetChampion.Output(version="2", previous="1")
    assert answer.facts == (Championed(),)
    assert second.repository.alias(ctx, "credit", "champion") == "2"


def test_a_bundle_holds_the_files_and_the_manifest(ctx: FakeContext) -> None:
    answer = check_step(
        BuildBundle(tag="1.0.3"), ctx, world=lambda: list((ctx.state / "bundles").iterdir())
    )
    assert isinstance(answer, Done)
    assert isinstance(answer.output, BuildBundle.Output)
    assert answer.output.tag == "1.0.3"
    raw = Path(answer.output.bundle).read_bytes()
    assert answer.output.digest == f"sha256:{hashlib.sha256(raw).hexdigest()}"
    with tarfile.open(answer.output.bundle) as archive:
        assert archive.getnames() == ["snapshot.json", "model/model.onnx", "model/saved_model.pb"]
        told = archive.extractfile("snapshot.json")
        assert told is not None
        assert json.load(told)["digest"] == ctx.snapshot.digest


def test_the_same_model_gives_the_same_bundle_anywhere(ctx: FakeContext, tmp_path: Path) -> None:
    elsewhere = FakeContext(tmp_path / "elsewhere", snapshot=ctx.snapshot)
    elsewhere.repository = Folder(path=str(ctx.project / "models"))
    elsewhere.snapshot = ctx.snapshot.model_copy(update={"repository": "mirror"})
    first, second = run_to_end(BuildBundle(), ctx), run_to_end(BuildBundle(), elsewhere)
    assert isinstance(first.output, BuildBundle.Output)
    assert isinstance(second.output, BuildBundle.Output)
    assert first.output.digest == second.output.digest
    assert first.output.bundle != second.output.bundle


@pytest.mark.parametrize("tag", [";rm", "--privileged", "../up", "A", "x" * 129, "", "a b", "ä"])
def test_a_tag_that_is_none_is_refused(tag: str) -> None:
    with pytest.raises(ValueError, match="tag"):
        BuildBundle(tag=tag)


def test_people_are_told_once_over_the_named_channel(ctx: FakeContext) -> None:
    ctx.notifiers["mlops"] = LogNotifier(path="messages.jsonl")
    step = Notify(to="mlops", text="it is live", level="warn")
    place = ctx.project / "messages.jsonl"
    check_step(step, ctx, world=place.read_text)
    told = json.loads(place.read_text())
    assert (told["title"], told["text"], told["level"]) == (
        "credit-risk: credit/1",
        "it is live",
        "warn",
    )
    assert (told["key"], told["run"]) == (ctx.key, ctx.run)
    assert told["facts"] == {"snapshot": "credit/1", "stage": "DEV", "state": "deploy"}


def test_a_channel_that_is_not_there_is_named(ctx: FakeContext) -> None:
    with pytest.raises(Hopeless, match="'mlops'"):
        run_to_end(Notify(to="mlops", text="x"), ctx)
