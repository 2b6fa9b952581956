"""A plan: for each lifecycle what changes, what it guarantees then, and what its runs do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from waystage.kernel import Definition, Run
from waystage.planning.bounds import Bounds, bounds_of
from waystage.planning.difference import Difference, differences, renames
from waystage.planning.fit import Fit, fit_of
from waystage.planning.mapping import Mapping as MappingFile
from waystage.plugin import Plugin


@dataclass(frozen=True)
class Version:
    """One earlier text that open runs are pinned to, or that is the newest in the database."""

    definition: Definition
    newest: bool
    changes: tuple[Difference, ...]
    fits: tuple[Fit, ...] = ()


@dataclass(frozen=True)
class Plan:
    """What a lifecycle's text in the files means for what the database has."""

    lifecycle: str
    new: Definition
    versions: tuple[Version, ...]
    bounds: Bounds
    before: Bounds | None = None  # of the newest text in the database

    @property
    def fits(self) -> list[Fit]:
        """All open runs."""
        return [fit for version in self.versions for fit in version.fits]

    @property
    def counts(self) -> dict[str, int]:
        """How many open runs there are of each verdict."""
        return dict(Counter(fit.verdict for fit in self.fits))

    @property
    def changed(self) -> bool:
        """Whether the text is another one than the newest in the database."""
        return all(not v.newest or v.definition.hash != self.new.hash for v in self.versions)

    def homes(self) -> dict[str, str]:
        """Give the states that a mapping must find a place for, each with a guess or nothing."""
        found: dict[str, str] = {}
        for version in self.versions:
            guesses = renames(version.definition.spec, self.new.spec)
            for fit in version.fits:
                found |= {state: guesses.get(state, "") for state in fit.homeless}
        return found


@dataclass(frozen=True)
class Known:
    """What the database has of a lifecycle: its newest text, older ones, and open runs."""

    newest: Definition | None
    others: Mapping[str, Definition] = field(default_factory=dict)
    runs: Iterable[Run] = ()

    @property
    def texts(self) -> dict[str, Definition]:
        """The texts by their hash."""
        newest = {self.newest.hash: self.newest} if self.newest else {}
        return {**self.others, **newest}


def plan_of(
    new: Definition,
    known: Known,
    catalog: Mapping[str, type[Plugin]],
    *,
    mapping: MappingFile | None = None,
    given: Callable[[str], Mapping[str, Any]] = lambda _: {},
) -> Plan:
    """Plan one lifecycle. `given` says what a service sets for its parameters."""
    texts = known.texts
    fits: dict[str, list[Fit]] = {digest: [] for digest in texts}
    expanded = {d: mapping.expanded(old, new) if mapping else {} for d, old in texts.items()}
    for run in known.runs:
        old = texts[run.definition]
        fit = fit_of(old, new, run, expanded[old.hash], given(run.service))
        fits[old.hash].append(fit)
    versions = tuple(
        Version(old, known.newest is old, tuple(differences(old.spec, new.spec)), tuple(fits[d]))
        for d, old in texts.items()
        if fits[d] or known.newest is old
    )
    before = bounds_of(known.newest, catalog) if known.newest else None
    return Plan(new.spec.lifecycle, new, versions, bounds_of(new, catalog), before)


def plan_json(plan: Plan) -> dict[str, Any]:
    """Give the plan for programs; durations in seconds."""
    return {
        "lifecycle": plan.lifecycle,
        "definition": plan.new.hash,
        "changed": plan.changed,
        "counts": plan.counts,
        "versions": [_version(version) for version in plan.versions],
        "bounds": _bounds(plan.bounds),
        "bounds_before": _bounds(plan.before) if plan.before else None,
        "mapping_needed": plan.homes(),
    }


def _version(version: Version) -> dict[str, Any]:
    changes = [{"sign": d.sign, "what": d.what, "where": d.where, "text": d.text}
               for d in version.changes]  # fmt: skip
    runs = [{"run": f.run, "verdict": f.verdict, "places": list(f.places), "reasons":
             list(f.reasons), "notes": list(f.notes)} for f in version.fits]  # fmt: skip
    return {"definition": version.definition.hash, "newest": version.newest, "changes": changes,
            "runs": runs}  # fmt: skip


def _bounds(bounds: Bounds) -> dict[str, Any]:
    return {
        "stages": [
            {"stage": r.stage, "soonest_seconds": r.soonest.total_seconds(),
             "approvals": r.approvals, "tasks": list(r.tasks)}
            for r in bounds.reaches
        ],
        "rollback": [
            {"state": b.state, "why": b.why,
             "most_seconds": None if b.most is None else b.most.total_seconds()}
            for b in bounds.back
        ],
    }  # fmt: skip
