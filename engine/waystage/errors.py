"""The errors of Waystage: few, plain nouns; each docstring is its default message."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar, Literal

EXIT_FINE = 0
EXIT_REFUSED = 1
EXIT_BUG = 3
EXIT_INTERRUPTED = 130


class WaystageError(Exception):
    """Something went wrong."""

    code: ClassVar[str] = "E-WAYSTAGE"

    def __init__(self, message: str = "") -> None:
        super().__init__(message or (type(self).__doc__ or "").strip())


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong in a project's files, with its place and its cure.

    `line` and `column` count from 1; 0 means that the place is the whole file.
    """

    code: str
    message: str
    file: str = ""
    line: int = 0
    column: int = 0
    path: str = ""
    suggestion: str = ""
    severity: Literal["error", "warning"] = "error"

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        parts = [part for part in (place, self.path) if part]
        text = ": ".join([*parts, self.message])
        return f"{text}; {self.suggestion}" if self.suggestion else text


class Invalid(WaystageError):
    """The project's files have problems."""

    code = "E-INVALID"

    def __init__(self, problems: list[Problem] | tuple[Problem, ...]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class NotFound(WaystageError):
    """There is no such thing."""

    code = "E-NOT-FOUND"


class Forbidden(WaystageError):
    """You may not do this."""

    code = "E-FORBIDDEN"


class Conflict(WaystageError):
    """The world has moved on since you looked."""

    code = "E-CONFLICT"


class Newer(Conflict):
    """A newer version of Waystage wrote this; ask a daemon of that version."""

    code = "E-NEWER"


class Unavailable(WaystageError):
    """A part that is needed is not there at the moment."""

    code = "E-UNAVAILABLE"


class Busy(WaystageError):
    """As much as can be taken at once is waiting already; try again in a moment."""

    code = "E-BUSY"


class StoreLocked(WaystageError):
    """Another daemon is at work on this SQLite database; only PostgreSQL takes several."""

    code = "E-STORE-LOCKED"


class StoreUnfit(WaystageError):
    """The database cannot be used as it is."""

    code = "E-STORE-UNFIT"


class Spoiled(WaystageError):
    """What the database holds of a run is not what Waystage wrote."""

    code = "E-SPOILED"

    def __init__(self, message: str = "", run: int = 0) -> None:
        self.run = run  # the number of its row
        super().__init__(message)


class ExpressionError(WaystageError):
    """An expression could not be evaluated."""

    code = "E-EXPRESSION"


class Retryable(WaystageError):
    """A technical error that may be gone when the step is tried again."""

    code = "E-RETRYABLE"

    def __init__(self, message: str = "", *, after: timedelta | None = None) -> None:
        super().__init__(message)
        self.after = after  # that who was asked wants to be left alone for


class Hopeless(WaystageError):
    """A technical error that trying again will not mend."""

    code = "E-HOPELESS"
