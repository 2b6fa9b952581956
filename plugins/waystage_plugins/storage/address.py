"""Addresses of inputs and outputs: a file, or something that a connection of the project has."""

from __future__ import annotations

import re
from typing import Annotated, NamedTuple

from pydantic import AfterValidator, Field

CONNECTED = re.compile(r"(?P<scheme>[a-z][a-z0-9]*)://(?P<name>[a-z0-9][a-z0-9-]*)/(?P<path>.+)")
SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
FORMS = "a path, file:PATH, s3://CONNECTION/PATH or table://CONNECTION/TABLE"


class Where(NamedTuple):
    """What an address says; without a connection it is a file of the daemon's machine."""

    path: str
    connection: str = ""
    scheme: str = "file"


def parse(text: str) -> Where:
    """Read an address; raises `ValueError` with the forms that there are."""
    if text.startswith("file:"):
        path = text.removeprefix("file:")
        path = path.removeprefix("//") if path.startswith("///") else path
        if not path or path.startswith("//"):
            raise ValueError(f"{text!r} names no file of this machine: write file:PATH")
        return Where(path)
    if not SCHEME.match(text):
        return Where(text)
    found = CONNECTED.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no address: write {FORMS}")
    return Where(found["path"], found["name"], found["scheme"])


def _checked(text: str) -> str:
    if "{{" not in text:  # what is filled in later is read then
        parse(text)
    return text


Address = Annotated[
    str,
    AfterValidator(_checked),
    Field(min_length=1, max_length=4096, json_schema_extra={"format": "address"}),
]
