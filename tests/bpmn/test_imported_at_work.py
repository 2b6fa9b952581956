"""An imported process does what the process did: played by scenarios on the virtual clock."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from bpmn_processes import file_of, flows

from waystage.cli.main import run

TELL = '<serviceTask id="{0}" camunda:class="x.Tell"/>'
BODY = f"""<startEvent id="s"/><userTask id="ask" flowable:candidateGroups="owner">
<extensionElements><flowable:formProperty id="n" type="long" required="true"/></extensionElements>
</userTask>
<inclusiveGateway id="fork" default="fork_few"/>
{TELL.format("some")}{TELL.format("many")}{TELL.format("few")}
<inclusiveGateway id="join"/>
<subProcess id="check"><startEvent id="cs"/><exclusiveGateway id="g" default="g_ce"/>
<endEvent id="ce"/><endEvent id="bad"><errorEventDefinition errorRef="err"/></endEvent>
{flows("cs>g", "g>bad:${n ge 6}", "g>ce")}</subProcess>
<boundaryEvent id="b" attachedToRef="check"><errorEventDefinition errorRef="err"/></boundaryEvent>
<endEvent id="too_much"/>
<intermediateCatchEvent id="soak"><timerEventDefinition><timeDuration>PT1H</timeDuration>
</timerEventDefinition></intermediateCatchEvent>
<parallelGateway id="both"/>{TELL.format("left")}{TELL.format("right")}
<parallelGateway id="again"/><endEvent id="e"/>
<subProcess id="stopped" triggeredByEvent="true"><startEvent id="ss"><signalEventDefinition
signalRef="sig"/></startEvent>{TELL.format("bye")}<endEvent id="se"/>{flows("ss>bye", "bye>se")}
</subProcess>
{
    flows(
        "s>ask",
        "ask>fork",
        "fork>some:${n > 1}",
        "fork>many:${n > 3}",
        "fork>few",
        "some>join",
        "many>join",
        "few>join",
        "join>check",
        "b>too_much",
        "check>soak",
        "soak>both",
        "both>left",
        "both>right",
        "left>again",
        "right>again",
        "again>e",
    )
}"""
NAMES = '<signal id="sig" name="stop"/><error id="err" errorCode="TOO_MUCH"/>'
MAP = {"services": ["cards"], "steps": {"Tell": {"use": "notify", "with": {
    "to": "ops", "text": "on"}}}, "roles": {"owner": "owner"}}  # fmt: skip
PROJECT = """project: p
database: sqlite:///w.db
channels: {ops: {use: log, with: {path: told.jsonl}}}
services: {cards: {title: Cards}}
people: {otto: {roles: [owner]}}
roles: {owner: [decide]}
"""


def scenario(n: int | None, passes: list[str], never: list[str]) -> dict[str, object]:
    people = [{"at": "ask", "by": "otto", "outcome": "complete", "form": {"n": n}}]
    return {
        "scenario": f"{n} is answered", "lifecycle": "example", "service": "cards",
        "snapshot": {"name": "m", "version": "1"}, "people": people if n is not None else [],
        "signals": [{"name": "stop", "after": "P1D"}] if n is None else [],
        "expect": {"passes": passes, "never": never, "outcome": "done"},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("n", "passes", "never"),
    [
        (0, ["few", "soak", "both"], ["some", "many", "too_much"]),
        (2, ["some", "soak", "left"], ["few", "many", "too_much"]),
        (4, ["many", "soak", "right"], ["few", "too_much"]),
        (6, ["some", "too_much"], ["few", "soak"]),
        (None, ["ask", "stopped.bye"], ["soak"]),
    ],
)
def test_an_imported_process_goes_the_ways_of_the_original(
    n: int | None, passes: list[str], never: list[str], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    Path("waystage.yaml").write_text(PROJECT)
    Path("x.bpmn").write_bytes(file_of(BODY, NAMES))
    Path("map.yaml").write_text(yaml.safe_dump(MAP))
    assert run(["import", "x.bpmn", "--map", "map.yaml"]) == 0, capsys.readouterr().out
    assert run(["validate"]) == 0, capsys.readouterr().out
    Path("scenarios").mkdir()
    text = yaml.safe_dump(scenario(n, passes, never), sort_keys=False)
    Path("scenarios/one.yaml").write_text(text)
    assert run(["test"]) == 0, capsys.readouterr().out
