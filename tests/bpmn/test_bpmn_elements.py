"""What each kind of BPMN element becomes."""

from __future__ import annotations

from typing import Any

import pytest
from bpmn_processes import file_of, flows

from waystage.bpmn import Imported, Mapping, import_bpmn
from waystage.spec.source import parse_source

START, END = '<startEvent id="s"/>', '<endEvent id="e"/>'


def imported(body: str, *pairs: str, names: str = "", mapping: Mapping | None = None) -> Imported:
    """Import elements between a start and an end."""
    text = f"{START}{body}{END}{flows(*pairs)}"
    return import_bpmn(file_of(text, names), "x.bpmn", mapping=mapping or Mapping())


def states(body: str, *pairs: str, **more: Any) -> dict[str, Any]:
    """Give the states that elements become, as they are written."""
    found: dict[str, Any] = parse_source(imported(body, *pairs, **more).text).data["states"]
    return found


def hands(result: Imported, element: str) -> str:
    return " ".join(result.report.entries[element].hands)


def test_a_service_task_becomes_a_step_that_validate_does_not_know() -> None:
    body = '<serviceTask id="deploy" camunda:delegateExpression="${deployDelegate}"/>'
    result = imported(body, "s>deploy", "deploy>e")
    found = parse_source(result.text).data["states"]
    assert found["deploy"] == {
        "steps": [{"use": "unmapped.deploy_delegate"}], "next": {"done": "e"},
    }  # fmt: skip
    assert "name a step for 'deployDelegate'" in hands(result, "deploy")


@pytest.mark.parametrize(
    ("attribute", "key"),
    [
        ('camunda:delegateExpression="${notify}"', "notify"),
        ('flowable:class="com.example.Notify"', "Notify"),
        ('flowable:class="com.example.Notify"', "com.example.Notify"),
        ('camunda:type="external" camunda:topic="tell-people"', "tell-people"),
        ('flowable:type="mail"', "mail"),
        ('flowable:expression="${mailer.send()}"', "mailer.send()"),
        ("", "t"),
    ],
)
def test_the_mapping_names_the_step_for_whatever_a_task_calls(attribute: str, key: str) -> None:
    mapping = Mapping.model_validate(
        {"steps": {key: {"use": "notify", "with": {"to": "ops"}, "take": {"text": "message"}}}}
    )
    inner = (
        '<extensionElements><flowable:field name="message" stringValue="It is done"/>'
        "</extensionElements>"
    )
    body = f'<serviceTask id="t" {attribute}>{inner}</serviceTask>'
    result = imported(body, "s>t", "t>e", mapping=mapping)
    step = parse_source(result.text).data["states"]["t"]["steps"][0]
    assert step == {"use": "notify", "with": {"to": "ops", "text": "It is done"}}
    assert not result.report.entries["t"].hands


def test_a_script_is_shown_and_never_run() -> None:
    body = '<scriptTask id="t" scriptFormat="groovy"><script>boom()</script></scriptTask>'
    result = imported(body, "s>t", "t>e")
    assert "unmapped.script_t" in result.text
    assert "#   boom()" in result.text
    assert "never run here" in hands(result, "t")


def test_a_user_task_has_people_a_form_and_a_due_date() -> None:
    body = """<userTask id="t" name="Approve" flowable:candidateGroups="risk, audit"
        flowable:candidateUsers="vera" flowable:dueDate="P2D"><extensionElements>
        <flowable:formProperty id="imageTag" name="Tag" type="string" required="true"/>
        <flowable:formProperty id="limit" type="double" default="0.5"/>
        <flowable:formProperty id="shown" type="string" writable="false"/>
        </extensionElements></userTask>"""
    task = states(body, "s>t", "t>e")["approve"]["task"]
    assert task == {
        "title": "Approve", "for": ["role:risk", "role:audit", "vera"],
        "form": {"image_tag": {"type": "string", "title": "Tag", "required": True},
                 "limit": {"type": "number", "default": 0.5}},
        "outcomes": ["complete"], "due": "P2D",
    }  # fmt: skip


def test_the_standard_way_to_name_people_is_read_too() -> None:
    body = """<userTask id="t"><potentialOwner><resourceAssignmentExpression>
        <formalExpression>user(vera), group(risk)</formalExpression>
        </resourceAssignmentExpression></potentialOwner></userTask>"""
    assert states(body, "s>t", "t>e")["t"]["task"]["for"] == ["role:risk", "vera"]


def test_a_task_that_names_nobody_is_for_its_lane() -> None:
    lane = '<laneSet><lane id="l" name="Model Risk"><flowNodeRef>t</flowNodeRef></lane></laneSet>'
    assert states(f'{lane}<userTask id="t"/>', "s>t", "t>e")["t"]["task"]["for"] == [
        "role:model-risk"
    ]


def test_an_answer_that_a_gateway_asks_for_becomes_outcomes() -> None:
    body = """<userTask id="t"><extensionElements>
        <flowable:formProperty id="approved" type="boolean"/></extensionElements></userTask>
        <exclusiveGateway id="g"/><endEvent id="no"/>"""
    found = states(body, "s>t", "t>g", "g>no:${!approved}", "g>e:${approved}")["t"]
    assert found["task"]["outcomes"] == ["approve", "reject"]
    assert found["next"] == {"approve": "e", "reject": "no"}
    assert "form" not in found["task"]


def test_an_answer_that_is_read_elsewhere_too_stays_a_field() -> None:
    body = """<userTask id="t"><extensionElements>
        <flowable:formProperty id="approved" type="boolean"/></extensionElements></userTask>
        <exclusiveGateway id="g"/><serviceTask id="w"/><exclusiveGateway id="h"/>
        <endEvent id="no"/>"""
    found = states(body, "s>t", "t>g", "g>no:${!approved}", "g>w:${approved}", "w>h",
                   "h>e:${approved}", "h>no:${!approved}")["t"]  # fmt: skip
    assert found["task"]["form"] == {"approved": {"type": "boolean"}}
    assert found["next"]["complete"][0] == {"if": "!tasks.t.form.approved", "to": "no"}


@pytest.mark.parametrize(
    ("inner", "quorum"),
    [
        ("<loopCardinality>3</loopCardinality>", 3),
        ("<loopCardinality>5</loopCardinality><completionCondition>${nrOfCompletedInstances >= 2}"
         "</completionCondition>", 2),
    ],
)  # fmt: skip
def test_several_copies_of_a_task_become_a_quorum(inner: str, quorum: int) -> None:
    inner = inner.replace(">=", "&gt;=")
    body = f"""<userTask id="t" flowable:candidateGroups="risk"><multiInstanceLoopCharacteristics>
        {inner}</multiInstanceLoopCharacteristics></userTask>"""
    assert states(body, "s>t", "t>e")["t"]["task"]["quorum"] == quorum


def test_a_quorum_that_is_not_known_needs_a_hand() -> None:
    body = """<userTask id="t" camunda:candidateGroups="risk"><multiInstanceLoopCharacteristics
        camunda:collection="${approvers}"/></userTask>"""
    assert "${approvers}" in hands(imported(body, "s>t", "t>e"), "t")


def test_an_exclusive_gateway_becomes_guards_with_the_default_last() -> None:
    body = """<serviceTask id="t" camunda:resultVariable="n"/>
        <exclusiveGateway id="g" default="g_e"/><endEvent id="f"/>"""
    found = states(body, "s>t", "t>g", "g>e", "g>f:${n gt 2 and n != 4}")["t"]
    assert found["next"]["done"] == [{"if": "steps.t.n > 2 && steps.t.n != 4", "to": "f"},
                                     {"to": "e"}]  # fmt: skip


def test_a_gateway_behind_a_gateway_joins_their_conditions() -> None:
    body = """<dataObject id="d" name="n" itemSubjectRef="xsd:int"/><serviceTask id="t"/>
        <exclusiveGateway id="g" default="g_e"/><exclusiveGateway id="h" default="h_e"/>
        <endEvent id="f"/>"""
    found = states(body, "s>t", "t>g", "g>e", "g>h:${n > 1 || n < 0}", "h>f:${n > 2}", "h>e")
    assert found["t"]["next"]["done"] == [
        {"if": "(data.n > 1 || data.n < 0) && data.n > 2", "to": "f"},
        {"if": "data.n > 1 || data.n < 0", "to": "e"}, {"to": "e"},
    ]  # fmt: skip


def test_a_choice_at_the_beginning_has_a_state_of_its_own() -> None:
    body = '<dataObject id="d" name="n"/><exclusiveGateway id="g" default="g_e"/><task id="t"/>'
    found = states(body, "s>g", "g>e", "g>t:${n == 'x'}", "t>e")
    assert found["begin"]["timers"] == {"now": {"after": "PT0S"}}
    assert [arrow["to"] for arrow in found["begin"]["next"]["now"]] == ["t", "e"]


def test_fork_and_join_become_branches() -> None:
    body = """<parallelGateway id="fork"/><serviceTask id="a"/><serviceTask id="b"/>
        <parallelGateway id="join"/>"""
    found = states(body, "s>fork", "fork>a", "fork>b", "a>join", "b>join", "join>e")
    assert list(found["fork"]["branches"]) == ["a", "b"]
    assert found["fork"]["branches"]["a"]["states"]["a"]["next"] == {"done": "joined"}
    assert found["fork"]["next"] == {"done": "e"}


def test_two_flows_out_of_an_activity_are_a_fork_too() -> None:
    body = '<serviceTask id="t"/><serviceTask id="a"/><serviceTask id="b"/>'
    found = states(body, "s>t", "t>a", "t>b")
    assert set(found["after_t"]["branches"]) == {"a", "b"}


def test_an_inclusive_gateway_becomes_branches_with_conditions() -> None:
    body = """<dataObject id="d" name="n" itemSubjectRef="xsd:int"/><inclusiveGateway id="fork"
        default="fork_c"/><serviceTask id="a"/><serviceTask id="b"/><serviceTask id="c"/>
        <inclusiveGateway id="join"/>"""
    found = states(body, "s>fork", "fork>a:${n > 1}", "fork>b:${n > 2}", "fork>c", "a>join",
                   "b>join", "c>join", "join>e")["fork"]  # fmt: skip
    first = found["branches"]["a"]["states"]["begin"]["next"]["now"]
    assert first == [{"if": "data.n > 1", "to": "a"}, {"to": "joined"}]
    last = found["branches"]["c"]["states"]["begin"]["next"]["now"]
    assert last[0]["if"] == "!(data.n > 1) && !(data.n > 2)"


def test_an_event_based_gateway_waits_for_whichever_comes_first() -> None:
    body = """<eventBasedGateway id="g"/><intermediateCatchEvent id="late" name="Late">
        <timerEventDefinition><timeDuration>P1D</timeDuration></timerEventDefinition>
        </intermediateCatchEvent><intermediateCatchEvent id="came"><signalEventDefinition
        signalRef="sig"/></intermediateCatchEvent>"""
    found = states(body, "s>g", "g>late", "g>came", "late>e", "came>e",
                   names='<signal id="sig" name="Labels.Arrived"/>')  # fmt: skip
    assert found["g"] == {
        "wait": True, "timers": {"late": {"after": "P1D"}}, "signals": ["labels.arrived"],
        "next": {"late": "e", "labels.arrived": "e"},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("inner", "timer"),
    [
        ("<timeDuration>PT90M</timeDuration>", {"after": "PT1H30M"}),
        ("<timeDate>2026-12-20T00:00:00Z</timeDate>", {"at": "2026-12-20T00:00:00+00:00"}),
        ("<timeCycle>R/PT10M</timeCycle>", {"after": "PT10M"}),
        ("<timeCycle>0 30 6 ? * 2-6</timeCycle>", {"cron": "30 6 * * mon-fri"}),
        ("<timeDuration>P1M</timeDuration>", {"cron": "by hand: P1M"}),
        ("<timeDuration>${later}</timeDuration>", {"cron": "by hand: $later"}),
    ],
)
def test_timers_are_translated_or_left_for_a_hand(inner: str, timer: dict[str, str]) -> None:
    body = f"""<intermediateCatchEvent id="t" name="Soak"><timerEventDefinition>{inner}
        </timerEventDefinition></intermediateCatchEvent>"""
    result = imported(body, "s>t", "t>e")
    assert parse_source(result.text).data["states"]["soak"]["timers"] == {"soak": timer}
    assert bool(result.report.entries["t"].hands) == ("by hand" in str(timer))


def test_a_sub_process_becomes_nested_states_and_its_error_an_outcome() -> None:
    body = """<subProcess id="p"><startEvent id="ps"/><serviceTask id="t"/>
        <exclusiveGateway id="g" default="g_pe"/><endEvent id="pe"/><endEvent id="bad">
        <errorEventDefinition errorRef="err"/></endEvent>
        """ + flows("ps>t", "t>g", "g>bad:${n > 1}", "g>pe") + """</subProcess>
        <boundaryEvent id="b" attachedToRef="p"><errorEventDefinition errorRef="err"/>
        </boundaryEvent><endEvent id="f"/>"""  # fmt: skip
    found = states(body, "s>p", "p>e", "b>f", names='<error id="err" errorCode="BAD_KS"/>')
    assert found["p"]["initial"] == "t"
    assert found["p"]["states"]["bad"] == {"final": True, "outcome": "bad_ks"}
    assert found["p"]["next"] == {"done": "e", "bad_ks": "f", "refused": "f"}


def test_borders_become_timers_signals_and_refusals() -> None:
    body = """<serviceTask id="t"/><boundaryEvent id="late" name="Too late" attachedToRef="t">
        <timerEventDefinition><timeDuration>PT1H</timeDuration></timerEventDefinition>
        </boundaryEvent><boundaryEvent id="no" attachedToRef="t"><errorEventDefinition/>
        </boundaryEvent><boundaryEvent id="stop" attachedToRef="t"><messageEventDefinition
        messageRef="m"/></boundaryEvent>"""
    found = states(body, "s>t", "t>e", "late>e", "no>e", "stop>e",
                   names='<message id="m" name="stop it"/>')["t"]  # fmt: skip
    assert found["timers"] == {"too_late": {"after": "PT1H"}}
    assert found["signals"] == ["stop_it"]
    assert found["next"] == dict.fromkeys(("done", "too_late", "refused", "failed", "stop_it"), "e")


def test_what_only_reminds_becomes_remind_and_escalate() -> None:
    body = """<userTask id="t" camunda:assignee="ada"/><boundaryEvent id="b1" attachedToRef="t"
        cancelActivity="false"><timerEventDefinition><timeCycle>R2/P1D</timeCycle>
        </timerEventDefinition></boundaryEvent><sendTask id="mail"/><endEvent id="sent"/>
        <boundaryEvent id="b2" attachedToRef="t" cancelActivity="false"><timerEventDefinition>
        <timeDuration>P3D</timeDuration></timerEventDefinition></boundaryEvent>
        <userTask id="boss" camunda:candidateGroups="head"/><endEvent id="asked"/>"""
    result = imported(body, "s>t", "t>e", "b1>mail", "mail>sent", "b2>boss", "boss>asked")
    found = parse_source(result.text).data["states"]
    assert found["t"]["task"]["remind"] == ["P1D", "P2D"]
    assert found["t"]["task"]["escalate"] == {"after": "P3D", "to": ["role:head"]}
    assert set(found) == {"t", "e"}
    assert result.report.entries["mail"].became == ["states.t.task.remind"]


def test_a_compensation_becomes_the_undo_of_its_step() -> None:
    body = """<serviceTask id="t" camunda:expression="${a}"/><boundaryEvent id="b"
        attachedToRef="t"><compensateEventDefinition/></boundaryEvent><serviceTask id="u"
        isForCompensation="true" camunda:expression="${back}"/>
        <association id="l" sourceRef="b" targetRef="u"/>"""
    found = states(body, "s>t", "t>e")
    assert found["t"]["steps"] == [{"use": "unmapped.a", "undo": {"use": "unmapped.back"}}]
    assert set(found) == {"t", "e"}


def test_a_sub_process_that_an_event_starts_interrupts_what_is_around_it() -> None:
    body = """<userTask id="t"/><subProcess id="p" triggeredByEvent="true"><startEvent id="ps">
        <signalEventDefinition signalRef="gone"/></startEvent><serviceTask id="u"/>
        <endEvent id="pe"/>""" + flows("ps>u", "u>pe") + "</subProcess>"  # fmt: skip
    found = states(body, "s>t", "t>e", names='<signal id="gone" name="superseded"/>')
    assert found["main"]["signals"] == ["superseded"]
    assert found["main"]["next"] == {"done": "closed", "superseded": "p"}
    assert set(found["main"]["states"]) == {"t", "e"}


def test_a_call_activity_becomes_a_call() -> None:
    body = """<callActivity id="t" calledElement="scoreModel"><extensionElements>
        <camunda:in source="n" target="limit"/></extensionElements></callActivity>
        <dataObject id="d" name="n" itemSubjectRef="xsd:int"/>"""
    found = states(body, "s>t", "t>e")["t"]
    assert found["call"] == {"lifecycle": "score-model", "with": {"limit": "{{ data.n }}"}}


def test_links_lead_on_where_they_are_caught() -> None:
    body = """<task id="a"/><intermediateThrowEvent id="out"><linkEventDefinition name="x"/>
        </intermediateThrowEvent><intermediateCatchEvent id="in"><linkEventDefinition name="x"/>
        </intermediateCatchEvent><task id="b"/>"""
    assert states(body, "s>a", "a>out", "in>b", "b>e")["a"]["next"] == {"done": "b"}


def test_a_signal_that_is_thrown_is_sent() -> None:
    body = """<intermediateThrowEvent id="t"><signalEventDefinition signalRef="x"/>
        </intermediateThrowEvent>"""
    found = states(body, "s>t", "t>e", names='<signal id="x" name="model retired"/>')
    assert found["t"]["steps"] == [{"use": "signal.send", "with": {"name": "model_retired"}}]


def test_retries_are_those_of_the_job() -> None:
    for cycle, retry in (
        ("R3/PT10M", {"max": 3, "backoff": {"first": "PT10M", "factor": 1, "max": "PT10M"}}),
        ("PT5M,PT20M", {"max": 3, "backoff": {"first": "PT5M", "max": "PT20M"}}),
    ):
        body = f"""<serviceTask id="t"><extensionElements><camunda:failedJobRetryTimeCycle>{cycle}
            </camunda:failedJobRetryTimeCycle></extensionElements></serviceTask>"""
        assert states(body, "s>t", "t>e")["t"]["steps"][0]["retry"] == retry


def test_data_objects_become_data_with_their_values() -> None:
    body = """<dataObject id="d" name="ksFloor" itemSubjectRef="xsd:double"><extensionElements>
        <flowable:value>0.3</flowable:value></extensionElements></dataObject>
        <property id="q" name="note" itemSubjectRef="xsd:string"/><task id="t"/>"""
    result = imported(body, "s>t", "t>e")
    assert parse_source(result.text).data["data"] == {
        "ks_floor": {"type": "number", "default": 0.3}, "note": {"type": "string"},
    }  # fmt: skip


def test_what_two_tasks_write_is_kept_in_data() -> None:
    form = """<extensionElements><flowable:formProperty id="tag" type="string"/>
        </extensionElements>"""
    body = f"""<userTask id="a">{form}</userTask><userTask id="b">{form}</userTask>
        <serviceTask id="t" flowable:expression="${{push}}"><extensionElements>
        <flowable:field name="tag" expression="${{tag}}"/></extensionElements></serviceTask>"""
    result = imported(body, "s>a", "a>b", "b>t", "t>e")
    found = parse_source(result.text).data
    assert found["data"] == {"tag": {"type": "string"}}
    assert found["states"]["a"]["next"]["complete"] == [
        {"to": "b", "set": {"tag": "{{ tasks.a.form.tag }}"}}
    ]
    assert found["states"]["t"]["steps"][0]["with"] == {"tag": "{{ data.tag }}"}


def test_what_a_dialect_says_besides_is_told() -> None:
    body = """<userTask id="t" camunda:candidateGroups="g" camunda:skipExpression="${x}">
        <extensionElements><camunda:taskListener event="create" class="a.B"/></extensionElements>
        </userTask>"""
    told = hands(imported(body, "s>t", "t>e"), "t")
    assert "camunda:skipExpression=${x}" in told
    assert "camunda:taskListener event=create class=a.B" in told


def test_what_else_the_standard_says_is_accounted_for() -> None:
    body = """<userTask id="t" camunda:candidateGroups="g"><ioSpecification/>
        <dataInputAssociation/><rendering/></userTask><monitoring id="m"/>
        <textAnnotation id="n"><text>Ask early</text></textAnnotation>"""
    entries = imported(body, "s>t", "t>e").report.entries
    assert entries["t"].hands == ["rendering has no like here"]
    assert len(entries["t"].notes) == 2
    assert entries["m"].state == "hand"
    assert entries["n"].state == "left"


def test_rules_of_fields_that_are_not_known_need_a_hand() -> None:
    body = """<userTask id="t" camunda:candidateGroups="g"><extensionElements><camunda:formData>
        <camunda:formField id="f" type="string"><camunda:validation>
        <camunda:constraint name="validator" config="com.example.Check"/>
        <camunda:constraint name="minlength" config="3"/></camunda:validation>
        </camunda:formField></camunda:formData></extensionElements></userTask>"""
    result = imported(body, "s>t", "t>e")
    assert "'validator=com.example.Check' of 'f'" in hands(result, "t")
    form = parse_source(result.text).data["states"]["t"]["task"]["form"]
    assert form == {"f": {"type": "string", "minLength": 3}}


def test_documentation_is_kept_above_the_state() -> None:
    body = '<serviceTask id="t"><documentation>Why it is done</documentation></serviceTask>'
    assert "  # Why it is done\n" in imported(body, "s>t", "t>e").text


def test_conditions_that_nobody_asks_for_are_told() -> None:
    body = """<parallelGateway id="f"/><task id="a"/><task id="b"/><parallelGateway id="j"/>"""
    result = imported(body, "s>f", "f>a:${n > 1}", "f>b", "a>j", "b>j", "j>e")
    assert "never asked for" in result.report.entries["f_a"].notes[0]
