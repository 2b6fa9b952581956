"""Write the addresses of your MLflow, registry and clusters into this project.

    OKD_API=https://api.okd.acme.org:6443 REGISTRY=registry.acme.org \
    MLFLOW_TRACKING_URI=https://mlflow.acme.org python connect.py

They come from the environment: see `VARIABLES`. What is not set stays as it is in the files, so
this may be called again, and comments stay. Passwords and tokens are never written: the files
only name the variables that the daemon finds them in.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

STAGES = ("DEV", "SIT", "UAT", "PROD")
VARIABLES = {
    "MLFLOW_TRACKING_URI": "address of the MLflow tracking server",
    "MLFLOW_TRACKING_USERNAME": "user at MLflow, empty: it asks for none",
    "MLFLOW_CA": "PEM file with who signed MLflow's certificate",
    "REGISTRY": "registry that images are pushed to, host and port",
    "REGISTRY_PROJECT": "project in the registry",
    "REGISTRY_USER": "user at the registry, whose password is REGISTRY_TOKEN",
    "REGISTRY_CA": "PEM file with who signed the registry's certificate",
    "PULL_REGISTRY": "what the clusters themselves call that registry",
    "SERVING_BASE": "TensorFlow Serving image that models are put on",
    "OKD_API": "address of the cluster's API; of one stage's alone: OKD_API_DEV, OKD_API_PROD …",
    "OKD_CA": "PEM file with who signed its certificate; OKD_CA_DEV …",
    "OKD_PROJECT": "project on the cluster; OKD_PROJECT_DEV …",
}
SECRETS = ("REGISTRY_TOKEN", *(f"OKD_TOKEN_{stage}" for stage in STAGES))

yaml = YAML()
yaml.preserve_quotes = True
yaml.width = 1000
yaml.indent(mapping=2, sequence=4, offset=2)


def connect(root: Path, told: Mapping[str, str]) -> None:
    """Write what is told into the project at `root`."""
    place = root / "waystage.yaml"
    project = yaml.load(place)
    mlflow = project["repositories"][0]["with"]
    put(mlflow, "url", told.get("MLFLOW_TRACKING_URI"))
    put(mlflow, "ca", told.get("MLFLOW_CA"))
    put(mlflow, "user", told.get("MLFLOW_TRACKING_USERNAME"))
    if told.get("MLFLOW_TRACKING_USERNAME") == "":
        mlflow.pop("user", None)
        mlflow.pop("token", None)
    params = project["services"]["credit-risk"]["params"]
    for name in ("registry", "registry_project", "registry_user", "registry_ca"):
        put(params, name, told.get(name.upper()))
    put(params, "base", told.get("SERVING_BASE"))
    yaml.dump(project, place)
    for stage in STAGES:
        connect_stage(root / "stages" / f"{stage}.yaml", stage, told)


def connect_stage(place: Path, stage: str, told: Mapping[str, str]) -> None:
    """Write what is told of a stage; what is told of this one goes before what is of all."""
    found = yaml.load(place)
    cluster = found["runtimes"][0]["with"]
    for name in ("api", "ca", "project"):
        variable = f"OKD_{name.upper()}"
        put(cluster, name, told.get(f"{variable}_{stage}", told.get(variable)))
    put(cluster, "registry", told.get("REGISTRY"))
    put(cluster, "pull_registry", told.get("PULL_REGISTRY"))
    yaml.dump(found, place)


def put(settings: Any, name: str, value: str | None) -> None:
    """Set a setting, if there is something to set."""
    if value:
        settings[name] = value


def main() -> None:
    """Write, and say which variables with secrets the daemon will miss."""
    root = Path(__file__).parent
    connect(root, os.environ)
    secrets = [*SECRETS]
    if "user" in yaml.load(root / "waystage.yaml")["repositories"][0]["with"]:
        secrets.append("MLFLOW_TRACKING_PASSWORD")
    for name in secrets:
        if not os.environ.get(name):
            print(f"{name} is not set; the daemon needs it")
    print("Written. Next: `waystage validate`, then `waystage doctor`.")


if __name__ == "__main__":
    sys.exit(main())
