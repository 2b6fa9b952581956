"""Stages whose own file goes wrong.

- E-STAGE-UNKNOWN: `after` or `requires.verified_in` names no stage.
- E-STAGE-CYCLE: a stage comes after itself.
- E-RUNTIME-TWICE: two runtimes of a stage have one name, by which deployments find them again.

Why it hurts: nothing could be promoted in that order, or be found again. To mend it, let
`after` name the stages that come before, and give each runtime a name of its own.
"""

from __future__ import annotations

from collections.abc import Iterator

from waystage.check.graph import reachable
from waystage.check.places import YamlPath
from waystage.check.subject import Catalog, did_you_mean
from waystage.errors import Problem
from waystage.spec.load import ProjectFiles


def check_stages(files: ProjectFiles, catalog: Catalog) -> Iterator[Problem]:
    """Follow `after` from every stage."""
    del catalog  # all checks of a project are called alike
    for name, stage in files.stages.items():
        named: list[tuple[YamlPath, str]] = [
            (("after", n), each) for n, each in enumerate(stage.spec.after)
        ]
        verified = enumerate(stage.spec.requires.verified_in)
        named += [(("requires", "verified_in", n), each) for n, each in verified]
        for path, each in named:
            if each not in files.stages:
                text, hint = f"there is no stage {each!r}", did_you_mean(each, files.stages)
                yield stage.source.problem("E-STAGE-UNKNOWN", path, text, hint)
        if name in before(files, name):
            text = f"{name} comes after itself"
            yield stage.source.problem("E-STAGE-CYCLE", ("after",), text)
        names = [runtime.name for runtime in stage.spec.runtimes]
        for number, each in enumerate(names):
            if each in names[:number]:
                text = f"there is another runtime {each!r}"
                twice = ("runtimes", number, "name")
                yield stage.source.problem("E-RUNTIME-TWICE", twice, text, "rename one")


def before(files: ProjectFiles, stage: str) -> set[str]:
    """Give all stages that come before one, however far."""
    if stage not in files.stages:
        return set()
    edges = {name: list(loaded.spec.after) for name, loaded in files.stages.items()}
    return reachable(edges, files.stages[stage].spec.after)
