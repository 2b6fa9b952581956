"""The example on OpenShift as somebody uses it: a copy, its scripts, a daemon, the command line."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import yaml
from image_registry import PASSWORD, USER
from mlflow_server import ADMIN, QUIET
from mlflow_server import PASSWORD as MLFLOW_PASSWORD
from mlflow_server import PLACE as MLFLOW
from real_pods import BASE, RealPods
from serving_image import TENSORFLOW
from with_parent import end_with_parent

EXAMPLES = Path(__file__).parents[2] / "examples"
DATA = EXAMPLES / "german_credit" / "german_credit.csv"
STAGES = ("DEV", "SIT", "UAT", "PROD")
PATIENCE = 120.0
MLFLOW_PACKAGES = MLFLOW / "lib" / f"python3.{sys.version_info.minor}" / "site-packages"


class Bank:
    """The example's project, connected as its README says, and a daemon on it."""

    def __init__(self, root: Path, pods: RealPods) -> None:
        self.root, self.pods = root, pods
        init = ("-m", "waystage.cli.main", "init", str(root), "--example", "tensorflow_openshift")
        subprocess.run([sys.executable, *init], check=True, capture_output=True)
        shutil.copy(pods.certificate, root / "ca.pem")
        for stage in STAGES:
            pods.namespace(project_of(stage), "openshift.tfserving", openshift=True)
        self.before = self.world()
        self.environment = {
            **os.environ, **QUIET,
            "REGISTRY": pods.registry.address, "REGISTRY_PROJECT": project_of("DEV"),
            "REGISTRY_USER": USER, "REGISTRY_TOKEN": PASSWORD, "REGISTRY_CA": "ca.pem",
            "SERVING_BASE": f"{pods.registry.address}/{BASE}:2.19.1",
            "OKD_API": pods.api.url, "OKD_CA": "ca.pem",
            **{f"OKD_TOKEN_{stage}": pods.token(project_of(stage)) for stage in STAGES},
            "DOCKER_HOST": pods.engine.host,
            "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "",
        }  # fmt: skip

    def use_mlflow(self, url: str) -> None:
        """Take models from this server, and train with what the extra `tensorflow` brings."""
        here = [each for each in [os.environ.get("PYTHONPATH", "")] if each]
        self.environment |= {
            "MLFLOW_TRACKING_URI": url,
            "MLFLOW_TRACKING_USERNAME": ADMIN, "MLFLOW_TRACKING_PASSWORD": MLFLOW_PASSWORD,
            # here these packages are in environments of their own
            "PYTHONPATH": os.pathsep.join([*here, str(TENSORFLOW), str(MLFLOW_PACKAGES)]),
        }  # fmt: skip

    def use_folder(self) -> None:
        """Take models from the directory `models`."""
        place = self.root / "waystage.yaml"
        project = yaml.safe_load(place.read_text())
        project["repositories"][0] |= {"use": "folder", "with": {"path": "models"}}
        place.write_text(yaml.safe_dump(project, sort_keys=False))

    def use_builder(self, builder: str) -> None:
        """Have images built by this one from now on."""
        place = self.root / "waystage.yaml"
        project = yaml.safe_load(place.read_text())
        project["services"]["credit-risk"]["params"]["builder"] = builder
        place.write_text(yaml.safe_dump(project, sort_keys=False))

    def give_prod(self, memory: str) -> None:
        """Let the pods of PROD have this much memory, those of the others have more."""
        place = self.root / "stages" / "PROD.yaml"
        text = place.read_text()
        assert "memory: 1Gi" in text
        place.write_text(text.replace("memory: 1Gi", f"memory: {memory}"))

    def ask(self, *words: str) -> str:
        """Ask the champion in PROD by its Route."""
        return self.python("ask.py", "--ca", "ca.pem", *words)

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
            self.daemon.wait(timeout=300)

    def connect(self) -> str:
        """Write the addresses in, as the README says; give what `validate` says then."""
        self.python("connect.py")
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
            for each in self.pods.all(project_of(stage), "deployments", "apps/v1"):
                found.add(each["spec"]["template"]["spec"]["containers"][0]["image"])
        return found

    def streamed(self) -> dict[str, str]:
        """Give the tags of the service's ImageStream, which pushes made, with their digests."""
        root = f"/apis/image.openshift.io/v1/namespaces/{project_of('DEV')}/imagestreams"
        found = self.pods.node.call("GET", f"{root}/credit-risk")["status"]["tags"]
        return {each["tag"]: each["items"][0]["image"] for each in found}

    def world(self) -> dict[str, Any]:
        """Count objects, containers and images of all projects, but for the pushed stream."""
        counted = {stage: self.pods.world(project_of(stage)) for stage in STAGES}
        for each in counted.values():
            each["objects"] = [o for o in each["objects"] if o != "imagestreams/credit-risk"]
        return counted

    def until(self, what: Callable[[], Any], wanted: Any) -> None:
        """Wait until this gives what is wanted."""
        end = time.monotonic() + PATIENCE
        while (now := what()) != wanted:
            assert time.monotonic() < end, f"it stays\n{now}\ninstead of\n{wanted}"
            time.sleep(0.2)

    def running(self) -> dict[str, int]:
        """Count the containers that serve, by the digest that they were pulled by."""
        pods = [pod for stage in STAGES for pod in self.pods.all(project_of(stage), "pods")
                if "deletionTimestamp" not in pod["metadata"]]  # fmt: skip
        told = [each for pod in pods for each in pod["status"].get("containerStatuses", ())]
        return dict(Counter(each["imageID"].partition("//")[2] for each in told if each["ready"]))

    def champions(self) -> dict[str, str]:
        """Give the champion of each stage."""
        rows = self.told("where", "credit-risk")
        return {row["stage"]: row["snapshot"] for row in rows if row["role"] == "champion"}


def project_of(stage: str) -> str:
    """Give the project of a stage, as the example's files name it."""
    return f"models-{stage.lower()}"
