"""The language server of editors completes, explains and refuses by our schemas."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from language_server import LanguageServer
from npm_packages import NoEditors, node_modules

from waystage.cli.main import run


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("editor") / "project"
    assert run(["init", str(place)]) == 0
    return place


@pytest.fixture(scope="module")
def server(project: Path) -> Iterator[LanguageServer]:
    try:
        packages = node_modules()
    except NoEditors as error:
        pytest.skip(str(error))
    server = LanguageServer(packages, project)
    yield server
    server.close()


def written(project: Path, name: str, *lines: str) -> tuple[Path, int, int]:
    """Write a lifecycle; `|` in one of the lines is where the cursor stands."""
    head = ["# yaml-language-server: $schema=../schemas/lifecycle.json", "lifecycle: shown",
            'services: ["*"]', "initial: a", "states:", "  a:"]  # fmt: skip
    text = [*head, *lines]
    (number,) = (n for n, line in enumerate(text) if "|" in line)
    column = text[number].index("|")
    file = project / "lifecycles" / f"{name}.yaml"
    file.write_text("\n".join(text).replace("|", "") + "\n")
    return file, number, column


def test_nothing_is_wrong_with_what_init_writes(server: LanguageServer, project: Path) -> None:
    files = sorted(project.rglob("*.yaml"))
    assert len(files) > 6
    for file in files:
        assert server.open(file) == [], file


def test_the_names_of_plugins_are_offered_with_what_they_do(
    server: LanguageServer, project: Path
) -> None:
    file, *place = written(project, "plugins", "    steps:", "      - use: |")
    server.open(file)
    offered = server.complete(file, *place)
    assert {"model.check", "runtime.deploy", "notify"} <= offered.keys()
    assert "performance.ks" not in offered
    assert "Tell people something" in offered["notify"]


def test_the_settings_of_the_chosen_plugin_are_offered(
    server: LanguageServer, project: Path
) -> None:
    file, *place = written(
        project, "settings", "    steps:", "      - use: notify", "        with:", "          |"
    )
    server.open(file)
    offered = server.complete(file, *place)
    assert {"to", "text", "title", "level"} <= offered.keys()
    assert "command" not in offered


def test_the_values_of_a_setting_are_offered(server: LanguageServer, project: Path) -> None:
    file, *place = written(
        project, "values",
        "    steps:", "      - use: notify", "        with:", "          level: |",
    )  # fmt: skip
    server.open(file)
    assert {"info", "warn", "alarm"} <= server.complete(file, *place).keys()


def test_the_keys_of_a_state_are_offered_with_their_meaning(
    server: LanguageServer, project: Path
) -> None:
    file, *place = written(project, "keys", "    |")
    server.open(file)
    offered = server.complete(file, *place)
    assert {"steps", "task", "verify", "timers", "next", "include"} <= offered.keys()
    assert "waits for a person" in offered["task"]


def test_hovering_over_a_key_says_what_it_means(server: LanguageServer, project: Path) -> None:
    file, *place = written(
        project, "hover", "    task:", "      title: Go", "      for: [role:validator]",
        "      quo|rum: 2", "    next: {approve: b, reject: b}", "  b: {final: true}",
    )  # fmt: skip
    assert server.open(file) == []
    assert "How many different people must approve" in server.hover(file, *place)


def test_hovering_over_a_plugin_shows_its_example(server: LanguageServer, project: Path) -> None:
    file, *place = written(
        project, "plugin", "    steps:", "      - use: noti|fy",
        "        with: {to: mlops, text: hello}", "    next: {done: b}", "  b: {final: true}",
    )  # fmt: skip
    assert server.open(file) == []
    shown = server.hover(file, *place)
    assert "Tell people something" in shown
    assert "with: {to: mlops" in shown


def test_a_misspelt_setting_is_told_at_its_line(server: LanguageServer, project: Path) -> None:
    file, line, _ = written(
        project, "wrong", "    steps:", "      - use: notify",
        "        with: {to: mlops, text: hello, ti|tel: x}", "    next: {done: b}",
        "  b: {final: true}",
    )  # fmt: skip
    assert any(p.startswith(f"{line + 1}: ") and "titel" in p for p in server.open(file))


def test_a_plugin_that_is_not_there_is_told(server: LanguageServer, project: Path) -> None:
    file, line, _ = written(
        project, "gone", "    steps:", "      - use: model.che|k",
        "    next: {done: b, refused: b}",
        "  b: {final: true}",
    )  # fmt: skip
    assert any(p.startswith(f"{line + 1}: ") for p in server.open(file))
