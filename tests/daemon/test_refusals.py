"""A step that says it never refuses is held to it."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
from tests.daemon.conftest import CATALOG, Act

from waystage.plugin import Refused

TEXT = """
lifecycle: sure
services: [s]
initial: a
states:
  a: {steps: [{use: test.sure, with: {do: one}}], next: {done: b}}
  b: {final: true}
"""


class Sure(Act):
    """A step that promises never to refuse.

    - use: test.sure
      with: {do: something}
    """

    use: ClassVar[str] = "test.sure"
    refuses: ClassVar[bool] = False


@pytest.fixture
def sure(bench: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setitem(CATALOG, "test.sure", Sure)
    return bench


def test_a_refusal_of_a_step_that_never_refuses_is_an_incident(sure):
    sure.play.answers["one"] = [Refused("no, after all")]
    run = sure.open(sure.lifecycle(TEXT))
    sure.until(lambda: len(sure.store.incidents(run=run)) == 1)
    message = sure.store.incidents(run=run)[0].message
    assert "never refuses" in message
    assert "no, after all" in message
