"""The series of a figure as SVG shapes. Verdicts differ by shape, too, not by color alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from waystage.plugin import Series
from waystage.report.scale import Scale
from waystage.report.text import safe
from waystage.report.words import number

SHAPES = {
    "ok": "M0-{r}A{r} {r} 0 1 1 0 {r}A{r} {r} 0 1 1 0-{r}Z",
    "warn": "M0-{r}L{r} {r}H-{r}Z",
    "breach": "M-{r}-{r}H{r}V{r}H-{r}Z",
    "unknown": "M0-{r}L{r} 0L0 {r}L-{r} 0Z",
}
BROAD = 0.78  # share of its place that a group of bars fills


def of_series(
    series: Sequence[Series], x: Scale, y: Scale, *, lying: bool = False
) -> Iterator[str]:
    """Draw bars first, then lines, then points, so that nothing hides what is finer."""
    bars = [each for each in series if each.form == "bars"]
    for nth, each in enumerate(bars):
        yield from _bars(each, x, y, nth, len(bars), lying=lying)
    for each in series:
        if each.form in ("line", "steps"):
            yield _line(each, x, y)
    for each in series:
        if each.form == "points":
            yield from _points(each, x, y)


def dot(x: float, y: float, tone: str, size: float, title: str = "") -> str:
    """Draw the shape that the tone has."""
    path = SHAPES.get(tone, SHAPES["ok"]).replace("{r}", f"{size:g}")
    told = f"<title>{safe(title)}</title>" if title else ""
    return (
        f'<path class="dot {tone}" transform="translate({x:.1f} {y:.1f})" d="{path}">{told}</path>'
    )


def swatch(series: Series, x: float, y: float) -> str:
    """Draw what stands for a series in the legend."""
    if series.form == "bars":
        place = f'x="{x + 4:.1f}" y="{y - 9:.1f}"'
        return f'<rect class="bar {series.tone}" {place} width="12" height="9"/>'
    if series.form == "points":
        return dot(x + 10, y - 4, series.tone, 4)
    return f'<path class="line {series.tone}" d="M{x:.1f} {y - 4:.1f}h18"/>'


def _line(series: Series, x: Scale, y: Scale) -> str:
    places = [(x.at(a), y.at(b)) for a, b in zip(series.x, series.y, strict=True)]
    if not places:
        return ""
    parts = [f"M{places[0][0]:.2f} {places[0][1]:.2f}"]
    for across, up in places[1:]:
        parts.append(
            f"H{across:.2f}V{up:.2f}" if series.form == "steps" else f"L{across:.2f} {up:.2f}"
        )
    return f'<path class="line {series.tone}" d="{"".join(parts)}"/>'


def _points(series: Series, x: Scale, y: Scale) -> Iterator[str]:
    for place, (a, b) in enumerate(zip(series.x, series.y, strict=True)):
        across, up = x.at(a), y.at(b)
        if series.low:
            low, high = y.at(series.low[place]), y.at(series.high[place])
            yield _whisker(f"M{across:.1f} {low:.1f}V{high:.1f}", series.tone)
        told = series.label[place] if series.label else f"{series.name}: {number(b)}"
        yield dot(across, up, series.tone, 4, told)


def _bars(
    series: Series, x: Scale, y: Scale, nth: int, count: int, *, lying: bool
) -> Iterator[str]:
    places, lengths = (series.y, series.x) if lying else (series.x, series.y)
    along, across = (y, x) if lying else (x, y)
    step = along.unit * BROAD
    thick = step / count
    for index, (place, length) in enumerate(zip(places, lengths, strict=True)):
        start = along.at(place) - step / 2 + nth * thick
        zero, end = across.at(0), across.at(length)
        low, long = min(zero, end), abs(end - zero)
        name = series.label[index] if series.label else f"{series.name}: {number(length)}"
        box = (
            f'x="{low:.1f}" y="{start:.1f}" width="{long:.1f}" height="{thick:.1f}"'
            if lying
            else f'x="{start:.1f}" y="{low:.1f}" width="{thick:.1f}" height="{long:.1f}"'
        )
        yield f'<rect class="bar {series.tone}" {box}><title>{safe(name)}</title></rect>'
        if series.low:
            a, b = across.at(series.low[index]), across.at(series.high[index])
            middle = start + thick / 2
            way = f"M{a:.1f} {middle:.1f}H{b:.1f}" if lying else f"M{middle:.1f} {a:.1f}V{b:.1f}"
            yield _whisker(way, "reach")


def _whisker(way: str, tone: str) -> str:
    return f'<path class="whisker {tone}" d="{way}"/>'
