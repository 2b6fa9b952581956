"""Secrets come from the environment and from files, and never get into a message."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from waystage.errors import Hopeless
from waystage.testing import check_secret_store
from waystage_plugins.secrets import EnvironmentSecrets, FileSecrets

TEXT = "open-sesame-4711"


def file_with(path: Path, content: bytes, mode: int = 0o600) -> str:
    path.write_bytes(content)
    path.chmod(mode)
    return str(path).removeprefix("/")


def test_the_environment_keeps_the_contract(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WAYSTAGE_TEST_TOKEN", TEXT)
    check_secret_store(EnvironmentSecrets(), tmp_path, known="WAYSTAGE_TEST_TOKEN", text=TEXT)


def test_files_keep_the_contract(tmp_path: Path) -> None:
    known = file_with(tmp_path / "token", TEXT.encode())
    check_secret_store(FileSecrets(), tmp_path, known=known, text=TEXT)


def test_an_empty_variable_is_not_a_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAYSTAGE_TEST_TOKEN", "")
    with pytest.raises(Hopeless, match=r"secret env/WAYSTAGE_TEST_TOKEN: .* no such variable"):
        EnvironmentSecrets().resolve("WAYSTAGE_TEST_TOKEN", tmp_path)


@pytest.mark.parametrize("ending", [b"\n", b"\r\n", b""])
def test_the_last_newline_does_not_belong_to_the_secret(tmp_path: Path, ending: bytes) -> None:
    name = file_with(tmp_path / "token", b" a b " + ending)
    assert FileSecrets().resolve(name, tmp_path) == " a b "


def test_a_path_with_a_dot_starts_at_the_project(tmp_path: Path) -> None:
    file_with(tmp_path / "token", TEXT.encode())
    assert FileSecrets().resolve("./token", tmp_path) == TEXT


def test_a_file_that_everybody_may_read_is_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    name = file_with(tmp_path / "token", TEXT.encode(), 0o644)
    with caplog.at_level(logging.WARNING):
        assert FileSecrets().resolve(name, tmp_path) == TEXT
    assert "chmod o-r" in caplog.text
    assert TEXT not in caplog.text


@pytest.mark.parametrize(
    ("content", "mode", "told"),
    [
        (TEXT.encode(), 0o606, "everybody may change it"),
        (b"\n", 0o600, "is empty"),
        (b"\xff" + TEXT.encode(), 0o600, "is not UTF-8"),
        (b"x" * 70_000, 0o600, "is larger than 64 KiB"),
    ],
)
def test_a_file_that_cannot_be_a_secret_is_refused(
    tmp_path: Path, content: bytes, mode: int, told: str
) -> None:
    name = file_with(tmp_path / "token", content, mode)
    with pytest.raises(Hopeless, match=told) as caught:
        FileSecrets().resolve(name, tmp_path)
    assert TEXT not in str(caught.value)
    assert caught.value.__cause__ is None
