"""Puts blocks into the lifecycles that include them, and remembers where each part stands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from waystage.errors import Problem
from waystage.spec.block import Block, param_of
from waystage.spec.fields import misfit
from waystage.spec.lifecycle import ACTIVITIES, Include
from waystage.spec.source import Source
from waystage.spec.tree import YamlPath
from waystage.spec.wording import did_you_mean

if TYPE_CHECKING:
    from waystage.spec.load import Loaded

MOST = 200  # blocks in one lifecycle, those inside of blocks counted
NOTHING = {"initial": "nothing", "states": {"nothing": {"final": True}}}  # told once is enough
BESIDE = (*ACTIVITIES, "initial")


def expand(source: Source, blocks: Mapping[str, Loaded[Block]]) -> tuple[Source, list[Problem]]:
    """Give the lifecycle's file as if the blocks stood in it, and what is wrong with that."""
    expansion = _Expansion(source, blocks)
    data = dict(source.data)
    data["states"] = expansion.states(data.get("states"), ("states",), ())
    return replace(source, data=data, origins=expansion.origins), expansion.problems


@dataclass
class _Expansion:
    """One lifecycle's expansion under way; paths are those of the expanded file."""

    source: Source
    blocks: Mapping[str, Loaded[Block]]
    origins: dict[YamlPath, tuple[Source, YamlPath]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    included: int = 0

    def states(self, states: Any, path: YamlPath, inside: tuple[str, ...]) -> Any:
        """Expand a mapping of states; `inside` names the blocks that it stands in."""
        if not isinstance(states, dict):
            return states
        return {n: self.state(each, (*path, n), inside) for n, each in states.items()}

    def state(self, state: Any, path: YamlPath, inside: tuple[str, ...]) -> Any:
        if not isinstance(state, dict):
            return state
        if "include" in state:
            return self.include(state, path, inside)
        found = dict(state)
        if "states" in state:
            found["states"] = self.states(state["states"], (*path, "states"), inside)
        if isinstance(state.get("branches"), dict):
            found["branches"] = {
                name: self.branch(each, (*path, "branches", name), inside)
                for name, each in state["branches"].items()
            }
        return found

    def branch(self, branch: Any, path: YamlPath, inside: tuple[str, ...]) -> Any:
        if not isinstance(branch, dict):
            return branch
        return branch | {"states": self.states(branch.get("states"), (*path, "states"), inside)}

    def include(self, state: dict[str, Any], path: YamlPath, inside: tuple[str, ...]) -> Any:
        """Give the state with the block's states instead of `include`, or with nothing in it."""
        rest = {key: value for key, value in state.items() if key != "include"}
        loaded = self.wanted(state, path, inside)
        if loaded is None:
            return NOTHING | rest
        block, given = loaded.spec, state["include"].get("with") or {}
        values = self.values(block, given, path)
        home = (*path, "states")
        self.origins[home] = (loaded.source, ("states",))
        self.origins[(*path, "initial")] = (loaded.source, ("initial",))
        places = {
            name: self.at((*path, "include", "with", name))
            if name in given
            else (loaded.source, ("params", name, "default"))
            for name in values
        }
        states = self.fill(loaded.source.data["states"], home, values, places)
        states = self.states(states, home, (*inside, block.block))
        return rest | {"initial": block.initial, "states": states}

    def wanted(
        self, state: dict[str, Any], path: YamlPath, inside: tuple[str, ...]
    ) -> Loaded[Block] | None:
        """Give the block that is meant, if it may stand here."""
        here = (*path, "include")
        self.included += 1
        try:
            wish = Include.model_validate(state["include"])
        except ValidationError:
            self.report(here, "is written as {block: NAME, with: {PARAMETER: VALUE}}")
            return None
        beside = [word for word in BESIDE if word in state]
        if beside:
            self.report(here, f"cannot stand beside {beside[0]}: the block has its own states")
        elif wish.block not in self.blocks:
            hint = did_you_mean(wish.block, self.blocks)
            self.report((*here, "block"), f"there is no block {wish.block!r}", hint)
        elif wish.block in inside:
            way = " → ".join((*inside, wish.block))
            self.report((*here, "block"), f"{way} includes itself")
        elif self.included > MOST:
            self.report(here, f"more than {MOST} blocks are included")
        else:
            return self.blocks[wish.block]
        return None

    def values(self, block: Block, given: dict[str, Any], path: YamlPath) -> dict[str, Any]:
        """Give the value of each parameter that has one; tell of what is missing or unfit."""
        here = (*path, "include", "with")
        for name, value in given.items():
            if name not in block.params:
                hint = did_you_mean(name, block.params)
                self.report((*here, name), f"the block has no parameter {name!r}", hint)
            elif not _is_template(value) and (wrong := misfit(block.params[name], value)):
                self.report((*here, name), wrong)
        values = {
            name: given.get(name, spec.default)
            for name, spec in block.params.items()
            if name in given or spec.default is not None
        }
        for name in block.params.keys() - values.keys():
            self.report(here, f"{name}: is missing; {block.block} has no default for it")
        return values

    def fill(
        self,
        value: Any,
        path: YamlPath,
        values: Mapping[str, Any],
        places: Mapping[str, tuple[Source, YamlPath]],
    ) -> Any:
        """Copy a part of a block, the values of parameters put in their places."""
        name = param_of(value)
        if name is not None:
            if name in values:
                self.origins[path] = places[name]
            return values.get(name)
        if isinstance(value, dict):
            return {k: self.fill(v, (*path, k), values, places) for k, v in value.items()}
        if isinstance(value, list):
            return [self.fill(v, (*path, n), values, places) for n, v in enumerate(value)]
        return value

    def at(self, path: YamlPath) -> tuple[Source, YamlPath]:
        """Give the file and the place in it where a part of the expanded file stands."""
        return replace(self.source, origins=self.origins).at(path)

    def report(self, path: YamlPath, message: str, suggestion: str = "") -> None:
        source, inner = self.at(path)
        self.problems.append(source.problem("E-BLOCK", inner, message, suggestion))


def _is_template(value: Any) -> bool:
    return isinstance(value, str) and "{{" in value
