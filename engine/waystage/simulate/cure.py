"""What to write when a run stumbled over something that its scenario did not say."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from waystage.plugin import Plugin
from waystage.simulate.outputs import left_out, made
from waystage.simulate.prepared import Prepared


def cure(prepared: Prepared, catalog: Mapping[str, type[Plugin]], message: str) -> str:
    """Name the field of a step's output that an error is about; empty if it is about none."""
    for use, step, field, value in _unsaid(prepared, catalog):
        if step and re.search(rf"\bsteps\.{step}\.{field}\b", message):
            return f"; say it: plugins: {{{use}: {{done: {{{field}: …}}}}}}"
        if isinstance(value, str) and value and repr(value) in message:
            return f"; {value!r} was made up, say it: plugins: {{{use}: {{done: {{{field}: …}}}}}}"
    return ""


def _unsaid(
    prepared: Prepared, catalog: Mapping[str, type[Plugin]]
) -> Iterator[tuple[str, str | None, str, object]]:
    for node in prepared.definition.nodes.values():
        for work in node.works:
            plugin = catalog.get(work.spec.use)
            if plugin is not None:
                given = made(plugin, {})
                for field in left_out(plugin, given):
                    yield work.spec.use, work.spec.id, field, None
                for field, value in given.items():
                    step = work.spec.id if value is None else None
                    yield work.spec.use, step, field, value
