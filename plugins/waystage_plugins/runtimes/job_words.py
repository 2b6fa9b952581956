"""What runtimes whose jobs run in images share: names of variables, and the job that scores."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from waystage.plugin import DeploySpec, Job

OWN = re.compile(r"\$\((WAYSTAGE_[A-Z0-9_]+)\)")


def variable(name: str) -> str:
    """Give the variable that holds where a job finds an input."""
    return "WAYSTAGE_INPUT_" + re.sub(r"[^A-Z0-9]", "_", name.upper())


def filled(word: str, environment: Mapping[str, str]) -> str:
    """Put the values of Waystage's own variables for `$(NAME)`; other dollars stay."""
    return OWN.sub(lambda found: environment.get(found[1], found[0]), word)


def score_job(spec: DeploySpec, rows: str) -> Job:
    """Give the job that scores a JSON-lines file in an image that has Waystage."""
    needed = {"name", "version", "digest", "inputs", "outputs"}
    manifest = spec.snapshot.model_dump(mode="json", include=needed)
    model = "$(WAYSTAGE_INPUT_MODEL)"
    return Job(
        name="score",
        command=("python", "-m", "waystage_plugins.runtimes.score", "--model", model),
        inputs={"rows": rows, "model": spec.source},
        environment={"WAYSTAGE_SNAPSHOT": json.dumps(manifest)},
    )
