"""Looks that were taken to compare two models: how both logs put them down, in SQL."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING

from waystage.plugin import Compared

if TYPE_CHECKING:
    from waystage.plugin import JsonObject

# beside the tables of version 1, so that an older Waystage reads the log as always
LOOKS = """
CREATE TABLE IF NOT EXISTS look (
    service TEXT NOT NULL, champion TEXT NOT NULL, challenger TEXT NOT NULL, metric TEXT NOT NULL,
    number INTEGER NOT NULL, data TEXT NOT NULL, told TEXT NOT NULL,
    PRIMARY KEY (service, champion, challenger, metric, number),
    UNIQUE (service, champion, challenger, metric, data)
)
"""
OF = "service = {0} AND champion = {0} AND challenger = {0} AND metric = {0}"
TAKE = """
INSERT INTO look SELECT {0}, {0}, {0}, {0}, COALESCE(MAX(number), 0) + 1, {0}, {0}
FROM look WHERE {of} ON CONFLICT DO NOTHING
"""
TAKEN = "SELECT told FROM look WHERE {of} ORDER BY number"


def taking(of: Compared, look: JsonObject, mark: str) -> tuple[str, tuple[str, ...]]:
    """Give the statement that takes a look, and its values; `mark` stands for a value."""
    names = _names(of)
    values = (*names, str(look["data"]), json.dumps(look), *names)
    return TAKE.format(mark, of=OF.format(mark)), values


def taken(of: Compared, mark: str) -> tuple[str, tuple[str, ...]]:
    """Give the statement that tells the looks in their order, and its values."""
    return TAKEN.format(of=OF.format(mark)), _names(of)


def told(rows: Iterable[tuple[str]]) -> list[JsonObject]:
    """Read what the statement tells."""
    return [json.loads(text) for (text,) in rows]


def _names(of: Compared) -> tuple[str, str, str, str]:
    return of.service, of.champion, of.challenger, of.metric
