"""Each case of the suites judged: passed, cannot be said, differs on purpose, failed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta

from scxml_chart import CannotSay, Differs, read_chart
from scxml_playing import Advance, Player
from scxml_saying import say
from suites import Case

from waystage.errors import WaystageError
from waystage.kernel import advance as kernel

PASSED, CANNOT, DIFFERS, FAILED = "passed", "cannot be said", "differs on purpose", "failed"
KINDS = (PASSED, CANNOT, DIFFERS, FAILED)


@dataclass(frozen=True)
class Verdict:
    """What became of one case, and why."""

    name: str
    kind: str
    reason: str = ""


@dataclass
class Tally:
    """The verdicts of one suite."""

    title: str
    verdicts: list[Verdict] = field(default_factory=list)

    def count(self, kind: str) -> int:
        """Give how many cases are of a kind."""
        return sum(verdict.kind == kind for verdict in self.verdicts)

    def reasons(self, kind: str) -> Counter[str]:
        """Give how often each reason was given."""
        return Counter(each.reason for each in self.verdicts if each.kind == kind)

    def failures(self) -> Iterator[Verdict]:
        """Give the cases that failed."""
        return (verdict for verdict in self.verdicts if verdict.kind == FAILED)


def judge_all(title: str, cases: Iterable[Case], advance: Advance = kernel) -> Tally:
    """Judge the cases of one suite."""
    return Tally(title, [judge(case, advance) for case in cases])


def judge(case: Case, advance: Advance = kernel) -> Verdict:
    """Say a chart in our language, let the kernel play it, and compare."""
    try:
        chart = read_chart(case.chart.decode("utf-8-sig"))
        player = Player(say(chart, [name for name, _, _ in case.events]), advance)
    except CannotSay as reason:
        return Verdict(case.name, CANNOT, str(reason))
    except Differs as reason:
        return Verdict(case.name, DIFFERS, str(reason))
    except WaystageError as error:  # what was said is no lifecycle: the fault is ours
        return Verdict(case.name, FAILED, f"the lifecycle is refused: {error}")
    wrong = next(_wrong(case, player), "")
    return Verdict(case.name, FAILED if wrong else PASSED, wrong)


def _wrong(case: Case, player: Player) -> Iterator[str]:
    if case.to_the_end:
        player.wait()
    yield from _unlike("at first", case.first, player)
    for number, (name, after, expected) in enumerate(case.events, 1):
        player.send(name, timedelta(seconds=after))
        yield from _unlike(f"after event {number}, {name}", expected, player)


def _unlike(when: str, expected: tuple[str, ...], player: Player) -> Iterator[str]:
    found = player.configuration()
    if found != list(expected):
        yield f"{when}: in {', '.join(found)} instead of {', '.join(expected)}"
