"""Goes on past keys that nobody knows, so that what else is wrong is told in the same breath."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from difflib import get_close_matches
from typing import Any, TypeVar

from pydantic import ValidationError

from waystage.errors import Invalid, Problem
from waystage.spec.source import Source
from waystage.spec.strict import coerced
from waystage.spec.tree import Place, YamlPath
from waystage.spec.values import Spec
from waystage.spec.wording import CLOSE, hollow, known_keys, problems_of, real_path

S = TypeVar("S", bound=Spec)
EXTRA = "extra_forbidden"  # pydantic's word for a key that nobody knows
ROUNDS = 4  # what a key hid may itself hide something


class Salvaged(Invalid):
    """Files with keys that nobody knows; `rest` is what they say besides, to be looked at on."""

    def __init__(self, problems: list[Problem] | tuple[Problem, ...], rest: Any) -> None:
        super().__init__(problems)
        self.rest = rest


def read_spec(model: type[S], source: Source) -> tuple[S | None, Source, list[Problem]]:
    """Read a file as what it is: the model or None, the file as it was understood, its problems.

    A key that nobody knows is taken for the one that its writer seems to have meant, and left out
    where that does not fit.
    """
    problems: dict[Problem, None] = {}
    meant: set[YamlPath] = set()
    for _ in range(ROUNDS):
        try:
            spec = model.model_validate(source.data)
        except ValidationError as error:
            details = [each for each in error.errors(include_url=False) if not hollow(each)]
            places = [real_path(each["loc"], source) for each in details]
            if misread := {key for key in meant if any(at[: len(key)] == key for at in places)}:
                for key in misread:
                    source = _without(source, key)
                meant -= misread
                continue
            problems |= dict.fromkeys(problems_of(error, model, source))
            pairs = zip(details, places, strict=True)
            unknown = [(each["loc"], at) for each, at in pairs if each["type"] == EXTRA]
            if len(unknown) < len(details):
                break
            for loc, at in unknown:
                source, key = _mended(source, at, known_keys(model, loc[:-1]))
                meant |= {key} if key else set()
        else:
            return spec, source, [*problems, *coerced(spec, source)]
    return None, source, [*problems]


def _mended(source: Source, path: YamlPath, known: list[str]) -> tuple[Source, YamlPath]:
    """Give the file without a key, or with the known one that was meant in its place."""
    near = get_close_matches(str(path[-1]), known, n=1, cutoff=CLOSE)
    rest = _without(source, path)
    if not near or near[0] in _holder(source.data, path) or path not in source.positions:
        return rest, ()
    target = (*path[:-1], near[0])
    _holder(rest.data, path)[near[0]] = _holder(source.data, path)[path[-1]]
    positions, values = (_moved(each, path, target) for each in (source.positions, source.values))
    return replace(rest, positions=positions, values=values), target


def _without(source: Source, path: YamlPath) -> Source:
    data = deepcopy(source.data)
    del _holder(data, path)[path[-1]]
    return replace(source, data=data)


def _holder(data: Any, path: YamlPath) -> Any:
    """Give the mapping that holds the key at the end of a path."""
    for part in path[:-1]:
        data = data[part]
    return data


def _moved(
    places: dict[YamlPath, Place], path: YamlPath, target: YamlPath
) -> dict[YamlPath, Place]:
    long = len(path)
    return {(*target, *at[long:]) if at[:long] == path else at: to for at, to in places.items()}
