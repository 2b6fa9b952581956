"""Stages, runtimes, people and monitors that a lifecycle needs and the project lacks.

Why it hurts: a deployment would find no place, a task nobody who may answer it, a threshold
would alarm on the good side. To mend it, see the message: it names stage, service, role.
"""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase

from waystage.check.subject import Place, Subject, did_you_mean
from waystage.errors import Problem
from waystage.spec.lifecycle import Monitor
from waystage.spec.load import ProjectFiles
from waystage.spec.stage import Runtime


def check(subject: Subject) -> Iterator[Problem]:
    """Hold the lifecycle against stages, people and its own monitors."""
    yield from _monitors(subject)
    if subject.files is None:
        return
    for place in subject.places:
        yield from _stages(subject, place, subject.files)
        yield from _people(subject, place, subject.files)


def _stages(subject: Subject, place: Place, files: ProjectFiles) -> Iterator[Problem]:
    named = place.spec.stages or ((place.spec.stage,) if place.spec.stage else ())
    for stage in named:
        if stage not in files.stages:
            key = "stages" if place.spec.stages else "stage"
            text = f"there is no stage {stage!r}"
            hint = did_you_mean(stage, files.stages)
            yield subject.problem("E-STAGE-UNKNOWN", (*place.path, key), text, hint)
    for number, step in enumerate(place.spec.steps or ()):
        need = getattr(subject.catalog.get(step.use), "needs_runtime", None)
        if need is None:
            continue
        path = (*place.path, "steps", number)
        if not place.stages:
            text = f"{step.use} needs a runtime, and this state belongs to no stage"
            yield subject.problem("E-STAGE-MISSING", path, text, "say stage: here or around it")
        for stage in place.stages:
            for service in subject.services:
                if problem := _runtime(files, stage, service, need):
                    yield subject.problem("E-RUNTIME", path, f"{step.use}: {problem}")


def _runtime(files: ProjectFiles, stage: str, service: str, need: str) -> str:
    if stage not in files.stages:
        return ""
    fitting = [r for r in files.stages[stage].spec.runtimes
               if any(fnmatchcase(service, glob) for glob in r.services)]  # fmt: skip
    modes = ("online", "batch") if need == "any" else (need,)
    for mode in modes:
        found = [runtime for runtime in fitting if runtime.mode == mode]
        preferred = [runtime for runtime in found if runtime.prefer]
        if len(found) > 1 and len(preferred) != 1:
            return f"{stage} has several {mode} runtimes for {service!r}: {_names(found)}"
        if found:
            return ""
    kind = "" if need == "any" else f"{need} "
    return f"{stage} has no {kind}runtime for {service!r} (it has {_names(fitting) or 'none'})"


def _names(runtimes: list[Runtime]) -> str:
    return ", ".join(f"{runtime.name} ({runtime.mode})" for runtime in runtimes)


def _people(subject: Subject, place: Place, files: ProjectFiles) -> Iterator[Problem]:
    task, people = place.spec.task, files.project.spec.people
    if task is None:
        return
    roles = {role for person in people.values() for role in person.roles}
    for key, whos in (("for", task.for_), ("required", task.required)):
        for who in whos:
            role = who.removeprefix("role:")
            known = roles if role != who else set(people)
            if role not in known:
                text = (
                    f"nobody has the role {role!r}" if role != who else f"nobody is called {who!r}"
                )
                path = (*place.path, "task", key)
                yield subject.problem("E-PEOPLE", path, text, did_you_mean(role, known))
    wanted = set(task.for_)
    able = [
        name
        for name, person in people.items()
        if name in wanted or {f"role:{role}" for role in person.roles} & wanted
    ]
    if able and task.quorum > len(able):
        text = f"quorum {task.quorum} cannot be met: {len(able)} may answer ({', '.join(able)})"
        yield subject.problem("E-QUORUM", (*place.path, "task", "quorum"), text)
    for outcome in (*task.approves, *([task.on_timeout] if task.on_timeout else [])):
        if outcome not in task.outcomes and outcome != "escalate":
            text = f"{outcome!r} is no outcome of this task"
            hint = did_you_mean(outcome, task.outcomes)
            yield subject.problem("E-OUTCOME", (*place.path, "task"), text, hint)
    if task.on_timeout in task.approvals:
        text = "a deadline never approves"
        yield subject.problem("E-TIMEOUT-APPROVES", (*place.path, "task", "on_timeout"), text)


def _monitors(subject: Subject) -> Iterator[Problem]:
    for place in subject.places:
        for name in place.spec.verify or ():
            if name not in subject.spec.monitors:
                text = f"there is no monitor {name!r}"
                hint = did_you_mean(name, subject.spec.monitors)
                yield subject.problem("E-MONITOR-UNKNOWN", (*place.path, "verify"), text, hint)
    for name, monitor in subject.spec.monitors.items():
        if problem := _thresholds(subject, monitor):
            yield subject.problem("E-THRESHOLD", ("monitors", name), problem)


def _thresholds(subject: Subject, monitor: Monitor) -> str:
    better = getattr(subject.catalog.get(monitor.use), "better", "neither")
    for threshold in (monitor.warn, monitor.breach):
        wrong = {"higher": "above", "lower": "below"}.get(better)
        if threshold and wrong and getattr(threshold, wrong) is not None:
            return f"{monitor.use}: {better} is better, so it is never bad {wrong} a value"
    warn, breach = monitor.warn, monitor.breach
    if warn is None or breach is None:
        return ""
    if (warn.below is None) != (breach.below is None):
        return "warn and breach look at different sides"
    low = warn.below is not None
    near, far = (warn.below, breach.below) if low else (warn.above, breach.above)
    if isinstance(near, float) and isinstance(far, float) and (far > near if low else far < near):
        return f"breach ({far:g}) does not imply warn ({near:g}): the pair is swapped"
    return ""
