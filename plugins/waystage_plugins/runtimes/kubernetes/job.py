"""The batch runtime `kubernetes.job`: jobs as pods that share a volume with the daemon."""

from __future__ import annotations

import re
import shutil
from collections.abc import Collection
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from waystage.errors import Hopeless
from waystage.plugin import (
    BatchRuntime,
    Context,
    DeploySpec,
    Job,
    JobStatus,
    JsonObject,
    Services,
    Wanted,
)
from waystage_plugins.repositories.layout import locked
from waystage_plugins.runtimes import submitted
from waystage_plugins.runtimes.files import read_json, read_share, write_json
from waystage_plugins.runtimes.job_words import score_job, variable
from waystage_plugins.runtimes.kubernetes.api import Api
from waystage_plugins.runtimes.kubernetes.cluster import LABEL, USER, Cluster
from waystage_plugins.runtimes.kubernetes.job_manifest import JOB_LABEL, JobPlan, job_manifest
from waystage_plugins.runtimes.kubernetes.job_status import ended, job_log, job_status, state_of
from waystage_plugins.runtimes.kubernetes.kinds import JOB
from waystage_plugins.runtimes.kubernetes.names import KEY, MANAGED, OWNER, plain, short_hash
from waystage_plugins.runtimes.kubernetes.sizes import Resources
from waystage_plugins.runtimes.shared_files import SharedFiles

Thing = dict[str, Any]
OUTPUT, CLOSED = "output", "closed.json"
TOLD, PROGRESS = "told", "progress.txt"


class KubernetesJob(Cluster, BatchRuntime):
    """Run jobs on Kubernetes, one Job and one pod each, never twice for one key.

        - use: kubernetes.job
          with:
            api: "https://cluster.example:6443"
            token: {secret: env/CLUSTER_TOKEN}
            namespace: models-batch
            image: r.io/job@sha256:7d865e959b2466918c9863afca942d0fb89d7c9ac0c99bafc3749504ded97730
            claim: waystage-jobs
            directory: /srv/waystage-jobs

    Inputs and outputs pass through a volume: the cluster has it as the claim `claim`, the daemon
    sees the same files below `directory`. What a job reads is copied there unless it is there
    already. The image has Python, and Waystage where snapshots are to be scored.
    """

    use: ClassVar[str] = "kubernetes.job"
    capabilities: ClassVar[frozenset[str]] = frozenset({"logs"})

    namespace: str = Field(pattern=LABEL)
    image: str = Field(pattern=r"^\S+@sha256:[0-9a-f]{64}$", json_schema_extra={"format": "image"})
    claim: str = Field(pattern=LABEL, description="PersistentVolumeClaim that jobs write to")
    directory: str = Field(min_length=1, description="where the daemon sees the claim's files")
    mount: str = Field(
        default="/waystage", pattern=r"^/[^\s:]*$", description="where jobs see them"
    )
    pull_secret: str = Field(default="", description="name of the cluster's secret for pulling")
    resources: Resources = Resources()
    seconds: int | None = Field(default=None, ge=1, description="longest time of a job")
    user: int | None = Field(default=None, ge=1, description=USER)

    def diagnose(self, ctx: Services) -> list[str]:
        """Say whether the volume is there and the cluster takes the account."""
        place = self._local(ctx)
        missing = [] if place.is_dir() else [f"directory: {place} is no directory"]
        return missing + self.reached(ctx, self.namespace, JOB)

    def forget(self, ctx: Services, runs: Collection[str]) -> None:
        """Take away the runs' jobs and their files, except of one that is still at work."""
        with self.connected(ctx, self.namespace) as api:
            for each in api.list(JOB, MANAGED | {OWNER: self.owner}):
                run = each["metadata"].get("annotations", {}).get(KEY, "").partition("/")[0]
                if run in runs and ended(each):
                    api.delete(JOB, each)
                    name = each["metadata"]["name"]
                    shutil.rmtree(self._local(ctx) / "jobs" / name, ignore_errors=True)

    def submit(self, ctx: Context, job: Job, *, key: str) -> JsonObject:
        """Make the Job once per key, also when it was cancelled meanwhile."""
        name = f"ws-{plain(job.name, 30)}-{short_hash(self.owner, key, length=16)}"
        place = self._local(ctx) / "jobs" / name
        if not self._local(ctx).is_dir():
            raise Hopeless(f"directory: {self._local(ctx)} is no directory")
        (place / OUTPUT).mkdir(parents=True, exist_ok=True)
        (place / TOLD).mkdir(exist_ok=True)
        for each in (OUTPUT, TOLD):
            (place / each).chmod(0o777)  # the cluster chooses the user that a pod runs as
        ref: JsonObject = {"namespace": self.namespace, "name": name}
        submitted.remember(self, ctx, ref, key)
        with locked(place / "submit.lock"), self.connected(ctx, self.namespace) as api:
            if not (place / CLOSED).exists() and api.get(JOB, name) is None:
                api.create(JOB, job_manifest(self._plan(ctx, job, key, name, place)))
        return ref

    def poll(self, ctx: Services, ref: JsonObject) -> JobStatus:
        """Say how far the job is."""
        place, name = self._place(ctx, ref), str(ref["name"])
        with self.connected(ctx, self.namespace) as api:
            live = self._ours(api, name)
            if live is None or (place / CLOSED).exists():
                return _closed(place)
            status, lasting = job_status(api, live)
            if lasting:
                # what cannot start now must not start by surprise after it was given up
                self._close(api, place, live, status.message)
            if status.phase != "running":
                return status
            return status.model_copy(update={"progress": read_share(place / TOLD / PROGRESS)})

    def outputs(self, ctx: Services, ref: JsonObject) -> Path:
        """Give the directory with what the job wrote."""
        return self._place(ctx, ref) / OUTPUT

    def cancel(self, ctx: Services, ref: JsonObject) -> None:
        """End the job's pod; harmless when it has ended."""
        place = self._place(ctx, ref)
        with self.connected(ctx, self.namespace) as api:
            live = self._ours(api, str(ref["name"]))
            if live is not None and not state_of(live):
                self._close(api, place, live, "it was cancelled")

    def logs(self, ctx: Services, ref: JsonObject, lines: int = 50) -> str:
        """Give the last lines of what the job printed."""
        self._place(ctx, ref)
        with self.connected(ctx, self.namespace) as api:
            return job_log(api, str(ref["name"]), lines)

    def end_unwanted(self, ctx: Services, wanted: Wanted) -> list[str]:
        """End the jobs that nobody waits for any more."""
        return submitted.end_unwanted(self, ctx, wanted)

    def score_command(self, spec: DeploySpec, rows: str) -> Job:
        """Give the job that scores a JSON-lines file with the snapshot."""
        return score_job(spec, rows)

    def _plan(self, ctx: Services, job: Job, key: str, name: str, place: Path) -> JobPlan:
        shared = SharedFiles(self._local(ctx), self.mount)
        inputs = {
            variable(label): shared.given(ctx.project / path, place / "inputs" / plain(label))
            for label, path in job.inputs.items()
        }
        project = shared.seen(ctx.project)
        own = {
            "WAYSTAGE_OUTPUT": shared.seen(place / OUTPUT),
            "WAYSTAGE_PROGRESS": shared.seen(place / TOLD / PROGRESS),
        } | ({"WAYSTAGE_PROJECT": project} if project else {})
        return JobPlan(
            name=name, key=key, image=self.image, command=job.command, claim=self.claim,
            labels=MANAGED | {OWNER: self.owner}, mount=self.mount, working_directory=project,
            environment=job.environment | inputs | own, requests=self.resources.requests,
            limits=self.resources.limits, pull_secret=self.pull_secret, seconds=self.seconds,
            user=self.user,
        )  # fmt: skip

    def _local(self, ctx: Services) -> Path:
        return ctx.project / self.directory

    def _place(self, ctx: Services, ref: JsonObject) -> Path:
        named, name = ref.get("namespace"), str(ref.get("name"))
        if named != self.namespace or not re.fullmatch(LABEL, name):
            raise Hopeless(f"job {name} of namespace {named} is none of {self.namespace}")
        return self._local(ctx) / "jobs" / name

    def _ours(self, api: Api, name: str) -> Thing | None:
        live = api.get(JOB, name)
        labels = (live or {}).get("metadata", {}).get("labels", {})
        return live if labels.get(OWNER) == self.owner and labels.get(JOB_LABEL) == name else None

    def _close(self, api: Api, place: Path, live: Thing, why: str) -> None:
        place.mkdir(parents=True, exist_ok=True)
        write_json(place / CLOSED, {"why": why})
        api.delete(JOB, live)


def _closed(place: Path) -> JobStatus:
    why = read_json(place / CLOSED).get("why")
    if why is None:
        return JobStatus(phase="absent", message="there is no such job")
    return JobStatus(phase="failed", message=str(why))
