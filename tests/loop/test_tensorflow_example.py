"""The example on OpenShift, its own files at work: Keras, a real MLflow, a real registry.

OpenShift's API, its nodes and its router are stand-ins: `serving_node.py` says how much they do.
"""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from image_registry import PASSWORD, USER, ImageRegistry, NoRegistry, small_layer
from kube_api import KubeApi
from mlflow_server import ADMIN, QUIET, MlflowServer, NoMlflow
from mlflow_server import PASSWORD as MLFLOW_PASSWORD
from mlflow_server import PLACE as MLFLOW
from serving_node import TENSORFLOW, ServingNode
from tls_files import make_certificate
from with_parent import end_with_parent

pytestmark = [pytest.mark.heavy, pytest.mark.slow]

EXAMPLES = Path(__file__).parents[2] / "examples"
DATA = EXAMPLES / "german_credit" / "german_credit.csv"
STAGES = ("DEV", "SIT", "UAT", "PROD")
PATIENCE = 120.0
MLFLOW_PACKAGES = MLFLOW / "lib" / f"python3.{sys.version_info.minor}" / "site-packages"


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


def packages() -> list[str]:
    """Give where Python looks: as it does here, and behind that where the extra's packages are."""
    here = [each for each in [os.environ.get("PYTHONPATH", "")] if each]
    return [*here, str(TENSORFLOW), str(MLFLOW_PACKAGES)]


class Bank:
    """The example's project, connected as its README says, and a daemon on it."""

    def __init__(
        self, root: Path, mlflow: MlflowServer, registry: ImageRegistry, okd: KubeApi, ca: Path,
        node: ServingNode,
    ) -> None:  # fmt: skip
        self.root, self.node = root, node
        shutil.copytree(EXAMPLES / "tensorflow_openshift", root)
        shutil.copy(ca, root / "ca.pem")
        self.environment = {
            **os.environ, **QUIET, "MLFLOW_TRACKING_URI": mlflow.url,
            "MLFLOW_TRACKING_USERNAME": ADMIN, "MLFLOW_TRACKING_PASSWORD": MLFLOW_PASSWORD,
            "REGISTRY": registry.address, "REGISTRY_USER": USER, "REGISTRY_TOKEN": PASSWORD,
            "REGISTRY_CA": "ca.pem", "SERVING_BASE": f"{registry.address}/mirror/serving:2.19.1",
            "OKD_API": okd.url, "OKD_CA": "ca.pem",
            **{f"OKD_TOKEN_{stage}": okd.admin for stage in STAGES},
            "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "",
            # what `pip install 'waystage[tensorflow]'` brings is in environments of its own here
            "PYTHONPATH": os.pathsep.join(packages()),
        }  # fmt: skip

    def python(self, script: str, *words: str, may_fail: bool = False) -> str:
        """Run a script of the example."""
        return self._run(script, *words, may_fail=may_fail)

    def waystage(self, *words: str, may_fail: bool = False) -> str:
        """Run the command line."""
        return self._run("-m", "waystage.cli.main", *words, may_fail=may_fail)

    def told(self, *words: str) -> Any:
        """Run a verb that answers with JSON."""
        return json.loads(self.waystage(*words, "--json"))

    def _run(self, *words: str, may_fail: bool) -> str:
        done = subprocess.run(
            [sys.executable, *words], cwd=self.root, env=self.environment,
            capture_output=True, text=True, check=False, timeout=600,
        )  # fmt: skip
        log = self.root / "daemon.log"
        told = log.read_text()[-2000:] if log.exists() else ""
        assert may_fail or not done.returncode, f"{words}\n{done.stdout}{done.stderr}\n{told}"
        return done.stdout

    def start(self) -> None:
        """Start the daemon, by a clock that can be turned."""
        command = [sys.executable, "-m", "waystage.cli.main", "up", "--port", "0", "--turned-clock"]
        with (self.root / "daemon.log").open("ab") as log:
            self.daemon = subprocess.Popen(
                command, cwd=self.root, env=self.environment, stdout=log, stderr=log,
                preexec_fn=end_with_parent,  # noqa: PLW1509  # one system call, no lock is taken
            )  # fmt: skip
        end = time.monotonic() + PATIENCE
        while not (self.root / ".waystage" / "daemon.json").exists():
            assert self.daemon.poll() is None, (self.root / "daemon.log").read_text()
            assert time.monotonic() < end, "the daemon does not come up"
            time.sleep(0.05)

    def stop(self) -> None:
        """End the daemon."""
        if hasattr(self, "daemon"):
            self.daemon.send_signal(signal.SIGTERM)
            self.daemon.wait(timeout=60)

    def connect(self) -> str:
        """Write the addresses in, as the README says; give what `validate` says then."""
        self.python("connect.py")
        for stage in STAGES:  # the one thing besides: the stand-in's router has no certificates
            file = self.root / "stages" / f"{stage}.yaml"
            file.write_text(file.read_text().replace("project: ", "tls: none\n      project: "))
        return self.waystage("validate")

    def turn(self, by: str) -> None:
        """Turn the clock, and wait until nothing is due any more."""
        self.waystage("--as", "otto", "clock", "--turn", by)
        address = json.loads((self.root / ".waystage" / "daemon.json").read_text())
        headers = {"Authorization": f"Bearer {address['token']}"}
        end = time.monotonic() + PATIENCE
        while True:
            told = httpx.get(f"{address['url']}/v1/health", headers=headers, trust_env=False)
            parked = self.told("incidents")
            assert not parked, parked
            if told.json()["busy"] == 0:
                return
            assert time.monotonic() < end, "the daemon does not come to rest"
            time.sleep(0.2)

    def images(self) -> set[str]:
        """Give the images that the champions' Deployments have on the clusters."""
        found = set()
        for stage in STAGES:
            path = f"/apis/apps/v1/namespaces/models-{stage.lower()}/deployments"
            for each in self.node.call("GET", path)["items"]:
                found.add(each["spec"]["template"]["spec"]["containers"][0]["image"])
        return found

    def champions(self) -> dict[str, str]:
        """Give the champion of each stage."""
        rows = self.told("where", "credit-risk")
        return {row["stage"]: row["snapshot"] for row in rows if row["role"] == "champion"}


@pytest.fixture
def bank(
    tmp_path: Path, mlflow: MlflowServer, registry: ImageRegistry, okd: KubeApi,
    certificate: tuple[Path, Path], node: ServingNode,
) -> Iterator[Bank]:  # fmt: skip
    found = Bank(tmp_path / "bank", mlflow, registry, okd, certificate[0], node)
    yield found
    found.stop()


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


def test_the_example_goes_round_is_retrained_replaced_and_rolled_back(
    bank: Bank, registry: ImageRegistry, node: ServingNode, tmp_path: Path
) -> None:
    assert "Everything that can be proved holds" in bank.connect()
    bank.start()

    bank.python("train.py", "--data", str(DATA), "--author", "dana", "--tag", "candidate=champion")
    went = bank.python("take_round.py", "german-credit/1", "--tag", "1.0.0")
    assert [line.strip() for line in went.splitlines() if "." in line][:1], went
    assert bank.champions() == dict.fromkeys(STAGES, "german-credit/1")
    built = registry.manifest("models/credit-risk", "1.0.0")
    assert built is not None
    assert bank.images() == {f"{registry.address}/models/credit-risk@{built['digest']}"}
    assert "german-credit/1 at http" in bank.python("ask.py", "--data", str(DATA), "--rows", "10")

    changed = str(recoded(tmp_path / "recoded.csv"))
    for _ in range(3):
        bank.python("ask.py", "--data", changed, "--rows", "1000", "--labels")
        bank.turn("P7D")
    for _ in range(8):
        if "a new version is trained" in (bank.root / "messages.jsonl").read_text():
            break
        bank.turn("P7D")
    print(bank.waystage("measurements", "credit-risk"), bank.waystage("history", "credit-risk-1"))
    assert "a new version is trained" in (bank.root / "messages.jsonl").read_text()
    bank.python("take_round.py", "german-credit/2", "--tag", "2.0.0", "--open")
    assert bank.champions() == dict.fromkeys(STAGES, "german-credit/2")
    assert "german-credit/2 at http" in bank.python("ask.py", "--data", str(DATA), "--rows", "10")

    bank.python("train.py", "--data", str(DATA), "--author", "dana", "--tag", "candidate=champion")
    node.broken.add("models-prod")
    went = bank.python("take_round.py", "german-credit/3", "--tag", "3.0.0", may_fail=True)
    assert "production.deploy" in went
    assert "ended: rejected" in went
    assert bank.champions() == dict.fromkeys(STAGES, "german-credit/2")
    assert "german-credit/2 at http" in bank.python("ask.py", "--data", str(DATA), "--rows", "10")
