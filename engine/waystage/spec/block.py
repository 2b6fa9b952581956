"""A block as written: states that lifecycles include, with typed parameters."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import Field

from waystage.errors import Problem
from waystage.spec.lifecycle import FieldSpec
from waystage.spec.source import Source
from waystage.spec.tree import YamlPath
from waystage.spec.values import EventName, KebabName, OneOrMore, Spec, StateName
from waystage.spec.wording import did_you_mean

PARAM = "param"


class Block(Spec):
    """States that lifecycles include by `include: {block: NAME, with: {...}}`.

    Wherever a value of the states is `{param: NAME}`, the parameter's value takes its place,
    whole and with its type: no texts are put together. `outcomes` are those of the final
    states, so that who includes the block knows what to answer.
    """

    block: KebabName
    title: str = ""
    description: str = ""
    params: dict[StateName, FieldSpec] = {}
    outcomes: Annotated[tuple[EventName, ...], OneOrMore] = Field(min_length=1)
    initial: StateName
    states: dict[StateName, Any] = Field(min_length=1)


def param_of(value: Any) -> str | None:
    """Give the parameter whose value belongs here; None where a value is just itself."""
    if isinstance(value, dict) and list(value) == [PARAM] and isinstance(value[PARAM], str):
        return str(value[PARAM])
    return None


def block_problems(block: Block, source: Source) -> Iterator[Problem]:
    """Find what is wrong with a block whoever includes it."""
    finals = {
        str(state.get("outcome", "done"))
        for state in block.states.values()
        if isinstance(state, dict) and state.get("final") is True
    }
    if finals != set(block.outcomes):
        text = f"says {', '.join(block.outcomes)}; the final states give "
        yield source.problem("E-BLOCK", ("outcomes",), text + (", ".join(sorted(finals)) or "none"))
    if block.initial not in block.states:
        hint = did_you_mean(block.initial, block.states)
        yield source.problem("E-BLOCK", ("initial",), f"there is no state {block.initial!r}", hint)
    for path, name in _params(source.data["states"], ("states",)):
        if name not in block.params:
            hint = did_you_mean(name, block.params)
            yield source.problem("E-BLOCK", path, f"there is no parameter {name!r}", hint)


def _params(value: Any, path: YamlPath) -> Iterator[tuple[YamlPath, str]]:
    name = param_of(value)
    if name is not None:
        yield path, name
    elif isinstance(value, dict):
        for key, part in value.items():
            yield from _params(part, (*path, key))
    elif isinstance(value, list):
        for place, part in enumerate(value):
            yield from _params(part, (*path, place))
