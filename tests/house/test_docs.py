"""The documentation is held to the code: examples load, verbs exist, links lead somewhere."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from waystage.cli.main import run, waystage
from waystage.cli.verbs import VERBS
from waystage.plugin import Plugin
from waystage.testing import check_plugin

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
REFERENCE = DOCS / "reference"
FENCE = re.compile(r"^```(?P<kind>\w*)\n(?P<text>.*?)^```", re.MULTILINE | re.DOTALL)
INDENTED = re.compile(r"(?:^ {4}.*\n|^\n)+", re.MULTILINE)
LINK = re.compile(r"\[[^\]]*\]\((?!https?:|mailto:)(?P<to>[^)\s]+)\)")
GLOBAL = {"--project", "--as"}
EXAMPLES = (ROOT / "examples").rglob("*.md")
PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *DOCS.rglob("*.md"), *EXAMPLES])

pytestmark = pytest.mark.skipif(
    not (DOCS / "generate.py").is_file(), reason="the checkout's docs are not beside the tests"
)


def blocks(page: Path, kind: str) -> list[str]:
    """Give the fenced blocks of that kind."""
    return [found["text"] for found in FENCE.finditer(page.read_text()) if found["kind"] == kind]


def readme_lifecycle() -> str:
    (text,) = blocks(ROOT / "README.md", "yaml")
    return text


def named(page: Path) -> str:
    return str(page.relative_to(ROOT))


def test_the_lifecycle_of_the_readme_is_short_and_is_proved(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = readme_lifecycle()
    assert text.count("\n") <= 12
    (tmp_path / "hello.yaml").write_text(text)
    assert run(["validate", str(tmp_path / "hello.yaml")]) == 0
    assert "holds" in capsys.readouterr().out


def test_the_refusal_in_the_readme_is_what_validate_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (shown,) = re.findall(r"^ {4}(lifecycles/hello\.yaml:.*)$", (ROOT / "README.md").read_text(),
                          re.MULTILINE)  # fmt: skip
    broken = readme_lifecycle().replace(", reject: closed", "")
    assert broken != readme_lifecycle()
    (tmp_path / "lifecycles").mkdir()
    (tmp_path / "lifecycles" / "hello.yaml").write_text(broken)
    monkeypatch.chdir(tmp_path)
    assert run(["validate", "lifecycles/hello.yaml"]) == 1
    assert shown in capsys.readouterr().out


def whole_lifecycles() -> Iterator[Any]:
    for page in PAGES:
        for number, text in enumerate(blocks(page, "yaml")):
            if text.startswith("lifecycle:"):
                yield pytest.param(text, id=f"{named(page)}-{number}")


@pytest.mark.parametrize("text", list(whole_lifecycles()))
def test_every_whole_lifecycle_in_the_docs_is_proved(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "shown.yaml").write_text(text)
    assert run(["validate", str(tmp_path / "shown.yaml")]) == 0, capsys.readouterr().out


def test_every_yaml_in_the_docs_can_be_read() -> None:
    read = [yaml.safe_load(text) for page in PAGES for text in blocks(page, "yaml")]
    assert len(read) >= 4
    assert None not in read


def test_the_plugin_of_the_how_to_keeps_the_rules_of_plugins(tmp_path: Path) -> None:
    first = blocks(DOCS / "how-to" / "plugin-author.md", "python")[0]
    (tmp_path / "ticket.py").write_text(first)
    module = load(tmp_path / "ticket.py")
    ours = [
        each
        for each in vars(module).values()
        if isinstance(each, type) and issubclass(each, Plugin) and each.__module__ == "ticket"
    ]
    assert ours
    for plugin in ours:
        check_plugin(plugin)


def load(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module  # pydantic looks annotations up there
    spec.loader.exec_module(module)
    return module


def anchors(page: Path) -> set[str]:
    """Give the anchors of a page's headings, as GitHub and MkDocs make them."""
    heads = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", head.lower()).strip().replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_link_leads_to_a_file_or_a_heading(page: Path) -> None:
    lost = []
    for found in LINK.finditer(FENCE.sub("", page.read_text())):
        path, _, anchor = found["to"].partition("#")
        target = (page.parent / path) if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            lost.append(found["to"])
    assert lost == []


def verbs() -> dict[str, click.Command]:
    group = click.Context(waystage, info_name="waystage")
    found = {verb: waystage.get_command(group, verb) for verb in VERBS}
    return {verb: each for verb, each in found.items() if each and not each.hidden}


def test_every_verb_has_its_place_in_the_reference() -> None:
    heads = anchors(REFERENCE / "cli.md")
    assert {f"waystage-{verb}" for verb in verbs()} <= heads


def test_every_verb_is_explained_or_used_outside_of_the_reference() -> None:
    texts = "\n".join(p.read_text() for p in PAGES if p.parent != REFERENCE)
    unknown = [v for v in verbs() if not re.search(rf"waystage (--?\w\S* \S+ )*{v}\b", texts)]
    assert unknown == []


def commands(page: Path) -> Iterator[list[str]]:
    """Give the words from the verb on of every `waystage` command in a block of code."""
    text = page.read_text()
    code = [found["text"] for found in FENCE.finditer(text) if found["kind"] in ("sh", "", "bash")]
    code += [re.sub(r"^ {4}", "", t, flags=re.MULTILINE) for t in INDENTED.findall(text)]
    for line in "\n".join(code).splitlines():
        if found := re.match(r"(?:\$ )?waystage (?P<rest>[^#|&]*)", line):
            words = found["rest"].split()
            while words and words[0] in GLOBAL:
                words = words[2:]
            yield words


@pytest.mark.parametrize("page", [p for p in PAGES if p.parent != REFERENCE], ids=named)
def test_commands_in_the_docs_name_verbs_and_options_that_exist(page: Path) -> None:
    known, wrong = verbs(), []
    for words in commands(page):
        verb = words[0] if words else ""
        taken = {o for p in known[verb].params for o in p.opts} if verb in known else set()
        options = {word.partition("=")[0] for word in words if word.startswith("--")}
        if verb not in known or not options <= taken | {"--help"}:
            wrong.append(" ".join(words))
    assert wrong == []


def test_the_reference_says_what_the_code_says() -> None:
    told = subprocess.run(
        [sys.executable, str(DOCS / "generate.py"), "--check"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert told.returncode == 0, told.stdout + told.stderr + "run `make docs`"
