"""A mapping file: where runs go whose state is not there any more, or not as it was.

migration: scorecard
states:
  production.warned: production.serving
  promote.soak: promote.rest          # in each stage
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError

from waystage.errors import Invalid, Problem
from waystage.kernel import Definition
from waystage.kernel.definition import ROOT
from waystage.spec.source import Source, parse_source, read_source
from waystage.spec.values import KebabName, Spec, TargetName
from waystage.spec.wording import did_you_mean, problems_of


class MappingFile(Spec):
    """Which lifecycle, and for each old state the new one; states of a stage may leave it out."""

    migration: KebabName
    states: Annotated[dict[TargetName, TargetName], Field(min_length=1)]


@dataclass(frozen=True)
class Mapping:
    """A mapping as written, with its places."""

    spec: MappingFile
    source: Source

    def problems(self, olds: Iterable[Definition], new: Definition) -> list[Problem]:
        """Hold every line against the definitions that runs are pinned to, and the new one."""
        known, found = list(olds), []
        if self.spec.migration != new.spec.lifecycle:
            text = f"is for {self.spec.migration}, not for {new.spec.lifecycle}"
            found.append(self.source.problem("E-MIGRATION", ("migration",), text))
        for name, to in self.spec.states.items():
            found += self._line(known, new, name, to)
        return found

    def _line(
        self, olds: list[Definition], new: Definition, name: str, to: str
    ) -> Iterator[Problem]:
        leaves = {leaf for old in olds for leaf in _meant(old, name)}
        path = ("states", name)
        if not leaves:
            text = f"no run of {new.spec.lifecycle} ever had a state {name!r} to rest in"
            hint = did_you_mean(name, sorted(_names(olds)))
            yield self.source.problem("E-MIGRATION-STATE", path, text, hint)
        elif not _meant(new, to, rests=False):
            text = f"the new {new.spec.lifecycle} has no state {to!r}"
            hint = did_you_mean(to, sorted({*new.nodes, *(_plain(new, p) for p in new.nodes)}))
            yield self.source.problem("E-MIGRATION-STATE", path, text, hint)
        elif not any(_target(old, new, leaf, to) for old in olds for leaf in _meant(old, name)):
            text = f"{to} is no place for {name}: it lies in another branch, or in another stage"
            yield self.source.problem("E-MIGRATION-STATE", path, text)

    def expanded(self, old: Definition, new: Definition) -> dict[str, str]:
        """Give the same with whole paths, for runs that are pinned to the old definition."""
        found: dict[str, str] = {}
        for name, to in self.spec.states.items():
            for leaf in _meant(old, name):
                target = _target(old, new, leaf, to)
                if target is not None and (name == leaf or leaf not in found):
                    found[leaf] = target
        return found


def load_mapping(path: Path) -> Mapping:
    """Read a mapping's file; raises `Invalid`."""
    return _mapping(read_source(path))


def parse_mapping(text: str, file: str = "<text>") -> Mapping:
    """Read a mapping from a text; raises `Invalid`."""
    return _mapping(parse_source(text, file))


def _mapping(source: Source) -> Mapping:
    try:
        return Mapping(MappingFile.model_validate(source.data), source)
    except ValidationError as error:
        raise Invalid(problems_of(error, MappingFile, source)) from None


def _plain(d: Definition, path: str) -> str:
    """Give the path as the YAML has it: without the stages that states are repeated for."""
    parts: list[str] = []
    whole = ""
    for part in path.split("."):
        whole = f"{whole}.{part}" if whole else part
        if whole not in d.nodes or not d.nodes[whole].is_stage:
            parts.append(part)
    return ".".join(parts)


def _meant(d: Definition, name: str, *, rests: bool = True) -> list[str]:
    """Give the states that a written path means: itself, or one in each stage."""
    found = [name] if name in d.nodes else [p for p in d.nodes if _plain(d, p) == name]
    return [path for path in found if d.nodes[path].leaf or not rests]


def _target(old: Definition, new: Definition, leaf: str, to: str) -> str | None:
    node, found = old.nodes[leaf], _meant(new, to, rests=False)
    fitting = [path for path in found if new.nodes[path].region == node.region]
    if node.region != ROOT and not fitting:
        return None
    same_stage = [path for path in fitting if new.nodes[path].stage == node.stage]
    if len(fitting) > 1:
        return same_stage[0] if same_stage else None
    return fitting[0] if fitting else None


def _names(olds: list[Definition]) -> set[str]:
    leaves = [(old, path) for old in olds for path, node in old.nodes.items() if node.leaf]
    return {path for _, path in leaves} | {_plain(old, path) for old, path in leaves}


def draft(lifecycle: str, homes: dict[str, str]) -> str:
    """Write a mapping to begin with; `?` is what a person must say."""
    unknown = '"?"'
    lines = [f"  {old}: {new or unknown}" for old, new in sorted(homes.items())]
    return "\n".join([f"migration: {lifecycle}", "states:", *lines]) + "\n"
