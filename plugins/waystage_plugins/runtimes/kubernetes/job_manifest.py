"""A job as Kubernetes has it: one pod, tried once, under the rules for restricted pods."""

from __future__ import annotations

import re
from typing import Any

from pydantic import BaseModel

from waystage_plugins.runtimes.kubernetes.kinds import JOB
from waystage_plugins.runtimes.kubernetes.manifests import CONTAINER_SECURITY, head, pod_security
from waystage_plugins.runtimes.kubernetes.names import KEY

Thing = dict[str, Any]
JOB_LABEL = "waystage.dev/job"
CONTAINER = "job"
# Kubernetes would fill in $(NAME); only what this runtime itself puts in is meant so
FOREIGN = re.compile(r"\$(?=\((?!WAYSTAGE_))")


class JobPlan(BaseModel):
    """Everything that the manifest of a job is made of."""

    name: str
    labels: dict[str, str]
    key: str
    image: str
    command: tuple[str, ...]
    environment: dict[str, str]
    claim: str
    mount: str
    working_directory: str = ""
    requests: dict[str, str]
    limits: dict[str, str]
    pull_secret: str = ""
    seconds: int | None = None
    user: int | None = None


def job_manifest(plan: JobPlan) -> Thing:
    """Give the Job."""
    labels = plan.labels | {JOB_LABEL: plan.name}
    spec: Thing = {
        "backoffLimit": 0,
        "completions": 1,
        "parallelism": 1,
        "template": {"metadata": {"labels": labels}, "spec": _pod(plan)},
    }
    if plan.seconds is not None:
        spec["activeDeadlineSeconds"] = plan.seconds
    return head(JOB, plan.name, labels, {KEY: plan.key}) | {"spec": spec}


def _pod(plan: JobPlan) -> Thing:
    spec: Thing = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": pod_security(plan.user),
        "terminationGracePeriodSeconds": 5,
        "containers": [_container(plan)],
        "volumes": [
            {"name": "tmp", "emptyDir": {}},
            {"name": "shared", "persistentVolumeClaim": {"claimName": plan.claim}},
        ],
    }
    if plan.pull_secret:
        spec["imagePullSecrets"] = [{"name": plan.pull_secret}]
    return spec


def _container(plan: JobPlan) -> Thing:
    made: Thing = {
        "name": CONTAINER,
        "image": plan.image,
        "imagePullPolicy": "IfNotPresent",
        "command": [FOREIGN.sub("$$", word) for word in plan.command],
        "env": [
            {"name": name, "value": FOREIGN.sub("$$", value)}
            for name, value in sorted(plan.environment.items())
        ],
        "resources": {"requests": plan.requests, "limits": plan.limits},
        "securityContext": CONTAINER_SECURITY,
        "volumeMounts": [
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108  # in the container
            {"name": "shared", "mountPath": plan.mount},
        ],
    }
    if plan.working_directory:
        made["workingDir"] = plan.working_directory
    return made
