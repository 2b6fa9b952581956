"""The pages and pictures of `docs/lifecycles/`: what is read from the shipped lifecycles."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from waystage import library
from waystage.check.places import Place, walk
from waystage.check.uses import uses
from waystage.draw import Chart, chart_of, svg
from waystage.plugin import Plugin
from waystage.registry import load_catalog
from waystage.spec.lifecycle import FieldSpec, Lifecycle
from waystage.spec.load import load_lifecycle
from waystage.spec.values import format_duration

TOLD = yaml.safe_load((Path(__file__).parent / "shipped.yaml").read_text())
ACTS = {
    "steps": "", "task": "a person decides: ", "verify": "", "wait": "waits", "call": "",
    "states": "", "branches": "side by side", "branch": "", "final": "end ",
}  # fmt: skip


def pages() -> dict[str, str]:
    """Give the index, and a page and a picture of each lifecycle, by path below the reference."""
    found = {path.stem: load_lifecycle(path).spec for path in library.lifecycles()}
    if found.keys() != TOLD.keys():
        raise SystemExit(f"docs/shipped.yaml: not told {found.keys() ^ TOLD.keys()}")
    made = {"../lifecycles/index.md": _index(found)}
    for name, spec in found.items():
        chart = chart_of(spec)
        made[f"../lifecycles/{name}.md"] = "\n".join(_page(name, spec, chart))
        made[f"../lifecycles/{name}.svg"] = svg(chart)
    return made


def table(found: list[str], folder: str) -> str:
    """Give the table of lifecycles, with links to their pages."""
    rows = [f"| [{name}]({folder}{name}.md) | {TOLD[name]['in_short']} |" for name in found]
    return "\n".join(["| lifecycle | what it is for |", "|---|---|", *rows])


def _index(found: dict[str, Lifecycle]) -> str:
    asked = ", ".join(f"`{name}`" for name in library.ASKED_FOR)
    return (
        "# Shipped lifecycles\n\n`waystage init` puts them into a project with their scenarios, "
        "which go through every state and every arrow (`waystage test`). They are meant to be "
        f"used as they are and to be changed. {asked}: need addresses and secrets first, so say "
        "`waystage init --with NAME`. `waystage add NAME` brings one into a project that is there, "
        f"with what it needs, and changes no file.\n\n{table(sorted(found), '')}\n\n"
        "Several may be at work for one model: `annual-review` runs beside the one that deployed "
        "it, `retire` ends it.\n"
    )


def _page(name: str, spec: Lifecycle, chart: Chart) -> Iterator[str]:
    places = list(walk(spec))
    yield f"# {name}\n\n**{spec.title}.**\n\n{TOLD[name]['what']}"
    yield f"![The states of {name} and the ways between them]({name}.svg)\n"
    yield f"The file: [`lifecycles/{name}.yaml`](../../lifecycles/{name}.yaml).\n"
    yield f"## How a run begins\n\n{_beginning(name, spec)}"
    yield "## States\n\n| state | stage | what happens | what follows |\n|---|---|---|---|"
    yield from _states(chart)
    if spec.params:
        yield "\n## Parameters\n\nPer service in `waystage.yaml`, under `services:`.\n"
        yield "| parameter | what | default |\n|---|---|---|"
        yield from (_param(each, field) for each, field in spec.params.items())
    if spec.monitors:
        yield "\n## Monitors\n\n| monitor | measures | window | warns | breach |"
        yield "|---|---|---|---|---|"
        yield from _monitors(spec)
    yield "\n## What it needs\n"
    yield from _needs(spec, places)
    yield f"\n## What to adapt\n\n{TOLD[name]['adapt']}"
    yield f"## Try it\n\n    waystage test --filter {name}\n    waystage simulate {name}\n"


def _beginning(name: str, spec: Lifecycle) -> str:
    by_hand = f"    waystage start {name} SERVICE NAME/VERSION\n"
    if not spec.start:
        return f"A person opens it:\n\n{by_hand}"
    when = " or ".join(f"`{each.on}` if `{each.if_}`" for each in spec.start)
    return f"By itself on {when}; or by hand:\n\n{by_hand}"


def _states(chart: Chart) -> Iterator[str]:
    leads: dict[str, list[str]] = {}
    for link in chart.links:
        label = ", ".join(f"`{each}`" for each in link.labels)
        leads.setdefault(link.source.path, []).append(f"{label} → {link.target.path}")
    for path, box in chart.boxes.items():
        title = f": {box.title}" if box.title != path.rpartition(".")[2] else ""
        acts = ACTS[box.kind] + ", ".join(box.lines)
        cells = [" → ".join(box.stages), acts, "; ".join(leads.get(path, ()))]
        yield f"| `{path}`{_cell(title)} | {' | '.join(map(_cell, cells))} |"


def _param(name: str, field: FieldSpec) -> str:
    limits = [f"from {field.minimum:g}"] if field.minimum is not None else []
    limits += [f"to {field.maximum:g}"] if field.maximum is not None else []
    limits += [f"one of {', '.join(map(str, field.enum))}"] if field.enum else []
    what = "; ".join([field.title or field.description, " ".join(limits)]).strip("; ")
    default = (
        "**needed**" if field.required else "" if field.default == "" else f"`{field.default}`"
    )
    return f"| `{name}` | {_cell(what)} ({field.type}) | {default} |"


def _monitors(spec: Lifecycle) -> Iterator[str]:
    for name, each in spec.monitors.items():
        window = format_duration(each.window.length)
        if late := each.window.label_delay + each.window.grace:
            window += f", closed {format_duration(late)} after its end"
        bad = [_threshold(each.warn), _threshold(each.breach)]
        yield f"| `{name}` | `{each.use}` | {window} | {bad[0]} | {bad[1]} |"


def _threshold(said: Any) -> str:
    if said is None:
        return ""
    way, value = ("below", said.below) if said.below is not None else ("above", said.above)
    often = f", {said.datapoints} of {said.of}" if said.of else ""
    shown = f"{value:g}" if isinstance(value, int | float) else re.sub(r"[{} ]", "", value)
    return f"{way} {shown}{often}"


def _needs(spec: Lifecycle, places: list[Place]) -> Iterator[str]:
    catalog = load_catalog()
    used = {use.name: catalog[use.name] for use in uses(spec, places)}
    tasks = [place.spec.task for place in places if place.spec.task]
    asked = {who for task in tasks for who in task.for_}
    asked |= {who for task in tasks if task.escalate for who in task.escalate.to}
    roles = sorted(who.removeprefix("role:") for who in asked)
    stages = dict.fromkeys(s for p in places for s in (*(p.spec.stages or ()), p.spec.stage) if s)
    yield f"- Roles: {', '.join(f'`{role}`' for role in roles)}."
    yield f"- Stages: {', '.join(sorted(stages, key=list(stages).index))}.{_runtimes(used)}"
    yield f"- Plugins: {', '.join(f'`{name}`' for name in sorted(used))}."
    if spec.monitors or {"challenger.compare", "batch.train"} & used.keys():
        yield "- A `scoring_log` in `waystage.yaml`, which the stages' servers write."
    channels = [name for name in ("channel", "consumers") if name in spec.params]
    if channels:
        shown = ", ".join(f"`{spec.params[each].default}` ({each})" for each in channels)
        yield f"- Channels in `waystage.yaml`: {shown}."
    if secrets := sorted(set(re.findall(r"'secret': '([^']+)'", repr(spec.model_dump())))):
        yield f"- Secrets: {', '.join(f'`{each}`' for each in secrets)}."
    if calls := sorted({place.spec.call.lifecycle for place in places if place.spec.call}):
        yield f"- The lifecycle {', '.join(f'[{each}]({each}.md)' for each in calls)}."
    if signals := sorted(
        {s for p in places for s in p.spec.signals if not s.startswith("snapshot")}
    ):
        shown = ", ".join(f"`{each}`" for each in signals)
        yield f"- Signals that people may send (right `operate`): {shown}."


def _runtimes(used: dict[str, type[Plugin]]) -> str:
    modes = {getattr(plugin, "needs_runtime", None) for plugin in used.values()}
    wanted = {"any": "a runtime in each", "batch": "a batch runtime where jobs run"}
    said = [words for mode, words in wanted.items() if mode in modes]
    return f" They need {' and '.join(said)}." if said else ""


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())
