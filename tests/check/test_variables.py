"""Variables that nothing reads, and all the places where one may be read."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from check_cases import CATALOG, PROJECT

from waystage.check import check_lifecycle, check_project
from waystage.spec.load import load_project, parse_lifecycle

HEAD = """\
lifecycle: loan
services: [credit-risk]
data:
  count: {type: integer, default: 0}
  word: {type: string, default: none}
initial: approve
"""
TASK = """\
states:
  approve:
    task: {title: "Approve?", for: [role:validator]}
    next: {approve: ask, reject: closed}
"""
MONITOR = """\
monitors:
  ks: {use: performance.ks, window: {length: P7D}, breach: {below: "{{ data.count }}"}}
"""
READERS = {
    "guard": "  ask: {timers: {t: {after: P1D}}, next: {t: [{if: data.count > 3, to: closed},"
    " {to: closed}]}}",
    "condition of a step": "  ask: {steps: [{use: notify, if: data.count > 1, with: {to: mlops,"
    " text: x}}], next: closed}",
    "setting": "  ask: {steps: [{use: notify, with: {to: mlops, text: 'n {{ data.count }}'}}],"
    " next: closed}",
    "undo": "  ask: {steps: [{use: evidence.archive, with: {about: x},"
    " undo: {use: notify, with: {to: mlops, text: 'n {{ data.count }}'}}}], next: closed}",
    "task": "  ask: {task: {title: 'For {{ data.count }}?', for: [role:validator]},"
    " next: {approve: closed, reject: closed}}",
    "lease": "  ask: {lease: 'a/{{ data.count }}', timers: {t: {after: P1D}}, next: {t: closed}}",
    "parameter of a call": "  ask: {call: {lifecycle: other, with: {n: '{{ data.count }}'}},"
    " next: closed}",
    "another variable": "  ask: {timers: {t: {after: P1D}}, next: {t: {to: told,"
    " set: {word: '{{ string(data.count) }}'}}}}\n"
    "  told: {steps: [{use: notify, with: {to: mlops, text: '{{ data.word }}'}}], next: closed}",
    "all of data": "  ask: {steps: [{use: evidence.archive, with: {about: x,"
    " facts: {all: '{{ data }}'}}}], next: closed}",
}
END = "  closed: {final: true}\n"
WORD = "  word: {type: string, default: none}\n"
OTHER = """\
lifecycle: other
services: [credit-risk]
params: {n: {type: integer, default: 0}}
initial: say
states:
  say:
    steps: [{use: notify, with: {to: mlops, text: "n {{ params.n }}"}}]
    next: closed
  closed: {final: true}
"""
CALLER = """\
lifecycle: calling
services: [credit-risk]
initial: review
states:
  review:
    call: {lifecycle: loan}
    next: {done: tell}
  tell:
    steps: [{use: notify, with: {to: mlops, text: "READS"}}]
    next: closed
  closed: {final: true}
"""


def unread(directory: Path, loan: str, **others: str) -> list[str]:
    """Give the variables that are told, of a project with these lifecycles."""
    shutil.copytree(PROJECT, directory, dirs_exist_ok=True)
    for name, text in {"loan": loan, **others}.items():
        (directory / "lifecycles" / f"{name}.yaml").write_text(text)
    found = check_project(load_project(directory), CATALOG)
    assert [str(each) for each in found if each.severity == "error"] == []
    return [each.path for each in found if each.code == "W-DATA-UNREAD"]


@pytest.mark.parametrize("reader", READERS)
def test_a_variable_that_is_read_somewhere_is_not_told(reader: str, tmp_path: Path) -> None:
    head = HEAD if reader == "another variable" else HEAD.replace(WORD, "")
    loan = head + TASK + READERS[reader] + "\n" + END
    others = {"other": OTHER} if "call" in reader else {}
    assert unread(tmp_path, loan, **others) == []


def test_a_threshold_reads_too(tmp_path: Path) -> None:
    verdicts = ", ".join(f"{each}: closed" for each in ("ok", "warn", "insufficient", "breach"))
    ask = f"  ask: {{verify: [ks], next: {{{verdicts}}}}}\n"
    loan = HEAD.replace(WORD, "") + MONITOR + TASK + ask + END
    assert unread(tmp_path, loan) == []


def test_what_only_reckons_itself_is_told_and_what_nothing_touches_too(tmp_path: Path) -> None:
    ask = (
        "  ask: {timers: {t: {after: P1D}}, signals: [stop],"
        " next: {stop: closed, t: {to: ask, set: {count: '{{ data.count + 1 }}'}}}}\n"
    )
    assert unread(tmp_path, HEAD + TASK + ask + END) == ["data.count", "data.word"]


@pytest.mark.parametrize(
    ("reads", "told"),
    [
        ("{{ steps.review.data.count }}", ["data.word"]),
        ("{{ steps.review.data }}", []),
        ("{{ steps.review.outcome }}", ["data.count", "data.word"]),
    ],
)
def test_what_a_caller_reads_is_read(reads: str, told: list[str], tmp_path: Path) -> None:
    ask = "  ask: {timers: {t: {after: P1D}}, next: {t: closed}}\n"
    caller = CALLER.replace("READS", reads)
    assert unread(tmp_path, HEAD + TASK + ask + END, calling=caller) == told


def test_a_lifecycle_without_a_project_may_be_called_by_anyone() -> None:
    ask = "  ask: {timers: {t: {after: P1D}}, next: {t: closed}}\n"
    loaded = parse_lifecycle(HEAD + TASK + ask + END, "loan.yaml")
    found = check_lifecycle(loaded, None, CATALOG)
    assert [each.code for each in found if each.code == "W-DATA-UNREAD"] == []
