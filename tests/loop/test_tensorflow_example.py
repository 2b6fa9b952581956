"""The example on OpenShift, its own files at work through all stages.

Once with models that were written byte by byte, by both builders; once with all that can be real:
Keras, an MLflow with a password, retraining. OpenShift's API and its controllers are a stand-in;
images, registry, containers and router are real, as `real_pods.py` has them.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from docker_engine import NoEngine
from example_bank import DATA, STAGES, Bank
from image_registry import NoRegistry
from mlflow_server import MlflowServer, NoMlflow
from real_pods import RealPods
from saved_models import FLOAT, STRING, saved_model
from serving_image import TENSORFLOW

pytestmark = [pytest.mark.heavy, pytest.mark.slow]
PROD_MEMORY, TOO_MUCH = "192Mi", 256  # of PROD's pods, and what one version takes, in MiB


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
def pods(tmp_path: Path) -> Iterator[RealPods]:
    try:
        found = RealPods(tmp_path)
    except (NoEngine, NoRegistry) as error:
        pytest.skip(str(error))
    yield found
    found.close()


@pytest.fixture
def bank(tmp_path: Path, pods: RealPods) -> Iterator[Bank]:
    found = Bank(tmp_path / "bank", pods)
    yield found
    found.stop()


def hold(bank: Bank, version: str, **tiny: int) -> None:
    """Put a model into the project that asks for all columns and looks at one of them."""
    with DATA.open(newline="", encoding="utf-8") as file:
        row = next(csv.DictReader(file))
    del row["event"]
    numbers = {name: float(row[name]) for name in row if row[name].isdigit()}
    kinds = {name: (FLOAT if name in numbers else STRING, (-1,)) for name in row}
    place = bank.root / "models" / "german-credit" / version
    (place / "variables").mkdir(parents=True)
    (place / "saved_model.pb").write_bytes(saved_model(kinds))
    weights = {"number": "duration_months", "slope": 0.01 * int(version)} | tiny
    (place / "variables" / "tiny.json").write_text(json.dumps(weights))
    (place / "manifest.yaml").write_text(yaml.safe_dump({
        "format": "savedmodel", "services": ["credit-risk"], "author": "dana",
        "tags": {"candidate": "champion"}, "outputs": [{"name": "score"}],
        "inputs": [{"name": n, "type": "number" if n in numbers else "string"} for n in row],
        "example": [row | numbers],
    }))  # fmt: skip


def test_the_project_takes_two_models_to_production_and_one_that_is_too_big_back(
    bank: Bank,
) -> None:
    bank.connect()
    bank.use_folder()
    bank.give_prod(PROD_MEMORY)
    hold(bank, "1")
    bank.start()
    went = bank.python("take_round.py", "german-credit/1", "--tag", "1.0.0")
    assert places(went) == [
        "promote.DEV.soak", "promote.SIT.soak", "promote.UAT.soak", "production.serving"
    ]  # fmt: skip
    first = serves(bank, "1", "1.0.0", "--labels")

    bank.use_builder("docker")
    hold(bank, "2")
    bank.python("take_round.py", "german-credit/2", "--tag", "2.0.0")
    second = serves(bank, "2", "2.0.0")
    assert bank.streamed() == {"1.0.0": first, "2.0.0": second}

    hold(bank, "3", eats=TOO_MUCH)
    dies_in_prod(bank, "german-credit/3", "german-credit/2")
    bank.waystage("--as", "otto", "signal", "snapshot.retired", "--run", "credit-risk-2")
    bank.until(bank.world, bank.before)
    assert bank.champions() == {}


def serves(bank: Bank, version: str, tag: str, *asked: str) -> str:
    """See a version serve everywhere by what its tag stands for; give that digest."""
    assert bank.champions() == dict.fromkeys(STAGES, f"german-credit/{version}")
    registry = bank.pods.registry
    built = registry.manifest("models-dev/credit-risk", tag)
    assert built is not None
    image = f"{registry.address}/models-dev/credit-risk@{built['digest']}"
    bank.until(bank.images, {image})  # the version before is just being taken out
    bank.until(bank.running, {image: 5})  # one each, and two in PROD
    told = bank.ask("--rows", "60", *asked)
    assert f"german-credit/{version} at https" in told
    assert "60 scores from 0." in told
    return str(built["digest"])


def dies_in_prod(bank: Bank, version: str, before: str) -> None:
    """Take a version round that dies in PROD; the one before answers all the while."""
    went = bank.python("take_round.py", version, "--tag", "9.0.0", may_fail=True)
    assert places(went) == ["promote.DEV.soak", "promote.SIT.soak", "promote.UAT.soak"]
    (incident,) = bank.told("incidents")
    assert (incident["state"], "out of memory" in incident["message"]) == (
        "production.deploy", True
    )  # fmt: skip
    assert bank.champions() == dict.fromkeys(STAGES[:3], version) | {"PROD": before}
    assert f"{before} at https" in bank.ask("--rows", "10")

    words = ("goto", str(incident["id"]), "withdraw", "--reason", "it is too big for PROD")
    bank.waystage("--as", "otto", *words)
    went = bank.python("take_round.py", version, "--tag", "9.0.0", may_fail=True)
    assert "ended: rejected" in went
    assert bank.champions() == dict.fromkeys(STAGES, before)
    assert f"{before} at https" in bank.ask("--rows", "10")


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


def test_a_keras_model_goes_round_is_retrained_and_replaced(
    mlflow: MlflowServer, bank: Bank, tmp_path: Path
) -> None:
    bank.use_mlflow(mlflow.url)
    assert "Everything that can be proved holds" in bank.connect()
    bank.start()

    bank.python("train.py", "--author", "dana", "--tag", "candidate=champion")
    bank.python("take_round.py", "german-credit/1", "--tag", "1.0.0")
    serves(bank, "1", "1.0.0")

    changed = str(recoded(tmp_path / "recoded.csv"))
    for _ in range(3):
        bank.ask("--data", changed, "--rows", "1000", "--labels")
        bank.turn("P7D")
    for _ in range(8):
        if "a new version is trained" in (bank.root / "messages.jsonl").read_text():
            break
        bank.turn("P7D")
    assert "a new version is trained" in (bank.root / "messages.jsonl").read_text()
    bank.python("take_round.py", "german-credit/2", "--tag", "2.0.0", "--open")
    serves(bank, "2", "2.0.0")
