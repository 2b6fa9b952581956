"""The model card: what there is to know of a model, in the sections of Mitchell et al. (2019).

"Model Cards for Model Reporting" names the sections. What only its makers know they say in the
manifest's tags, `card.intended_use` and so on; what nobody said is told as not stated.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from waystage.plugin import Table
from waystage.plugin.values import Value
from waystage.report.model import Measured, Report
from waystage.report.text import marked
from waystage.report.words import newest, number, span

FORMAT = "waystage-model-card/1"
ASKED = {
    "intended_use": "Intended use",
    "out_of_scope": "Out-of-scope use",
    "factors": "Relevant factors",
    "evaluation_data": "Evaluation data",
    "training_data": "Training data",
    "ethical_considerations": "Ethical considerations",
    "caveats": "Caveats and recommendations",
}


class Part(Value):
    """One section of the card."""

    title: str
    texts: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()


class Card(Value):
    """A model card."""

    format: str = FORMAT
    title: str
    snapshot: str
    digest: str
    parts: tuple[Part, ...]

    def markdown(self) -> str:
        """Write the card as Markdown; names and texts stay texts."""
        lines = [f"# {marked(self.title)}", ""]
        for part in self.parts:
            lines += [f"## {marked(part.title)}", ""]
            lines += [line for text in part.texts for line in (marked(text), "")]
            lines += [line for each in part.tables for line in (*_rows(each), "")]
        return "\n".join(lines)


def card_of(report: Report) -> Card:
    """Make the card from the manifest, the measurements and the decisions of a report."""
    parts = (
        _details(report), _use(report), _said(report, "Factors", ("factors",)), _metrics(report),
        _said(report, "Evaluation data", ("evaluation_data",), _evaluated(report)),
        _said(report, "Training data", ("training_data",), _trained(report)),
        _analyses(report), _said(report, "Ethical considerations", ("ethical_considerations",)),
        _said(report, "Caveats and recommendations", ("caveats",), _caveats(report)),
        _governance(report),
    )  # fmt: skip
    snapshot = report.snapshot
    return Card(title=f"Model card: {snapshot.id}", snapshot=snapshot.id,
                digest=snapshot.digest, parts=parts)  # fmt: skip


def _details(report: Report) -> Part:
    snapshot = report.snapshot
    rows = [
        ("name and version", snapshot.id),
        ("format", snapshot.format or "not stated"),
        ("author", snapshot.author or "not stated"),
        ("digest", snapshot.digest),
        ("retrained from", snapshot.lineage.parent or "nothing: it was not retrained here"),
        ("made by the run", snapshot.lineage.run or "not stated"),
        ("commit", snapshot.lineage.commit or "not stated"),
        ("service", f"{report.service}{f', {report.title}' if report.title else ''}"),
        ("owner of the service", report.owner or "not stated"),
        ("inputs", ", ".join(f"{each.name} ({each.type})" for each in snapshot.inputs)
         or "not stated"),
        ("outputs", ", ".join(f"{each.name} ({each.type})" for each in snapshot.outputs)
         or "not stated"),
    ]  # fmt: skip
    about = Table(title="About the model", columns=("what", "value"), rows=tuple(rows))
    return Part(title="Model details", tables=(about,))


def _use(report: Report) -> Part:
    served = f"It serves {report.service}" + (f": {report.title}." if report.title else ".")
    return _said(report, "Intended use", ("intended_use", "out_of_scope"), (served,))


def _metrics(report: Report) -> Part:
    rows = tuple(
        (each.name, each.use, ", ".join(_limits(each.limits)) or "none",
         str(each.minimum.get("events", "")), str(each.minimum.get("nonevents", "")))
        for each in report.monitors
    )  # fmt: skip
    names = ("monitor", "measure", "limits", "events needed", "non-events needed")
    watched = Table(title="What is watched in production", columns=names, rows=rows)
    given = tuple(sorted(report.snapshot.metrics.items()))
    said = Table(title="As its makers measured it", columns=("metric", "value"), rows=given)
    text = () if rows else ("No monitor watches it.",)
    tables = tuple(each for each in (watched, said) if each.rows)
    return Part(title="Metrics", texts=text, tables=tables)


def _analyses(report: Report) -> Part:
    rows = []
    for name, last in newest(report.measurements, report.snapshot.id).items():
        rows.append((name, span(last.window.start, last.window.end), last.number("value"),
                     last.number("low"), last.number("high"), last.verdict,
                     str(last.body.get("method", "")), _counted(last)))  # fmt: skip
    names = ("monitor", "window", "value", "low", "high", "verdict", "method", "counts")
    newly = Table(title="Newest measurements in production", columns=names, rows=tuple(rows))
    texts = [each.about for each in report.sections if each.about and not each.missing]
    if not rows:
        texts = ["It has not been measured in production yet.", *texts]
    if not any(each.use == "fairness" for each in report.monitors):
        texts.append("No monitor compares groups of people (fairness).")
    return Part(title="Quantitative analyses", texts=tuple(texts), tables=(newly,) if rows else ())


def _governance(report: Report) -> Part:
    votes = [each for each in report.decisions if each.snapshot == report.snapshot.id]
    rows = tuple((each.at.strftime("%Y-%m-%d %H:%M"), each.by, ", ".join(each.roles), each.what,
                  each.title, each.comment) for each in votes)  # fmt: skip
    names = ("when (UTC)", "who", "role", "decided", "about", "comment")
    if not rows:
        none = "No person has decided anything about this version."
        return Part(title="Governance", texts=(none,))
    found = Table(title="Decisions about this version", columns=names, rows=rows)
    return Part(title="Governance", tables=(found,))


def _said(
    report: Report, title: str, asked: tuple[str, ...], known: tuple[str, ...] = ()
) -> Part:  # fmt: skip
    tags = report.snapshot.tags
    told = [tags[name] if len(asked) == 1 else f"{ASKED[each]}: {tags[name]}"
            for each in asked if (name := f"card.{each}") in tags]  # fmt: skip
    missing = [each for each in asked if f"card.{each}" not in tags]
    if missing:
        names = " and ".join(f"tag card.{each}" for each in missing)
        told.append(f"Not stated by the makers of the model ({names} of its manifest).")
    return Part(title=title, texts=(*known, *told))


def _evaluated(report: Report) -> tuple[str, ...]:
    when = span(report.window.start, report.window.end)
    data = f" ({report.data})" if report.data else ""
    return (f"Requests of {report.service} in {report.stage}, {when}{data}.",)


def _trained(report: Report) -> tuple[str, ...]:
    data = report.snapshot.lineage.data
    return (f"Digest of the training data: {data}.",) if data else ()


def _caveats(report: Report) -> tuple[str, ...]:
    return tuple(each.text for each in report.summary if each.level in ("breach", "unknown"))


def _limits(limits: dict[str, dict[str, float]]) -> Iterator[str]:
    for level, limit in limits.items():
        for side, value in limit.items():
            yield f"{level} {side} {number(value)}"


def _counted(each: Measured) -> str:
    counts: dict[str, Any] = each.body.get("counts") or {}
    return ", ".join(f"{name} {value:,}" for name, value in counts.items())


def _rows(table: Table) -> Iterator[str]:
    yield f"**{marked(table.title)}**"
    yield ""
    yield f"| {' | '.join(marked(name) for name in table.columns)} |"
    yield f"|{'---|' * len(table.columns)}"
    for row in table.rows:
        yield f"| {' | '.join(_cell(value) for value in row)} |"


def _cell(value: object) -> str:
    if value is None:
        return "–"
    return number(value) if isinstance(value, float) else marked(value)
