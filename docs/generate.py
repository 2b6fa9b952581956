"""Write `docs/reference/` and `docs/lifecycles/` from the code: what they say is what runs.

python docs/generate.py           writes the pages
python docs/generate.py --check   exits 1 and names the pages that are out of date
"""

from __future__ import annotations

import inspect
import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import checks
import click
import shipped
import yaml
from pydantic import BaseModel

from waystage import expressions
from waystage.check import scope
from waystage.cli.main import waystage
from waystage.cli.verbs import VERBS
from waystage.expressions.functions import FUNCTIONS
from waystage.expressions.names import NAMES
from waystage.expressions.parse import MACROS
from waystage.plugin import Plugin, Snapshot, Step
from waystage.registry import load_catalog
from waystage.schema.words import word_for
from waystage.spec.block import Block
from waystage.spec.lifecycle import Lifecycle
from waystage.spec.project import Project
from waystage.spec.scenario import Scenario
from waystage.spec.stage import Stage

DOCS = Path(__file__).parent
ENGINE = Path(inspect.getfile(expressions)).parents[1]
CODE = re.compile(r"\"([EW]-[A-Z][A-Z0-9-]+)\"")
NOTE = "<!-- written by docs/generate.py: change the code, then run `make docs` -->\n"
KINDS = {
    "step": "Steps",
    "online_runtime": "Online runtimes",
    "batch_runtime": "Batch runtimes",
    "repository": "Repositories",
    "scoring_log": "Scoring logs",
    "monitor": "Monitors",
    "describer": "Describers",
    "storage": "Storages",
    "notifier": "Notifiers",
    "secret_store": "Secret stores",
    "signer": "Signers",
}
Schema = dict[str, Any]


def pages() -> dict[str, str]:
    """Give every page of the reference by its file name."""
    return {
        "plugins.md": plugins_page(),
        "cli.md": cli_page(),
        "lifecycle.md": spec_page("A lifecycle's file", Lifecycle),
        "block.md": spec_page("A block's file", Block),
        "stage.md": spec_page("A stage's file", Stage),
        "project.md": spec_page("The project file, waystage.yaml", Project),
        "scenario.md": spec_page("A scenario's file", Scenario),
        "expressions.md": expressions_page(),
        "errors.md": errors_page(),
        "http.md": http_page(),
        **checks.pages(),
        **shipped.pages(),
    }


def plugins_page() -> str:
    """Give all plugins by kind, with their examples and fields."""
    catalog = load_catalog()
    lines = ["# Plugins\n", "`waystage plugins` lists them, `waystage plugins NAME` shows one.\n"]
    unknown = sorted({plugin.kind for plugin in catalog.values()} - KINDS.keys())
    for kind, title in [*KINDS.items(), *((kind, kind) for kind in unknown)]:
        found = sorted((p for p in catalog.values() if p.kind == kind), key=lambda p: p.use)
        if found:
            lines.append(f"## {title}\n")
        for plugin in found:
            lines.extend(_plugin(plugin))
    return "\n".join(lines)


def _plugin(plugin: type[Plugin]) -> Iterator[str]:
    yield f"### {plugin.use}\n"
    yield _markdown(inspect.getdoc(plugin) or "") + "\n"
    schema = plugin.model_json_schema(by_alias=True)
    if schema.get("properties"):
        yield "| field | type | default |\n|---|---|---|"
        yield from _rows(schema, schema.get("$defs", {}), links=False)
        yield ""
    if issubclass(plugin, Step):
        given = plugin.Output.model_json_schema().get("properties", {})
        if given:
            names = ", ".join(f"`{name}`" for name in given)
            yield f"Gives `steps.<id>.`: {names}.\n"
        yield f"When an answer was lost, repeating is: `{plugin.repeat}`.\n"


def _markdown(text: str) -> str:
    """Indent the YAML examples of a docstring, so that Markdown shows them as they are."""
    parts = text.split("\n\n")
    return "\n\n".join(
        textwrap.indent(part, "    ") if part.startswith("- ") else part for part in parts
    )


def cli_page() -> str:
    """Give all verbs with their arguments and options."""
    lines = [
        "# The command line\n",
        "Exit codes: 0 fine, 1 problems found or refused, 3 a bug of Waystage, 130 interrupted.\n",
        "Before the verb: `--project DIRECTORY` (else the nearest one upward) and `--as PERSON` "
        "(else `WAYSTAGE_AS`, else whose token it is, else the user whose daemon it is).\n",
        "`WAYSTAGE_TOKEN` is a person's own token, `WAYSTAGE_URL` the address of a daemon "
        "elsewhere (`http://` on this machine alone).\n",
    ]
    group = click.Context(waystage, info_name="waystage")
    for verb in VERBS:
        command = waystage.get_command(group, verb)
        if command is None or command.hidden:
            continue
        context = click.Context(command, info_name=verb, parent=group)
        usage = " ".join(command.collect_usage_pieces(context))
        lines.append(f"## waystage {verb}\n\n{inspect.cleandoc(command.help or '')}\n")
        lines.append(f"    waystage {verb} {usage}\n")
        lines.extend(_options(command, context))
    return "\n".join(lines)


def _options(command: click.Command, context: click.Context) -> Iterator[str]:
    records = [p.get_help_record(context) for p in command.params if isinstance(p, click.Option)]
    rows = [record for record in records if record is not None]
    if rows:
        yield "| option | what |\n|---|---|"
        yield from (f"| `{name}` | {text} |" for name, text in rows)
        yield ""


def spec_page(title: str, model: type[BaseModel]) -> str:
    """Give the keys of a kind of file, level by level."""
    schema = model.model_json_schema(by_alias=True)
    defs = schema.get("$defs", {})
    lines = [f"# {title}\n", f"{inspect.getdoc(model)}\n"]
    for name, part in [("", schema), *((n, d) for n, d in defs.items() if "properties" in d)]:
        if name:
            lines.append(f"## {name}\n\n{part.get('description', '')}\n")
        lines.append("| key | type | default |\n|---|---|---|")
        lines.extend(_rows(part, defs, links=True, model=name or model.__name__))
        lines.append("")
    return "\n".join(lines)


def _rows(
    schema: Schema, defs: dict[str, Schema], *, links: bool, model: str = ""
) -> Iterator[str]:
    required = set(schema.get("required", ()))
    for name, part in schema["properties"].items():
        default = "**needed**" if name in required else _default(part)
        word = word_for(model, name) or part.get("description", "")
        what = f": {_cell(word)}" if word else ""
        yield f"| `{name}` | {_type(part, defs, links=links)}{what} | {default} |"


def _cell(text: str) -> str:
    """Write a text so that it stays in its column of a table."""
    return " ".join(text.replace("|", "\\|").split())


def _default(part: Schema) -> str:
    value = part.get("default")
    return "" if value in (None, "", [], {}) else f"`{yaml_text(value)}`"


def yaml_text(value: Any) -> str:
    """Write a value as YAML on one line."""
    text = yaml.safe_dump(value, default_flow_style=True, width=1000, sort_keys=False)
    return text.strip().removesuffix("...").strip()


def _type(part: Schema, defs: dict[str, Schema], *, links: bool) -> str:
    if "$ref" in part:
        name = part["$ref"].rpartition("/")[2]
        if "properties" not in defs.get(name, {}):
            return _type(defs.get(name, {}), defs, links=links)
        return f"[{name}](#{name.lower()})" if links else name
    if "anyOf" in part:
        kinds = [_type(p, defs, links=links) for p in part["anyOf"] if p.get("type") != "null"]
        return " or ".join(dict.fromkeys(kinds))
    if "const" in part or "enum" in part:
        return " or ".join(f"`{yaml_text(v)}`" for v in part.get("enum", [part.get("const")]))
    kind = part.get("format") or part.get("type")
    if kind == "array":
        return f"list of {_type(part.get('items', {}), defs, links=links)}"
    if kind == "object":
        inside = [part.get("additionalProperties"), *part.get("patternProperties", {}).values()]
        inner = next((p for p in inside if isinstance(p, dict)), {})
        return f"mapping of {_type(inner, defs, links=links)}"
    names = {"date-time": "time", "string": "text", None: "anything"}
    return names.get(kind, str(kind))


def expressions_page() -> str:
    """Give the names, operators, functions and macros of expressions."""
    lines = [
        "# Expressions\n",
        f"{inspect.getdoc(expressions)}\n",
        *_names(),
        "Operators: `? :`, `||`, `&&`, `== != < <= > >= in`, `+ - * / %`, `! -`, "
        "`a.b`, `a[b]`, `has(a.b)`.\n",
        f"Macros on lists and maps: {', '.join(f'`{name}`' for name in sorted(MACROS))}.\n",
        "| function | called as | arguments, the value itself included |\n|---|---|---|",
    ]
    for name, function in sorted(FUNCTIONS.items()):
        ways = [f"`value.{name}(…)`"] * function.method + [f"`{name}(…)`"] * function.free
        counts = " or ".join(map(str, function.arity))
        lines.append(f"| `{name}` | {' or '.join(ways)} | {counts} |")
    return "\n".join(lines) + "\n"


def _names() -> Iterator[str]:
    """Give what each name stands for, with the fields that the checks know."""
    measured = ", ".join(f"`{field}`" for field in scope.MONITOR["properties"])
    manifest = ", ".join(f"`{field}`" for field in Snapshot.model_fields)
    answer = ", ".join(f"`{field}`" for field in (*scope.ANSWER, "people"))
    told = {
        "params": "the parameters of `params:`, by name: `params.ks_floor`",
        "data": "the variables of `data:`, by name; null until something is written, unless they "
        "have a `default`",
        "snapshot": f"the version of the model: {manifest}",
        "service": "the service of the run, a text",
        "stage": "the stage of the state, a text; empty where the state belongs to none",
        "steps": "what steps with an `id` gave, `steps.ID.FIELD` ([each plugin's fields]"
        "(plugins.md)); of a state with `call`, `steps.STATE.outcome` and `steps.STATE.data`",
        "tasks": "answers, by the name of the task's state alone, without the states around it: "
        f"`tasks.STATE.form.FIELD`, and {answer}",
        "monitors": f"the newest measurement, by the monitor's name: {measured}",
        "event": f"what happened just now: {', '.join(f'`{field}`' for field in scope.EVENT)}; "
        "`payload` is what a signal brought",
        "run": f"the run: {', '.join(f'`{field}`' for field in scope.RUN)}",
        "now": "the time, as the daemon's clock has it",
    }
    if told.keys() != NAMES:
        raise SystemExit(f"docs/generate.py: names of expressions: {told.keys() ^ NAMES}")
    yield "| name | what it stands for |\n|---|---|"
    yield from (f"| `{name}` | {text} |" for name, text in told.items())
    yield ""


def codes() -> set[str]:
    """Give every code that the engine can answer with."""
    texts = (path.read_text() for path in ENGINE.rglob("*.py"))
    return {code for text in texts for code in CODE.findall(text)}


def errors_page() -> str:
    """Give every code with what it means and what to do, from the checks and `errors.yaml`."""
    explained = yaml.safe_load((DOCS / "errors.yaml").read_text())
    if twice := explained.keys() & checks.codes().keys():
        raise SystemExit(f"docs/errors.yaml: the checks explain {twice} themselves")
    explained |= checks.codes()
    silent, idle = codes() - explained.keys(), explained.keys() - codes()
    if silent or idle:
        raise SystemExit(f"docs/errors.yaml: not explained {silent}; no longer there {idle}")
    head = "# Error codes\n\nCodes are stable; texts may get better. `W-` is a warning.\n"
    rows = [f"| `{code}` | {explained[code]} |" for code in sorted(explained)]
    return "\n".join([head, "| code | what it means, what to do |\n|---|---|", *rows]) + "\n"


def http_page() -> str:
    """Give the routes of the HTTP API."""
    from waystage.web.app import create_app

    app = create_app(SimpleNamespace(store=None), "")  # type: ignore[arg-type]  # only described
    head = (
        "# The HTTP API\n\n"
        "Every request but `/v1/health` and `/v1/ready` says `Authorization: Bearer TOKEN`. "
        "With a person's own token (`waystage token PERSON`) that person acts, and nobody else. "
        "With the token in `.waystage/daemon.json`, where the daemon tells its address too, the "
        "user whose daemon it is acts, or whom `X-Waystage-Person` names, unless the project says "
        "`on_behalf: false`. Everyone may look; what a person may do is said in [the "
        "operator's guide](../how-to/operator.md). Bodies are JSON (`Content-Type: "
        "application/json`), of 1 MiB at most. Refusals are `{code, message}`: 400 what is asked "
        "makes no sense, 401 no good token, 403 not allowed, 404 no such thing, 405 no such "
        "method, 409 not as things are now, 411, 413 and 415 the body's length or kind, 421 "
        "another host's name, 429 and 503 try again (`Retry-After`). `/openapi.json` describes "
        "all of it.\n"
    )
    rows = ["| request | parameters and body |\n|---|---|"]
    described = app.openapi()
    for path, acts in described["paths"].items():
        for method, act in acts.items():
            rows.append(f"| `{method.upper()} {path}` | {_takes(act, described)} |")
    return "\n".join([head, *rows]) + "\n"


def _takes(act: Schema, described: Schema) -> str:
    names = [p["name"] for p in act.get("parameters", ()) if p["in"] == "query"]
    body = act.get("requestBody", {}).get("content", {}).get("application/json", {})
    ref = body.get("schema", {}).get("$ref", "").rpartition("/")[2]
    fields = described.get("components", {}).get("schemas", {}).get(ref, {}).get("properties", {})
    return ", ".join([*(f"?{name}" for name in names), *(f"`{name}`" for name in fields)])


def main(arguments: list[str]) -> int:
    """Write the pages, or with `--check` say which are out of date."""
    stale = []
    for name, text in pages().items():
        page = (DOCS / "reference" / name).resolve()
        full = NOTE + "\n" + re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"
        full = text if page.suffix == ".svg" else full
        if not page.is_file() or page.read_text() != full:
            stale.append(name)
            if "--check" not in arguments:
                page.parent.mkdir(exist_ok=True)
                page.write_text(full)
    print(f"out of date: {', '.join(stale)}" if stale else "the reference is as the code says")
    return int(bool(stale) and "--check" in arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
