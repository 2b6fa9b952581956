"""The report as one page of HTML: no script, nothing from elsewhere, good on paper."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import count

from waystage.plugin import Figure, Section, Table
from waystage.report.card import card_of
from waystage.report.history import history
from waystage.report.model import Decision, Report, Version
from waystage.report.plot import svg
from waystage.report.style import STYLE
from waystage.report.text import safe
from waystage.report.words import span

WORDS = {"ok": "fine", "warn": "warning", "breach": "breach", "unknown": "not known"}
# these begin a new sheet of paper
NARROW = 6  # columns of a table that is read beside a figure
CHAPTERS = frozenset({"roc", "lift", "calibration", "regression", "score", "history", "card"})


def page(report: Report) -> str:
    """Write the page; equal reports give equal bytes."""
    ids = count(1)
    sections = [*report.sections, history(report)]
    body = [
        _header(report, sections),
        _summary(report),
        *(_section(each, ids) for each in sections),
        _decisions(report),
        _versions(report),
        _card(report),
        _footer(report),
    ]
    title = f"{report.service}: {report.snapshot.id} in {report.stage}"
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy()}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="referrer" content="no-referrer">\n'
        f"<title>{safe(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(body)
        + "\n</main>\n</body>\n</html>\n"
    )


def policy() -> str:
    """Give the content security policy that the page needs: its own style, and nothing else."""
    digest = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


def _header(report: Report, sections: Sequence[Section]) -> str:
    links = [(each.id, each.title) for each in sections]
    links += [("decisions", "Decisions"), ("versions", "Versions"), ("card", "Model card")]
    nav = "\n".join(f'<a href="#{safe(name)}">{safe(title)}</a>' for name, title in links)
    facts = {
        "Snapshot": f"{safe(report.snapshot.id)}, {safe(_role(report.version))} in "
        f"{safe(report.stage)} ({safe(report.version.runtime)}) since {when(report.version.since)}"
        + (f" until {when(report.version.until)}" if report.version.until else ""),
        "Window": f"{safe(span(report.window.start, report.window.end))} "
        f'<span class="soft">({safe(report.chosen)})</span>',
        "Lifecycle": f"{safe(report.lifecycle)}, run {safe(report.run)}",
        "Owner": safe(report.owner) or "not stated",
        "Digest of the model": _hash(report.snapshot.digest),
        "Digest of the definition": _hash(report.definition),
        "Digest of the data": _hash(report.data) if report.data else "there are no data",
    }
    told = "\n".join(f"<dt>{name}</dt><dd>{text}</dd>" for name, text in facts.items())
    return (
        f'<header>\n<p class="kicker">{safe(report.project)} · model report</p>\n'
        f'<h1>{safe(report.service)}: {safe(report.snapshot.id)}</h1>\n'
        f'<p class="lead">{safe(report.title)}</p>\n<dl class="facts">\n{told}\n</dl>\n'
        f'<nav aria-label="Contents">\n{nav}\n</nav>\n</header>'
    )  # fmt: skip


def _summary(report: Report) -> str:
    said = "\n".join(
        f'<li class="{each.level}"><span class="word {each.level}">{WORDS[each.level]}</span>'
        f"<span>{safe(each.text)}</span></li>"
        for each in report.summary
    )
    return _framed("summary", "What the monitors say", f'<ul class="said">\n{said}\n</ul>')


def _section(section: Section, ids: Iterator[int]) -> str:
    parts: list[str] = []
    tables = section.tables
    captions = {figure.about for figure in section.figures}
    if section.about and section.about not in captions:
        parts.append(f"<p>{safe(section.about)}</p>")
    if section.missing:
        parts.append(f'<p class="missing">{safe(section.missing)}</p>')
    if section.figures:
        drawn = [_figure(each, f"f{next(ids)}", section.by) for each in section.figures]
        narrow = section.tables and len(section.tables[0].columns) <= NARROW
        beside = section.tables[:1] if narrow and len(drawn) == 1 else ()
        drawn += [table(each) for each in beside]
        parts.append('<div class="plots">\n' + "\n".join(drawn) + "\n</div>")
        tables = section.tables[len(beside) :]
    if tables:
        parts.append(_tables(tables))
    chapter = section.id in CHAPTERS and not section.missing
    return _framed(section.id, section.title, "\n".join(parts), chapter=chapter)


def _framed(name: str, title: str, inside: str, *, chapter: bool = False) -> str:
    kind = ' class="chapter"' if chapter else ""
    return (f'<section id="{safe(name)}"{kind} aria-labelledby="{safe(name)}-h">\n'
            f'<h2 id="{safe(name)}-h">{safe(title)}</h2>\n{inside}\n</section>')  # fmt: skip


def _figure(figure: Figure, name: str, by: str) -> str:
    try:
        drawn = svg(figure, name)
    except Exception as error:  # noqa: BLE001  # figures of anybody's describer: the rest is shown
        who = f"of {by} " if by else ""
        why = f"This figure {who}cannot be drawn: {error or type(error).__name__}"
        drawn = f'<p class="missing">{safe(why)}</p>'
    return (f"<figure><h3>{safe(figure.title)}</h3>\n{drawn}\n"
            f"<figcaption>{safe(figure.about)}</figcaption></figure>")  # fmt: skip


def _tables(tables: Sequence[Table]) -> str:
    inside = "\n".join(table(each) for each in tables)
    return f"<details><summary>The numbers as tables</summary>\n{inside}\n</details>"


def table(found: Table) -> str:
    """Write a table; columns of numbers are set to the right."""
    numeric = [_numeric(found, place) for place in range(len(found.columns))]
    head = "".join(f'<th scope="col"{_n(n)}>{safe(name)}</th>'
                   for name, n in zip(found.columns, numeric, strict=True))  # fmt: skip
    rows = "\n".join(
        "<tr>" + "".join(f"<td{_n(n)}>{cell(value)}</td>"
                         for value, n in zip(row, numeric, strict=True)) + "</tr>"
        for row in found.rows
    )  # fmt: skip
    body = rows or f'<tr><td colspan="{len(found.columns)}">none</td></tr>'
    return (f'<div class="scroll"><table><caption>{safe(found.title)}</caption>\n'
            f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>")  # fmt: skip


def cell(value: object) -> str:
    """Write one value of a table."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.4g}" if abs(value) < 1e5 else f"{value:,.0f}"
    return safe(value)


def _numeric(found: Table, place: int) -> bool:
    values = [row[place] for row in found.rows if row[place] is not None]
    return bool(values) and all(isinstance(value, int | float) for value in values)


def _n(numeric: bool) -> str:
    return ' class="n"' if numeric else ""


def _decisions(report: Report) -> str:
    if not report.decisions:
        inside = '<p class="missing">No person has decided anything about these runs.</p>'
    else:
        rows = tuple(_decided(each) for each in report.decisions)
        names = ("when (UTC)", "who", "decided", "about", "version", "comment", "by which means",
                 "row of the history")  # fmt: skip
        inside = table(Table(title="Who decided what, and when", columns=names, rows=rows))
    return _framed("decisions", "Decisions", inside)


def _decided(each: Decision) -> tuple[str, ...]:
    roles = f" ({', '.join(each.roles)})" if each.roles else ""
    return (when(each.at), f"{each.by}{roles}", each.what, each.title or each.state,
            each.snapshot, each.comment, each.via,
            f"{each.run} #{each.seq}, {each.hash[:12]}…")  # fmt: skip


def _versions(report: Report) -> str:
    rows = tuple(_version(each) for each in reversed(report.versions))
    names = ("version", "role", "runtime", "since (UTC)", "until (UTC)", "run", "digest")
    title = f"What was in {report.stage} for {report.service}, the newest first"
    inside = table(Table(title=title, columns=names, rows=rows))
    return _framed("versions", "Versions", inside)


def _version(each: Version) -> tuple[str, ...]:
    until = when(each.until) if each.until else "still"
    return (each.snapshot, _role(each), each.runtime, when(each.since), until, each.run,
            f"{each.digest[:19]}…")  # fmt: skip


def _card(report: Report) -> str:
    parts = []
    for part in card_of(report).parts:
        parts.append(f"<h3>{safe(part.title)}</h3>")
        parts += [f"<p>{safe(text)}</p>" for text in part.texts]
        parts += [table(each) for each in part.tables]
    inside = "\n".join(parts)
    return _framed("card", "Model card", inside, chapter=True)


def _footer(report: Report) -> str:
    return (f"<footer>Made {when(report.made_at)} UTC by Waystage {safe(report.made_by)}. Events "
            "are what the model predicts (a default, a fraud); non-events are the others. Times "
            "are UTC; windows begin and end at midnight.</footer>")  # fmt: skip


def _role(version: Version) -> str:
    return "earlier champion" if version.role == "previous" else version.role


def _hash(digest: str) -> str:
    return f'<span class="hash">{safe(digest)}</span>'


def when(at: datetime) -> str:
    """Write an instant in UTC to the minute."""
    return at.strftime("%Y-%m-%d %H:%M")
