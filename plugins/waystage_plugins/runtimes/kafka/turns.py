"""Who scores just now: lanes beside each other, or one of them alone."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Turns:
    """Shared by the lanes of one process, which one of them may end for all.

    Whoever asks to be alone waits for those who score and goes before those who come later.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._scoring = self._asking = 0
        self._alone = False

    @contextmanager
    def taken(self, *, alone: bool) -> Iterator[None]:
        """Have a turn; nobody else has one meanwhile if it is `alone`."""
        with self._changed:
            self._asking += alone
            self._changed.wait_for(lambda: self._is_free(alone))
            self._asking -= alone
            self._scoring, self._alone = self._scoring + 1, alone
        try:
            yield
        finally:
            with self._changed:
                self._scoring, self._alone = self._scoring - 1, False
                self._changed.notify_all()

    def _is_free(self, alone: bool) -> bool:
        if alone:
            return self._scoring == 0
        return not self._alone and not self._asking
