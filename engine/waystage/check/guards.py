"""Lists of guarded arrows without a last one that always holds, or with arrows never tried.

Why it hurts: where no guard holds, the run is parked; what follows an arrow without `if` is
never looked at. To mend it, end the list with one entry without `if`.
"""

from __future__ import annotations

from collections.abc import Iterator

from waystage.check.subject import Subject
from waystage.errors import Problem


def check(subject: Subject) -> Iterator[Problem]:
    """Look at every list of arrows."""
    for place in subject.places:
        for event, arrows in place.spec.next.items():
            path = (*place.path, "next", event)
            open_ended = [n for n, arrow in enumerate(arrows) if arrow.if_ is None]
            if not open_ended:
                text = f"{event!r} has no arrow for when no guard holds"
                yield subject.problem(
                    "E-GUARD-NO-DEFAULT", path, text, "end with an entry without if:"
                )
            elif open_ended[0] < len(arrows) - 1:
                text = f"entry {open_ended[0] + 1} has no if:, so those after it are never tried"
                yield subject.problem("E-GUARD-SHADOWED", path, text, "put it last")
