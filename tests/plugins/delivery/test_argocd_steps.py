"""The steps of Argo CD against a stand-in of its API: asked once, waited for, told why not."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from argo_server import TOKEN, App, ArgoServer, ended

from waystage.errors import Hopeless, Retryable
from waystage.plugin import Done, Refused, Waiting
from waystage.testing import FakeContext, check_step, run_to_end
from waystage_plugins.delivery import ArgoHealth, ArgoRestore, ArgoSync

WANTED = "a" * 40
SICK = [{"kind": "Deployment", "name": "serving",
         "health": {"status": "Degraded", "message": "image cannot be pulled"}}]  # fmt: skip


@pytest.fixture
def argo() -> Iterator[ArgoServer]:
    server = ArgoServer()
    server.apps["credit-risk-prod"] = App()
    yield server
    server.stop()


@pytest.fixture
def home(tmp_path: Any) -> FakeContext:
    return FakeContext(tmp_path, secrets={"env/ARGOCD_TOKEN": TOKEN})


def step(argo: ArgoServer, kind: type[ArgoSync] = ArgoSync, **more: Any) -> ArgoSync:
    return kind.model_validate({
        "server": argo.url, "token": {"secret": "env/ARGOCD_TOKEN"},
        "application": "credit-risk-PROD", "revision": WANTED, **more})  # fmt: skip


def test_it_asks_once_and_waits_until_the_application_is_healthy(
    argo: ArgoServer, home: FakeContext
) -> None:
    argo.plan = [{}, ended(health="Progressing"), {"health": "Progressing"}, {"health": "Healthy"}]
    answer = run_to_end(step(argo), home)
    assert isinstance(answer, Done)
    assert answer.output.model_dump() == {  # type: ignore[union-attr]  # the step's own model
        "revision": WANTED, "health": "Healthy", "sync": "Synced"}  # fmt: skip
    assert argo.synced == [("credit-risk-prod", WANTED)]
    assert "refresh=normal" in argo.looked[0]


def test_the_same_call_twice_syncs_once(argo: ArgoServer, home: FakeContext) -> None:
    asked = step(argo).run(home)
    assert isinstance(asked, Waiting)
    home.memo = {}  # the daemon died before it kept what the step answered
    assert isinstance(run_to_end(step(argo), home), Done)
    assert len(argo.synced) == 1
    check_step(step(argo), home, world=lambda: list(argo.synced))


def test_another_operation_is_waited_for(argo: ArgoServer, home: FakeContext) -> None:
    argo.busy.add("credit-risk-prod")
    assert isinstance(step(argo).run(home), Waiting)
    assert argo.synced == []
    argo.busy.clear()
    assert isinstance(run_to_end(step(argo), home), Done)


def test_a_sync_that_failed_is_refused_with_argos_reason(
    argo: ArgoServer, home: FakeContext
) -> None:
    argo.plan = [ended("Failed", "one or more objects failed to apply: quota exceeded")]
    answer = run_to_end(step(argo), home)
    assert isinstance(answer, Refused)
    assert "quota exceeded" in answer.why


def test_an_error_of_argo_s_own_is_tried_again(argo: ArgoServer, home: FakeContext) -> None:
    argo.plan = [ended("Error", "the repository does not answer")]
    with pytest.raises(Retryable, match="does not answer"):
        run_to_end(step(argo), home)
    argo.plan, home.attempt, home.memo = [ended()], 2, {}
    assert isinstance(run_to_end(step(argo), home), Done)
    assert len(argo.synced) == 2


def test_what_stays_degraded_is_refused_and_says_which_resource(
    argo: ArgoServer, home: FakeContext
) -> None:
    argo.plan = [ended(health="Degraded", resources=SICK)]
    answer = run_to_end(step(argo, patience="PT0S"), home)
    assert isinstance(answer, Refused)
    assert "Deployment serving is Degraded: image cannot be pulled" in answer.why


def test_what_is_degraded_for_a_moment_is_waited_for(argo: ArgoServer, home: FakeContext) -> None:
    argo.plan = [ended(health="Degraded", resources=SICK), {"health": "Progressing"},
                 {"health": "Healthy"}]  # fmt: skip
    assert isinstance(run_to_end(step(argo), home), Done)


def test_what_was_degraded_before_the_sync_is_not_held_against_it(
    argo: ArgoServer, home: FakeContext
) -> None:
    argo.apps["credit-risk-prod"].health = "Degraded"
    argo.plan = [{}, {}, ended(health="Healthy")]
    assert isinstance(run_to_end(step(argo, patience="PT0S"), home), Done)


def test_what_is_not_healthy_in_time_is_refused(argo: ArgoServer, home: FakeContext) -> None:
    argo.plan = [ended(health="Progressing")]
    answer = run_to_end(step(argo, healthy_within="PT0.3S"), home)
    assert isinstance(answer, Refused)
    assert "Progressing" in answer.why


def test_an_application_that_syncs_itself_is_only_waited_for(
    argo: ArgoServer, home: FakeContext
) -> None:
    argo.apps["credit-risk-prod"] = App(automated=True, then=[
        {}, {"synced": "OutOfSync"}, {"synced": "Synced", "history": WANTED, "revision": "b" * 40},
    ])  # fmt: skip
    assert isinstance(run_to_end(step(argo), home), Done)
    assert argo.synced == []


def test_a_token_that_is_not_taken_and_an_application_that_is_not_there_are_told(
    argo: ArgoServer, home: FakeContext
) -> None:
    with pytest.raises(Hopeless, match="no such application"):
        step(argo, application="other").run(home)
    home.secrets["env/ARGOCD_TOKEN"] = "stolen"
    with pytest.raises(Hopeless, match="no session information") as caught:
        step(argo).run(home)
    assert "stolen" not in str(caught.value)


def test_a_server_that_does_not_answer_is_tried_again(argo: ArgoServer, home: FakeContext) -> None:
    argo.broken = 1
    with pytest.raises(Retryable, match="503") as caught:
        step(argo).run(home)
    assert caught.value.after == timedelta(seconds=20), "as the server asks"
    with pytest.raises(Retryable, match="does not answer"):
        step(argo, server="http://127.0.0.1:9").run(home)


def test_going_back_takes_no_refusal(argo: ArgoServer, home: FakeContext) -> None:
    argo.plan = [ended("Failed", "the old image is gone")]
    with pytest.raises(Hopeless, match="the old image is gone"):
        run_to_end(step(argo, ArgoRestore), home)


def test_looking_at_the_health_changes_nothing_and_refuses_what_stays_sick(
    argo: ArgoServer, home: FakeContext
) -> None:
    given = {"server": argo.url, "token": {"secret": "env/ARGOCD_TOKEN"},
             "application": "credit-risk-PROD", "patience": "PT0.2S"}  # fmt: skip
    look = ArgoHealth.model_validate(given)
    assert isinstance(run_to_end(look, home), Done)
    argo.apps["credit-risk-prod"] = App(health="Degraded", resources=SICK)
    answer = run_to_end(look, home)
    assert isinstance(answer, Refused)
    assert "image cannot be pulled" in answer.why
    assert argo.synced == []
