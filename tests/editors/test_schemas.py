"""The schemas for editors: they take whatever is shipped or shown, and refuse what is misspelt."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from check_cases import CATALOG, PROJECT, cases
from jsonschema import Draft7Validator

from waystage import library
from waystage.cli.main import run
from waystage.registry import load_catalog
from waystage.schema import schemas
from waystage.schema.words import WORDS
from waystage.spec.load import KINDS
from waystage.spec.source import parse_source

SCHEMAS = schemas(CATALOG)
DOCS = Path(__file__).parents[2] / "docs"
FENCED = re.compile(r"^```yaml\n(.*?)^```", re.MULTILINE | re.DOTALL)
SHIPPED = [
    *(library.library() / "lifecycles").rglob("*.yaml"), *library.blocks(), *library.stages(),
    *(library.library() / "examples").rglob("*.yaml"), *PROJECT.rglob("*.yaml"),
]  # fmt: skip


def told(text: str) -> list[str]:
    """Say what the schema of the file's kind refuses."""
    data = parse_source(text).data
    found = Draft7Validator(SCHEMAS[next(iter(data))]).iter_errors(data)
    return [f"{error.json_path}: {error.message[:200]}" for error in found]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_file_has_a_schema_of_draft_7(kind: str) -> None:
    Draft7Validator.check_schema(SCHEMAS[kind])
    assert SCHEMAS[kind]["$schema"].endswith("draft-07/schema#")


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: f"{file.parent.name}/{file.name}")
def test_whatever_is_shipped_keeps_its_schema(file: Path) -> None:
    assert told(file.read_text()) == []


@pytest.mark.parametrize("case", cases(), ids=lambda case: f"{case.code}-{case.title}")
def test_the_mended_examples_keep_their_schema(case: Any) -> None:
    assert [each for text in (case.mended, *case.beside.values()) for each in told(text)] == []


def shown() -> list[Any]:
    texts = [
        pytest.param(text, id=f"{page.stem}-{number}")
        for page in sorted(DOCS.rglob("*.md"))
        for number, text in enumerate(FENCED.findall(page.read_text()))
        if text.partition(":")[0] in KINDS
    ]
    return texts or [pytest.param("", marks=pytest.mark.skip("the docs are not beside the tests"))]


@pytest.mark.parametrize("text", shown())
def test_whole_files_in_the_docs_keep_their_schema(text: str) -> None:
    assert told(text) == []


UNSET = ("secret.", "describe.")  # they have no settings in any file


@pytest.mark.parametrize("use", sorted(load_catalog()))
def test_the_examples_of_a_plugin_keep_the_schema_of_its_settings(use: str) -> None:
    found = [
        (schema["definitions"], schema["definitions"][name])
        for schema in SCHEMAS.values()
        for name in (f"with {use}", f"with {use} rendered")
        if name in schema["definitions"]
    ]
    for definitions, settings in found:
        for example in settings.get("examples", ()):
            schema = {**settings, "definitions": definitions}
            assert [e.message for e in Draft7Validator(schema).iter_errors(example)] == []
    assert found or use.startswith(UNSET)


LOAN = (PROJECT / "lifecycles" / "loan.yaml").read_text()
STEP = LOAN.replace('task: {title: "Approve?", for: [role:validator]}', "steps: [STEP]")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (LOAN.replace("services:", "servces:"), "servces"),
        (LOAN.replace("final: true", "finale: true"), "finale"),
        (STEP.replace("STEP", "{use: model.chek}"), "model.chek"),
        (STEP.replace("STEP", "{use: performance.ks}"), "performance.ks"),
        (STEP.replace("STEP", "{use: notify, with: {to: mlops, text: x, titel: y}}"), "titel"),
        (STEP.replace("STEP", "{use: notify, with: {to: mlops}}"), "text"),
        (STEP.replace("STEP", "{use: notify}"), "with"),
        (STEP.replace("STEP", "{use: notify, with: {to: a, text: x, level: loud}}"), "level"),
        (STEP.replace("STEP", "{use: model.check, timeout: 10m}"), "timeout"),
    ],
)
def test_what_is_misspelt_is_refused(text: str, said: str) -> None:
    assert said in " ".join(told(text))


@pytest.mark.parametrize(
    "step",
    [
        '{use: notify, with: {to: a, text: x, level: "{{ params.level }}"}}',
        '{use: batch.train, with: {command: "{{ params.command }}", data: {length: P9D}}}',
        '{use: batch.train, with: {command: [a], data: {length: "{{ params.length }}"}}}',
        "{use: model.check, timeout: PT10M, retry: {max: 2, backoff: {first: PT5S}}}",
    ],
)
def test_a_value_of_a_step_may_be_an_expression(step: str) -> None:
    assert told(STEP.replace("STEP", step)) == []


def keys(shape: Any) -> list[str]:
    """Give the keys without a description, below the models of the files' own."""
    models = {name: each for name, each in shape["definitions"].items() if name in WORDS}
    root = {"(the file)": shape}
    return [
        f"{name}.{key}"
        for name, each in (root | models).items()
        for key, part in each.get("properties", {}).items()
        if not part.get("description")
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_every_key_says_what_it_means(kind: str) -> None:
    assert keys(SCHEMAS[kind]) == []


def test_no_word_is_for_a_key_that_is_gone() -> None:
    names = {"Connection": "Channel"}
    there = {kind.__name__: SCHEMAS[name] for name, kind in KINDS.items()}
    for schema in SCHEMAS.values():
        there = {**schema["definitions"], **there}
    idle = [
        f"{model}.{key}"
        for model, words in WORDS.items()
        for key in words
        if key not in there.get(names.get(model, model), {}).get("properties", {})
    ]
    assert idle == []


def test_init_names_schemas_that_take_what_it_writes(tmp_path: Path) -> None:
    assert run(["init", str(tmp_path / "new")]) == 0
    files = list((tmp_path / "new").rglob("*.yaml"))
    assert len(files) > 6
    for file in files:
        head = file.read_text().splitlines()[0]
        place = head.removeprefix("# yaml-language-server: $schema=")
        assert head != place, file
        schema = json.loads((file.parent / place).read_text())
        data = parse_source(file.read_text()).data
        assert list(Draft7Validator(schema).iter_errors(data)) == [], file


def test_the_verb_prints_and_writes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["schema", "stage"]) == 0
    assert json.loads(capsys.readouterr().out)["title"] == "Waystage: stage"
    assert run(["schema", "--write", str(tmp_path / "s")]) == 0
    assert {file.stem for file in (tmp_path / "s").glob("*.json")} == set(KINDS)
    (tmp_path / "file").write_text("")
    assert run(["schema", "--write", str(tmp_path / "file")]) == 1
    assert "cannot be written" in capsys.readouterr().err
