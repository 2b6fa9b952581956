"""Windows of a stage that leave no time for changes.

- E-WINDOW-NEVER: once every span that has dates is over, no time of the week is left in which the
  stage may be changed.

Why it hurts: runs wait for the stage for ever, and each change needs a person's override. To mend
it, shorten a weekly `deny`, or let an `allow` reach beyond it; mind that each has a `zone`.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from waystage.check.subject import Catalog
from waystage.errors import Problem
from waystage.kernel.windows import closed
from waystage.spec.load import ProjectFiles
from waystage.spec.windows import ChangeWindow

SOME_WEEK = datetime(2026, 1, 5, tzinfo=UTC)


def check_windows(files: ProjectFiles, catalog: Catalog) -> Iterator[Problem]:
    """Look for an opening of each stage that has weekly windows."""
    del catalog  # all checks of a project are called alike
    for loaded in files.stages.values():
        if _never_opens(loaded.spec.windows):
            text = f"no time of the week is left in which {loaded.spec.stage} may be changed"
            yield loaded.source.problem("E-WINDOW-NEVER", ("windows",), text)


def _never_opens(windows: tuple[ChangeWindow, ...]) -> bool:
    """Whether weekly windows alone keep a stage closed, when the others are over."""
    weekly = [window for window in windows if window.span.weekly]
    shut = closed(weekly, (), "forward", SOME_WEEK)
    return shut is not None and shut.until is None
