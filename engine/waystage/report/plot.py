"""A figure as SVG: axes, ticks, legend and series; colors are the page's, by classes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil

from waystage.draw.place import text_width
from waystage.plugin import Axis, Figure, Mark, Series
from waystage.report.scale import Scale, scale
from waystage.report.shapes import dot, of_series, swatch
from waystage.report.text import safe

WIDE, HIGH, SQUARE = 460.0, 280.0, 330.0
ROW, LEGEND, GAP = 24.0, 18.0, 12.0
NARROW = 1.02  # labels are a little wider than they are reckoned
LONGEST = 26  # characters of a label at an axis
SLANT = 0.64  # sin 40°: how far down a label reaches that is written aslant
SEVERAL = (
    12  # labels that are all written, aslant if they must; of more than these some are left out
)


@dataclass(frozen=True, slots=True)
class Frame:
    """Where the plot lies within its picture."""

    left: float
    top: float
    right: float
    bottom: float
    width: float
    height: float
    turned: bool  # labels below are written aslant


def svg(figure: Figure, name: str) -> str:
    """Draw the figure; `name` begins the ids of its title and description."""
    lying = bool(figure.y.labels)
    frame = _frame(figure, lying)
    x = scale(figure.x, _values(figure, "x"), frame.left, frame.right)
    y = scale(figure.y, _values(figure, "y"), frame.bottom, frame.top)
    if lying:  # the first label is at the top
        y = Scale(y.low, y.high, frame.top, frame.bottom, y.ticks)
    body = [
        *_legend(figure.series, frame),
        *_grid(figure, x, y, frame),
        *of_series(figure.series, x, y, lying=lying),
        *(_mark(each, x, y, frame) for each in figure.marks),
    ]
    return (
        f'<svg class="plot" viewBox="0 0 {frame.width:.0f} {frame.height:.0f}" role="img" '
        f'aria-labelledby="{name}-t {name}-d"><title id="{name}-t">{safe(figure.title)}</title>'
        f'<desc id="{name}-d">{safe(figure.about)}</desc>\n' + "\n".join(body) + "\n</svg>"
    )


def _values(figure: Figure, axis: str) -> list[float]:
    found: list[float] = []
    for each in figure.series:
        found += getattr(each, axis)
        if (axis == "x") == bool(figure.y.labels):
            found += [*each.low, *each.high]
    place = 0 if axis == "x" else 1
    found += [end[place] for mark in figure.marks for end in (mark.start, mark.end)]
    if any(each.form == "bars" for each in figure.series):
        found.append(0.0)
    return found


def _frame(figure: Figure, lying: bool) -> Frame:
    rows = len(figure.y.labels)
    width = WIDE
    inner = rows * ROW + 4 if lying else HIGH - 70
    top = 6 + LEGEND * _legend_rows(figure.series, width)
    widest = _widest(figure.y)
    title = 16 if figure.y.title else 0
    left = (widest * NARROW + 12 if lying else 46) + title
    right = left + SQUARE if figure.square else width - 20
    turned = _is_turned(figure.x, right - left)
    below = (18 + _widest(figure.x) * SLANT if turned else 20) + (18 if figure.x.title else 4)
    if figure.square:
        inner = right - left
    bottom = top + inner
    return Frame(left, top, right, bottom, width, bottom + below, turned)


def _is_turned(axis: Axis, room: float) -> bool:
    return len(axis.labels) <= SEVERAL and _step(axis, room) > 1


def _step(axis: Axis, room: float) -> int:
    """Give the distance at which labels side by side do not touch: every one, every second, …."""
    return max(1, ceil(len(axis.labels) * (_widest(axis) + 8) / room))


def _widest(axis: Axis) -> float:
    return max((text_width(_cut(label)) for label in axis.labels), default=0.0)


def _grid(figure: Figure, x: Scale, y: Scale, frame: Frame) -> Iterator[str]:
    lying = bool(figure.y.labels)
    for value, text in y.ticks:
        at = y.at(value)
        if not lying:
            yield f'<path class="grid" d="M{frame.left:.1f} {at:.1f}H{frame.right:.1f}"/>'
        yield (f'<text class="tick end" x="{frame.left - 6:.1f}" y="{at + 3.5:.1f}">'
               f"{_label(text)}</text>")  # fmt: skip
    yield from _below(figure, x, frame)
    if lying:
        yield f'<path class="axis" d="M{frame.left:.1f} {frame.top:.1f}V{frame.bottom:.1f}"/>'
    else:
        zero = y.at(0) if y.low < 0 < y.high else frame.bottom
        yield f'<path class="axis" d="M{frame.left:.1f} {zero:.1f}H{frame.right:.1f}"/>'
    middle = (frame.left + frame.right) / 2
    if figure.x.title:
        yield (f'<text class="name mid" x="{middle:.1f}" y="{frame.height - 5:.1f}">'
               f"{safe(figure.x.title)}</text>")  # fmt: skip
    if figure.y.title:
        half = (frame.top + frame.bottom) / 2
        yield (f'<text class="name mid" transform="translate(11 {half:.1f}) rotate(-90)">'
               f"{safe(figure.y.title)}</text>")  # fmt: skip


def _below(figure: Figure, x: Scale, frame: Frame) -> Iterator[str]:
    ticks = list(x.ticks)
    if figure.x.labels and not frame.turned:
        ticks = ticks[:: _step(figure.x, frame.right - frame.left)]
    taken = -1.0  # up to where something is written
    for value, text in ticks:
        at, down = x.at(value), frame.bottom + 14
        if not figure.x.labels:
            yield f'<path class="grid" d="M{at:.1f} {frame.top:.1f}V{frame.bottom:.1f}"/>'
        if frame.turned:
            yield (f'<text class="tick end" transform="translate({at + 4:.1f} {down - 2:.1f}) '
                   f'rotate(-40)">{_label(text)}</text>')  # fmt: skip
            continue
        half = text_width(_cut(text)) / 2
        within = min(at, frame.width - half) if figure.x.labels else at
        if figure.x.labels and within - half <= taken:
            continue
        taken = within + half
        yield f'<text class="tick mid" x="{within:.1f}" y="{down:.1f}">{_label(text)}</text>'


def _mark(mark: Mark, x: Scale, y: Scale, frame: Frame) -> str:
    """Draw a line with its word beside where it starts, on the side that has room for it."""
    ax, ay, bx, by = x.at(mark.start[0]), y.at(mark.start[1]), x.at(mark.end[0]), y.at(mark.end[1])
    right = ax + 8 + text_width(mark.text) * 1.15 <= frame.right
    kind, across = (f"halo {mark.tone}", ax + 7) if right else (f"halo {mark.tone} end", ax - 7)
    down = min(ay + 13, frame.bottom - 5)
    line = f'<path class="mark {mark.tone}" d="M{ax:.1f} {ay:.1f}L{bx:.1f} {by:.1f}"/>'
    ends = f"{dot(ax, ay, mark.tone, 3)}{dot(bx, by, mark.tone, 3)}"
    text = f'<text class="{kind}" x="{across:.1f}" y="{down:.1f}">{safe(mark.text)}</text>'
    return f"<g>{line}{ends}{text}</g>"


def _legend(series: Sequence[Series], frame: Frame) -> Iterator[str]:
    x, y = 2.0, 12.0
    for each in _named(series):
        wide = text_width(each.name) * 1.05 + 34
        if x + wide > frame.width and x > 2:
            x, y = 2.0, y + LEGEND
        yield swatch(each, x, y)
        yield f'<text class="legend" x="{x + 22:.1f}" y="{y:.1f}">{safe(each.name)}</text>'
        x += wide


def _legend_rows(series: Sequence[Series], width: float) -> int:
    x, rows = 2.0, 1
    for each in _named(series):
        wide = text_width(each.name) * 1.05 + 34
        if x + wide > width and x > 2:
            x, rows = 2.0, rows + 1
        x += wide
    return rows


def _named(series: Sequence[Series]) -> list[Series]:
    """Give one series of each name: the ones behind it are parts of the same."""
    return list({each.name: each for each in reversed(series) if each.name}.values())[::-1]


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def _label(text: str) -> str:
    if len(text) <= LONGEST:
        return safe(text)
    return f"<title>{safe(text)}</title>{safe(_cut(text))}"
