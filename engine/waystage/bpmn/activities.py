"""What each kind of activity becomes: the parts of a state without its arrows."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from waystage.bpmn import juel, times
from waystage.bpmn.emit import Comments
from waystage.bpmn.mapping import Mapping
from waystage.bpmn.model import Lane, Node, People
from waystage.bpmn.report import Report, YamlPath
from waystage.bpmn.text import event_name, one_line, slug
from waystage.bpmn.variables import Variables, field_spec, key
from waystage.spec.values import format_duration

RULES = ("required", "readonly", "min", "max", "minlength", "maxlength")
MOST_QUORUM = 50
MOST_LINES = 30


@dataclass(frozen=True)
class Hands:
    """What every part of the import writes to: the account, the comments, the variables."""

    file: str
    mapping: Mapping
    report: Report
    comments: Comments
    variables: Variables

    def by_hand(self, node: Node, path: YamlPath, what: str) -> None:
        """Say what a person must do, in the report and above a key."""
        self.report.hand(node.element, what)
        line = f"by hand ({self.file}:{node.element.spot.line}): {what}"
        self.comments.add(path, line)

    def text(self, node: Node, path: YamlPath, text: str) -> str:
        """Translate a text with expressions; as it is where that cannot be."""
        try:
            return self.variables.template(text, node.element)
        except juel.Untranslatable as error:
            self.by_hand(node, path, f"{one_line(text, 80)}: {error}")
            return re.sub(r"[{}]", "", text)


def step_of(hands: Hands, node: Node, name: str, path: YamlPath) -> dict[str, Any]:
    """Write the step for what a node calls; an unknown name where nothing is mapped."""
    target = hands.mapping.target(node)
    values = {each.name: each for each in node.inputs if each.name}
    settings: dict[str, Any] = {}
    if target is not None:
        settings = dict(target.with_)
        for setting, taken in target.take.items():
            if taken in values:
                settings[setting] = hands.text(node, path, values.pop(taken).value)
        use = target.use
        for each in values.values():
            hands.report.note(node.element, f"its input {each.name!r} is not taken by the mapping")
    else:
        use = f"unmapped.{slug(_called(node), slug(node.kind))}"
        for each in values.values():
            settings[key(each.name)] = hands.text(node, path, one_line(each.value, 500))
        _unmapped(hands, node, path)
    step: dict[str, Any] = {"use": use}
    if name and hands.variables.is_read(node):
        step["id"] = name
    if settings:
        step["with"] = settings
    if target is not None and target.timeout is not None:
        step["timeout"] = format_duration(target.timeout)
    if node.retry:
        _retry(hands, node, path, step)
    return step


def _called(node: Node) -> str:
    text = juel.bare(node.work.text)
    if node.work.via == "class":
        text = text.rpartition(".")[2]
    if node.work.via == "script":
        return f"script {node.element.name or node.id}"
    found = re.match(r"[\w.-]+", text)
    return text if node.work.via == "name" or found is None else found[0]


def _unmapped(hands: Hands, node: Node, path: YamlPath) -> None:
    work = node.work
    hands.report.unmapped.add(node.id)
    if work.via == "script":
        what = f"a script ({work.text}), which is never run here: write it as a plugin's step"
        hands.by_hand(node, path, what)
        for line in work.script.strip().splitlines()[:MOST_LINES]:
            hands.comments.add(path, f"  {line.rstrip()}")
        hands.report.note(node.element, f"script: {one_line(work.script, 300)}")
        return
    said = f"{work.via} {one_line(work.text, 120)}" if work.via != "name" else "no implementation"
    known = juel.bare(work.text) if work.text else node.id
    what = f"{said}: name a step for {one_line(known, 80)!r} under steps: of the mapping"
    hands.by_hand(node, path, what)


def _retry(hands: Hands, node: Node, path: YamlPath, step: dict[str, Any]) -> None:
    retry = times.retry_of(node.retry)
    if retry is None:
        hands.by_hand(node, path, f"retries {one_line(node.retry, 40)!r} cannot be translated")
    else:
        step["retry"] = retry


def task_of(
    hands: Hands, node: Node, lanes: tuple[Lane, ...], outcomes: list[str], folded: str,
    path: YamlPath,
) -> dict[str, Any]:  # fmt: skip
    """Write the task for what a person does; `folded` is the field that became its outcomes."""
    title = one_line(node.element.name or node.id, 300)
    task: dict[str, Any] = {"title": hands.text(node, path, title)}
    if node.documentation:
        task["text"] = hands.text(node, path, node.documentation[:2000])
    task["for"] = people_of(hands, node, lanes, path)
    if node.loop is not None:
        quorum = _quorum(hands, node, path)
        if quorum > 1:
            task["quorum"] = quorum
    form = {key(f.id): field_spec(f) for f in node.form if f.id != folded and f.writable}
    if form:
        task["form"] = form
    for field in node.form:
        if not field.writable:
            hands.report.note(node.element, f"the field {field.id!r} is only shown there")
        for name, config in field.rules:
            if name not in RULES:
                rule = f"{name}={config}".rstrip("=")
                hands.by_hand(node, path, f"the rule {one_line(rule, 80)!r} of {field.id!r}")
    task["outcomes"] = outcomes
    if node.people.due:
        due = times.duration_of(node.people.due)
        if due is None:
            hands.by_hand(node, path, f"due: {one_line(node.people.due, 60)!r} is no duration")
        else:
            task["due"] = due
    if node.form_key and not node.form:
        what = f"its form lies in {one_line(node.form_key, 80)!r}: write its fields under form:"
        hands.by_hand(node, path, what)
    return task


def people_of(
    hands: Hands, node: Node, lanes: tuple[Lane, ...], path: YamlPath
) -> list[str]:  # fmt: skip
    """Give who is asked: persons, roles for groups, else the lane."""
    people: People = node.people
    named = [one_line(hands.text(node, path, who), 100) for who in people.users]
    if people.assignee and not juel.is_expression(people.assignee):
        named.append(one_line(people.assignee))
    elif people.assignee:
        what = f"assignee {one_line(people.assignee, 60)} is known only when it runs"
        hands.by_hand(node, path, f"{what}: say a role under for:")
    roles = [f"role:{hands.mapping.role(one_line(group, 80))}" for group in people.groups]
    found = list(dict.fromkeys([*roles, *(who for who in named if who)]))
    if found:
        return found
    lane = next((each for each in lanes if node.id in each.members), None)
    if lane is not None:
        name = lane.element.name or lane.element.id
        hands.report.note(node.element, f"its lane {name!r} says whom to ask")
        return [f"role:{hands.mapping.roles.get(name, slug(name, 'lane', joined='-'))}"]
    if not people.assignee:
        hands.by_hand(node, path, "nobody is named: say who under for:")
    return ["role:unassigned"]


def _quorum(hands: Hands, node: Node, path: YamlPath) -> int:
    """Give how many must agree, by the completion condition or the number of copies."""
    loop = node.loop
    if loop is None or loop.standard:
        hands.by_hand(node, path, "it is repeated by a loop: lead an arrow back to it instead")
        return 1
    wanted = juel.bare(loop.completion)
    found = re.fullmatch(r"nrOfCompletedInstances\s*(?:>=|==|ge|eq)\s*(\d{1,4})", wanted)
    number = found[1] if found else "" if wanted else juel.bare(loop.cardinality)
    if loop.sequential:
        hands.report.note(node.element, "one after the other there; in any order here")
    if number.isdecimal() and number.isascii() and 1 <= int(number) <= MOST_QUORUM:
        return int(number)
    said = wanted or loop.cardinality or loop.collection
    hands.by_hand(node, path, f"how many must agree ({one_line(said, 80)}): say quorum:")
    return 1


def signal_name(hands: Hands, node: Node, other: str = "message") -> str:
    """Give the signal for a message or signal event."""
    name = node.trigger.name or node.element.name
    return hands.mapping.signals.get(name) or event_name(name, slug(node.id, other))
