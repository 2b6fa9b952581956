"""How `make faults` is told: as it goes, and in docs/reliability.md."""

from __future__ import annotations

import os
import subprocess
import sys

import fault_report
import pytest
from fault_watch import MARK, end_left_over, steps

SAID = """\
============ test session starts ============
collecting ... collected 3 items

tests/faults/test_a.py::test_x[1] PASSED [ 33%]
tests/faults/test_a.py::test_y 
    lines: 1,100 of 2,000 after 20 s
FAILED    [ 66%]
============ FAILURES ============
"""  # noqa: W291  # so pytest ends a name after which something else is said


def test_progress_is_read_from_what_pytest_says() -> None:
    found = list(steps(SAID.splitlines(keepends=True)))
    assert found[3:] == [
        (3, 1, "test_x[1]", ""),
        (3, 1, "test_y", ""),
        (3, 1, "lines: 1,100 of 2,000 after 20 s", ""),
        (3, 2, "test_y", "FAILED test_y"),
        (3, 2, "test_y", "============ FAILURES ============"),
    ]


def test_what_a_run_leaves_behind_is_ended_and_nothing_else() -> None:
    words = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(600)"]
    processes = [
        subprocess.Popen(words, env=os.environ | {MARK: mark}, stdout=subprocess.PIPE)
        for mark in ("this run", "another run")
    ]
    try:
        for each in processes:
            assert each.stdout is not None
            assert each.stdout.readline() == b"up\n"
        (told,) = end_left_over("this run")
        assert told.startswith(f"{processes[0].pid} ")
        assert processes[0].wait(timeout=300) < 0
        assert processes[1].poll() is None
    finally:
        for each in processes:
            each.kill()
            each.communicate()


ROW = {"test": f"{__file__}::test_a_row_is_kept_until_its_fault_is_told_anew[1]",
       "fault": "a", "promise": "b"}  # fmt: skip


@pytest.mark.parametrize(
    ("new", "replaced"),
    [
        ({"fault": "c"}, True),
        ({"test": "other.py::test_x", "how": "otherwise"}, True),
        ({"test": "other.py::test_x", "fault": "c"}, False),
    ],
)
def test_a_row_is_kept_until_its_fault_is_told_anew(new: dict[str, str], replaced: bool) -> None:
    assert fault_report.there(ROW)
    assert fault_report.replaced(ROW, ROW | new) is replaced
    assert not fault_report.there(ROW | {"test": f"{__file__}::test_that_is_no_more"})
