"""What the dialects of Flowable and Camunda 7 add to an element, read into the model."""

from __future__ import annotations

from collections.abc import Iterator

from waystage.bpmn.model import Extra, Field, Loop, Parameter, People, Via, Work
from waystage.bpmn.xml import Xml

BPMN = "http://www.omg.org/spec/BPMN/20100524/MODEL"
DIALECTS = {
    "http://flowable.org/bpmn": "flowable",
    "http://activiti.org/bpmn": "activiti",
    "http://camunda.org/schema/1.0/bpmn": "camunda",
    "http://operaton.org/schema/1.0/bpmn": "operaton",
}
# read into the model below, or by the reader of the process
READ = frozenset({
    "assignee", "candidateUsers", "candidateGroups", "dueDate", "formKey", "formRef",
    "delegateExpression", "class", "expression", "topic", "type", "resultVariable",
    "resultVariableName", "collection", "elementVariable", "decisionRef", "caseRef",
})  # fmt: skip
# what holds here of every step anyway, or has nothing that it could change
QUIET = frozenset({
    "async", "asyncBefore", "asyncAfter", "exclusive", "jobPriority", "historyTimeToLive",
    "versionTag", "isStartableInTasklist", "formFieldValidation", "calledElementBinding",
    "decisionRefBinding", "formRefBinding", "initiator", "useLocalScopeForResultVariable",
})  # fmt: skip
CHILDREN = frozenset({
    "field", "formProperty", "formData", "inputOutput", "in", "out", "failedJobRetryTimeCycle",
    "connector", "value", "potentialStarter",
})  # fmt: skip
VIAS: tuple[tuple[str, Via], ...] = (
    ("delegateExpression", "delegate"), ("class", "class"), ("expression", "expression"),
    ("topic", "topic"), ("type", "type"), ("decisionRef", "type"),
)  # fmt: skip


def said(xml: Xml, name: str) -> str:
    """Give an attribute of one of the dialects, or an empty text."""
    return next((found for space in DIALECTS if (found := xml.get(name, space))), "")


def inside(xml: Xml, *tags: str) -> Iterator[Xml]:
    """Give the extension elements of one of the dialects with one of these names."""
    for holder in standard(xml, "extensionElements"):
        for each in holder.children:
            if each.space in DIALECTS and each.tag in tags:
                yield each


def standard(xml: Xml, *tags: str) -> Iterator[Xml]:
    """Give the children that belong to BPMN itself with one of these names."""
    return (each for each in xml.children if each.space == BPMN and each.tag in tags)


def first_text(xml: Xml, tag: str) -> str:
    """Give the text of the first child of that name, or an empty one."""
    return next((each.text for each in standard(xml, tag)), "")


def people_of(xml: Xml) -> People:
    """Give who is asked, by the dialects' attributes or by the standard's owners."""
    users, groups = _list(said(xml, "candidateUsers")), _list(said(xml, "candidateGroups"))
    assignee = said(xml, "assignee")
    for owner in standard(xml, "potentialOwner", "humanPerformer", "performer"):
        for each in owner.walk():
            for word in _list(each.text if each.tag == "formalExpression" else ""):
                kind, _, name = word.rstrip(")").partition("(")
                if kind == "user" and name:
                    users.append(name)
                elif kind == "group" and name:
                    groups.append(name)
                elif owner.tag == "potentialOwner":
                    groups.append(word)
                else:
                    assignee = assignee or word
    return People(assignee, tuple(users), tuple(groups), said(xml, "dueDate"))


def form_of(xml: Xml) -> tuple[Field, ...]:
    """Give the typed fields of a form: Flowable's properties or Camunda's data."""
    fields = [_property(each) for each in inside(xml, "formProperty")]
    for data in inside(xml, "formData"):
        fields += [_data(each) for each in data.children if each.tag == "formField"]
    return tuple(field for field in fields if field.id)


def _property(xml: Xml) -> Field:
    values = tuple(v.get("id") or v.get("name") for v in xml.children if v.tag == "value")
    return Field(
        id=xml.get("variable") or xml.get("id"), type=xml.get("type"), title=xml.get("name"),
        spot=xml.spot, required=xml.get("required") == "true",
        writable=xml.get("writable") != "false", default=xml.get("default"), values=values,
    )  # fmt: skip


def _data(xml: Xml) -> Field:
    rules = tuple(
        (rule.get("name"), rule.get("config"))
        for each in xml.children if each.tag == "validation"
        for rule in each.children
    )  # fmt: skip
    return Field(
        id=xml.get("id"), type=xml.get("type"), title=xml.get("label"), spot=xml.spot,
        required=any(name == "required" and config != "false" for name, config in rules),
        writable=all(name != "readonly" for name, _ in rules), default=xml.get("defaultValue"),
        values=tuple(v.get("id") for v in xml.children if v.tag == "value"), rules=rules,
    )  # fmt: skip


def work_of(xml: Xml) -> Work:
    """Give what a task calls, the first of the ways in which the dialects say it."""
    result = said(xml, "resultVariable") or said(xml, "resultVariableName")
    if xml.tag == "scriptTask":
        script = first_text(xml, "script")
        return Work("script", xml.get("scriptFormat") or "script", script, result)
    for name, via in VIAS:
        if (name, via) == ("type", "type") and said(xml, name) == "external":
            continue
        if found := said(xml, name):
            return Work(via, found, "", result)
    for connector in inside(xml, "connector"):
        for each in connector.children:
            if each.tag == "connectorId":
                return Work("type", each.text, "", result)
    return Work("name", xml.get("name") or xml.get("id"), "", result)


def inputs_of(xml: Xml) -> tuple[Parameter, ...]:
    """Give the values that go into an activity: fields, input parameters, `in` of a call."""
    found = [Parameter(each.get("name"), _value(each), each.spot) for each in inside(xml, "field")]
    found += [_parameter(each) for each in _mapped(xml, "inputParameter")]
    for each in inside(xml, "in"):
        source = each.get("sourceExpression") or _as_expression(each.get("source"))
        target = each.get("target") or each.get("variables") or each.get("businessKey")
        found.append(Parameter(target, source, each.spot))
    return tuple(found)


def outputs_of(xml: Xml) -> tuple[Parameter, ...]:
    """Give the values that come out of an activity."""
    found = [_parameter(each) for each in _mapped(xml, "outputParameter")]
    for each in inside(xml, "out"):
        source = each.get("sourceExpression") or _as_expression(each.get("source"))
        found.append(Parameter(each.get("target") or each.get("variables"), source, each.spot))
    return tuple(found)


def _mapped(xml: Xml, tag: str) -> Iterator[Xml]:
    holders = list(inside(xml, "inputOutput"))
    for connector in inside(xml, "connector"):
        holders += [each for each in connector.children if each.tag == "inputOutput"]
    return (each for holder in holders for each in holder.children if each.tag == tag)


def _parameter(xml: Xml) -> Parameter:
    inner = [f"{each.tag} {each.text}".strip() for each in xml.children]
    return Parameter(xml.get("name"), xml.text or "; ".join(inner), xml.spot)


def _value(xml: Xml) -> str:
    said_ = xml.get("stringValue") or xml.get("expression")
    return said_ or next((each.text for each in xml.children if each.text), xml.text)


def _as_expression(name: str) -> str:
    return f"${{{name}}}" if name else ""


def loop_of(xml: Xml) -> Loop | None:
    """Give how often an activity is done, if more than once."""
    for each in standard(xml, "standardLoopCharacteristics"):
        return Loop(each.spot, standard=True)
    for each in standard(xml, "multiInstanceLoopCharacteristics"):
        collection = said(each, "collection") or first_text(each, "loopDataInputRef")
        return Loop(
            each.spot, sequential=each.get("isSequential") == "true", collection=collection,
            cardinality=first_text(each, "loopCardinality"),
            completion=first_text(each, "completionCondition"),
        )  # fmt: skip
    return None


def retry_of(xml: Xml) -> str:
    """Give the cycle of retries, such as `R3/PT10M`."""
    return next((each.text for each in inside(xml, "failedJobRetryTimeCycle")), "")


def extras_of(xml: Xml) -> tuple[Extra, ...]:
    """Give what the dialects say of an element and the model has no place for."""
    found = [
        Extra(f"{DIALECTS.get(space, 'another dialect')}:{name}={_short(value)}", xml.spot)
        for (space, name), value in xml.attributes.items()
        if space and space != BPMN and name not in READ | QUIET
        and (space in DIALECTS or "bpmn" in space.lower())
    ]  # fmt: skip
    for holder in standard(xml, "extensionElements"):
        for each in holder.children:
            if each.space in DIALECTS and each.tag in CHILDREN:
                continue
            said_ = " ".join(f"{name}={_short(value)}" for (_, name), value in
                             each.attributes.items())  # fmt: skip
            inner = [" ".join(e.attributes.values()) or e.text for e in each.children]
            shown = " ".join((_named(each), said_, *(_short(text) for text in inner)))
            found.append(Extra(_short(" ".join(shown.split()), 200), each.spot))
    return tuple(found)


def _named(xml: Xml) -> str:
    return f"{DIALECTS.get(xml.space, xml.space.rstrip('/').rpartition('/')[2])}:{xml.tag}"


def _short(value: str, most: int = 60) -> str:
    return value if len(value) <= most else f"{value[: most - 1]}…"


def _list(text: str) -> list[str]:
    """Split at the commas outside of expressions."""
    found, depth, word = [], 0, ""
    for character in text:
        depth += (character in "{(") - (character in "})")
        if character == "," and depth <= 0:
            found.append(word.strip())
            word = ""
        else:
            word += character
    return [each for each in (*found, word.strip()) if each]
