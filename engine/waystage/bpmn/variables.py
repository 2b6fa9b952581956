"""The variables of a process: who writes them, who reads them, what they are called here."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from collections.abc import Mapping as MappingOf
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from waystage.bpmn import juel
from waystage.bpmn.mapping import Mapping
from waystage.bpmn.model import Element, Field, Flow, Node, Process, Scope
from waystage.bpmn.report import Report
from waystage.bpmn.text import one_line, slug

By: TypeAlias = Literal["form", "step", "script", "start", "call"]
TYPES = {
    "string": "string", "text": "string", "enum": "string", "date": "string",
    "datetime": "string", "localdate": "string", "long": "integer", "int": "integer",
    "integer": "integer", "short": "integer", "double": "number", "float": "number",
    "decimal": "number", "number": "number", "boolean": "boolean",
}  # fmt: skip
ENGINE = frozenset({
    "execution", "task", "true", "false", "null", "empty", "nrOfInstances", "loopCounter",
    "nrOfActiveInstances", "nrOfCompletedInstances", *juel.WORDS,
})  # fmt: skip
MOST_SCRIPT = 20_000  # characters of a script that are looked at for what it sets
_SET = re.compile(r"setVariable(?:Local)?\(\s*['\"](\w+)['\"]|^\s*(?:var |def |let )?(\w+)\s*=[^=]",
                  re.MULTILINE)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Writer:
    """An activity that gives a variable a value; `value` is the constant that it gives."""

    by: By
    node: Node
    value: str | None = None


def nodes_of(scope: Scope) -> Iterator[Node]:
    """Give every node of a scope and of those inside it."""
    for node in scope.nodes:
        yield node
        if node.scope is not None:
            yield from nodes_of(node.scope)


def flows_of(scope: Scope) -> Iterator[Flow]:
    """Give every flow of a scope and of those inside it."""
    yield from scope.flows
    for node in scope.nodes:
        if node.scope is not None:
            yield from flows_of(node.scope)


def scopes_of(scope: Scope) -> Iterator[Scope]:
    """Give a scope and those inside it."""
    yield scope
    for node in scope.nodes:
        if node.scope is not None:
            yield from scopes_of(node.scope)


class Variables:
    """Resolves names; on the way it learns what must be declared, named and set."""

    def __init__(
        self, process: Process, mapping: Mapping, names: MappingOf[str, str], report: Report
    ) -> None:
        self._mapping, self._names, self._report = mapping, names, report
        self.objects = {v.name: v for scope in scopes_of(process.scope) for v in scope.variables}
        self.nodes = tuple(nodes_of(process.scope))
        self.flows = tuple(flows_of(process.scope))
        self.writers: dict[str, list[Writer]] = {}
        for node in self.nodes:
            for name, writer in _written(node):
                self.writers.setdefault(name, []).append(writer)
        self.reads = _reads(self.nodes, self.flows)
        self.data: dict[str, dict[str, Any]] = {}
        self.sets = self._shared()
        self._now: Element = process.element
        kept = {name for sets in self.sets.values() for name in sets}
        for name in (*self.objects, *(each for each in self.writers if key(each) in kept)):
            self._declare(name)

    def _shared(self) -> dict[str, dict[str, str]]:
        """Give what must be kept, by the activity that gives it: what has several sources."""
        found: dict[str, dict[str, str]] = {}
        for name, writers in self.writers.items():
            several = len(writers) > 1 or name in self.objects
            if name in self._mapping.variables or name not in self.reads or not several:
                continue
            for writer in writers:
                own = self._own(name, writer)
                if own:
                    found.setdefault(writer.node.id, {})[key(name)] = f"{{{{ {own} }}}}"
        return found

    def is_read(self, node: Node) -> bool:
        """Whether a result of an activity is read somewhere, so that it needs a name."""
        return any(name in self.reads for name, writer in _written(node) if writer.by == "step")

    def translate(self, text: str, reader: Element) -> str:
        """Give a condition in our language; raises `Untranslatable`."""
        self._now = reader
        return juel.translate(text, self._resolve)

    def template(self, text: str, reader: Element) -> str:
        """Give a text with `{{ }}`; raises `Untranslatable`."""
        self._now = reader
        return juel.template(text, self._resolve)

    def _resolve(self, name: str) -> str:
        if name in self._mapping.variables:
            text = self._mapping.variables[name]
            return text if re.fullmatch(r"[\w.]+", text) else f"({text})"
        if name in ENGINE:
            raise juel.Untranslatable(f"it reads {name!r} of the engine that it was made for")
        writers = self.writers.get(name, [])
        if len(writers) == 1 and name not in self.objects:
            own = self._own(name, writers[0])
            if own:
                return own
        self._declare(name)
        if not any(self._own(name, writer) for writer in writers):
            self._unset(name, bool(writers))
        return f"data.{key(name)}"

    def _own(self, name: str, writer: Writer) -> str:
        """Give where the result of one activity is read."""
        state = self._names.get(writer.node.id)
        if state is None or writer.by in ("start", "script"):
            return ""
        if writer.by == "form":
            return f"tasks.{state}.form.{key(name)}"
        return f"steps.{state}.{key(name)}"

    def _unset(self, name: str, written: bool) -> None:
        variable = self.objects.get(name)
        if variable is not None and variable.value:
            return
        by = "only a script or the start sets" if written else "nothing in the file sets"
        text = f"{by} {name!r} (a delegate may): write it by set: on an arrow, or give its source "
        text += "under variables: of the mapping"
        self._report.hand(variable.element if variable else self._now, text)

    def _declare(self, name: str) -> None:
        if key(name) in self.data:
            return
        variable = self.objects.get(name)
        if variable is None:
            self.data[key(name)] = {"type": self._guess(name)}
            return
        kind = TYPES.get(variable.type.rpartition(":")[2].lower(), "")
        said: dict[str, Any] = {"type": kind or self._guess(name)}
        if variable.value:
            value = valued(variable.value, said["type"])
            if value is None:
                text = f"its value {one_line(variable.value, 40)!r} is no {said['type']}"
                self._report.hand(variable.element, text)
            else:
                said["default"] = value
        self.data[key(name)] = said
        self._report.mapped(variable.element, ("data", key(name)))

    def _guess(self, name: str) -> str:
        for writer in self.writers.get(name, []):
            for field in writer.node.form:
                if field.id == name and field.type:
                    return TYPES.get(field.type.lower(), "string")
        for flow in self.flows:
            found = juel.comparison(flow.condition)
            if found and found.name == name:
                if isinstance(found.value, bool):
                    return "boolean"
                return "string" if isinstance(found.value, str) else "number"
        return "string"


def key(name: str) -> str:
    """Write a variable's name as we write names."""
    return slug(name, "value")


def valued(text: str, kind: str) -> Any:
    """Give a constant of a type, or None if the text is none."""
    try:
        if kind == "integer":
            return int(text) if abs(int(text)) < 2**53 else None
        if kind == "number":
            number = float(text)
            return number if math.isfinite(number) else None
    except ValueError:
        return None
    if kind == "boolean":
        return {"true": True, "false": False}.get(text.lower())
    return text


def constant(text: str) -> str | None:
    """Give the value of an expression or a script that says nothing but a constant."""
    inner = juel.bare(text)
    found = re.fullmatch(r"['\"]([^'\"]*)['\"]|(-?\d+(?:\.\d+)?|true|false)", inner)
    if found:
        return found[1] if found[1] is not None else found[2]
    return None


def _written(node: Node) -> Iterator[tuple[str, Writer]]:
    for field in node.form:
        if field.writable:
            yield field.id, Writer("start" if node.kind == "startEvent" else "form", node)
    by: By = "call" if node.kind == "callActivity" else "step"
    if node.work.via == "script":
        by = "script"
        script = node.work.script[:MOST_SCRIPT]
        for found in _SET.finditer(script):
            name, begins = found[1] or found[2], found.end() - (0 if found[1] else 1)
            ends = script.find("\n", begins)
            text = script[begins : ends if ends >= 0 else None]
            yield name, Writer(by, node, constant(text.strip(" ,;)")))
    if node.work.result:
        value = constant(node.work.text) if node.work.via == "expression" else None
        if node.work.via == "script":
            value = constant(node.work.script.strip(" ;"))
        yield node.work.result, Writer(by, node, value)
    for output in node.outputs:
        value = None if juel.is_expression(output.value) else constant(f"'{output.value}'")
        yield output.name, Writer(by, node, value or constant(output.value))


def _reads(nodes: tuple[Node, ...], flows: tuple[Flow, ...]) -> dict[str, set[str]]:
    """Give, for each name, the ids of the elements whose texts may read it."""
    found: dict[str, set[str]] = {}

    def read(owner: str, *texts: str) -> None:
        for text in texts:
            for name in juel.names(text):
                found.setdefault(name, set()).add(owner)

    for flow in flows:
        read(flow.element.id, flow.condition)
    for node in nodes:
        people = (node.people.assignee, node.people.due, *node.people.users, *node.people.groups)
        values = [each.value for each in (*node.inputs, *node.outputs)]
        texts = (node.element.name, node.documentation, node.trigger.text, *people, *values)
        read(node.id, *(text for text in texts if juel.is_expression(text)))
        read(node.id, *re.findall(r"[$#]\{[^{}]*\}", node.work.text), node.work.script)
        if node.loop is not None:
            read(node.id, node.loop.collection, node.loop.completion, node.loop.cardinality)
    return found


def field_spec(field: Field) -> dict[str, Any]:
    """Write a field of a form in the words of JSON Schema."""
    said: dict[str, Any] = {"type": TYPES.get(field.type.lower(), "string")}
    if field.title and field.title != field.id:
        said["title"] = one_line(field.title)
    if field.required:
        said["required"] = True
    if field.values:
        said["enum"] = list(dict.fromkeys(one_line(value) for value in field.values))
    number = said["type"] in ("number", "integer")
    words = {"min": "minimum", "max": "maximum"} if number else {}
    words |= {"minlength": "minLength", "maxlength": "maxLength"} if not number else {}
    for name, config in field.rules:
        limit = valued(config, "integer" if "length" in name else "number")
        if name in words and limit is not None and (number or limit >= 0):
            said[words[name]] = limit
    default = None if juel.is_expression(field.default) else valued(field.default, said["type"])
    if field.default and default is not None and (not field.values or default in said["enum"]):
        said["default"] = default
    return said
