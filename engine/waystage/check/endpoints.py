"""Endpoints of a stage that its runtime does not open.

- E-ENDPOINT: a runtime lists an endpoint whose protocol its plugin does not speak, two with
  one name or of one protocol, or any at all though it runs jobs.

Why it hurts: nothing would listen where the stage says that requests may go, and a deployment
there would be parked. To mend it, leave the endpoint out, or take a runtime that speaks it.
"""

from __future__ import annotations

from collections.abc import Iterator

from waystage.check.subject import Catalog
from waystage.errors import Problem
from waystage.plugin import OnlineRuntime
from waystage.spec.load import ProjectFiles
from waystage.spec.stage import Runtime


def check_endpoints(files: ProjectFiles, catalog: Catalog) -> Iterator[Problem]:
    """Hold the endpoints of every stage against what its runtimes can open."""
    for stage in files.stages.values():
        for number, runtime in enumerate(stage.spec.runtimes):
            for index, text in _wrong(runtime, catalog):
                path = ("runtimes", number, "endpoints", index)
                yield stage.source.problem("E-ENDPOINT", path, text)


def _wrong(runtime: Runtime, catalog: Catalog) -> Iterator[tuple[int, str]]:
    plugin = catalog.get(runtime.use)
    if runtime.mode == "batch":
        if runtime.endpoints:
            yield 0, f"{runtime.name} runs jobs: nothing listens there"
        return
    if plugin is None or not issubclass(plugin, OnlineRuntime):
        return  # told as E-PLUGIN-UNKNOWN or E-PLUGIN-KIND
    names, spoken = set[str](), set[str]()
    for index, each in enumerate(runtime.endpoints):
        if each.protocol not in plugin.speaks():
            able = ", ".join(sorted(plugin.speaks()))
            yield index, f"{runtime.use} does not speak {each.protocol}; it speaks {able}"
        elif each.protocol in spoken:
            yield index, f"{runtime.name} opens one {each.protocol} endpoint, and here is another"
        if each.name in names:
            yield index, f"another endpoint of {runtime.name} has the name {each.name}, too"
        names.add(each.name)
        spoken.add(each.protocol)
