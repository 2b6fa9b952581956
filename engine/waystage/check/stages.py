"""Stages that a lifecycle names and that do not exist, or in an order that is not theirs.

- E-STAGE-UNKNOWN: there is no such stage.
- E-STAGE-ORDER: `stages` lists a stage before one that it comes after, or twice. What only takes
  back (undeploys, restores) may go through them backwards.

Why it hurts: what an earlier stage proves would come too late. To mend it, list the stages in
the order of their `after`.
"""

from __future__ import annotations

from collections.abc import Iterator

from waystage.check.order import before
from waystage.check.places import Place
from waystage.check.subject import Subject, did_you_mean
from waystage.errors import Problem
from waystage.spec.lifecycle import State
from waystage.spec.load import ProjectFiles


def check(subject: Subject) -> Iterator[Problem]:
    """Hold every `stage` and `stages` against the stages that there are."""
    if subject.files is None:
        return
    for place in subject.places:
        if place.spec.stage:
            yield from _known(subject, place, subject.files, ("stage",), place.spec.stage)
        for number, stage in enumerate(place.spec.stages or ()):
            yield from _known(subject, place, subject.files, ("stages", number), stage)
        if place.spec.stages:
            yield from _order(subject, place, subject.files, place.spec.stages)


def _known(
    subject: Subject, place: Place, files: ProjectFiles, key: tuple[str | int, ...], stage: str
) -> Iterator[Problem]:
    if stage not in files.stages:
        text, hint = f"there is no stage {stage!r}", did_you_mean(stage, files.stages)
        yield subject.problem("E-STAGE-UNKNOWN", place.at(*key), text, hint)


def _order(
    subject: Subject, place: Place, files: ProjectFiles, stages: tuple[str, ...]
) -> Iterator[Problem]:
    any_order = _changes(subject, place.spec) == {"back"}
    for number, stage in enumerate(stages):
        path = place.at("stages", number)
        late = [each for each in stages[number + 1 :] if each in before(files, stage)]
        if stage in stages[:number]:
            yield subject.problem("E-STAGE-ORDER", path, f"{stage} is there twice")
        if late and not any_order:
            text = f"{stage} comes after {', '.join(late)}"
            yield subject.problem("E-STAGE-ORDER", path, text, "list them in their order")


def _changes(subject: Subject, spec: State) -> set[str]:
    """Give what the steps inside do to their stage: `forward`, `back`, or both."""
    own = {getattr(subject.catalog.get(s.use), "changes", "none") for s in spec.steps or ()}
    inner = (_changes(subject, each) for each in (spec.states or {}).values())
    return own.union(*inner) - {"none"}
