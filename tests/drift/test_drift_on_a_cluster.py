"""A daemon at work on a stand-in of a cluster: changed by hand there, told, and taken back."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from drifting import Drifting
from kube_api import KubeApi
from kubelet import Kubelet
from saved_models import saved_model
from tls_files import make_certificate

from waystage.daemon import decisions
from waystage.people import OWN_TOKEN, Caller

IMAGE = "registry.example/models/credit-risk@sha256:" + "a" * 64


class Cluster(Drifting):
    """The project with `kubernetes.tfserving` for its stage; the daemon looks by itself."""

    api: KubeApi
    certificate: Path

    def write_stage(self, *, on_drift: str = "report", **settings: Any) -> None:
        reached = {"api": self.api.url, "token": {"secret": "env/TOKEN"}, "namespace": "models",
                   "ca": str(self.certificate), "image": IMAGE, "replicas": 2}  # fmt: skip
        runtime = {"name": "cluster", "use": "kubernetes.tfserving", "mode": "online",
                   "with": reached | settings}  # fmt: skip
        told = {"stage": "PROD", "runtimes": [runtime], "on_drift": on_drift}
        (self.root / "stages/PROD.yaml").write_text(yaml.safe_dump(told, sort_keys=False))

    def model(self, version: str) -> None:
        super().model(version)
        place = self.root / "models/credit" / version
        (place / "model.onnx").unlink()
        (place / "saved_model.pb").write_bytes(saved_model())
        told = {"format": "savedmodel", "services": ["credit-risk"], "author": "dana"}
        (place / "manifest.yaml").write_text(yaml.safe_dump(told))

    def patient(self, holds: Any) -> None:
        """Turn the clock and look until something holds."""
        end = time.monotonic() + 120
        while not holds():
            assert time.monotonic() < end, self.row().drift
            self.turn(seconds=5)
            self.look()
            time.sleep(0.02)


CHALLENGE = """
lifecycle: challenge
services: [credit-risk]
initial: deploy
states:
  deploy:
    stage: PROD
    steps:
      - {use: runtime.deploy, with: {role: challenger}}
      - {use: runtime.split, with: {percent: 20}}
    next: {done: serving, refused: end}
  serving: {stage: PROD, signals: [leave], next: {leave: out}}
  out: {stage: PROD, steps: [{use: runtime.undeploy}], next: end}
  end: {final: true}
"""


class Okd(Cluster):
    """The same with `openshift.tfserving`, and a second lifecycle for challengers."""

    def write_stage(self, *, on_drift: str = "report", **settings: Any) -> None:
        super().write_stage(on_drift=on_drift, **settings)
        file = self.root / "stages/PROD.yaml"
        text = file.read_text().replace("kubernetes.tfserving", "openshift.tfserving")
        file.write_text(text.replace("namespace: models", "project: models\n    tls: none"))
        (self.root / "lifecycles/challenge.yaml").write_text(CHALLENGE)

    def weights(self) -> list[int]:
        """Give the weights of the one Route."""
        where = "/apis/route.openshift.io/v1/namespaces/models/routes"
        (route,) = self.api.node.call("GET", where)["items"]  # type: ignore[attr-defined]  # the node is the kubelet of tests
        rows = [route["spec"]["to"], *route["spec"].get("alternateBackends", ())]
        return [row["weight"] for row in rows]


@pytest.fixture
def work(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Cluster]:
    kind = getattr(request, "param", Cluster)
    certificate, key = make_certificate(tmp_path)
    kubelet = Kubelet()
    api = KubeApi(certificate, key, node=kubelet)
    kubelet.begin(api.url, api.admin, ["models"], certificate)
    monkeypatch.setenv("TOKEN", api.admin)
    api.projects["models"] = "Active"
    Cluster.api, Cluster.certificate = api, certificate
    found = kind(tmp_path / "project", f"sqlite:///{tmp_path / 'w.db'}", tmp_path / "home",
                    on_drift="restore")  # fmt: skip
    yield found
    found.stop()
    kubelet.close()
    api.close()


def path(work: Cluster) -> str:
    name = work.row().body["deployed"]["handle"]["name"]
    return f"/apis/apps/v1/namespaces/models/deployments/{name}"


def by_hand(work: Cluster, patch: dict[str, Any]) -> None:
    where = f"{path(work)}?fieldManager=kubectl-edit"
    work.api.node.call("PATCH", where, patch, "application/merge-patch+json")  # type: ignore[attr-defined]  # the node is the kubelet of tests


def deployment(work: Cluster) -> dict[str, Any]:
    return dict(work.api.node.call("GET", path(work)))  # type: ignore[attr-defined]  # the node is the kubelet of tests


def begun(work: Cluster) -> str:
    """Deploy, and wait until it is well."""
    run = work.daemon.start_run("serve", "credit-risk", "credit", "1", "otto")
    end = time.monotonic() + 120
    while "serving" not in work.places(run):
        assert time.monotonic() < end, work.daemon.store.incidents()
        work.turn(seconds=5)
        time.sleep(0.02)
    work.patient(lambda: work.state == "ok")
    return run


def test_changes_by_hand_are_told_with_who_and_taken_back(work: Cluster) -> None:
    run = begun(work)
    by_hand(work, {"spec": {"replicas": 5}})
    work.look()
    assert "replicas: 5, not 2, by kubectl-edit at " in work.bodies()[0]["text"]
    assert deployment(work)["spec"]["replicas"] == 2
    work.patient(lambda: work.state == "ok")

    containers = deployment(work)["spec"]["template"]["spec"]["containers"]
    containers[0]["image"] = "registry.example/other@sha256:" + "b" * 64
    by_hand(work, {"spec": {"template": {"spec": {"containers": containers}}}})
    work.patient(lambda: work.state == "drifted")
    work.patient(lambda: work.state == "ok")
    (made,) = deployment(work)["spec"]["template"]["spec"]["containers"]
    assert made["image"] == IMAGE

    work.api.node.call("DELETE", path(work))  # type: ignore[attr-defined]  # the node is the kubelet of tests
    work.patient(lambda: work.state == "drifted")
    work.patient(lambda: work.state == "ok")
    told = [(name, payload.get("by", "")) for name, _, payload in work.signals(run)]
    assert [name for name, _ in told] == [
        "runtime.drifted", "runtime.restoring", "runtime.ok"] * 3  # fmt: skip
    assert [by for name, by in told if name == "runtime.drifted"] == [
        "kubectl-edit", "kubectl-edit", ""]  # fmt: skip


def test_a_cluster_that_lets_nobody_in_is_unknown_and_nothing_is_applied(
    work: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun(work)
    work.api.node.call("DELETE", path(work))  # type: ignore[attr-defined]  # the node is the kubelet of tests
    monkeypatch.setenv("TOKEN", "another one")
    work.look(3)
    assert (work.state, work.messages()) == ("unknown", ["PROD: credit-risk cannot be looked at"])
    assert "does not take the token (401)" in work.bodies()[0]["text"]
    monkeypatch.setenv("TOKEN", work.api.admin)
    work.patient(lambda: work.state == "ok")


@pytest.mark.parametrize("work", [Okd], indirect=True)
def test_shares_of_requests_are_kept_and_set_again(work: Okd) -> None:
    begun(work)
    work.model("2")
    run = work.daemon.start_run("challenge", "credit-risk", "credit", "2", "otto")
    work.patient(lambda: "serving" in work.places(run))
    work.patient(lambda: {work.state, work.row("2").state} == {"ok"})
    assert work.weights() == [80, 20]
    assert work.row("2").body["deployed"]["percent"] == 20

    name = work.row().body["deployed"]["handle"]["shared"]
    route = f"/apis/route.openshift.io/v1/namespaces/models/routes/{name}"
    patch = {"spec": {"to": {"weight": 1}}}
    kind = "application/merge-patch+json"
    work.api.node.call("PATCH", f"{route}?fieldManager=oc-edit", patch, kind)  # type: ignore[attr-defined]  # the node is the kubelet of tests
    assert work.weights() == [1, 20]
    work.look()
    assert "traffic: " in work.bodies()[0]["text"]
    work.patient(lambda: work.state == "ok")
    assert work.weights() == [80, 20]

    decisions.send_signal(work.daemon, "leave", {}, Caller("otto", OWN_TOKEN), run=run)
    work.patient(lambda: work.weights() == [100])
    work.api.node.call("DELETE", route)  # type: ignore[attr-defined]  # the node is the kubelet of tests
    work.patient(lambda: work.state == "drifted")
    work.patient(lambda: work.state == "ok")
    assert work.weights() == [100], "whoever is gone gets no share again"
