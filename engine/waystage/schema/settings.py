"""What `with` may say, plugin by plugin: an editor offers the fields of the plugin in `use`."""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from waystage.plugin import Plugin
from waystage.schema.shape import Schema, parts, shape_of

TEMPLATE: Schema = {
    "type": "string",
    "pattern": r"\{\{",
    "description": "An expression, as in `{{ params.floor }}`.",
}
EXAMPLE = re.compile(r"(?:^|\n\n)(?P<text> *- (?:use|id): .*?)(?=\n\n|\Z)", re.DOTALL)


def choose_plugins(
    definition: Schema, plugins: Iterable[type[Plugin]], into: Schema, *, rendered: bool
) -> None:
    """Let `use` be one of the plugins and `with` what that plugin takes.

    The schemas of `with` are put into `into`. Where texts are `rendered`, a value of any kind
    may be an expression instead.
    """
    known = sorted(plugins, key=lambda plugin: plugin.use)
    use = definition["properties"]["use"]
    definition["properties"]["use"] = {
        "type": "string",
        "description": use.get("description", "The plugin."),
        "enum": [plugin.use for plugin in known],
        "enumDescriptions": [_title(plugin) for plugin in known],
        "markdownEnumDescriptions": [_markdown(plugin) for plugin in known],
    }
    definition["properties"]["with"].pop("default", None)
    definition["properties"]["with"].pop("additionalProperties", None)
    definition["allOf"] = [_chosen(plugin, into, rendered=rendered) for plugin in known]


def _chosen(plugin: type[Plugin], into: Schema, *, rendered: bool) -> Schema:
    name = f"with {plugin.use}{' rendered' if rendered else ''}"
    if name not in into:
        into[name] = _settings(plugin, into, rendered=rendered)
    then: Schema = {
        "properties": {
            "use": {"description": _title(plugin), "markdownDescription": _markdown(plugin)},
            "with": {"$ref": f"#/definitions/{name}"},
        }
    }
    if into[name].get("required"):
        then["required"] = ["with"]
    asked = {"properties": {"use": {"const": plugin.use}}, "required": ["use"]}
    return {"if": asked, "then": then}


def _settings(plugin: type[Plugin], into: Schema, *, rendered: bool) -> Schema:
    bare = shape_of(plugin)
    inner = bare.pop("definitions")
    for name, each in inner.items():
        full = f"{plugin.use} {name}{' rendered' if rendered else ''}"
        into[full] = _renamed(_open(each) if rendered else each, plugin.use, rendered=rendered)
    shape: Schema = _renamed(_open(bare) if rendered else bare, plugin.use, rendered=rendered)
    shape["description"] = f"Settings of `{plugin.use}`. {_title(plugin)}"
    if examples := [each for each in _examples(plugin) if each]:
        shape["examples"] = examples
    return shape


def _renamed(node: Any, use: str, *, rendered: bool) -> Any:
    if isinstance(node, list):
        return [_renamed(each, use, rendered=rendered) for each in node]
    if not isinstance(node, dict):
        return node
    found = {key: _renamed(each, use, rendered=rendered) for key, each in node.items()}
    if isinstance(found.get("$ref"), str):
        name = found["$ref"].removeprefix("#/definitions/")
        found["$ref"] = f"#/definitions/{use} {name}{' rendered' if rendered else ''}"
    return found


def _open(node: Schema) -> Schema:
    """Let every value that is no plain text be an expression too."""
    for holder, key in list(parts(node)):
        inner = _open(holder[key])
        plain = set(inner) <= {"type", "description", "default"} and inner.get("type") == "string"
        choice = isinstance(key, int)  # an alternative: the whole gets the expression once
        if not plain and not choice and inner != TEMPLATE:
            said: Schema = {k: inner[k] for k in ("description", "default") if k in inner}
            inner = {**said, "anyOf": [inner, TEMPLATE]}
        holder[key] = inner
    return node


def _title(plugin: type[Plugin]) -> str:
    return " ".join((inspect.getdoc(plugin) or "").partition("\n\n")[0].split())


def _markdown(plugin: type[Plugin]) -> str:
    """Give the docstring with its examples as fenced YAML."""
    text = inspect.getdoc(plugin) or ""
    return EXAMPLE.sub(
        lambda found: f"\n\n```yaml\n{textwrap.dedent(found['text']).strip()}\n```", text
    ).strip()


def _examples(plugin: type[Plugin]) -> Iterable[Any]:
    for found in EXAMPLE.finditer(inspect.getdoc(plugin) or ""):
        for each in yaml.load(textwrap.dedent(found["text"]), Loader=yaml.CSafeLoader):
            if isinstance(each, Mapping) and each.get("use") == plugin.use:
                yield each.get("with")
