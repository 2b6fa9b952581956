"""Follow the hash chains of an unpacked evidence pack, with nothing but Python: python3 follow.py

This file is part of each pack, so it imports nothing of Waystage. A row's hash is the SHA-256 of
the hash before it (of a run's first row: 32 zero bytes), then the row's number, its time in
microseconds since 1970 and the length of its actor's name, each in decimals with a blank behind
it, then that name and the row's body, both in UTF-8. The run's line and audit-heads.jsonl say how
many rows there are, and the hash of the last one. The rows themselves name the definitions that
the run went by: those, and no others, are in definitions/, each with that SHA-256.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

# what a file makes of this that is not as it was exported
BROKEN = (ValueError, LookupError, TypeError, AttributeError, OSError)


def lines_of(path: Path) -> list[dict[str, Any]]:
    """Read a file of JSON lines; raises one of `BROKEN`."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]


def findings(
    name: str, lines: list[dict[str, Any]], heads: dict[str, dict[str, Any]]
) -> Iterator[str]:
    """Say where the history of a run is not the one that its hashes were made of."""
    run, *_ = [each for each in lines if each["kind"] == "run"]
    before, number = bytes.fromhex(run["before"]), run["first"]
    for row in (each for each in lines if each["kind"] == "history"):
        head = f"{row['seq']} {row['at']} {len(row['actor'])} "
        text = (head + row["actor"] + row["body"]).encode()
        digest = hashlib.sha256(before + text).hexdigest()
        if (row["seq"], row["hash"]) != (number, digest):
            yield f"{name}: row {row['seq']} is not the one that was written as {number}"
        before, number = bytes.fromhex(row["hash"]), row["seq"] + 1
    last, known = (number - 1, before.hex()), heads.get(run["id"], {})
    if last != (run["revision"], run["head"]):
        yield f"{name}: its last row is not the head that the run's line has"
    if last != (known.get("rows"), known.get("head")):
        yield f"{name}: its last row is not the head in audit-heads.jsonl"


def went_by(events: Iterable[dict[str, Any]]) -> set[str]:
    """Give the digests of the definitions that events name: of the start, and moved to later."""
    found = set()
    for event in events:
        if event["kind"] == "start":
            found.add(event["data"]["opened"]["definition"])
        elif event["kind"] == "migrated":
            found.add(event["data"]["to"])
    return found


def misfits(definitions: Mapping[str, bytes], named: set[str]) -> Iterator[str]:
    """Say which definitions no history names, and which of those that one names are not there."""
    there = {hashlib.sha256(body).hexdigest(): name for name, body in definitions.items()}
    for digest in sorted(there.keys() - named):
        yield f"{there[digest]} is no definition that any of the histories names"
    for digest in sorted(named - there.keys()):
        yield f"the definition {digest}, which a history names, is not there"


def named_in(lines: list[dict[str, Any]]) -> set[str]:
    """Give the digests of the definitions that an exported history names."""
    rows = [row for row in lines if row["kind"] == "history"]
    return went_by(json.loads(row["body"])["event"] for row in rows)


def look(place: Path) -> Iterator[str]:
    """Say what does not hold below a directory."""
    heads = {each["run"]: each for each in lines_of(place / "audit-heads.jsonl") if "run" in each}
    histories, named = sorted((place / "history").glob("*.jsonl")), set[str]()
    for each in histories:
        try:
            lines = lines_of(each)
            yield from findings(each.name, lines, heads)
            named |= named_in(lines)
        except BROKEN as error:
            yield f"{each.name} is not as it was exported: {type(error).__name__}: {error}"
    kept = {f"definitions/{each.name}": each.read_bytes()
            for each in sorted((place / "definitions").glob("*.json"))}  # fmt: skip
    yield from misfits(kept, named)
    if len(histories) != len(heads):
        yield f"there are {len(histories)} histories and {len(heads)} heads of them"


def main(place: Path) -> int:
    """Follow all histories below a directory; answers 1 when one does not hold."""
    try:
        wrong = list(look(place))
    except BROKEN as error:
        wrong = [f"{place} is no unpacked evidence pack: {type(error).__name__}: {error}"]
    count = len(list((place / "history").glob("*.jsonl")))
    word = "history" if count == 1 else "histories"
    print("\n".join(wrong or [f"{count} {word}: every row is as it was written"]))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1] if len(sys.argv) > 1 else ".")))
