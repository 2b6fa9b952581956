"""Problems as other tools read them: SARIF 2.1.0, and annotations of a pull request."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from waystage import __version__
from waystage.errors import Problem

SARIF_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


def sarif(problems: Sequence[Problem], root: Path, *, strict: bool) -> dict[str, Any]:
    """Give a SARIF log; files are named from the directory in which the command was called."""
    codes = sorted({problem.code for problem in problems})
    rules = [_rule(code, strict=strict) for code in codes]
    results = [_result(p, codes.index(p.code), root, strict=strict) for p in problems]
    driver = {"name": "Waystage", "semanticVersion": __version__, "rules": rules}
    run = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}
    return {"$schema": SARIF_SCHEMA, "version": "2.1.0", "runs": [run]}


def annotated(problems: Sequence[Problem], root: Path, *, strict: bool) -> Iterator[str]:
    """Give one workflow command of GitHub Actions per problem."""
    for problem in problems:
        place = {"title": problem.code}
        if problem.file:
            place = {"file": _from_here(problem.file, root), **place}
        if problem.line:
            place |= {"line": str(problem.line), "col": str(problem.column)}
        said = ",".join(f"{key}={_escaped(value, ':,')}" for key, value in place.items())
        yield f"::{_level(problem.severity, strict=strict)} {said}::{_escaped(_text(problem))}"


def _rule(code: str, *, strict: bool) -> dict[str, Any]:
    rule: dict[str, Any] = {"id": code}
    said = _explained(code)
    if said:
        what, cure = said
        rule |= {"shortDescription": {"text": what}, "help": {"text": cure}}
    severity = "warning" if code.startswith("W-") else "error"
    return rule | {"defaultConfiguration": {"level": _level(severity, strict=strict)}}


def _explained(code: str) -> tuple[str, str] | None:
    from waystage.check.explain import cures, explained, modules

    for module in modules().values():
        if text := explained(module).get(code):
            return f"{text[:1].upper()}{text[1:]}", cures(module)
    return None


def _result(problem: Problem, rule: int, root: Path, *, strict: bool) -> dict[str, Any]:
    words = "|".join((problem.code, problem.file, problem.path, problem.message))
    found: dict[str, Any] = {
        "ruleId": problem.code,
        "ruleIndex": rule,
        "level": _level(problem.severity, strict=strict),
        "message": {"text": _text(problem)},
        # the same problem on another line is the same problem
        "partialFingerprints": {"waystage/v1": hashlib.sha256(words.encode()).hexdigest()},
    }
    return found | {"locations": [_location(problem, root)]} if problem.file else found


def _location(problem: Problem, root: Path) -> dict[str, Any]:
    place: dict[str, Any] = {
        "artifactLocation": {"uri": _from_here(problem.file, root), "uriBaseId": "%SRCROOT%"}
    }
    if problem.line:
        place["region"] = {"startLine": problem.line, "startColumn": problem.column}
    found: dict[str, Any] = {"physicalLocation": place}
    if problem.path:
        found["logicalLocations"] = [{"fullyQualifiedName": problem.path}]
    return found


def _from_here(file: str, root: Path) -> str:
    """Name a file of the project from the present directory, with slashes."""
    path = (root / file).resolve()
    here = Path.cwd().resolve()
    return (path.relative_to(here) if path.is_relative_to(here) else Path(file)).as_posix()


def _text(problem: Problem) -> str:
    parts = [part for part in (problem.path, problem.message) if part]
    text = ": ".join(parts)
    return f"{text}; {problem.suggestion}" if problem.suggestion else text


def _level(severity: str, *, strict: bool) -> str:
    return "error" if strict or severity == "error" else "warning"


def _escaped(text: str, more: str = "") -> str:
    for letter in "%\r\n" + more:
        text = text.replace(letter, f"%{ord(letter):02X}")
    return text
