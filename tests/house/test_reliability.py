"""docs/reliability.md says what its rows say, and none of them is wrong."""

from __future__ import annotations

import fault_report
import pytest

pytestmark = pytest.mark.skipif(
    not fault_report.PAGE.is_file(), reason="the checkout's docs are not beside the tests"
)


def test_the_page_is_written_from_its_rows() -> None:
    written = fault_report.page(fault_report.known(), fault_report.LEFT.read_text())
    assert fault_report.PAGE.read_text() == written, "run `make faults`"


def test_every_promise_was_kept_and_every_check_caught_a_planted_bug() -> None:
    rows = fault_report.known()
    assert rows
    assert [row["fault"] for row in rows if row["wrong"] or not row["caught"]] == []
