"""How far a Job is, by what the cluster says of it, of its pod and of what happened to them."""

from __future__ import annotations

from typing import Any

from waystage.plugin import JobStatus
from waystage_plugins.runtimes.kubernetes.api import Api
from waystage_plugins.runtimes.kubernetes.job_manifest import JOB_LABEL
from waystage_plugins.runtimes.kubernetes.kinds import EVENT, POD
from waystage_plugins.runtimes.kubernetes.observing import events_of, last_line
from waystage_plugins.runtimes.kubernetes.reasons import denied_pods, pod_trouble

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
    trouble = pod_trouble(pods[0], lambda p: events_of(api, p), lambda p: last_line(api, p))
    if trouble is None:
        return JobStatus(phase="pending"), False
    if trouble.lasting:
        return JobStatus(phase="failed", message=trouble.message[:500]), True
    return JobStatus(phase="pending", message=trouble.message[:500]), False


def job_log(api: Api, name: str, lines: int) -> str:
    """Give the last lines of a job's pod; empty before it has one."""
    pods = _pods(api, name)
    return api.log(str(pods[0]["metadata"]["name"]), lines) if pods else ""


def _failed(api: Api, job: Thing, pods: list[Thing]) -> JobStatus:
    code = None
    for pod in pods:
        for each in (pod.get("status") or {}).get("containerStatuses") or ():
            code = ((each.get("state") or {}).get("terminated") or {}).get("exitCode", code)
    if code is None:  # it ended without its pod: out of time, or the pod is gone
        told = next(c for c in job["status"]["conditions"] if c["type"] == "Failed")
        message = f"{told.get('reason')}: {told.get('message')}"
        return JobStatus(phase="failed", message=message[:500])
    last = _last(api, pods) or "it printed nothing"
    return JobStatus(phase="failed", exit_code=code, message=f"exit code {code}: {last}"[:500])


def _without_pod(api: Api, job: Thing) -> tuple[JobStatus, bool]:
    found = api.list(EVENT, {}, f"involvedObject.uid={job['metadata']['uid']}")
    warned = [str(each.get("message")) for each in found if each.get("type") == "Warning"]
    if not warned:
        return JobStatus(phase="pending"), False
    # a quota may be free again in a moment: the cluster goes on trying, and so do we
    return JobStatus(phase="pending", message=denied_pods(warned[-1]).message[:500]), False


def _last(api: Api, pods: list[Thing]) -> str:
    text = api.log(str(pods[0]["metadata"]["name"]), 1) if pods else ""
    lines = text.strip().splitlines()
    return lines[-1][:400] if lines else ""


def _pods(api: Api, name: str) -> list[Thing]:
    return api.list(POD, {JOB_LABEL: name})
