"""What scenarios came to, for people, for programs, and for continuous integration."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any
from xml.etree import ElementTree as Xml

import click

from waystage.cli.show import clean, table
from waystage.simulate import Coverage, Played
from waystage.spec.values import format_duration

MOST_ROWS = 100
MOST_GAPS = 12


@dataclass(frozen=True)
class Tested:
    """Played scenarios, and the coverage of their lifecycles."""

    played: tuple[Played, ...]
    coverage: tuple[Coverage, ...]

    @property
    def ok(self) -> bool:
        """Whether every scenario holds."""
        return all(each.ok for each in self.played)

    def by_lifecycle(self) -> dict[str, list[Played]]:
        """Give what was played, lifecycle by lifecycle."""
        found: dict[str, list[Played]] = {}
        for each in self.played:
            found.setdefault(each.loaded.spec.lifecycle, []).append(each)
        return found

    def below(self, percent: float | None) -> list[Coverage]:
        """Give the lifecycles of which less is covered."""
        return [each for each in self.coverage if percent is not None and each.percent < percent]


def show(result: Tested, seconds: float, fail_under: float | None) -> None:
    """Print tables, what differed, and what is not covered."""
    if len(result.played) <= MOST_ROWS:
        for name, own in result.by_lifecycle().items():
            rows = [(each.loaded.spec.scenario, _took(each), _end(each),
                     "holds" if each.ok else "FAILED") for each in own]  # fmt: skip
            table(name, ("scenario", "virtual", "ends in", ""), rows)
    for each in result.played:
        if not each.ok:
            click.echo(f"{clean(each.loaded.spec.scenario)} ({each.loaded.spec.lifecycle}):")
            for problem in each.differences:
                click.echo(f"  {clean(problem)}")
    _show_coverage(result)
    for low in result.below(fail_under):
        click.echo(f"{low.lifecycle}: {int(low.percent)} % is covered, less than {fail_under:g} %")
    good = sum(each.ok for each in result.played)
    click.echo(f"{good} of {len(result.played)} scenarios hold ({seconds:.2f} s).")


def _show_coverage(result: Tested) -> None:
    rows = [
        (c.lifecycle, c.scenarios, f"{c.states_seen}/{c.states}", f"{c.arrows_seen}/{c.arrows}",
         f"{int(c.percent)} %")  # rounded down: only what is whole is 100
        for c in result.coverage
    ]  # fmt: skip
    table("Coverage", ("lifecycle", "scenarios", "states", "transitions", ""), rows)
    for each in result.coverage:
        for gap in each.gaps[:MOST_GAPS]:
            click.echo(f"{gap.file}:{gap.line}:{gap.column}: {clean(gap.text)}")
        if len(each.gaps) > MOST_GAPS:
            click.echo(f"{each.lifecycle}: and {len(each.gaps) - MOST_GAPS} more (--json has all)")


def _took(played: Played) -> str:
    if played.ended is None or played.began is None:
        return ""
    return format_duration(timedelta(seconds=round((played.ended - played.began).total_seconds())))


def _end(played: Played) -> str:
    if played.run is None:
        return ""
    return ", ".join(played.run.places)


def as_json(result: Tested, fail_under: float | None) -> dict[str, Any]:
    """Give everything as one JSON value."""
    return {
        "ok": result.ok and not result.below(fail_under),
        "scenarios": [_scenario(each) for each in result.played],
        "coverage": [asdict(each) | {"percent": round(each.percent, 1)}
                     for each in result.coverage],
    }  # fmt: skip


def _scenario(played: Played) -> dict[str, Any]:
    spec = played.loaded.spec
    return {
        "scenario": spec.scenario, "file": played.loaded.source.file,
        "ok": played.ok, "differences": [asdict(each) for each in played.differences],
        **_run(played),
    }  # fmt: skip


def _run(played: Played) -> dict[str, Any]:
    """Give what came of a run, and of those that it called and that were played."""
    run = played.run
    return {
        "lifecycle": played.loaded.spec.lifecycle, "why": played.why, "virtual": _took(played),
        "places": run.places if run else [], "outcome": run.outcome if run else "",
        "data": run.data if run else {},
        "visits": [asdict(each) for each in played.visits],
        "messages": [asdict(each) for each in played.sent],
        "incidents": [asdict(each) for each in played.parked],
        "called": [_run(each) for each in played.called],
    }  # fmt: skip


def junit(result: Tested, seconds: float) -> bytes:
    """Give JUnit XML: a suite per lifecycle, a case per scenario."""
    root = Xml.Element("testsuites", name="waystage test", time=f"{seconds:.3f}")
    for name, own in result.by_lifecycle().items():
        failures = sum(not each.ok for each in own)
        suite = Xml.SubElement(root, "testsuite", name=name, tests=str(len(own)),
                               failures=str(failures), errors="0", skipped="0")  # fmt: skip
        for each in own:
            _case(suite, each)
    told: bytes = Xml.tostring(root, encoding="utf-8", xml_declaration=True)
    return told


def _case(suite: Xml.Element, played: Played) -> None:
    source = played.loaded.source
    case = Xml.SubElement(
        suite, "testcase", name=clean(played.loaded.spec.scenario), classname=suite.get("name", ""),
        file=source.file, line="1", time="0",
    )  # fmt: skip
    if not played.ok:
        told = [clean(each) for each in played.differences]
        failure = Xml.SubElement(case, "failure", message=told[0], type="E-SCENARIO")
        failure.text = "\n".join(told)
