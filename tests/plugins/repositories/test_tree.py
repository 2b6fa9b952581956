"""A model's directory is digested in one way only, and odd things in it are refused."""

from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path

import pytest

from waystage.errors import Hopeless
from waystage_plugins.repositories.tree import copy_tree, difference, tree_digest, tree_files


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    root.mkdir()
    return root


def put(root: Path, path: str, text: str = "x") -> Path:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def test_the_digest_is_the_one_that_a_shell_gives(tree: Path) -> None:
    names = ("a/x", "a-b/x", "model.onnx", "sub/deep/weights.bin", "a b.txt", "ä.txt")
    for name, text in zip(names, ("one", "two", "three", "four", "five", "six"), strict=True):
        put(tree, name, text)
    command = "find . -type f -printf '%P\\0' | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum"
    told = subprocess.run(command, shell=True, cwd=tree, capture_output=True, check=True)
    assert tree_digest(tree_files(tree)) == f"sha256:{told.stdout.decode().split()[0]}"


def test_a_file_under_another_name_is_another_model(tree: Path) -> None:
    put(tree, "first", "x")
    before = tree_digest(tree_files(tree))
    (tree / "first").rename(tree / "second")
    assert tree_digest(tree_files(tree)) != before


def test_two_files_that_change_places_are_another_model(tree: Path) -> None:
    put(tree, "first", "x")
    put(tree, "second", "y")
    before = tree_digest(tree_files(tree))
    put(tree, "first", "y")
    put(tree, "second", "x")
    assert tree_digest(tree_files(tree)) != before


def test_the_manifest_does_not_count_but_one_further_down_does(tree: Path) -> None:
    put(tree, "model.onnx")
    put(tree, "manifest.yaml")
    put(tree, "sub/manifest.yaml")
    assert sorted(tree_files(tree)) == ["model.onnx", "sub/manifest.yaml"]


def test_a_symbolic_link_is_refused_by_name(tree: Path) -> None:
    put(tree, "sub/model.onnx")
    (tree / "sub/passwd").symlink_to("/etc/passwd")
    with pytest.raises(Hopeless, match=r"sub/passwd is a symbolic link"):
        tree_files(tree)


def test_a_linked_directory_is_refused(tree: Path, tmp_path: Path) -> None:
    put(tmp_path / "elsewhere", "model.onnx")
    (tree / "sub").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Hopeless, match="sub is a symbolic link"):
        tree_files(tree)


def test_a_root_that_is_a_link_is_refused(tree: Path, tmp_path: Path) -> None:
    put(tree, "model.onnx")
    (tmp_path / "link").symlink_to(tree)
    with pytest.raises(Hopeless, match="is not a directory"):
        tree_files(tmp_path / "link")


def test_a_pipe_is_refused_without_being_read(tree: Path) -> None:
    os.mkfifo(tree / "pipe")
    with pytest.raises(Hopeless, match="pipe is a device, pipe or socket"):
        tree_files(tree)


def test_a_socket_is_refused(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tree)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("s")
        with pytest.raises(Hopeless, match="device, pipe or socket"):
            tree_files(tree)


@pytest.mark.parametrize("bit", [0o4000, 0o2000])
def test_setuid_and_setgid_are_refused(tree: Path, bit: int) -> None:
    put(tree, "model.onnx").chmod(0o644 | bit)
    with pytest.raises(Hopeless, match="setuid or setgid"):
        tree_files(tree)


@pytest.mark.parametrize(
    ("one", "other"),
    [("Model.onnx", "model.onnx"), ("caf\u00e9.bin", "cafe\u0301.bin"), ("A/x", "a/y")],
)
def test_names_that_other_machines_take_for_one_are_refused(
    tree: Path, one: str, other: str
) -> None:
    put(tree, one)
    put(tree, other)
    with pytest.raises(Hopeless, match="one name on other machines"):
        tree_files(tree)


@pytest.mark.parametrize(
    "name", ["a\nb", "a\\b", "a\u202eb", b"\xff".decode(errors="surrogateescape")]
)
def test_names_that_cannot_be_shown_are_refused(tree: Path, name: str) -> None:
    put(tree, name)
    with pytest.raises(Hopeless, match="has characters"):
        tree_files(tree)


def test_a_copy_has_the_same_digest_and_no_execution_rights(tree: Path, tmp_path: Path) -> None:
    put(tree, "a/model.onnx", "weights").chmod(0o755)
    copied = copy_tree(tree, tmp_path / "copy")
    assert copied == tree_files(tree) == tree_files(tmp_path / "copy")
    assert (tmp_path / "copy/a/model.onnx").stat().st_mode & 0o111 == 0


def test_the_difference_names_the_first_file_that_differs() -> None:
    assert difference({"a": "1"}, {}) == "file a is missing"
    assert difference({}, {"a": "1"}) == "file a is there but not listed"
    assert difference({"a": "1"}, {"a": "2"}) == "file a has 2 instead of 1"
    assert difference({"a": "1"}, {"a": "1"}) == ""
