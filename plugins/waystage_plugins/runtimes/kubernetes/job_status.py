"""How far a Job is, by what the cluster says of it, of its pod and of what happened to them."""

from __future__ import annotations

from typing import Any

from waystage.plugin import JobStatus
from waystage_plugins.runtimes.kubernetes.api import Api
from waystage_plugins.runtimes.kubernetes.job_manifest import CONTAINER, JOB_LABEL
from waystage_plugins.runtimes.kubernetes.kinds import EVENT, POD
from waystage_plugins.runtimes.kubernetes.observing import trouble_of
from waystage_plugins.runtimes.kubernetes.reasons import denied_pods

Thing = dict[str, Any]


def state_of(job: Thing) -> str:
    """Give `Complete` or `Failed`, or nothing while the job goes on."""
    for each in (job.get("status") or {}).get("conditions") or ():
        if each["type"] in ("Complete", "Failed") and each["status"] == "True":
            return str(each["type"])
    return ""


def ended(job: Thing) -> bool:
    """Say whether a job is over."""
    return bool(state_of(job))


def job_status(api: Api, job: Thing) -> tuple[JobStatus, bool]:
    """Give the status, and whether the job could not even start and never will."""
    state, pods = state_of(job), _pods(api, job["metadata"]["name"])
    if state == "Complete":
        return JobStatus(phase="succeeded", exit_code=0), False
    if state == "Failed":
        return _failed(api, job, pods), False
    if not pods:
        return _without_pod(api, job)
    phase = (pods[0].get("status") or {}).get("phase")
    if phase in ("Running", "Succeeded", "Failed"):  # the job's own word follows its pod's
        return JobStatus(phase="running", message=_last(api, pods)), False
    trouble = trouble_of(api, pods[0])
    if trouble is None:
        return JobStatus(phase="pending"), False
    if trouble.lasting:
        return JobStatus(phase="failed", message=trouble.message[:500]), True
    return JobStatus(phase="pending", message=trouble.message[:500]), False


def job_log(api: Api, name: str, lines: int) -> str:
    """Give the last lines of a job's pod; empty before it has one."""
    pods = _pods(api, name)
    return api.log(str(pods[0]["metadata"]["name"]), lines, container=CONTAINER) if pods else ""


def _failed(api: Api, job: Thing, pods: list[Thing]) -> JobStatus:
    end = _end(pods)
    code = end.get("exitCode")
    if code is None:  # it ended without its pod: out of time, or the pod is gone
        told = next(c for c in job["status"]["conditions"] if c["type"] == "Failed")
        message = f"{told.get('reason')}: {told.get('message')}"
        return JobStatus(phase="failed", message=message[:500])
    if end.get("reason") == "OOMKilled":
        message = "out of memory: give the runtime more memory"
        return JobStatus(phase="failed", exit_code=code, message=message)
    last = _last(api, pods) or "it printed nothing"
    return JobStatus(phase="failed", exit_code=code, message=f"exit code {code}: {last}"[:500])


def _end(pods: list[Thing]) -> Thing:
    """Say how the job's container ended, nothing if that is not known."""
    for pod in pods:
        for each in (pod.get("status") or {}).get("containerStatuses") or ():
            if each["name"] == CONTAINER and (ended := (each.get("state") or {}).get("terminated")):
                return dict(ended)
    return {}


def _without_pod(api: Api, job: Thing) -> tuple[JobStatus, bool]:
    if job["spec"].get("suspend"):
        told = "the job is suspended: somebody else says when it may begin"
        return JobStatus(phase="pending", message=told), False
    found = api.list(EVENT, {}, f"involvedObject.uid={job['metadata']['uid']}")
    warned = [str(each.get("message")) for each in found if each.get("type") == "Warning"]
    if not warned:
        return JobStatus(phase="pending"), False
    # a quota may be free again in a moment: the cluster goes on trying, and so do we
    return JobStatus(phase="pending", message=denied_pods(warned[-1]).message[:500]), False


def _last(api: Api, pods: list[Thing]) -> str:
    text = api.log(str(pods[0]["metadata"]["name"]), 1, container=CONTAINER) if pods else ""
    lines = text.strip().splitlines()
    return lines[-1][:400] if lines else ""


def _pods(api: Api, name: str) -> list[Thing]:
    return api.list(POD, {JOB_LABEL: name})
