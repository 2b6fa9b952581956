"""Lists of guarded arrows with a hole, or with entries that are never tried.

- E-GUARD-NO-DEFAULT: every entry has `if`.
- E-GUARD-SHADOWED: an entry comes after one without `if`.

Why it hurts: where no guard holds the run is parked, and reviewers believe in entries that
are dead. To mend it, end the list with one entry without `if`.
"""

from __future__ import annotations

from collections.abc import Iterator

from waystage.check.subject import Subject
from waystage.errors import Problem
from waystage.spec.lifecycle import Arrow


def check(subject: Subject) -> Iterator[Problem]:
    """Look at every list of arrows."""
    for place in subject.places:
        for event, arrows in place.spec.next.items():
            if all(arrow.if_ is not None for arrow in arrows):
                text = f"{event!r} has no arrow for when no guard holds"
                hint = "end with an entry without if:"
                yield subject.problem("E-GUARD-NO-DEFAULT", place.at("next", event), text, hint)
            for number, why in _shadowed(arrows):
                path = place.at("next", event, number)
                text, hint = f"this entry is never tried: {why}", "put it before, or take it away"
                yield subject.problem("E-GUARD-SHADOWED", path, text, hint)


def _shadowed(arrows: tuple[Arrow, ...]) -> Iterator[tuple[int, str]]:
    last = next((n for n, arrow in enumerate(arrows) if arrow.if_ is None), len(arrows))
    for number in range(last + 1, len(arrows)):
        yield number, f"entry {last + 1} has no if:"
