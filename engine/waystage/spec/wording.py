"""Turns what pydantic finds into located problems that a lifecycle author understands."""

from __future__ import annotations

import re
import types
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from difflib import get_close_matches
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from waystage.errors import Problem
from waystage.spec import values
from waystage.spec.source import Source
from waystage.spec.tree import YamlPath

CLOSE = 0.6  # how alike two words are for one to be meant by the other
PLUGIN = re.compile(r"[a-z_]+(\.[a-z_]+)+|notify")


def problems_of(error: ValidationError, model: type[BaseModel], source: Source) -> list[Problem]:
    """Give one problem per fault, each with its place in the file and its cure."""
    found: dict[tuple[str, str], Problem] = {}
    for detail in error.errors(include_url=False):
        if hollow(detail):
            continue
        problem = _problem(detail, model, source)
        found.setdefault((problem.path, problem.message), problem)
    return sorted(_merged(found.values()), key=lambda problem: (problem.line, problem.column))


def _merged(problems: Iterable[Problem]) -> list[Problem]:
    """Say once what a value of several possible kinds needs: `a number or a text`."""
    merged: dict[tuple[str, str], Problem] = {}
    for problem in problems:
        needs = problem.message.startswith("needs ") and ", not " in problem.message
        key = (problem.path, "needs" if needs else problem.message)
        merged[key] = _either(merged[key], problem) if key in merged else problem
    return list(merged.values())


def _either(first: Problem, second: Problem) -> Problem:
    wanted, _, given = second.message.removeprefix("needs ").partition(", not ")
    so_far = first.message.partition(", not ")[0]
    return replace(first, message=f"{so_far} or {wanted}, not {given}", suggestion="")


def _problem(detail: ErrorDetails, model: type[BaseModel], source: Source) -> Problem:
    path = real_path(detail["loc"], source)
    kind = detail["type"]
    if kind == "missing":
        name = str(detail["loc"][-1])
        return source.problem("E-SPEC-MISSING", path, f"{name}: is missing")
    if kind == "extra_forbidden":
        word, known = str(path[-1]), known_keys(model, detail["loc"][:-1])
        return source.problem(
            "E-SPEC-KEY", path, f"there is no key {word!r} here", did_you_mean(word, known)
        )
    if detail["loc"] and detail["loc"][-1] == "[key]":
        return source.problem("E-SPEC-NAME", path, _name(detail))
    message, hint = _wording(detail)
    return source.problem("E-SPEC-VALUE", path, message, hint)


def in_words(detail: ErrorDetails) -> str:
    """Say what is wrong with a value that came by another way than a file, and where."""
    place = ".".join(str(part) for part in detail["loc"]) or "the body"
    if detail["type"] == "missing":
        return f"{place} is missing"
    if detail["type"] == "extra_forbidden":
        return f"there is no {place} here"
    message, hint = _wording(detail)
    return f"{place}: {message}{f'; {hint}' if hint else ''}"


def hollow(detail: ErrorDetails) -> bool:
    """Whether a list is called too short because its elements were wrong, which is told already."""
    given, least = detail["input"], detail.get("ctx", {}).get("min_length", 0)
    return detail["type"] == "too_short" and isinstance(given, list | dict) and len(given) >= least


def real_path(loc: Iterable[str | int], source: Source) -> YamlPath:
    """Give the parts of pydantic's location that are written in the file.

    Shorthands (`next: approve`) and unions put parts into it that nobody wrote.
    """
    path: YamlPath = ()
    for part in loc:
        if source.says((*path, part)):
            path = (*path, part)
    return path


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Give `did you mean …?`, or all there is to choose from when that is short."""
    names = list(known)
    near = get_close_matches(word, names, n=1, cutoff=CLOSE)
    if near:
        return f"did you mean {near[0]}?"
    return f"known here: {', '.join(names)}" if names and len(names) <= 24 else ""


def known_keys(model: type[BaseModel], loc: Iterable[str | int]) -> list[str]:
    """Give the keys that the mapping at a location may have."""
    candidates: list[Any] = [model]
    for part in loc:
        candidates = [inner for each in candidates for inner in _below(each, part)] or candidates
    models = [each for each in candidates if isinstance(each, type) and issubclass(each, BaseModel)]
    return [info.alias or name for each in models for name, info in each.model_fields.items()]


def _below(annotation: Any, part: str | int) -> list[Any]:
    """Give the plain types that stand below a model, mapping or list."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        for name, info in annotation.model_fields.items():
            if part in (name, info.alias):
                return _unwrapped(info.annotation)
        return []
    arguments = get_args(annotation)
    if get_origin(annotation) is dict:
        return _unwrapped(arguments[1])
    if get_origin(annotation) is tuple and isinstance(part, int):
        return _unwrapped(arguments[0])
    return []


def _unwrapped(annotation: Any) -> list[Any]:
    if get_origin(annotation) is Annotated:
        return _unwrapped(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        return [each for option in get_args(annotation) for each in _unwrapped(option)]
    return [annotation]


def _name(detail: ErrorDetails) -> str:
    if detail["type"] == "string_pattern_mismatch":
        return f"{str(detail['input'])[:60]!r} is no name here; {_rule(detail)}"
    return f"{str(detail['input'])[:60]!r} is no name here: {_wording(detail)[0]}"


def _pattern(annotated: Any) -> str:
    parts = (part for info in annotated.__metadata__ for part in info.metadata)
    return next(str(part.pattern) for part in parts if hasattr(part, "pattern"))


_RULES: dict[str, str] = {
    _pattern(values.StateName): "write lower_snake_case: a-z, 0-9 and _, a letter first",
    _pattern(values.EventName): "write lower_snake_case, parts joined by dots",
    _pattern(values.KebabName): "write lower-kebab-case: a-z, 0-9 and -",
    _pattern(values.StageName): "write it in upper case: A-Z, 0-9, _ and -, a letter first",
    _pattern(values.ServiceGlob): "write lower-kebab-case, with * and ? as placeholders",
    _pattern(values.TargetName): "write letters, digits, _, - and dots",
}


def _rule(detail: ErrorDetails) -> str:
    pattern = str(detail.get("ctx", {}).get("pattern", ""))
    return _RULES.get(pattern, f"it must match {pattern}")


def _wording(detail: ErrorDetails) -> tuple[str, str]:
    """Give what is wrong with a value, and a cure if there is one."""
    word = _WORDING.get(detail["type"])
    if word is None:
        message = re.sub(
            r"^(Input|Value|String|Tuple|Dictionary) should ", "should ", detail["msg"]
        )
        return message[:1].lower() + message[1:], ""
    return word(detail)


def _context(detail: ErrorDetails) -> Mapping[str, Any]:
    return detail.get("ctx", {})


def _needs(what: str) -> Callable[[ErrorDetails], tuple[str, str]]:
    return lambda detail: (f"needs {what}, not {shown(detail['input'])}", "")


def _mapping(detail: ErrorDetails) -> tuple[str, str]:
    value, hint = detail["input"], ""
    if isinstance(value, str) and PLUGIN.fullmatch(value):
        hint = f"write {{use: {value}}}"
    elif detail["loc"] and detail["loc"][-1] == "next":
        hint = "write next: STATE, or next: {EVENT: STATE}"
    return f"needs a mapping of keys to values, not {shown(value)}", hint


def _needs_text(detail: ErrorDetails) -> tuple[str, str]:
    value = detail["input"]
    plain = isinstance(value, bool | int | float)
    hint = f'put it in quotes: "{_yaml(value)}"' if plain else ""
    return f"needs a text, not {shown(value)}", hint


def _literal(detail: ErrorDetails) -> tuple[str, str]:
    listed = str(_context(detail)["expected"])
    allowed = re.findall(r"'([^']*)'", listed) or re.split(r", | or ", listed)
    word = detail["input"]
    choice = allowed[0].lower() if len(allowed) == 1 else f"one of {', '.join(allowed)}"
    near = get_close_matches(str(word), allowed, n=1, cutoff=CLOSE)
    hint = f"did you mean {near[0]}?" if near and near[0] != word and len(allowed) > 1 else ""
    return f"must be {choice}, not {shown(word)}", hint


def _value_error(detail: ErrorDetails) -> tuple[str, str]:
    return str(_context(detail).get("error", detail["msg"])), ""


def _bound(words: str, key: str) -> Callable[[ErrorDetails], tuple[str, str]]:
    return lambda d: (f"must be {words} {_context(d)[key]:g}, not {shown(d['input'])}", "")


def _too_short(detail: ErrorDetails) -> tuple[str, str]:
    least = _context(detail).get("min_length", 1)
    return ("is empty", "") if least == 1 else (f"needs at least {least}", "")


def _too_long(detail: ErrorDetails) -> tuple[str, str]:
    return f"is longer than {_context(detail)['max_length']}", ""


def shown(value: Any) -> str:
    """Name a value of YAML in the words of this documentation."""
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    if isinstance(value, str):
        return f"the text {value[:60]!r}"
    return _yaml(value)


def _yaml(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


_WORDING: dict[str, Callable[[ErrorDetails], tuple[str, str]]] = {
    "string_type": _needs_text,
    "int_type": _needs("a whole number"),
    "int_parsing": _needs("a whole number"),
    "int_from_float": _needs("a whole number"),
    "float_type": _needs("a number"),
    "float_parsing": _needs("a number"),
    "finite_number": _needs("a finite number"),
    "bool_type": _needs("true or false"),
    "bool_parsing": _needs("true or false"),
    "dict_type": _mapping,
    "model_type": _mapping,
    "model_attributes_type": _mapping,
    "tuple_type": _needs("a list"),
    "list_type": _needs("a list"),
    "datetime_type": _needs("a time such as 2026-12-20T00:00"),
    "datetime_parsing": _needs("a time such as 2026-12-20T00:00"),
    "datetime_from_date_parsing": _needs("a time such as 2026-12-20T00:00"),
    "literal_error": _literal,
    "value_error": _value_error,
    "string_pattern_mismatch": lambda d: (
        f"{str(d['input'])[:60]!r} is no name here",
        _rule(d),
    ),
    "greater_than_equal": _bound("at least", "ge"),
    "greater_than": _bound("more than", "gt"),
    "less_than_equal": _bound("at most", "le"),
    "less_than": _bound("less than", "lt"),
    "too_short": _too_short,
    "string_too_short": _too_short,
    "too_long": _too_long,
    "string_too_long": _too_long,
}
