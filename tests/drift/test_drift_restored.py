"""`on_drift: restore`: when it is made as it was, when it waits, and when it is given up."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from world_of_files import FilesRuntime

from waystage.daemon import decisions, gates, inventory, restoring
from waystage.daemon.drift import MOST
from waystage.errors import Conflict, Forbidden, NotFound
from waystage.people import OWN_TOKEN, Caller
from waystage.plugin import Difference, Observation

OTTO = Caller("otto", OWN_TOKEN)
FREEZE = {"from": "2026-03-01T00:00", "to": "2026-03-05T00:00", "why": "quarter end"}


def fought(work, times: int) -> None:
    """Have somebody change it again right after each restore."""
    for _ in range(times):
        work.change(replicas=5)
        work.look(2)
        work.turn(minutes=5)
        work.look(2)


def test_what_was_changed_is_made_as_it_was_and_the_history_says_so(drifting):
    work = drifting(on_drift="restore")
    run = work.begin()
    work.change(replicas=5, by="kubectl-edit")
    work.look()
    assert work.replicas() == 1
    assert work.state == "drifted", "it is well when it was seen to be"
    work.look()
    assert work.state == "ok"
    assert work.messages() == ["PROD: credit-risk has drifted", "PROD: credit-risk is well again"]
    assert work.bodies()[0]["text"].endswith("It is made as it was")
    told = work.signals(run)
    assert [name for name, _, _ in told] == ["runtime.drifted", "runtime.restoring", "runtime.ok"]
    assert (told[1][1], told[1][2]["differs"]) == ("engine", "replicas: 5, not 1, by kubectl-edit")
    row = work.row()
    assert work.applied() == [f"restore/{row.id}/1"]
    assert row.body["deployed"]["handle"]["key"] == f"restore/{row.id}/1", "the new handle is kept"


def test_what_was_deleted_comes_back(drifting):
    work = drifting(on_drift="restore")
    work.begin()
    work.file().unlink()
    work.look(2)
    assert (work.state, work.file().exists()) == ("ok", True)


def test_requests_that_were_sent_elsewhere_come_back(drifting):
    work = drifting(on_drift="restore")
    work.begin()
    (work.home / "traffic").write_text("another.json 100")
    work.look(2)
    assert ((work.home / "traffic").read_text(), work.state) == ("credit-1.json 100", "ok")


def test_who_changes_it_again_and_again_is_let_be(drifting):
    work = drifting(on_drift="restore")
    run = work.begin()
    fought(work, MOST)
    assert len(work.applied()) == MOST
    work.change(replicas=5)
    work.look(3)
    assert "someone else manages this" in work.bodies()[-1]["text"]
    told = len(work.messages())
    for _ in range(30):
        work.turn(hours=1)
        work.look(2)
    assert (len(work.applied()), len(work.messages())) == (MOST, told), (
        "from then on it is reported"
    )
    assert work.row().drift["given_up"] is True
    assert [name for name, _, _ in work.signals(run)].count("runtime.restoring") == MOST


def test_pauses_between_restores_grow(drifting):
    work = drifting(on_drift="restore")
    work.begin()
    (work.home / "kept").touch()  # what is applied has no effect
    work.change(replicas=5)
    at, begun = work.clock.now(), []
    while work.clock.now() < at + timedelta(minutes=10):
        before = len(work.applied()) if (work.home / "applied").exists() else 0
        work.look()
        if len(work.applied()) > before:
            begun.append((work.clock.now() - at).total_seconds())
        work.turn(seconds=5)
    assert begun == [0, 10, 30, 70, 150]


def test_after_a_calm_hour_it_is_restored_again(drifting):
    work = drifting(on_drift="restore")
    work.begin()
    fought(work, MOST)
    work.change(replicas=5)
    work.look(2)
    assert work.row().drift["given_up"] is True
    work.change(replicas=1)  # whoever it was gives in
    work.look()
    work.turn(hours=2)
    work.change(replicas=4)
    work.look(2)
    assert (work.replicas(), work.state) == (1, "ok")


def test_a_restore_that_fails_is_told_and_tried_again(drifting):
    work = drifting(on_drift="restore")
    run = work.begin()
    (work.home / "broken").touch()
    work.change(replicas=5)
    work.look(2)
    assert work.row().drift["error"] == "the world is broken"
    assert [name for name, _, _ in work.signals(run)][-1] == "runtime.not_restored"
    (work.home / "broken").unlink()
    work.turn(seconds=11)
    work.look(2)
    assert (work.state, work.row().drift.get("error", "")) == ("ok", "")
    assert work.applied() == [f"restore/{work.row().id}/{n}" for n in (1, 2)]


def test_in_a_freeze_a_change_is_left_and_what_is_gone_comes_back(drifting):
    work = drifting(on_drift="restore", windows=[{"deny": FREEZE}])
    work.write_stage(on_drift="restore")
    work.daemon.reload()
    work.begin()
    work.write_stage(on_drift="restore", windows=[{"deny": FREEZE}])
    work.daemon.reload()
    work.change(replicas=5)
    work.look(3)
    assert (work.replicas(), work.row().drift["held"]) == (
        5, "quarter end until 2026-03-05 00:00 UTC")  # fmt: skip
    work.file().unlink()
    work.look(2)
    assert work.state == "ok"
    work.change(replicas=5)
    work.turn(days=3)
    work.look(2)
    assert work.replicas() == 1, "the freeze is over"


@pytest.mark.parametrize("strict", [False, True])
def test_a_stopped_line_holds_as_a_freeze_does(drifting, strict):
    work = drifting(on_drift="restore")
    work.begin()
    gates.stop_the_line(work.daemon, "PROD", "otto", "smoke", strict=strict)
    work.change(replicas=5)
    work.look(2)
    assert (work.replicas(), work.row().drift["held"]) == (5, "otto stopped the line: smoke")
    work.file().unlink()
    work.look(2)
    assert work.file().exists() is not strict
    gates.open_the_line(work.daemon, "PROD", "otto")
    work.look(2)
    assert work.state == "ok"


def test_a_run_that_deploys_is_not_disturbed_and_waits_for_a_restore(drifting):
    work = drifting(on_drift="restore")
    work.begin()
    work.model("2")
    (work.home / "slow").touch()
    run = work.daemon.start_run("serve", "credit-risk", "credit", "2", "otto")
    work.until(lambda: (work.home / "applied").read_text().count(run) >= 1)
    work.change(replicas=5)
    work.look(3)
    assert (work.replicas(), work.row().drift["held"]) == (5, f"{run} is changing PROD")
    (work.home / "slow").unlink()
    work.turn(minutes=1)
    work.until(lambda: "serving" in work.places(run))
    work.look(2)
    assert work.replicas() == 1


def test_a_run_waits_while_its_place_is_restored(drifting, monkeypatch):
    work = drifting(on_drift="restore")
    work.begin()
    work.model("2")
    opened: list[str] = []
    calls = restoring._restore

    def restore(*given):
        run = work.daemon.start_run("serve", "credit-risk", "credit", "2", "otto")
        opened.append(run)
        work.until(lambda: bool(work.daemon.store.waits(run)))
        assert not any(run in line for line in (work.home / "applied").read_text().split())
        return calls(*given)

    monkeypatch.setattr(restoring, "_restore", restore)
    work.change(replicas=5)
    work.look()
    ((_, timer),) = work.daemon.store.waits(opened[0])
    assert timer.spec["why"] == "credit/1 is being made as it was there"
    work.turn(seconds=3)
    work.until(lambda: "serving" in work.places(opened[0]))


def test_a_person_has_it_restored_once_whatever_the_stage_says(drifting):
    work = drifting(on_drift="report")
    run = work.begin()
    row = work.row()
    with pytest.raises(Conflict, match="nothing to restore"):
        restoring.ask(work.daemon, row.id, OTTO, "why not")
    work.change(replicas=5)
    work.look()
    with pytest.raises(Forbidden):
        restoring.ask(work.daemon, row.id, Caller("ada", OWN_TOKEN), "please")
    with pytest.raises(Conflict, match="needs a reason"):
        restoring.ask(work.daemon, row.id, OTTO, " ")
    with pytest.raises(NotFound, match="no entry 99"):
        restoring.ask(work.daemon, 99, OTTO, "please")
    restoring.ask(work.daemon, row.id, OTTO, "scaled by mistake")
    work.look(2)
    assert work.state == "ok"
    (_, actor, payload) = next(s for s in work.signals(run) if s[0] == "runtime.restoring")
    assert (actor, payload["reason"]) == ("otto", "scaled by mistake")
    work.change(replicas=5)
    work.look(2)
    assert work.replicas() == 5, "once"


def test_a_process_of_this_machine_is_started_again_also_where_drift_is_reported(drifting):
    work = drifting(on_drift="report", restart=True)
    work.begin()
    work.file().unlink()
    work.look(2)
    assert (work.state, work.file().exists()) == ("ok", True)
    assert "it died. It is made as it was" in work.bodies()[0]["text"]


def test_a_process_that_dies_again_and_again_is_started_once_an_hour(drifting):
    work = drifting(restart=True)
    work.begin()
    for _ in range(MOST + 3):
        work.file().unlink(missing_ok=True)
        work.look(2)
        work.turn(minutes=5)
    assert len(work.applied()) == MOST
    assert "the next try is at" in work.bodies()[-1]["text"]
    told = len(work.messages())
    for _ in range(12 * 5):
        work.file().unlink(missing_ok=True)
        work.look()
        work.turn(minutes=5)
    assert MOST + 4 <= len(work.applied()) <= MOST + 6
    assert len(work.messages()) - told <= 3 * 6


def test_what_is_taken_out_meanwhile_is_not_brought_back(drifting, monkeypatch):
    work = drifting(on_drift="restore")
    run = work.begin()
    observed = work.daemon.connections.named_runtime("PROD", "files").online
    seen = observed.observe(work.daemon.connections, _handle(work))
    work.file().unlink()

    def late(connections, row):
        decisions.send_signal(work.daemon, "leave", {}, OTTO, run)
        work.until(lambda: work.daemon.store.run(run).status == "ended")
        return seen.model_copy(update={"phase": "absent"})

    monkeypatch.setattr("waystage.daemon.inventory._observed", late)
    work.look()
    assert not work.file().exists()
    assert not any(line.startswith("restore/") for line in
                   (work.home / "applied").read_text().split())  # fmt: skip


ENDING = Observation(
    phase="failed", reason="stopped", differs=(Difference(what="container", found="it is stopped"),)
)


@pytest.mark.parametrize(
    ("on_drift", "left"), [("report", None), ("restore", None), ("restore", ENDING)]
)
def test_a_look_while_a_step_takes_it_out_alarms_nobody(drifting, monkeypatch, on_drift, left):
    work = drifting(on_drift=on_drift)
    run = work.begin()
    told, delete, seen = work.messages(), FilesRuntime.delete, []

    def taken(*given):
        if left is not None:  # it is stopped first, and removed afterwards
            monkeypatch.setattr(FilesRuntime, "observe", lambda *_: left)
        delete(*given)
        work.look()  # it is gone, and the inventory does not know yet
        seen.append((work.file().exists(), work.state))

    monkeypatch.setattr(FilesRuntime, "delete", taken)
    decisions.send_signal(work.daemon, "leave", {}, OTTO, run)
    work.until(lambda: work.daemon.store.run(run).status == "ended")
    work.look()
    assert (seen, work.messages()) == ([(False, "ok")], told)


def _handle(work):
    from waystage.plugin import Handle

    return Handle(ref=work.row().body["deployed"]["handle"])


def test_a_runtime_that_left_the_stage_is_unknown(drifting):
    work = drifting(on_drift="restore")
    work.begin()
    file = work.root / "stages/PROD.yaml"
    file.write_text(file.read_text().replace("name: files", "name: others"))
    work.daemon.reload()
    work.look(2)
    assert work.state == "unknown"
    assert "no runtime files any more" in work.row().seen_why


def test_the_files_of_a_snapshot_are_fetched_again_if_they_are_gone(drifting):
    import shutil

    work = drifting(on_drift="restore")
    work.begin()
    shutil.rmtree(work.root / ".waystage/artifacts")
    work.file().unlink()
    work.look(2)
    assert work.state == "ok"
    (place,) = [p for p in (work.root / ".waystage/artifacts").iterdir() if p.is_dir()]
    assert (place / "model.onnx").read_bytes() == b"1"
    assert json.loads(work.file().read_text())["replicas"] == 1


def test_where_it_came_back_is_what_people_are_told(drifting):
    work = drifting(on_drift="restore")
    work.begin()
    work.change(replicas=5)
    work.look()
    work.change(url="http://127.0.0.1:2")
    work.look()
    assert work.row().body["deployed"]["endpoints"][0]["url"] == "http://127.0.0.1:2"


def test_one_deployment_that_cannot_be_kept_does_not_hide_the_others(drifting, monkeypatch):
    work = drifting()
    work.begin()
    work.model("2")
    work.begin("2")
    work.change("1", replicas=5)
    work.change("2", replicas=5)
    kept = inventory.keep_look

    def keep(connection, placement, **values):
        if placement == work.row("2").id:
            raise NotFound("it is damaged")
        kept(connection, placement, **values)

    monkeypatch.setattr(inventory, "keep_look", keep)
    work.look()
    assert (work.row("1").state, work.row("2").state) == ("drifted", "ok")
