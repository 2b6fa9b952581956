"""What is not as it was applied is shown, told once, kept in the run's history, and well again."""

from __future__ import annotations

import json

from drifting import START


def test_what_somebody_scaled_is_drift_and_says_who(drifting):
    work = drifting()
    run = work.begin()
    assert (work.state, work.messages()) == ("ok", [])
    work.turn(minutes=1)
    work.change(replicas=5, by="kubectl-edit")
    assert work.look() == 1
    row = work.row()
    assert row.state == "drifted"
    assert (row.state_since - START).total_seconds() == 60
    (differs,) = row.drift["differs"]
    assert differs == {"what": "replicas", "wanted": "1", "found": "5", "by": "kubectl-edit"}
    (told,) = work.bodies()
    assert told["title"] == "PROD: credit-risk has drifted"
    assert "replicas: 5, not 1, by kubectl-edit. It is left as it is" in told["text"]
    assert told["level"] == "alarm"
    (name, actor, payload) = work.signals(run)[-1]
    assert (name, actor, payload["by"]) == ("runtime.drifted", "engine", "kubectl-edit")
    assert work.applied() == [], "on_drift: report"


def test_a_drift_is_told_once_and_another_one_anew(drifting):
    work = drifting()
    work.begin()
    work.change(replicas=5)
    work.look(5)
    assert len(work.messages()) == 1
    work.change(replicas=7)
    work.look(3)
    assert len(work.messages()) == 2
    work.change(replicas=1)
    work.look(3)
    assert work.messages()[2:] == ["PROD: credit-risk is well again"]
    assert work.bodies()[2]["level"] == "info"


def test_what_was_deleted_is_drift(drifting):
    work = drifting()
    work.begin()
    work.file().unlink()
    work.look()
    assert work.row().drift["gone"] is True
    assert "is gone" in work.bodies()[0]["text"]


def test_another_digest_is_drift(drifting):
    work = drifting()
    work.begin()
    work.change(digest="sha256:" + "b" * 64)
    work.look()
    assert [each["what"] for each in work.row().drift["differs"]] == ["digest"]


def test_what_cannot_be_looked_at_is_unknown_and_never_gone(drifting):
    work = drifting(on_drift="restore")
    run = work.begin()
    (work.home / "away").touch()
    work.look()
    assert work.state == "ok", "one slip is no news"
    assert work.messages() == []
    work.look(5)
    assert work.state == "unknown"
    assert work.messages() == ["PROD: credit-risk cannot be looked at"]
    assert work.applied() == []
    work.change(replicas=3)  # nobody sees that
    (work.home / "away").unlink()
    work.look(2)
    assert work.state == "ok"
    assert [name for name, _, _ in work.signals(run)] == [
        "runtime.unknown", "runtime.drifted", "runtime.restoring", "runtime.ok"]  # fmt: skip


def test_a_lifecycle_hears_that_what_it_deployed_is_degraded(drifting):
    work = drifting()
    run = work.begin()
    work.change(phase="degraded", message="1 of 3 pods crash")
    work.look()
    assert (work.state, work.places(run)) == ("degraded", ("looked",))
    assert work.daemon.store.run_body(run)["data"] == {"drifts": 1}
    assert "1 of 3 pods crash" in work.bodies()[0]["text"]
    work.change(phase="ready", message="")
    work.look()
    assert work.state == "ok"


def test_a_short_new_start_is_no_news_and_a_long_one_is(drifting):
    work = drifting()
    work.begin()
    work.change(phase="pending", message="0 of 1 pods")
    work.look(2)
    work.turn(minutes=4)
    work.look(2)
    assert (work.state, work.messages()) == ("ok", [])
    work.turn(minutes=2)
    work.look()
    assert work.state == "degraded"
    assert "it is starting: 0 of 1 pods" in work.bodies()[0]["text"]


def test_secrets_are_covered_in_what_a_runtime_says(drifting, monkeypatch):
    monkeypatch.setenv("OKD", "hunter-2-and-more")
    work = drifting()
    run = work.begin()
    work.daemon.connections.secret("env/OKD")
    work.change(replicas=2, by="hunter-2-and-more")
    work.look()
    kept = json.dumps([work.row().drift, work.bodies(), work.signals(run)])
    assert "hunter" not in kept
    assert "•••" in json.loads(json.dumps(work.row().drift))["differs"][0]["by"]


def test_a_look_that_shows_nothing_new_writes_nothing(drifting, monkeypatch):
    work = drifting()
    work.begin()
    work.change(replicas=5)
    work.look(2)
    written: list[object] = []
    monkeypatch.setattr(work.daemon.engine, "act", written.append)
    assert work.look(10) == 1
    assert written == []


def test_requests_that_go_elsewhere_are_no_drift_of_an_earlier_champion(drifting):
    work = drifting()
    work.begin()
    work.model("2")
    work.begin("2")
    (work.home / "traffic").write_text("nowhere 100")
    work.look()
    assert (work.row("1").role, work.row("1").state) == ("previous", "ok")
    assert (work.row("2").role, work.row("2").state) == ("champion", "drifted")
