"""Steps that ask a runtime for what it cannot do.

- E-CAPABILITY: the runtime that is chosen for the step, its stage and a service lacks a
  capability that the step needs.

Why it hurts: the step would be parked in that stage, after others took effect. To mend it, give
the stage a runtime that has the capability, or leave the step out there.
"""

from __future__ import annotations

from collections.abc import Iterator

from waystage.check.runtimes import candidates, needs
from waystage.check.subject import Subject
from waystage.errors import Problem
from waystage.spec.load import ProjectFiles
from waystage.spec.stage import Runtime


def check(subject: Subject) -> Iterator[Problem]:
    """Hold what steps need against what the chosen runtimes can."""
    if subject.files is None:
        return
    for place in subject.places:
        for path, use, mode, wanted in needs(subject, place):
            for stage in place.stages if wanted else ():
                for runtime in _chosen(subject, subject.files, stage, mode):
                    able = getattr(subject.catalog.get(runtime.use), "capabilities", wanted)
                    if lacking := sorted(wanted - able):
                        text = (
                            f"{use} needs {', '.join(lacking)}, and {runtime.name} ({runtime.use}) "
                            f"of {stage} has {', '.join(sorted(able)) or 'no capabilities'}"
                        )
                        yield subject.problem("E-CAPABILITY", path, text)


def _chosen(subject: Subject, files: ProjectFiles, stage: str, mode: str) -> list[Runtime]:
    """Give the runtimes that the services of the lifecycle get in that stage."""
    if stage not in files.stages:
        return []
    chosen: list[Runtime] = []
    for service in subject.services:
        found = candidates(files, stage, service, mode)
        best = found if len(found) == 1 else [runtime for runtime in found if runtime.prefer]
        chosen += [runtime for runtime in best if runtime not in chosen]
    return chosen
