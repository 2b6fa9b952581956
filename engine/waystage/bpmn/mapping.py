"""The mapping file: what the names of the old engine are called here."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError

from waystage.bpmn.juel import bare
from waystage.bpmn.model import Node
from waystage.errors import Invalid
from waystage.spec.source import read_source
from waystage.spec.values import (
    Duration,
    EventName,
    OneOrMore,
    PluginName,
    ServiceGlob,
    Spec,
    StageName,
    StepId,
)
from waystage.spec.wording import problems_of


class Target(Spec):
    """The step that stands for a delegate, an expression, a topic, a type or a task's name.

    `take` names the settings that come from inputs of the task: `{text: message}`.
    """

    use: PluginName
    with_: dict[str, Any] = Field(default={}, alias="with")
    take: dict[StepId, str] = {}
    timeout: Duration | None = None


class Mapping(Spec):
    """How a process of another engine is written here."""

    services: Annotated[tuple[ServiceGlob, ...], OneOrMore] = ()
    steps: dict[str, Target] = {}
    variables: dict[str, str] = {}
    roles: dict[str, str] = {}
    signals: dict[str, EventName] = {}
    stages: dict[str, StageName] = {}

    def target(self, node: Node) -> Target | None:
        """Give the step for a task: by its id, what it calls, or its name."""
        text = node.work.text
        for key in (node.id, text, bare(text), text.rpartition(".")[2], node.element.name):
            if key and key in self.steps:
                return self.steps[key]
        return None

    def role(self, group: str) -> str:
        """Give the role for a group."""
        return self.roles.get(group, group)

    def stage(self, node: Node) -> StageName | None:
        """Give the stage of an activity, by its id or its name."""
        return self.stages.get(node.id) or self.stages.get(node.element.name)


def read_mapping(path: Path) -> Mapping:
    """Read a mapping file; raises `Invalid` with the places of what is wrong."""
    source = read_source(path)
    try:
        return Mapping.model_validate(source.data)
    except ValidationError as error:
        raise Invalid(problems_of(error, Mapping, source)) from None
