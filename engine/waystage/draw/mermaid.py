"""A lifecycle as a Mermaid flowchart, which many sites and editors draw."""

from __future__ import annotations

from collections.abc import Iterator

from waystage.draw.chart import Box, Chart
from waystage.draw.track import Track

CLASSES = {
    "steps": "fill:#e8f0fb,stroke:#3b6ea8",
    "task": "fill:#fdf0d5,stroke:#b7791f",
    "verify": "fill:#e6f4ea,stroke:#2f855a",
    "wait": "fill:#f2f2f2,stroke:#777",
    "call": "fill:#f0e8fb,stroke:#6b46c1",
    "final": "fill:#fff,stroke:#333,stroke-width:3px",
    "here": "stroke:#c53030,stroke-width:4px",
}


def mermaid(chart: Chart, track: Track | None = None) -> str:
    """Write the chart; with a track, the present states are marked."""
    names = {path: f"s{number}" for number, path in enumerate(chart.boxes, 1)}
    lines = ["flowchart TB", *_inside(chart.root, names, "  ")]
    lines += [f"  start(( )) --> {names[b.path]}" for b in chart.root.children if b.first]
    for link in chart.links:
        label = _quoted(" / ".join(link.labels))
        lines.append(f"  {names[link.source.path]} -->|{label}| {names[link.target.path]}")
    lines += [f"  classDef {kind}State {style}" for kind, style in CLASSES.items()]
    lines += [f"  class {names[path]} hereState" for path in (track.here if track else ())]
    return "\n".join(lines) + "\n"


def _inside(box: Box, names: dict[str, str], indent: str) -> Iterator[str]:
    for child in box.children:
        name, text = names[child.path], _quoted(_text(child))
        if child.children:
            yield f"{indent}subgraph {name}[{text}]"
            yield from _inside(child, names, indent + "  ")
            yield f"{indent}end"
        elif child.kind == "final":
            yield f"{indent}{name}([{text}]):::finalState"
        else:
            yield f"{indent}{name}[{text}]:::{child.kind}State"


def _text(box: Box) -> str:
    head = f"{box.title} ({' → '.join(box.stages)})" if box.stages else box.title
    return "\n".join((head, *box.lines))


def _quoted(text: str) -> str:
    """Write a text so that nothing in it is read as Mermaid or HTML."""
    safe = "".join(c if c.isalnum() or c in " .,:;→…-_/\n" else f"#{ord(c)};" for c in text)
    return '"' + safe.replace("\n", "<br/>") + '"'
