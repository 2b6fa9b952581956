"""Texts of others made fit for YAML: names, comments, no hidden characters."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection

# what a lifecycle's file may not hold, and line ends that would leave a comment
_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff"
    "\ud800-\udfff\ufff9-\uffff]"
)
_WORD = re.compile(r"[a-z0-9]+")
LONGEST = 48


def clean(text: str) -> str:
    """Take hidden characters out; a tab or a line end stays."""
    return _HIDDEN.sub("", text)


def one_line(text: str, most: int = 100) -> str:
    """Write a text in one line, shortened."""
    line = " ".join(clean(text).split())
    return line if len(line) <= most else f"{line[: most - 1]}…"


def slug(text: str, other: str = "", *, joined: str = "_", before: str = "n") -> str:
    """Write a text as a name: small letters, digits and `_`; `other` where nothing is left.

    A name that would begin with a digit has `before` in front.
    """
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    if " " not in plain.strip():
        plain = re.sub(r"([a-z0-9])([A-Z])", r"\1 \2", plain)
    name = joined.join(_WORD.findall(plain.lower()))[:LONGEST].strip(joined)
    if not name:
        return other
    return name if name[0].isalpha() or joined == "-" else f"{before}{joined}{name}"


def event_name(text: str, other: str) -> str:
    """Write the name of a message or signal as an event's: parts between dots."""
    parts = [slug(part) for part in text.split(".")]
    return ".".join(part for part in parts if part)[:100].rstrip("._") or other


def unused(wanted: str, taken: Collection[str]) -> str:
    """Give the name, with a number where it is taken."""
    if wanted not in taken:
        return wanted
    number = 2
    while f"{wanted}_{number}" in taken:
        number += 1
    return f"{wanted}_{number}"
