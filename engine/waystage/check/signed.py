"""Signatures that a stage or a step asks for.

- E-SIGNER-UNKNOWN: `requires.signed_by` of a stage, or `signed_by` of a step, names nobody whom
  waystage.yaml lists under `signers`.
- W-SIGNATURE-UNVERIFIED: a stage asks for a signature, and on some way to it nothing verifies one.

Why it hurts: nothing could enter the stage, however well it is signed. To mend it, list the
signer, or let `model.check` come before on every way. If another lifecycle verifies the same
snapshot beforehand, the warning may stay: what was verified counts for all of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from waystage.check.places import YamlPath
from waystage.check.subject import Catalog, Subject, did_you_mean
from waystage.check.uses import uses
from waystage.errors import Problem
from waystage.kernel import Node
from waystage.spec.load import ProjectFiles


def check_stage_signers(files: ProjectFiles, catalog: Catalog) -> Iterator[Problem]:
    """Hold the signers that stages ask for against those of the project."""
    del catalog  # all checks of a project are called alike
    known = files.project.spec.signers
    for stage in files.stages.values():
        for number, each in enumerate(stage.spec.requires.signed_by):
            if each not in known:
                path: YamlPath = ("requires", "signed_by", number)
                yield stage.source.problem("E-SIGNER-UNKNOWN", path, *_unknown(each, known))


def check(subject: Subject) -> Iterator[Problem]:
    """Look at the signers of the lifecycle's steps, and at every way to a stage that asks."""
    if subject.files is None:
        return
    known = subject.files.project.spec.signers
    for use in uses(subject.spec, subject.places):
        name = use.settings.get("signed_by")
        asks = _verifies(subject, use.name) and isinstance(name, str) and "{{" not in name
        if asks and name and name not in known:
            path = (*use.path, "with", "signed_by")
            yield subject.problem("E-SIGNER-UNKNOWN", path, *_unknown(name, known))
    if not subject.skeleton.nowhere and subject.spec.lifecycle not in subject.called:
        yield from _unverified(subject)


def _unverified(subject: Subject) -> Iterator[Problem]:
    told = set[YamlPath]()
    for leaf, verified in _entered(subject).items():
        node = subject.flow.definition.nodes[leaf]
        wanted = _wanted(subject, node)
        own = any(_verifies(subject, step.use) for step in node.spec.steps or ())
        path = subject.skeleton.places[leaf].path
        if wanted and not verified and path not in told:
            told.add(path)
            here = "here it is too late" if own else "nothing on a way to here verifies one"
            text = f"{node.stage} takes only what {' or '.join(wanted)} signed, and {here}"
            hint = "let model.check come before, on every way"
            yield subject.problem("W-SIGNATURE-UNVERIFIED", path, text, hint)


def _wanted(subject: Subject, node: Node) -> tuple[str, ...]:
    """Give whose signature the stage asks for before the state's steps change it."""
    stage = subject.files.stages.get(node.stage) if subject.files else None
    plugins = [subject.catalog.get(step.use) for step in node.spec.steps or ()]
    forward = any(getattr(plugin, "changes", "none") == "forward" for plugin in plugins)
    return stage.spec.requires.signed_by if stage and forward else ()


def _entered(subject: Subject) -> dict[str, bool]:
    """Say for each leaf that can be reached whether every way to it has verified a signature.

    The greatest solution: a leaf is entered with what all arrows to it have in common.
    """
    flow = subject.flow
    beside = _beside(subject)
    entered, todo = {flow.start: False}, [flow.start]
    while todo:
        leaf = todo.pop()
        steps = flow.definition.nodes[leaf].spec.steps or ()
        own = any(_verifies(subject, step.use) and step.if_ is None for step in steps)
        for edge in flow.edges.get(leaf, ()):
            if edge.target not in flow.edges:
                continue
            brought = entered[leaf] or leaf in beside or (own and edge.event == "done")
            known = entered.get(edge.target)
            common = brought if known is None else known and brought
            if common != known:
                entered[edge.target] = common
                todo.append(edge.target)
    return entered


def _beside(subject: Subject) -> set[str]:
    """Give the last states of branches beside which another branch verifies a signature."""
    nodes = subject.flow.definition.nodes
    owners = {
        node.region.rpartition(".")[0]
        for node in nodes.values()
        if any(_verifies(subject, step.use) for step in node.spec.steps or ())
    }
    return {
        path
        for path, node in nodes.items()
        if node.activity == "final"
        and node.region
        and node.parent == node.region
        and node.region.rpartition(".")[0] in owners
    }


def _verifies(subject: Subject, use: str) -> bool:
    return bool(getattr(subject.catalog.get(use), "verifies", False))


def _unknown(name: str, known: Iterable[str]) -> tuple[str, str]:
    return f"there is no signer {name!r}", did_you_mean(name, known)
