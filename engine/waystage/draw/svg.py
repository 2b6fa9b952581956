"""A lifecycle as SVG: one file, no outside tool, no script, no font of its own."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from xml.sax.saxutils import escape

from waystage.draw.chart import Box, Chart
from waystage.draw.place import LINE, text_width
from waystage.draw.route import Frame, Line, plan_of
from waystage.draw.track import Track

FILLS = {
    "steps": ("#e8f0fb", "#3b6ea8", "steps"),
    "task": ("#fdf0d5", "#b7791f", "waits for a person"),
    "verify": ("#e6f4ea", "#2f855a", "checks monitors"),
    "wait": ("#f2f2f2", "#777777", "waits for time or a signal"),
    "call": ("#f0e8fb", "#6b46c1", "runs another lifecycle"),
    "final": ("#ffffff", "#333333", "end"),
    "states": ("#fbfbfd", "#8a94a6", ""),
    "branches": ("#fbfbfd", "#8a94a6", ""),
    "branch": ("#ffffff", "#b8c0cc", ""),
}
HERE, TOOK, INK = "#c53030", "#9b2c2c", "#4a5568"
STYLE = (
    "text{font-family:Helvetica,Arial,sans-serif;font-size:11px;fill:#1a202c}"
    ".t{font-weight:bold;font-size:12px}"
    ".s{font-size:10px;fill:#4a5568}.l{paint-order:stroke;stroke:#fff;stroke-width:4px;"
    "stroke-linejoin:round;text-anchor:middle}.e{fill:none;stroke-width:1.3}"
)
MARGIN, LEGEND = 12.0, 34.0


def svg(chart: Chart, track: Track | None = None) -> str:
    """Draw the chart; with a track, where the run is and the way that it took."""
    plan = plan_of(chart)
    frame = plan.frames[chart.root]
    width, height = max(frame.width, 560) + 2 * MARGIN, frame.height + 2 * MARGIN + LEGEND
    body = [
        *_boxes(chart.root, plan.frames, track),
        *(_path(line, track) for line in plan.lines),
        *(text for line in plan.lines for text in _labels(line)),
    ]
    inner = "\n".join(body)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" role="img">\n'
        f"<title>{_safe(chart.title)}</title>\n<style>{STYLE}</style>\n<defs>{_heads()}</defs>\n"
        f'<rect width="100%" height="100%" fill="#fff"/>\n'
        f'<g transform="translate({MARGIN:.0f} {MARGIN:.0f})">\n{inner}\n'
        f"{_legend(chart, frame.height + 18)}\n</g>\n</svg>\n"
    )


def _boxes(box: Box, frames: dict[Box, Frame], track: Track | None) -> Iterator[str]:
    frame = frames[box]
    if box.kind == "root":
        yield f'<text class="t" x="4" y="14">{_safe(box.title)}</text>'
    else:
        yield from _box(box, frame, track)
    for child in box.children:
        yield from _boxes(child, frames, track)


def _box(box: Box, frame: Frame, track: Track | None) -> Iterator[str]:
    faded = track is not None and box.path not in track.been and not box.children
    yield f'<g opacity="{0.45 if faded else 1}"><title>{_safe(box.path)}</title>'
    yield _outline(box, frame, here=track is not None and box.path in track.here)
    x, y = frame.x + 16, frame.y + 18
    if box.first:
        yield f'<circle cx="{x - 7:.1f}" cy="{y - 9:.1f}" r="4" fill="#1a202c"/>'
    yield f'<text class="t" x="{x:.1f}" y="{y:.1f}">{_safe(box.title)}</text>'
    for number, line in enumerate(box.lines, 1):
        yield f'<text x="{x:.1f}" y="{y + number * LINE:.1f}">{_safe(line)}</text>'
    yield from _badge(box, frame, track)
    yield "</g>"


def _outline(box: Box, frame: Frame, *, here: bool) -> str:
    fill, stroke, _ = FILLS[box.kind]
    color, thick = (HERE, 3.0) if here else (stroke, 2.4 if box.kind == "final" else 1.2)
    place = f'x="{frame.x:.1f}" y="{frame.y:.1f}"'
    size = f'width="{frame.width:.1f}" height="{frame.height:.1f}"'
    radius = 14 if box.kind == "final" else 6
    dash = ' stroke-dasharray="4 3"' if box.kind == "branch" else ""
    line = f'fill="{fill}" stroke="{color}" stroke-width="{thick}"{dash}'
    return f'<rect {place} {size} rx="{radius}" {line}/>'


def _badge(box: Box, frame: Frame, track: Track | None) -> Iterator[str]:
    """Name the stages in the corner, and where the run is among them."""
    stages = track.here.get(box.path, ()) if track else ()
    text = f"here: {', '.join(stages)}" if stages else " → ".join(box.stages)
    if text:
        place = f'x="{frame.x + frame.width - 7:.1f}" y="{frame.y + 13:.1f}"'
        color = f' style="fill:{HERE};font-weight:bold"' if stages else ""
        yield f'<text class="s" {place} text-anchor="end"{color}>{_safe(text)}</text>'


def _path(line: Line, track: Track | None) -> str:
    went = track is not None and track.went(line.link)
    faded = ' opacity=".4"' if track is not None and not went else ""
    color, head, wide = (TOOK, "took", 2.2) if went else (INK, "head", 1.3)
    (x, y), *_ = line.points
    way = [f"M{x:.1f} {y:.1f}", *(_bend(a, b) for a, b in pairwise(line.points))]
    return (
        f'<path class="e" d="{" ".join(way)}" stroke="{color}" stroke-width="{wide}"{faded} '
        f'marker-end="url(#{head})"><title>{_safe(line.link.full)}</title></path>'
    )


def _bend(start: tuple[float, float], end: tuple[float, float]) -> str:
    if abs(start[0] - end[0]) < 0.05:
        return f"L{end[0]:.1f} {end[1]:.1f}"
    middle = (start[1] + end[1]) / 2
    return f"C{start[0]:.1f} {middle:.1f} {end[0]:.1f} {middle:.1f} {end[0]:.1f} {end[1]:.1f}"


def _labels(line: Line) -> Iterator[str]:
    texts, (x, y) = line.link.labels, line.label
    top = y - LINE * (len(texts) - 1) / 2 + 4
    for number, text in enumerate(texts):
        yield f'<text class="l" x="{x:.1f}" y="{top + number * LINE:.1f}">{_safe(text)}</text>'


def _heads() -> str:
    return "".join(
        f'<marker id="{name}" viewBox="0 0 8 8" refX="7.5" refY="4" markerWidth="8" '
        f'markerHeight="8" markerUnits="userSpaceOnUse" orient="auto">'
        f'<path d="M0 0.5L8 4L0 7.5z" fill="{color}"/></marker>'
        for name, color in (("head", INK), ("took", TOOK))
    )


def _legend(chart: Chart, y: float) -> str:
    kinds = dict.fromkeys(box.kind for box in chart.boxes.values())
    x, parts = 4.0, []
    for kind in kinds:
        fill, stroke, words = FILLS[kind]
        if words:
            parts.append(
                f'<rect x="{x:.1f}" y="{y - 9:.1f}" width="14" height="10" rx="3" fill="{fill}" '
                f'stroke="{stroke}"/><text class="s" x="{x + 19:.1f}" y="{y:.1f}">{words}</text>'
            )
            x += 34 + text_width(words)
    return "\n".join(parts)


def _safe(text: str) -> str:
    """Write a text for XML, without characters that XML does not know."""
    return escape("".join(c if c.isprintable() else " " for c in text))
