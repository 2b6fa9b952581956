"""Lists of guarded arrows with a hole, or with entries that are never tried.

- E-GUARD-NO-DEFAULT: every entry has `if`.
- E-GUARD-SHADOWED: an entry comes after one without `if`, or asks the same again.

Why it hurts: where no guard holds the run is parked, and reviewers believe in entries that
are dead. To mend it, end the list with one entry without `if` and take repeated ones away.
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
    asked: dict[str | None, int] = {}
    for number, arrow in enumerate(arrows):
        if None in asked:
            yield number, f"entry {asked[None] + 1} has no if:"
        elif arrow.if_ in asked:
            yield number, f"entry {asked[arrow.if_] + 1} has the same if:"
        asked.setdefault(arrow.if_, number)
