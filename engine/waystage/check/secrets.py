"""Secrets that stand in a file in clear, and references that no store can resolve.

- E-SECRET-IN-CLEAR: a text has the shape that an issuer gives to its tokens, is a private key, or
  an address with a password for another machine.
- W-SECRET-IN-CLEAR: a text is as random as a key, or stands in a setting that is called like a
  password or a token; or an address has a password for this machine.
- E-SECRET-STORE: a reference names a secret store that is not installed.

Why it hurts: whoever reads the repository has the secret, for ever; lifecycles are kept in the
database and shown to everybody, too. To mend it, replace the secret, put the new one into the
environment or a file, and write `{secret: env/NAME}` (for `database`: `PGPASSWORD`).
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

from waystage.check.places import YamlPath
from waystage.check.subject import Catalog, Subject, did_you_mean
from waystage.check.uses import project_uses, uses
from waystage.errors import Problem
from waystage.spec.load import ProjectFiles
from waystage.spec.source import Source

# shapes that the issuers of tokens publish, and what is a secret whatever it is for
SHAPES = {
    "an AWS access key": r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b",
    "a GitHub token": r"\b(?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{22,})",
    "a GitLab token": r"\bglpat-[A-Za-z0-9_-]{20,}",
    "a Slack token": r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}",
    "a Slack webhook": r"hooks\.slack\.com/services/T\w+/B\w+/\w+",
    "a Teams webhook": r"webhook\.office\.com/\S{20,}|[?&]sig=[A-Za-z0-9%_-]{20,}",
    "an OpenShift token": r"\bsha256~[A-Za-z0-9_-]{40,}",
    "a JSON Web Token": r"\beyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]{8,}",
    "a private key": r"-----BEGIN [A-Z ]*PRIVATE KEY-----",
    "a password in an address": r"\b[a-z][a-z0-9+.-]*://[^/\s:@{}]+:[^/\s@{}]{3,}@(?!LOCAL)",
}
LOCAL = r"(?:localhost|127\.0\.0\.1|\[::1\])(?:[:/?#,]|$)"
# what may be something else
LIKE_ONE = {
    "a password in an address": r"\b[a-z][a-z0-9+.-]*://[^/\s:@{}]+:[^/\s@{}]{3,}@",
    "a bearer token": r"(?i:\bbearer\s+[A-Za-z0-9._~+/-]{16,})",
}
COMPILED = {what: re.compile(shape.replace("LOCAL", LOCAL)) for what, shape in SHAPES.items()}
LIKELY = {what: re.compile(shape) for what, shape in LIKE_ONE.items()}
ANY = re.compile(
    "|".join(f"(?:{shape.pattern})" for shape in (*COMPILED.values(), *LIKELY.values()))
)
SHORTEST = 8  # no secret that deserves the name is shorter
TELLING = re.compile(r"(?i)pass(word|wd|phrase)?$|secret|token|api_?key|credential")
RANDOM = re.compile(r"[A-Za-z0-9+/_=-]{24,}")
DIGEST = re.compile(r"(?:sha(?:1|256|512):)?[0-9a-f]+")
Settings: TypeAlias = list[tuple[YamlPath, Mapping[str, Any]]]
BITS = 4.2  # per character; words of a language have about 3.5


def check(subject: Subject) -> Iterator[Problem]:
    """Look at every text of a lifecycle, and at the names of its settings."""
    settings = [((*use.path, "with"), use.settings) for use in uses(subject.spec, subject.places)]
    yield from _file(subject.loaded.source, settings, subject.catalog)


def check_project_secrets(files: ProjectFiles, catalog: Catalog) -> Iterator[Problem]:
    """Look at every text of the project file and of the stages."""
    settings: dict[str, Settings] = {}
    for source, use in project_uses(files):
        settings.setdefault(source.file, []).append(((*use.path, "with"), use.settings))
    ours = settings.setdefault(files.project.source.file, [])
    for name, service in files.project.spec.services.items():
        ours.append((("services", name, "params"), service.params))
    for source in (files.project.source, *(stage.source for stage in files.stages.values())):
        yield from _file(source, settings.get(source.file, []), catalog)


def _file(source: Source, settings: Settings, catalog: Catalog) -> Iterator[Problem]:
    told: set[tuple[int, int]] = set()
    named = (each for path, value in settings for each in _values(source, path, value, catalog))
    for problem in (*named, *_texts(source, (), source.data)):
        if (problem.line, problem.column) not in told:
            told.add((problem.line, problem.column))
            yield problem


def _texts(source: Source, path: YamlPath, value: Any) -> Iterator[Problem]:
    """Find what looks like a secret wherever it stands, whatever its key is called."""
    if isinstance(value, Mapping):
        for key, each in value.items():
            yield from _texts(source, (*path, str(key)), each)
    elif isinstance(value, list):
        for number, each in enumerate(value):
            yield from _texts(source, (*path, number), each)
    elif isinstance(value, str) and (found := _looks_like("", value)):
        yield _in_clear(source, path, *found)


def _values(source: Source, path: YamlPath, value: Any, catalog: Catalog) -> Iterator[Problem]:
    if isinstance(value, Mapping):
        if set(value) == {"secret"} and isinstance(value["secret"], str):
            yield from _reference(source, (*path, "secret"), value["secret"], catalog)
            return
        for key, each in value.items():
            yield from _values(source, (*path, str(key)), each, catalog)
    elif isinstance(value, list | tuple):
        for number, each in enumerate(value):
            yield from _values(source, (*path, number), each, catalog)
    elif isinstance(value, str) and (found := _looks_like(str(path[-1]), value)):
        yield _in_clear(source, path, *found)


def _in_clear(source: Source, path: YamlPath, what: str, sure: bool) -> Problem:
    hint = "write {secret: env/NAME} and set NAME"
    if path == ("database",):
        hint = "leave it out and set PGPASSWORD or PGPASSFILE"
    if sure:
        return source.problem("E-SECRET-IN-CLEAR", path, f"is {what} in clear", hint)
    text = f"looks like {what} in clear"
    return source.problem("W-SECRET-IN-CLEAR", path, text, hint, "warning")


def _reference(source: Source, path: YamlPath, name: str, catalog: Catalog) -> Iterator[Problem]:
    store = name.partition("/")[0]
    if f"secret.{store}" not in catalog:
        stores = [use.removeprefix("secret.") for use in catalog if use.startswith("secret.")]
        text = f"there is no secret store {store!r}"
        yield source.problem("E-SECRET-STORE", path, text, did_you_mean(store, stores))


def _looks_like(key: str, value: str) -> tuple[str, bool] | None:
    """Say what a text looks like, and whether its shape alone tells that it is one."""
    if len(value) < SHORTEST:
        return None
    if ANY.search(value):
        for sure, shapes in ((True, COMPILED), (False, LIKELY)):
            for what, shape in shapes.items():
                if shape.search(value):
                    return what, sure
    if "{{" in value:
        return None
    if TELLING.search(key) and not re.search(r"\s", value):
        return "a secret", False
    if any(_random(word) for word in RANDOM.findall(value)):
        return "a random key", False
    return None


def _random(word: str) -> bool:
    """Whether a word has more information per character than names and digests have."""
    if DIGEST.fullmatch(word) or not (re.search(r"\d", word) and re.search(r"[A-Za-z]", word)):
        return False
    counts = Counter(word)
    bits = -sum(n / len(word) * math.log2(n / len(word)) for n in counts.values())
    return bits >= BITS
