"""SAS's own client finds the stand-in to be what it knows, and Waystage what it put there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from sas_client import NoClient, run_client
from sas_viya import PASSWORD, USER, SasViya

from waystage.plugin import JsonObject
from waystage.testing import FakeContext
from waystage_plugins.repositories import Sas

pytestmark = pytest.mark.heavy
MAKE = """
import json
project = mr.get_project("Credit Risk")
model = mr.create_model(
    "QS Tree 1", project, modeler="dana", function="Classification", algorithm="Tree",
    score_code_type="python", properties={"services": "credit-risk", "cost": 3},
    input_variables=[{"name": "LOAN", "type": "decimal", "role": "input"}],
)
mr.add_model_content(model, b"def score(): ...", "score.py", role="score")
mr.add_model_content(model, b"weights", "tree.pickle")
model = mr.get_model("QS Tree 1")
model["description"] = "a tree"
mr.update_model(model)
model = mr.create_model_version(mr.get_model("QS Tree 1"))
names = [each["name"] for each in mr.get_model_contents(model)]
print(json.dumps([len(mr.list_models()), model["modelVersionName"], names]))
"""
READ = """
import json
model = mr.get_model("credit")
rows = mr.get_model_with_versions(model)
print(json.dumps({
    "versions": [each["modelVersionName"] for each in rows],
    "properties": {each["name"]: each["value"] for each in model["properties"]},
    "contents": sorted(each["name"] for each in mr.get_model_contents(model)),
    "inputs": [each["name"] for each in model["inputVariables"]],
}))
"""


@pytest.fixture
def viya() -> Iterator[SasViya]:
    server = SasViya()
    server.project("Credit Risk")
    yield server
    server.stop()


def asked(text: str, viya: SasViya) -> str:
    try:
        return run_client(text, viya.url, USER, PASSWORD)
    except NoClient as error:
        pytest.skip(str(error))


def sas(viya: SasViya) -> Sas:
    told = {"url": viya.url, "user": USER, "password": {"secret": "env/P"},
            "project": "Credit Risk"}  # fmt: skip
    return Sas.model_validate(told)


def test_what_the_client_puts_there_is_a_snapshot(viya: SasViya, tmp_path: Path) -> None:
    ctx = FakeContext(tmp_path, secrets={"env/P": PASSWORD})
    assert json.loads(asked(MAKE, viya)) == [1, "2.0", ["score.py", "tree.pickle"]]
    found, later = sas(viya).snapshots(ctx)
    assert (found.id, found.format, found.author) == ("qs-tree-1/1.0", "python", "dana")
    assert (later.version, later.digest) == ("2.0", found.digest)
    assert found.tags["sas.description"] == "a tree"
    assert found.tags["cost"] == "3"
    assert [each.name for each in found.inputs] == ["LOAN"]
    assert set(found.files) == {"score.py", "tree.pickle"}


def test_the_client_reads_what_was_registered(viya: SasViya, tmp_path: Path) -> None:
    ctx = FakeContext(tmp_path, secrets={"env/P": PASSWORD})
    source = tmp_path / "source"
    source.mkdir()
    (source / "model.onnx").write_bytes(b"weights")
    (source / "more.txt").write_bytes(b"more")
    manifest: JsonObject = {
        "name": "credit", "services": ["credit-risk"], "inputs": [{"name": "income"}],
    }  # fmt: skip
    for key in ("first", "second"):
        sas(viya).register(ctx, source, manifest, key=key)
    told = json.loads(asked(READ, viya))
    assert sorted(told["versions"]) == ["1.0", "2.0"]
    assert told["contents"] == ["manifest.yaml", "model.onnx", "more.txt"]
    assert told["inputs"] == ["income"]
    assert told["properties"]["services"] == "credit-risk"
