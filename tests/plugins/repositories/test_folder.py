"""A folder keeps models: versions appear whole, keys repeat nothing, aliases move by consent."""

from __future__ import annotations

import json
import logging
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from waystage.errors import Conflict, Hopeless, NotFound
from waystage.plugin import JsonObject
from waystage.testing import FakeContext
from waystage_plugins.repositories.folder import Folder
from waystage_plugins.repositories.tree import tree_digest, tree_files

MANIFEST: JsonObject = {
    "name": "credit",
    "services": ["credit-risk"],
    "format": "onnx",
    "author": "ada",
    "tags": {"candidate": "champion"},
    "inputs": [{"name": "income"}],
    "example": [{"income": 1.5}],
}


@pytest.fixture
def ctx(tmp_path: Path) -> FakeContext:
    return FakeContext(tmp_path)


@pytest.fixture
def folder() -> Folder:
    return Folder(path="models", settle=0)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    directory = tmp_path / "trained"
    (directory / "sub").mkdir(parents=True)
    (directory / "model.onnx").write_bytes(b"weights")
    (directory / "sub/vocabulary.txt").write_bytes(b"words")
    return directory


def lay(ctx: FakeContext, place: str, manifest: str, files: dict[str, str] | None = None) -> Path:
    """Put a version into the repository as a person with `cp` would."""
    directory = ctx.project / "models" / place
    directory.mkdir(parents=True)
    for name, text in (files or {"model.onnx": "weights"}).items():
        (directory / name).write_text(text)
    (directory / "manifest.yaml").write_text(manifest)
    return directory


def test_what_is_registered_can_be_got_listed_and_fetched(
    ctx: FakeContext, folder: Folder, source: Path, tmp_path: Path
) -> None:
    made = folder.register(ctx, source, MANIFEST, key="k1")
    assert (made.id, made.author, made.digest) == (
        "credit/1",
        "ada",
        tree_digest(tree_files(source)),
    )
    assert folder.get(ctx, "credit", "1") == made
    assert folder.snapshots(ctx) == [made]
    fetched = folder.fetch(ctx, made, tmp_path)
    assert (fetched / "sub/vocabulary.txt").read_bytes() == b"words"
    assert folder.fetch(ctx, made, tmp_path) == fetched


def test_the_next_version_is_the_next_whole_number(
    ctx: FakeContext, folder: Folder, source: Path
) -> None:
    folder.register(ctx, source, {**MANIFEST, "version": "9"}, key="k1")
    folder.register(ctx, source, {**MANIFEST, "version": "2026-rc"}, key="k2")
    assert folder.register(ctx, source, MANIFEST, key="k3").version == "10"
    assert [s.version for s in folder.snapshots(ctx)] == ["9", "10", "2026-rc"]


def test_the_same_key_gives_the_same_version(
    ctx: FakeContext, folder: Folder, source: Path
) -> None:
    first = folder.register(ctx, source, MANIFEST, key="run/1/register")
    (source / "model.onnx").write_bytes(b"other weights")
    assert folder.register(ctx, source, MANIFEST, key="run/1/register") == first
    assert folder.register(ctx, source, MANIFEST, key="run/2/register").version == "2"


def test_without_a_key_the_content_stands_for_it(
    ctx: FakeContext, folder: Folder, source: Path
) -> None:
    first = folder.register(ctx, source, MANIFEST, key="")
    assert folder.register(ctx, source, MANIFEST, key="") == first
    (source / "model.onnx").write_bytes(b"other weights")
    assert folder.register(ctx, source, MANIFEST, key="").version == "2"


def test_a_version_is_never_replaced(ctx: FakeContext, folder: Folder, source: Path) -> None:
    folder.register(ctx, source, {**MANIFEST, "version": "1"}, key="k1")
    with pytest.raises(Conflict, match="credit/1 is in repository folder models already"):
        folder.register(ctx, source, {**MANIFEST, "version": "1"}, key="k2")


def test_what_is_given_goes_before_the_manifest_in_the_source(
    ctx: FakeContext, folder: Folder, source: Path
) -> None:
    (source / "manifest.yaml").write_text(
        "name: credit\nformat: onnx\ntags: {candidate: champion, tier: low}\n"
    )
    made = folder.register(ctx, source, {"tags": {"candidate": "challenger"}}, key="k")
    assert made.tags == {"candidate": "challenger", "tier": "low"}
    assert made.format == "onnx"


def test_processes_that_register_at_once_get_a_version_each(
    ctx: FakeContext, folder: Folder, source: Path
) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(
            pool.map(lambda n: folder.register(ctx, source, MANIFEST, key=f"k{n % 4}"), range(16))
        )
    assert len({snapshot.version for snapshot in made}) == 4
    assert sorted(s.version for s in folder.snapshots(ctx)) == ["1", "2", "3", "4"]


def test_what_a_killed_process_left_is_swept_and_never_seen(
    ctx: FakeContext, folder: Folder, source: Path
) -> None:
    leftover = ctx.project / "models/credit/.incoming-abc"
    shutil.copytree(source, leftover)
    (leftover / "manifest.yaml").write_text("name: credit\n")
    assert folder.watch(ctx, {})[1] == []
    folder.register(ctx, source, MANIFEST, key="k")
    assert not leftover.exists()


@pytest.mark.parametrize(
    ("manifest", "told"),
    [
        ({**MANIFEST, "name": "../up"}, "field name: '../up' is not a name"),
        ({**MANIFEST, "name": "credit\n"}, "field name: .* is not a name"),
        ({"format": "onnx"}, "field name: is missing"),
        ({**MANIFEST, "version": "a/b"}, "field version"),
        ({**MANIFEST, "colour": "red"}, "field colour: there is no such field"),
        ({**MANIFEST, "digest": "sha256:" + "0" * 64}, "field digest: is sha256:0"),
        ({**MANIFEST, "files": {"model.onnx": "sha256:0"}}, "field files: file model.onnx has"),
        ({**MANIFEST, "inputs": [{"name": "a", "type": "money"}]}, r"field inputs\.0\.type"),
    ],
)
def test_a_bad_manifest_leaves_nothing_behind(
    ctx: FakeContext, folder: Folder, source: Path, manifest: JsonObject, told: str
) -> None:
    with pytest.raises(Hopeless, match=told) as caught:
        folder.register(ctx, source, manifest, key="k")
    assert "\n" not in str(caught.value)
    assert "manifest.yaml" in str(caught.value)
    assert [path for path in (ctx.project).rglob("*") if path.name == "model.onnx"] == []


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("name: [", "line 2, column 1"),
        ("- a\n", "is not a manifest"),
        ("name: credit\nname: credit\n", "name is there twice"),
        ("name: credit\nversion: 1.10\n", "field version: write it in quotes"),
        ("a: &x 1\nb: *x\n", "anchor or alias"),
        ("a: !!python/object:os.system {}\n", "has a tag"),
        ("name: credit\nmetrics: {ks: .nan}\n", "field metrics.ks: is not a finite number"),
        ("name: credit\ntags: {tier: 1}\n", "field tags.tier: is not text; write it in quotes"),
        ("name: other\n", "field name: is 'other' but the folder is 'credit'"),
        ("name: credit\nversion: 4\n", "field version: is '4' but the folder is '1'"),
        ("[" * 40 + "]" * 40, "nested too deeply"),
        ("a: " + "x" * (1 << 20), "larger than 1024 KiB"),
    ],
)
def test_an_unreadable_manifest_is_one_clear_line_and_blocks_no_other(
    ctx: FakeContext, folder: Folder, caplog: pytest.LogCaptureFixture, text: str, told: str
) -> None:
    lay(ctx, "credit/1", text)
    lay(ctx, "fraud/1", "format: onnx\n")
    with caplog.at_level(logging.WARNING):
        cursor, new = folder.watch(ctx, {})
        assert [snapshot.id for snapshot in new] == ["fraud/1"]
        assert folder.watch(ctx, cursor)[1] == []
    assert len(caplog.messages) == 1
    assert told in caplog.messages[0]
    assert "credit/1/manifest.yaml" in caplog.messages[0]
    assert "\n" not in caplog.messages[0]


def test_a_number_as_version_and_words_that_look_like_booleans_are_taken_as_meant(
    ctx: FakeContext, folder: Folder
) -> None:
    lay(ctx, "credit/7", "version: 7\nauthor: no\ntags: {made: 2026-01-05}\n")
    snapshot = folder.get(ctx, "credit", "7")
    assert (snapshot.version, snapshot.author) == ("7", "no")
    assert snapshot.tags == {"made": "2026-01-05"}


def test_the_watch_tells_each_version_once(ctx: FakeContext, folder: Folder, source: Path) -> None:
    first = folder.register(ctx, source, MANIFEST, key="k1")
    cursor, new = folder.watch(ctx, {})
    assert new == [first]
    second = folder.register(ctx, source, MANIFEST, key="k2")
    cursor, new = folder.watch(ctx, json.loads(json.dumps(cursor)))
    assert new == [second]
    assert folder.watch(ctx, cursor) == (cursor, [])


def test_a_version_that_is_still_being_copied_is_not_taken(ctx: FakeContext) -> None:
    folder = Folder(path="models", settle=60)
    directory = lay(ctx, "credit/1", "format: onnx\n")
    cursor, new = folder.watch(ctx, {})
    assert new == []
    for path in (directory, *directory.iterdir()):
        os.utime(path, (1, 1))
    assert [s.id for s in folder.watch(ctx, cursor)[1]] == ["credit/1"]


def test_a_version_whose_listed_files_are_not_all_there_waits_for_them(
    ctx: FakeContext, folder: Folder, source: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made = folder.register(ctx, source, MANIFEST, key="k")
    missing = ctx.project / "models/credit/1/model.onnx"
    missing.rename(ctx.project / "aside")
    cursor, new = folder.watch(ctx, {})
    assert new == []
    assert "file model.onnx is missing" in caplog.text
    (ctx.project / "aside").rename(missing)
    assert folder.watch(ctx, cursor)[1] == [made]


def test_changed_bytes_are_not_handed_out(
    ctx: FakeContext, folder: Folder, source: Path, tmp_path: Path
) -> None:
    made = folder.register(ctx, source, MANIFEST, key="k")
    (ctx.project / "models/credit/1/model.onnx").write_bytes(b"tampered")
    with pytest.raises(Hopeless, match=r"is not credit/1 .* any more: file model.onnx has"):
        folder.fetch(ctx, made, tmp_path / "into")
    assert list((tmp_path / "into").iterdir()) == []


def test_a_damaged_copy_is_fetched_anew(
    ctx: FakeContext, folder: Folder, source: Path, tmp_path: Path
) -> None:
    made = folder.register(ctx, source, MANIFEST, key="k")
    fetched = folder.fetch(ctx, made, tmp_path)
    (fetched / "model.onnx").write_bytes(b"half")
    assert tree_digest(tree_files(folder.fetch(ctx, made, tmp_path))) == made.digest


def test_an_alias_moves_only_from_where_it_is_expected(
    ctx: FakeContext, folder: Folder, source: Path
) -> None:
    for key in ("k1", "k2", "k3"):
        folder.register(ctx, source, MANIFEST, key=key)
    assert folder.alias(ctx, "credit", "champion") is None
    folder.set_alias(ctx, "credit", "champion", "1", expect=None)
    folder.set_alias(ctx, "credit", "champion", "2", expect="1")
    folder.set_alias(ctx, "credit", "champion", "2", expect="1")
    with pytest.raises(Conflict, match="alias champion of credit points to 2, not to 1"):
        folder.set_alias(ctx, "credit", "champion", "3", expect="1")
    with pytest.raises(NotFound, match="has no credit/9"):
        folder.set_alias(ctx, "credit", "champion", "9", expect="2")
    assert folder.alias(ctx, "credit", "champion") == "2"


def test_only_one_of_many_who_move_an_alias_from_the_same_place_wins(
    ctx: FakeContext, folder: Folder, source: Path
) -> None:
    for number in range(8):
        folder.register(ctx, source, MANIFEST, key=f"k{number}")

    def move(version: int) -> bool:
        try:
            folder.set_alias(ctx, "credit", "champion", str(version), expect=None)
        except Conflict:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(move, range(1, 9))) == 1


@pytest.mark.parametrize(("name", "version"), [("credit", "9"), ("..", "models"), ("Credit", "1")])
def test_what_is_not_there_is_not_found(
    ctx: FakeContext, folder: Folder, source: Path, name: str, version: str
) -> None:
    folder.register(ctx, source, MANIFEST, key="k")
    with pytest.raises(NotFound):
        folder.get(ctx, name, version)


def test_a_linked_version_is_left_alone(ctx: FakeContext, folder: Folder, source: Path) -> None:
    folder.register(ctx, source, MANIFEST, key="k")
    (ctx.project / "models/credit/2").symlink_to(ctx.project / "models/credit/1")
    assert [s.version for s in folder.snapshots(ctx)] == ["1"]


def test_a_folder_keeps_no_notes(ctx: FakeContext, folder: Folder) -> None:
    with pytest.raises(Hopeless, match="the repository folder keeps no notes"):
        folder.annotate(ctx, ctx.snapshot, {"live_in": "PROD"})
