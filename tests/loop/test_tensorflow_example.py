"""The example on OpenShift, its own files at work through all stages.

Once with a model that was written byte by byte, so that project and scripts are tried everywhere;
once with all that can be real: Keras, an MLflow with a password, retraining. OpenShift's API, its
nodes and its router are stand-ins: `serving_node.py` says how much they do. The registry is real.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from example_bank import DATA, STAGES, Bank
from image_registry import ImageRegistry, NoRegistry, small_layer
from kube_api import KubeApi
from mlflow_server import MlflowServer, NoMlflow
from saved_models import FLOAT, STRING, saved_model
from serving_node import TENSORFLOW, ServingNode
from tls_files import make_certificate


@pytest.fixture
def mlflow(tmp_path: Path) -> Iterator[MlflowServer]:
    if not (TENSORFLOW / "tensorflow").is_dir():
        pytest.skip("NOT TESTED: there is no TensorFlow in .cache/tensorflow (make tensorflow)")
    try:
        found = MlflowServer(tmp_path / "mlflow", guarded=True)
    except NoMlflow as error:
        pytest.skip(str(error))
    yield found
    found.stop()


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    return make_certificate(tmp_path)


@pytest.fixture
def registry(tmp_path: Path, certificate: tuple[Path, Path]) -> Iterator[ImageRegistry]:
    try:
        found = ImageRegistry(tmp_path / "registry", htpasswd=True, certificate=certificate)
    except NoRegistry as error:
        pytest.skip(str(error))
    found.put_image("mirror/serving", "2.19.1", small_layer(), ["MODEL_BASE_PATH=/models"])
    yield found
    found.stop()


@pytest.fixture
def node(registry: ImageRegistry) -> ServingNode:
    return ServingNode(registry)


@pytest.fixture
def okd(certificate: tuple[Path, Path], node: ServingNode) -> Iterator[KubeApi]:
    api = KubeApi(*certificate, node=node)
    projects = [f"models-{stage.lower()}" for stage in STAGES]
    api.projects.update(dict.fromkeys(projects, "Active"))
    node.begin(api.url, api.admin, projects, certificate[0])
    yield api
    node.close()  # first: it asks the API
    api.close()


@pytest.fixture
def bank(
    tmp_path: Path, registry: ImageRegistry, okd: KubeApi, certificate: tuple[Path, Path],
    node: ServingNode,
) -> Iterator[Bank]:  # fmt: skip
    found = Bank(tmp_path / "bank", registry, okd, node, certificate[0])
    yield found
    found.stop()


def hold(bank: Bank, version: str) -> None:
    """Put a model into the project that asks for all columns and looks at one of them."""
    with DATA.open(newline="", encoding="utf-8") as file:
        row = next(csv.DictReader(file))
    del row["event"]
    numbers = {name: float(row[name]) for name in row if row[name].isdigit()}
    kinds = {name: (FLOAT if name in numbers else STRING, (-1,)) for name in row}
    place = bank.root / "models" / "german-credit" / version
    (place / "variables").mkdir(parents=True)
    (place / "saved_model.pb").write_bytes(saved_model(kinds))
    weights = {"number": "duration_months", "slope": 0.01 * int(version)}
    (place / "variables" / "tiny.json").write_text(json.dumps(weights))
    (place / "manifest.yaml").write_text(yaml.safe_dump({
        "format": "savedmodel", "services": ["credit-risk"], "author": "dana",
        "tags": {"candidate": "champion"}, "outputs": [{"name": "score"}],
        "inputs": [{"name": n, "type": "number" if n in numbers else "string"} for n in row],
        "example": [row | numbers],
    }))  # fmt: skip


def test_the_project_takes_a_model_to_production_and_one_that_fails_back(
    bank: Bank, registry: ImageRegistry, node: ServingNode
) -> None:
    bank.connect()
    bank.use_folder()
    hold(bank, "1")
    bank.start()
    went = bank.python("take_round.py", "german-credit/1", "--tag", "1.0.0")
    assert places(went) == [
        "promote.DEV.soak", "promote.SIT.soak", "promote.UAT.soak", "production.serving"
    ]  # fmt: skip
    assert bank.champions() == dict.fromkeys(STAGES, "german-credit/1")
    built = registry.manifest("models/credit-risk", "1.0.0")
    assert built is not None
    assert bank.images() == {f"{registry.address}/models/credit-risk@{built['digest']}"}
    told = bank.python("ask.py", "--rows", "60", "--labels")
    assert "german-credit/1 at http" in told
    assert "60 scores from 0.5" in told

    node.broken.add("models-prod")
    hold(bank, "2")
    crashes_in_prod(bank, "german-credit/2", "german-credit/1")


def crashes_in_prod(bank: Bank, version: str, before: str) -> None:
    """Take a version round that crashes in PROD; the one before answers all the while."""
    went = bank.python("take_round.py", version, "--tag", "9.0.0", may_fail=True)
    assert places(went) == ["promote.DEV.soak", "promote.SIT.soak", "promote.UAT.soak"]
    (incident,) = bank.told("incidents")
    assert (incident["state"], "crash loop" in incident["message"]) == ("production.deploy", True)
    assert bank.champions() == dict.fromkeys(STAGES[:3], version) | {"PROD": before}
    assert f"{before} at http" in bank.python("ask.py", "--rows", "10")

    words = ("goto", str(incident["id"]), "withdraw", "--reason", "it crashes in PROD")
    bank.waystage("--as", "otto", *words)
    went = bank.python("take_round.py", version, "--tag", "9.0.0", may_fail=True)
    assert "ended: rejected" in went
    assert bank.champions() == dict.fromkeys(STAGES, before)
    assert f"{before} at http" in bank.python("ask.py", "--rows", "10")


def places(went: str) -> list[str]:
    """Give where a run rested, of what `take_round.py` tells."""
    lines = [line.strip() for line in went.splitlines()]
    return [line for line in lines if line.endswith((".soak", ".serving"))]


def recoded(place: Path) -> Path:
    """Write the data as they would come from a system that has its code lists back to front."""
    with DATA.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for name in rows[0]:
        if not rows[0][name].replace(".", "").isdigit():
            codes = sorted({row[name] for row in rows})
            other = dict(zip(codes, reversed(codes), strict=True))
            rows = [row | {name: other[row[name]]} for row in rows]
    with place.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    return place


@pytest.mark.heavy
@pytest.mark.slow
def test_a_keras_model_goes_round_is_retrained_replaced_and_a_bad_one_taken_back(
    mlflow: MlflowServer, bank: Bank, node: ServingNode, tmp_path: Path
) -> None:
    bank.use_mlflow(mlflow.url)
    assert "Everything that can be proved holds" in bank.connect()
    bank.start()

    bank.python("train.py", "--author", "dana", "--tag", "candidate=champion")
    bank.python("take_round.py", "german-credit/1", "--tag", "1.0.0")
    assert bank.champions() == dict.fromkeys(STAGES, "german-credit/1")
    assert "german-credit/1 at http" in bank.python("ask.py", "--rows", "10")

    changed = str(recoded(tmp_path / "recoded.csv"))
    for _ in range(3):
        bank.python("ask.py", "--data", changed, "--rows", "1000", "--labels")
        bank.turn("P7D")
    for _ in range(8):
        if "a new version is trained" in (bank.root / "messages.jsonl").read_text():
            break
        bank.turn("P7D")
    assert "a new version is trained" in (bank.root / "messages.jsonl").read_text()
    bank.python("take_round.py", "german-credit/2", "--tag", "2.0.0", "--open")
    assert bank.champions() == dict.fromkeys(STAGES, "german-credit/2")
    assert "german-credit/2 at http" in bank.python("ask.py", "--rows", "10")

    bank.python("train.py", "--author", "dana", "--tag", "candidate=champion")
    node.broken.add("models-prod")
    crashes_in_prod(bank, "german-credit/3", "german-credit/2")
