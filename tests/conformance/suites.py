"""The public suites: where they are fetched from, in which version, and the cases in them."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

CACHE = Path(__file__).parents[2] / ".cache"
COMMAND = "make cases"
W3C_ECMA = "w3c-ecma/"


class NotThere(Exception):
    """A suite is not in the cache, or cannot be fetched; the text says why and what to do."""


@dataclass(frozen=True)
class Case:
    """A chart, and the configurations that it must be in: first, and after each event."""

    name: str
    chart: bytes
    first: tuple[str, ...]
    events: tuple[tuple[str, float, tuple[str, ...]], ...] = ()  # name, seconds before it, then
    to_the_end: bool = False  # all of its delayed events come before the first look


@dataclass(frozen=True)
class Archive:
    """A published package, pinned by version and content."""

    file: str
    sha256: str
    client: tuple[str, ...]
    package: str
    version: str

    @property
    def path(self) -> Path:
        """Where it lies in the cache."""
        return CACHE / self.file

    def fetch(self) -> None:
        """Get it with the registry's ordinary client, unless it is there; raises `NotThere`."""
        if self.path.is_file():
            return
        CACHE.mkdir(exist_ok=True)
        program = self.client[0]
        if program != sys.executable and shutil.which(program) is None:
            raise NotThere(f"{self.package}: {program} is not installed")
        told = subprocess.run(self.client, cwd=CACHE, capture_output=True, text=True, check=False)
        if told.returncode or not self.path.is_file():
            raise NotThere(f"{self.package}: {program} could not get it: {told.stderr[-300:]}")

    def members(self) -> dict[str, bytes]:
        """Give the files in it by their path; raises `NotThere` if it is not what was pinned."""
        if not self.path.is_file():
            raise NotThere(f"{self.package} is not there; get it with: {COMMAND}")
        if hashlib.sha256(self.path.read_bytes()).hexdigest() != self.sha256:
            raise NotThere(f"{self.path.name} is not the archive that was pinned; remove it")
        with tarfile.open(self.path) as archive:
            files = ((each.name, archive.extractfile(each)) for each in archive if each.isfile())
            return {name: found.read() for name, found in files if found}


PIP = (sys.executable, "-m", "pip", "download", "-q", "--disable-pip-version-check", "--no-deps",
       "--no-binary", ":all:")  # fmt: skip
FRAMEWORK = Archive(
    "scion-scxml-test-framework-2.0.16.tgz",
    "b813071f5691c7a36bab65ba5ce5aae479933395177447a6609c110bc936622b",
    ("npm", "pack", "--silent", "--ignore-scripts", "@scion-scxml/test-framework@2.0.16"),
    "@scion-scxml/test-framework",
    "2.0.16",
)
STATEMACHINE = Archive(
    "python_statemachine-3.2.2.tar.gz",
    "5968c5e07a537f7531b8b1d0a0d5067a3452c88941fa0ac6c244870d48f78325",
    (*PIP, "python-statemachine==3.2.2"),
    "python-statemachine",
    "3.2.2",
)


def framework_cases(*, w3c: bool) -> Iterator[Case]:
    """Give the cases of the test framework: its own, or the W3C's with data in ECMAScript."""
    files = FRAMEWORK.members()
    for path in sorted(files):
        name = path.removeprefix("package/test/")
        if not name.endswith(".scxml") or name == path or name.startswith(W3C_ECMA) is not w3c:
            continue
        script = files.get(f"{path.removesuffix('.scxml')}.json")
        if script is not None:  # without one it is part of another chart, or for people to judge
            yield _scripted(name, files[path], json.loads(script))


def _scripted(name: str, chart: bytes, script: dict[str, list[dict[str, object]]]) -> Case:
    events = tuple(_event(said) for said in script["events"])
    return Case(name, chart, _sorted(script["initialConfiguration"]), events)


def _event(said: dict[str, object]) -> tuple[str, float, tuple[str, ...]]:
    event, after = said["event"], said.get("after", 0)
    assert isinstance(event, dict)
    assert isinstance(after, int)
    return str(event["name"]), after / 1000, _sorted(said["nextConfiguration"])


def _sorted(names: object) -> tuple[str, ...]:
    assert isinstance(names, list)
    return tuple(sorted(str(name) for name in names))


def w3c_cases() -> Iterator[Case]:
    """Give the W3C's cases as python-statemachine has them; each ends in `pass` or `fail`."""
    for path, chart in sorted(STATEMACHINE.members().items()):
        _, found, name = path.partition("/tests/scxml/w3c/")
        if found and name.endswith(".scxml") and b'id="pass"' in chart:
            yield Case(name, chart, ("pass",), to_the_end=True)


@dataclass(frozen=True)
class Suite:
    """A part of an archive that is counted by itself."""

    key: str
    title: str
    archive: Archive
    cases: Callable[[], Iterator[Case]] = field(repr=False)


SUITES = (
    Suite("framework", "SCION test framework: structure", FRAMEWORK,
          lambda: framework_cases(w3c=False)),
    Suite("framework-w3c", "SCION test framework: W3C, data in ECMAScript", FRAMEWORK,
          lambda: framework_cases(w3c=True)),
    Suite("w3c", "W3C, data in Python", STATEMACHINE, w3c_cases),
)  # fmt: skip


def fetch() -> list[str]:
    """Get all archives; give what could not be had."""
    troubles = []
    for archive in (FRAMEWORK, STATEMACHINE):
        try:
            archive.fetch()
        except NotThere as trouble:
            troubles.append(f"NOT FETCHED: {trouble}")
    return troubles
