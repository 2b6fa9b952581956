"""Make production traffic for the scorecard from the real applications of German Credit.

    python population.py --history history.csv        # what the first model is trained on
    python population.py --quarter 1 --out rows.jsonl # the requests of a quarter
    python population.py --check                      # how a model fares in each quarter

Every request is a real application with its real outcome. Made are two things alone: how often
an application comes (it is drawn, with repetition), and one change of the world: a bank moves
its branches to a new core-banking system, and the interface reads that system's lists of
account states and of savings back to front. The README says it at length.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, TypeAlias

Inputs: TypeAlias = "dict[str, float | str]"

DATA = Path(__file__).with_name("german_credit.csv")
SEED = "german-credit-1994"
WEEKS = 13  # of a quarter; a quarter has 91 days
A_WEEK = 140  # requests
TRAINING_WEEKS = 7  # the weeks after them draw from applications that come in no earlier week
RETRAINED = 4  # the quarter whose first weeks a challenger learns from
MIGRATED = (0.0, 0.08, 0.50, 0.95, 1.0)  # share of requests from the new system, by quarter

NUMBERS = {
    "duration_months", "credit_amount", "installment_rate_percent", "residence_years",
    "age_years", "existing_credits", "dependants",
}  # fmt: skip
# the lists in the order of the original codes: A11 to A14 and A61 to A65
CHECKING_ACCOUNT = (
    "... < 0 DM",
    "0 <= ... < 200 DM",
    "... >= 200 DM / salary assignments for at least 1 year",
    "no checking account",
)
SAVINGS = (
    "... < 100 DM",
    "100 <= ... < 500 DM",
    "500 <= ... < 1000 DM",
    "... >= 1000 DM",
    "unknown/ no savings account",
)
BACK_TO_FRONT = {
    "checking_account": dict(zip(CHECKING_ACCOUNT, reversed(CHECKING_ACCOUNT), strict=True)),
    "savings": dict(zip(SAVINGS, reversed(SAVINGS), strict=True)),
}


class Application(NamedTuple):
    """A real application and what became of it: 1 bad credit, 0 good."""

    inputs: Inputs
    event: int


class Request(NamedTuple):
    """One scoring request and what will become of it."""

    request_id: str
    inputs: Inputs
    event: int


class Quarter(NamedTuple):
    """The requests of 91 days, in the order in which they come, evenly over its weeks."""

    name: str
    migrated: float
    rows: list[Request]

    def weeks(self) -> list[list[Request]]:
        """Give the requests of each of the 13 weeks.

        The shipped lifecycle expects each to come as a whole in the first five days of its week.
        """
        return [self.rows[week * A_WEEK : (week + 1) * A_WEEK] for week in range(WEEKS)]


class Parts(NamedTuple):
    """The real applications, dealt out once: none is in two parts."""

    history: list[Application]
    early: list[Application]
    late: list[Application]


def applications() -> list[Application]:
    """Read the real applications."""
    with DATA.open(newline="", encoding="utf-8") as file:
        return [_application(row) for row in csv.DictReader(file)]


def parts() -> Parts:
    """Deal out half of the applications as history and a quarter each as early and late.

    Each part has three bad ones in ten, as the whole has.
    """
    dealt: tuple[list[Application], ...] = ([], [], [])
    for event in (0, 1):
        rows = [row for row in enumerate(applications()) if row[1].event == event]
        rows.sort(key=lambda row: _chance("deal", row[0]))
        half, three_quarters = len(rows) // 2, len(rows) * 3 // 4
        for part, start, end in (
            (0, 0, half),
            (1, half, three_quarters),
            (2, three_quarters, None),
        ):
            dealt[part].extend(application for _, application in rows[start:end])
    return Parts(*dealt)


def history() -> list[Application]:
    """Give what the bank knew before the first model: applications that no request repeats."""
    return parts().history


def quarters(count: int = 4) -> list[Quarter]:
    """Give the traffic of the first quarters, five at most; always the same."""
    dealt = parts()
    return [
        Quarter(f"Q{number}", MIGRATED[number - 1], list(_requests(number, dealt)))
        for number in range(1, count + 1)
    ]


def write_history(place: Path) -> Path:
    """Write the history as CSV, as `train.py` takes it."""
    return write_labelled(place, history())


def write_labelled(place: Path, rows: Sequence[Application | Request]) -> Path:
    """Write applications with their `event` as CSV."""
    with place.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [*rows[0].inputs, "event"], lineterminator="\n")
        writer.writeheader()
        writer.writerows({**row.inputs, "event": row.event} for row in rows)
    return place


def _application(row: dict[str, str]) -> Application:
    event = int(row.pop("event"))
    return Application({n: int(v) if n in NUMBERS else v for n, v in row.items()}, event)


def _requests(quarter: int, dealt: Parts) -> Iterator[Request]:
    for number in range(WEEKS * A_WEEK):
        # what a challenger may have learnt from never comes in weeks that judge it
        learnt = quarter <= RETRAINED and number // A_WEEK < TRAINING_WEEKS
        pool = dealt.early if learnt else dealt.late
        drawn = pool[int(_chance("draw", quarter, number) * len(pool))]
        migrated = _chance("migrate", quarter, number) < MIGRATED[quarter - 1]
        inputs = _recoded(drawn.inputs) if migrated else drawn.inputs
        yield Request(f"q{quarter}-{number:04d}", inputs, drawn.event)


def _recoded(inputs: Inputs) -> Inputs:
    """Give what arrives from the new system."""
    changed = {name: table[str(inputs[name])] for name, table in BACK_TO_FRONT.items()}
    return {**inputs, **changed}


def _chance(*what: object) -> float:
    """Give a number from [0, 1) that depends on nothing but its name."""
    name = "/".join(map(str, (SEED, *what)))
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:6], "big") / 2**48


def main() -> None:
    """Write what was asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--history", type=Path, metavar="CSV")
    what.add_argument("--quarter", type=int, choices=range(1, len(MIGRATED) + 1))
    what.add_argument("--check", action="store_true", help="needs the extra `demo`")
    parser.add_argument("--out", type=Path, help="JSON lines of the quarter")
    asked = parser.parse_args()
    if asked.history:
        write_history(asked.history)
    elif asked.check:
        from figures import table

        print(table())
    else:
        rows = quarters(asked.quarter)[-1].rows
        lines = "".join(json.dumps(row._asdict()) + "\n" for row in rows)
        if asked.out:
            asked.out.write_text(lines, encoding="utf-8")
        else:
            sys.stdout.write(lines)


if __name__ == "__main__":
    main()
