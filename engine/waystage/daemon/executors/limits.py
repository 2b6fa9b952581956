"""How many steps of a plugin, a stage, a service may be under way at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Literal, TypeAlias

from waystage.spec.execution import AtOnce

Kind: TypeAlias = Literal["plugin", "stage", "service"]
Name: TypeAlias = tuple[Kind, str]
KINDS: tuple[Kind, ...] = ("plugin", "stage", "service")


class Limits:
    """The operator's limits, looked up once for each name."""

    def __init__(self, at_once: AtOnce) -> None:
        self._rules: dict[Kind, dict[str, int]] = {
            "plugin": at_once.plugin, "stage": at_once.stage, "service": at_once.service,
        }  # fmt: skip
        self._known: dict[Name, int | None] = {}

    def __bool__(self) -> bool:
        return any(self._rules.values())

    def of(self, name: Name) -> int | None:
        """Give the limit of a name: that of the name itself, else of the first pattern."""
        if name not in self._known:
            self._known[name] = self._look_up(*name)
        return self._known[name]

    def on(self, use: str, stage: str, service: str) -> list[Name]:
        """Give the names of a step that are limited."""
        names: tuple[Name, ...] = (("plugin", use), ("stage", stage), ("service", service))
        return [name for name in names if name[1] and self.of(name) is not None]

    def _look_up(self, kind: Kind, name: str) -> int | None:
        rules = self._rules[kind]
        if name in rules:
            return rules[name]
        return next((most for glob, most in rules.items() if fnmatchcase(name, glob)), None)


class Room:
    """What may still begin: counted down as steps are chosen."""

    def __init__(self, limits: Limits, under_way: Iterable[tuple[str, str, str]]) -> None:
        self._limits = limits
        self._count: Counter[Name] = Counter()
        for step in under_way:
            self._count.update(limits.on(*step))

    def full(self, kind: Kind) -> list[str]:
        """Give the names of that kind that have no room."""
        return [
            name for (k, name), n in self._count.items() if k == kind and self._left(k, name) <= 0
        ]

    def take(self, use: str, stage: str, service: str) -> bool:
        """Count a step if there is room for it."""
        names = self._limits.on(use, stage, service)
        if any(self._left(*name) <= 0 for name in names):
            return False
        self._count.update(names)
        return True

    def _left(self, kind: Kind, name: str) -> int:
        return (self._limits.of((kind, name)) or 0) - self._count[(kind, name)]
