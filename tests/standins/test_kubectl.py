"""`kubectl` takes the stand-in for a Kubernetes API: what a person does with it works there."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
from kube_api import KubeApi
from kubectl import Kubectl, NoKubectl
from kubelet import Kubelet

pytestmark = pytest.mark.heavy
MANIFEST = textwrap.dedent(
    """
    apiVersion: apps/v1
    kind: Deployment
    metadata: {name: web, labels: {app: web}}
    spec:
      replicas: 1
      selector: {matchLabels: {app: web}}
      template:
        metadata: {labels: {app: web}}
        spec: {containers: [{name: web, image: "nginx:1", ports: [{containerPort: 80}]}]}
    ---
    apiVersion: v1
    kind: Service
    metadata: {name: web}
    spec: {selector: {app: web}, ports: [{port: 80}]}
    """
)


@pytest.fixture
def kubectl(files: tuple[Path, Path], tmp_path: Path) -> Iterator[Kubectl]:
    """The program at an API whose pods become ready; `MANIFEST` is in `web.yaml`."""
    node = Kubelet()
    api = KubeApi(*files, node=node)
    (tmp_path / "web.yaml").write_text(MANIFEST)
    try:
        found = Kubectl(tmp_path, api.url, api.admin, files[0])
        node.begin(api.url, api.admin, ["models"], files[0])
        yield found
    except NoKubectl as error:
        pytest.skip(str(error))
    finally:
        node.close()
        api.close()


def thing(kind: str, name: str) -> dict[str, object]:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name}}


def replaced(kubectl: Kubectl, old: str, new: str) -> None:
    (kubectl.place / "web.yaml").write_text(MANIFEST.replace(old, new))


def test_what_is_applied_rolls_out_is_changed_and_taken_away(kubectl: Kubectl) -> None:
    assert "deployment.apps/web created" in kubectl("apply", "-f", "web.yaml")
    assert "unchanged" in kubectl("apply", "-f", "web.yaml")
    assert "successfully rolled out" in kubectl("rollout", "status", "deploy/web")
    assert kubectl("diff", "-f", "web.yaml") == ""
    replaced(kubectl, "nginx:1", "nginx:2")
    assert "+      - image: nginx:2" in kubectl("diff", "-f", "web.yaml", fails=True)
    assert "deployment.apps/web configured" in kubectl("apply", "-f", "web.yaml")
    assert "successfully rolled out" in kubectl("rollout", "status", "deploy/web")
    kubectl("scale", "deploy/web", "--replicas=2")
    kubectl("wait", "--for=jsonpath={.status.availableReplicas}=2", "deploy/web", "--timeout=60s")
    kubectl("wait", "--for=condition=Available", "deploy/web", "--timeout=60s")
    assert "2/2" in kubectl("get", "deploy")
    described = kubectl("describe", "deploy", "web")
    assert "2 desired | 2 updated" in described
    assert "nginx:2" in described
    assert "nginx:2" in kubectl("get", "pods", "-o", "yaml", "-l", "app in (web)")
    kubectl("delete", "-f", "web.yaml", "--cascade=foreground", "--wait", "--timeout=60s")
    assert "No resources found" in kubectl("get", "deploy,svc,pods")
    assert "NotFound" in kubectl("get", "deploy", "web", fails=True)


def test_two_managers_conflict_on_the_servers_side(kubectl: Kubectl) -> None:
    def apply(manager: str, *more: str, fails: bool = False) -> str:
        return kubectl("apply", "--server-side", f"--field-manager={manager}", *more,
                       "-f", "web.yaml", fails=fails)  # fmt: skip

    assert "serverside-applied" in apply("one")
    replaced(kubectl, "nginx:1", "nginx:2")
    told = apply("two", fails=True)
    assert 'conflict with "one"' in told
    assert '.spec.template.spec.containers[name="web"].image' in told
    assert "serverside-applied" in apply("two", "--force-conflicts")
    assert "serverside-applied" in apply("two", "--dry-run=server")


def test_the_three_patches_and_edits_by_words(kubectl: Kubectl) -> None:
    kubectl("apply", "-f", "web.yaml")
    side = {"spec": {"template": {"spec": {"containers": [{"name": "side", "image": "s:1"}]}}}}
    kubectl("patch", "deploy", "web", "--type=strategic", "-p", json.dumps(side))
    names = ("get", "deploy", "web", "-o", "jsonpath={.spec.template.spec.containers[*].name}")
    assert set(kubectl(*names).split()) == {"web", "side"}
    kubectl("patch", "deploy", "web", "--type=json", "-p",
            '[{"op": "replace", "path": "/spec/replicas", "value": 0}]')  # fmt: skip
    kubectl("patch", "deploy", "web", "--type=merge", "-p", '{"spec": {"paused": true}}')
    told = kubectl("get", "deploy", "web", "-o", "jsonpath={.spec.replicas} {.spec.paused}")
    assert told == "0 true"
    assert "labeled" in kubectl("label", "deploy/web", "tier=front")
    assert "annotated" in kubectl("annotate", "deploy/web", "note=here")
    assert "image updated" in kubectl("set", "image", "deploy/web", "web=nginx:7")
    assert kubectl("get", "deploy", "-l", "tier=front", "-o", "name") == "deployment.apps/web\n"


def test_what_is_made_in_words_comes_as_protocol_buffers(kubectl: Kubectl) -> None:
    kubectl("create", "deployment", "web", "--image=nginx:1", "--replicas=2", "--port=80")
    kubectl("create", "service", "clusterip", "web", "--tcp=80:8080")
    told = kubectl("get", "svc/web", "-o", "jsonpath={.spec.ports[0].targetPort}")
    assert told == "8080"
    kubectl("autoscale", "deploy/web", "--min=1", "--max=3", "--cpu=50%")
    kubectl("create", "job", "one", "--image=busybox", "--", "echo", "hi")
    told = kubectl("get", "job/one", "-o", "jsonpath={.spec.template.spec.containers[0].command}")
    assert told == '["echo","hi"]'
    kubectl("create", "configmap", "settings", "--from-literal=a=1")
    assert kubectl("get", "cm/settings", "-o", "jsonpath={.data.a}") == "1"
    kubectl("create", "secret", "generic", "hidden", "--from-literal=a=1")
    assert kubectl("get", "secret/hidden", "-o", "jsonpath={.data.a}") == "MQ=="
    kubectl("create", "namespace", "other")
    kubectl("create", "quota", "few", "-n", "other", "--hard=pods=1,requests.cpu=500m")
    told = kubectl("get", "quota", "few", "-n", "other", "-o", "jsonpath={.spec.hard}")
    assert json.loads(told) == {"pods": "1", "requests.cpu": "500m"}
    kubectl("create", "pdb", "web", "--selector=app=web", "--min-available=50%")
    assert kubectl("get", "pdb/web", "-o", "jsonpath={.spec.minAvailable}") == "50%"
    told = kubectl("create", "priorityclass", "p", "--value=1", fails=True)
    assert "could not find the requested resource" in told


def test_an_account_made_in_words_may_what_its_role_says(kubectl: Kubectl) -> None:
    kubectl("create", "serviceaccount", "robot")
    kubectl("create", "role", "reader", "--verb=get,list", "--resource=deployments.apps")
    kubectl("create", "rolebinding", "robot", "--role=reader", "--serviceaccount=models:robot")
    assert kubectl("auth", "can-i", "delete", "deploy") == "yes\n"
    token = kubectl("create", "token", "robot", "--duration=20m").strip()
    config = json.loads(kubectl.config.read_text())
    config["users"][0]["user"]["token"] = token
    kubectl.config.write_text(json.dumps(config))
    assert "system:serviceaccount:models:robot" in kubectl("auth", "whoami")
    assert kubectl("auth", "can-i", "list", "deploy") == "yes\n"
    assert kubectl("auth", "can-i", "delete", "deploy", fails=True) == "no\n"
    assert "deployments.apps" in kubectl("auth", "can-i", "--list")
    assert "configmaps is forbidden" in kubectl("create", "configmap", "a", fails=True)


def test_a_watch_shows_what_comes(kubectl: Kubectl) -> None:
    seen = kubectl.start("get", "configmaps", "--watch", "-o", "name")
    assert seen.stdout is not None
    try:
        for name in ("one", "two"):
            kubectl("create", "-f", "-", given=json.dumps(thing("ConfigMap", name)))
            assert seen.stdout.readline() == f"configmap/{name}\n"
    finally:
        seen.kill()
        seen.wait()
        seen.stdout.close()


def test_it_finds_and_explains_kinds_and_ends_namespaces(kubectl: Kubectl) -> None:
    told = kubectl("api-resources", "-o", "wide")
    for word in ("deployments", "route.openshift.io/v1", "inferenceservices"):
        assert word in told
    assert "apps/v1" in kubectl("api-versions")
    assert "Number of desired pods" in kubectl("explain", "deploy.spec.replicas")
    assert "Container image name" in kubectl("explain", "pods.spec.containers.image")
    kubectl("create", "-f", "-", given=json.dumps(thing("Namespace", "other")))
    assert "other" in kubectl("get", "ns")
    kubectl("delete", "namespace", "other", "--timeout=60s")
    assert "other" not in kubectl("get", "ns")
    assert "v1.37.0" in kubectl("version")


def test_a_wrong_field_is_refused_with_its_name(kubectl: Kubectl) -> None:
    replaced(kubectl, "replicas: 1", "replcas: 1")
    assert 'unknown field "spec.replcas"' in kubectl("apply", "-f", "web.yaml", fails=True)
    replaced(kubectl, "app: web}}\n  template", "app: other}}\n  template")
    told = kubectl("apply", "-f", "web.yaml", fails=True)
    assert "`selector` does not match template `labels`" in told
