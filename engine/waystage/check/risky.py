"""Values that a registry, a shell or a program would read as something else.

- E-IMAGE: a setting for an image, a tag or a registry is none: it begins with `-` or a scheme,
  or has spaces, quotes, capitals or other characters that no registry takes.
- E-COMMAND: a command is one text with spaces, begins with `-`, or has an empty first word.
- W-COMMAND-SHELL: a word of a command has `;`, `|`, `&&`, `>`, `$(…)`, `$NAME` or backquotes,
  which mean something to a shell alone, and commands are started without one.
- W-VALUE-OPEN: a field that a person fills in becomes an image, a tag or a word of a command,
  and takes texts that begin with `-` or have spaces, `;`, `$(` or quotes.

Why it hurts: the build or the job fails late, or does what somebody else meant. To mend it,
write image references as `registry/path:tag`, commands as lists of words, put what needs a
shell into a script, and give such a field a `pattern` such as `^[a-z0-9][a-z0-9._-]{0,127}$`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from waystage.check.places import YamlPath
from waystage.check.subject import Catalog, Subject
from waystage.check.uses import Use, project_uses, uses
from waystage.errors import Problem
from waystage.expressions import BadExpression, compile_template
from waystage.expressions.ast import dotted, walk
from waystage.plugin import Plugin
from waystage.spec.fields import misfit
from waystage.spec.lifecycle import FieldSpec
from waystage.spec.load import ProjectFiles
from waystage.spec.source import Source

# the grammar of image references that registries share (distribution/reference)
HOST = r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9-]+)*(?::[0-9]+)?)"
PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
TAG = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}"
DIGEST = r"sha256:[0-9a-f]{64}"
IMAGE = rf"(?:{HOST}/)?{PART}(?:/{PART})*(?::{TAG})?(?:@{DIGEST})?"
SHAPES = {"image": IMAGE, "tag": TAG, "registry": rf"{HOST}(?:/{PART})*"}
# what a setting is by its name, unless the plugin says it: `json_schema_extra={"format": "tag"}`
NAMED = {
    "image": "image", "base_image": "image", "tag": "tag", "image_tag": "tag",
    "registry": "registry", "command": "command", "args": "command", "entrypoint": "command",
}  # fmt: skip
PROGRAMS = ("command", "entrypoint")
SHELL = re.compile(r";|\|\|?|&&|(?<![-=])[<>]|\$\(|\$\{?[A-Za-z_]|`")
PLACEHOLDER = "x"  # what an expression is taken for: its value is not known yet
TRAPS = ("-x", "a b", "a;b", "$(a)", 'a"b', "a'b", "a\nb", "`a`")


def check(subject: Subject) -> Iterator[Problem]:
    """Look at every setting of a lifecycle, and at the fields that flow into it."""
    for use in uses(subject.spec, subject.places):
        for path, kind, value in _risky(use, subject.catalog):
            yield from _setting(subject.loaded.source, path, kind, value)
            yield from _open(subject, path, value)


def check_project_values(files: ProjectFiles, catalog: Catalog) -> Iterator[Problem]:
    """Look at every setting of the project file and of the stages."""
    for source, use in project_uses(files):
        for path, kind, value in _risky(use, catalog):
            yield from _setting(source, path, kind, value)


def _risky(use: Use, catalog: Catalog) -> Iterator[tuple[YamlPath, str, Any]]:
    """Give the settings that become images or commands: where, of which kind, what is said."""
    plugin = catalog.get(use.name)
    declared = _declared(plugin) if plugin else {}
    for key, value in use.settings.items():
        kind = declared.get(key) or NAMED.get(key, "")
        if kind:
            yield (*use.path, "with", key), kind, value


@lru_cache(maxsize=512)
def _declared(plugin: type[Plugin]) -> Mapping[str, str]:
    fields = plugin.model_json_schema(by_alias=True).get("properties", {})
    return {
        name: field["format"]
        for name, field in fields.items()
        if field.get("format") in (*SHAPES, "command")
    }


def _setting(source: Source, path: YamlPath, kind: str, value: Any) -> Iterator[Problem]:
    if kind == "command":
        yield from _command(source, path, value)
    elif isinstance(value, str) and not _fits(kind, value):
        text = f"{value!r} is no {kind} that a registry takes"
        yield source.problem("E-IMAGE", path, text, _cure(value))


def _fits(kind: str, value: str) -> bool:
    known = re.sub(r"@(sha256:)?\{\{.*", "", value)  # what follows is a digest when it is known
    return re.fullmatch(SHAPES[kind], _plain(known), re.ASCII) is not None


def _plain(text: str) -> str:
    """Give the text with something harmless where values are not known yet."""
    return re.sub(r"\{\{.*?\}\}", PLACEHOLDER, text, flags=re.DOTALL)


def _cure(value: str) -> str:
    if "://" in value:
        return "leave the scheme out"
    return "write it in lower case" if value.lower() != value else ""


def _command(source: Source, path: YamlPath, value: Any) -> Iterator[Problem]:
    words = [value] if isinstance(value, str) else value
    if not isinstance(words, list | tuple):
        return
    if path[-1] in PROGRAMS and isinstance(words[0] if words else "", str):
        yield from _program(source, path, words[0] if words else "", alone=len(words) == 1)
    for number, word in enumerate(words):
        at = path if isinstance(value, str) else (*path, number)
        code = number > 0 and words[number - 1] == "-c"  # a program's text in its own language
        if not code and (found := SHELL.search(_plain(str(word)))):
            text = f"{found[0]!r} is passed on as it is: there is no shell here"
            yield source.problem("W-COMMAND-SHELL", at, text, "put it into a script", "warning")


def _program(source: Source, path: YamlPath, first: str, *, alone: bool) -> Iterator[Problem]:
    if not first.strip() or first.startswith("-"):
        yield source.problem("E-COMMAND", path, f"{first!r} is no program")
    elif alone and re.search(r"\s", _plain(first)):
        hint = f"write [{', '.join(first.split())}]"
        yield source.problem("E-COMMAND", path, f"{first!r} is one word, not a program", hint)


def _open(subject: Subject, path: YamlPath, value: Any) -> Iterator[Problem]:
    try:
        found = compile_template(value).expressions
    except BadExpression:
        return  # told by the check of expressions
    for inner, expression in found:
        for node in walk(expression.ast):
            name = dotted(node)
            field = _field(subject, name) if name else None
            if field is not None and (through := _takes(field)):
                text = f"{'.'.join(name or ())} may be {through!r}, which is read as something else"
                hint = 'give the field a pattern, as in "^[a-z0-9][a-z0-9._-]{0,127}$"'
                yield subject.problem("W-VALUE-OPEN", (*path, *inner), text, hint)


def _field(subject: Subject, name: tuple[str, ...]) -> FieldSpec | None:
    """Give the field of a form that an expression reads."""
    if len(name) != 4 or name[0] != "tasks" or name[2] != "form":
        return None
    for place in subject.places:
        if place.name == name[1] and place.spec.task and name[3] in place.spec.task.form:
            return place.spec.task.form[name[3]]
    return None


def _takes(field: FieldSpec) -> str:
    """Give a text that the field takes and that is read as something else."""
    if field.type != "string":
        return ""
    chosen = [each for each in field.enum or () if isinstance(each, str)]
    traps = [each for each in chosen if re.search(r"^-|[\s;$`'\"]", each)]
    return next((trap for trap in traps or TRAPS if not misfit(field, trap)), "")
