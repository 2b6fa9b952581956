"""The seed lifecycle on a real daemon: a stand-in of OpenShift's API and of a registry."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
import yaml
from at_work import AtWork
from image_registry import PASSWORD, USER, small_layer
from kube_api import KubeApi
from kubelet import SMALL, Kubelet, ModelServer
from registry_stand_in import StandIn
from saved_models import saved_model
from tls_files import make_certificate

from waystage.plugin import Label, ScoredRow

STAGES = ("DEV", "SIT", "UAT", "PROD")
WEEK = timedelta(days=7)
TRAIN = """
import os, pathlib, shutil
out = pathlib.Path(os.environ["WAYSTAGE_OUTPUT"], "model")
shutil.copytree(os.environ["WAYSTAGE_INPUT_PARENT"], out)
rows = len(open(os.environ["WAYSTAGE_INPUT_DATA"]).readlines()) - 1
(out / "saved_model.pb").write_bytes((out / "saved_model.pb").read_bytes())
(out / "manifest.yaml").write_text(f"metrics: {{rows: {rows}}}")
"""


class Fraud(AtWork):
    """The project of a fraud model."""

    service = "cc-fraud"


@pytest.fixture
def registry() -> Iterator[StandIn]:
    found = StandIn(user=(USER, PASSWORD))
    found.put_image("mirror/serving", "2.19.1", small_layer(), ["MODEL_BASE_PATH=/models"])
    yield found
    found.stop()


@pytest.fixture
def okd(tmp_path: Path) -> Iterator[KubeApi]:
    kubelet = Kubelet()
    certificate, key = make_certificate(tmp_path)
    api = KubeApi(certificate, key, node=kubelet)
    projects = [f"models-{stage.lower()}" for stage in STAGES]
    api.projects.update(dict.fromkeys(projects, "Active"))
    kubelet.begin(api.url, api.admin, projects, certificate)
    yield api
    kubelet.close()
    api.close()


def filled_in(root: Path, okd: KubeApi, registry: StandIn, certificate: Path) -> None:
    """Fill the addresses in, as a person does."""
    for stage in STAGES:
        file = root / "stages" / f"{stage}.yaml"
        text = re.sub(r'"https://api\..*\.example:6443"', f'"{okd.url}"', file.read_text())
        more = (f'"{registry.address}"', f"ca: {certificate}", "tls: none", "model: credit-risk")
        file.write_text(text.replace("registry.okd.example", "\n      ".join(more)))
    lifecycle = root / "lifecycles" / "tensorflow-openshift.yaml"
    host = 'host: "{{ params.registry }}"'
    text = lifecycle.read_text().replace(host, f"{host}\n            plain_http: true")
    lifecycle.write_text(text)


@pytest.fixture
def work(
    tmp_path: Path, okd: KubeApi, registry: StandIn, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Fraud]:
    for stage in STAGES:
        monkeypatch.setenv(f"OKD_TOKEN_{stage}", okd.admin)
    monkeypatch.setenv("REGISTRY_TOKEN", PASSWORD)
    monkeypatch.setattr(ModelServer, "inputs", SMALL)
    root = tmp_path / "project"

    def change(project: dict[str, Any]) -> None:
        params = {"registry": registry.address, "registry_user": USER,
                  "base": f"{registry.address}/mirror/serving:2.19.1"}  # fmt: skip
        project["services"]["cc-fraud"] = {"owner": "otto", "params": params}
        filled_in(root, okd, registry, tmp_path / "tls.pem")

    found = Fraud(root, monkeypatch, "--with", "tensorflow-openshift", change=change)
    (root / "train.py").write_text(TRAIN)
    yield found
    found.stop()


def register(root: Path) -> None:
    place = root / "models" / "fraud" / "1"
    (place / "variables").mkdir(parents=True)
    (place / "saved_model.pb").write_bytes(saved_model())
    (place / "variables" / "variables.index").write_bytes(b"weights")
    (place / "manifest.yaml").write_text(yaml.safe_dump({
        "format": "savedmodel", "services": ["cc-fraud"], "author": "dana",
        "tags": {"candidate": "champion"},
        "inputs": [{"name": "income"}, {"name": "owner", "type": "boolean"}],
        "outputs": [{"name": "score"}], "example": [{"income": 1.0, "owner": True}],
    }))  # fmt: skip


def scored(work: Fraud, week: int) -> None:
    """Log a week of requests whose scores tell nothing, as the gateway before the model does."""
    log, chance, now = work.daemon.connections.scoring_log(), Random(week), work.clock.now()
    names = [f"w{week}-{n}" for n in range(600)]
    log.append(
        ScoredRow(name, now, "cc-fraud", "PROD", "fraud/1", "champion", chance.random(),
                  {"income": chance.random(), "owner": True})
        for name in names
    )  # fmt: skip
    log.label(Label(name, n % 2, now) for n, name in enumerate(names))


@pytest.mark.slow
def test_a_tensorflow_model_is_built_promoted_watched_and_retrained(
    work: Fraud, okd: Any, registry: StandIn
) -> None:
    register(work.root)
    work.until(lambda: work.daemon.store.run("cc-fraud-1") is not None)
    run = "cc-fraud-1"
    work.decide(run, "vera", "approve", image_tag="1.0.3")
    for stage in STAGES[:3]:
        work.comes_to(run, f"promote.{stage}.soak")
        work.turn(timedelta(hours=1))
    built = registry.manifest("models/cc-fraud", "1.0.3")
    assert built is not None
    image = f"{registry.address}/models/cc-fraud@{built['digest']}"
    assert work.body(run)["steps"]["image"]["image"] == image
    task = work.decide(run, "otto", "go")
    assert image in task.body["text"]
    work.comes_to(run, "production.serving")
    assert work.where() == dict.fromkeys(STAGES, "fraud/1")
    for stage in STAGES:
        path = f"/apis/apps/v1/namespaces/models-{stage.lower()}/deployments"
        (deployment,) = okd.node.call("GET", path)["items"]
        (container,) = deployment["spec"]["template"]["spec"]["containers"]
        assert container["image"] == image
        assert deployment["spec"]["replicas"] == (3 if stage == "PROD" else 1)

    for week in range(3):
        scored(work, week)
        work.turn(WEEK)
    for _ in range(8):
        if any(line.startswith("moved production.retrain ") for line in work.said(run)):
            break
        work.turn(WEEK)
    work.until(lambda: "is trained" in (work.root / "messages.jsonl").read_text(), run, "retrained")
    told = (work.root / "messages.jsonl").read_text()
    assert "cannot be judged" in told, "before labels were mature nothing was said to be well"
    assert "Review fraud 2" in told
    assert (work.root / "models" / "fraud" / "2" / "manifest.yaml").exists()
    assert "production.serving" in work.places(run)
    assert work.body(run)["steps"]["training"]["rows"] >= 1000
