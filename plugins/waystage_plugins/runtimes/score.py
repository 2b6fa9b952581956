"""`python -m waystage_plugins.runtimes.score`: score a JSON-lines file as a job."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from waystage.errors import Hopeless
from waystage.plugin import Snapshot
from waystage_plugins.repositories.tree import tree_digest, tree_files
from waystage_plugins.runtimes.onnx_model import BadRows, OnnxModel

BATCH = 1000


def main() -> int:
    """Write `scores.jsonl`, one score per row in the same order; 1 when a row cannot be scored."""
    asked = _asked()
    try:
        snapshot = Snapshot.model_validate_json(asked.manifest)
        digest = tree_digest(tree_files(asked.model))
        if digest != snapshot.digest:
            raise Hopeless(f"{asked.model} has digest {digest}, not that of {snapshot.id}")
        count = _score(OnnxModel(asked.model, snapshot), asked.rows, asked.out / "scores.jsonl")
    except (BadRows, Hopeless, ValidationError, OSError) as error:
        print(error)
        return 1
    print(f"scored {count} rows")
    return 0


def _asked() -> argparse.Namespace:
    told = os.environ
    parser = argparse.ArgumentParser(description=(__doc__ or "").strip())
    parser.add_argument("--model", type=Path, required=True, help="directory with the snapshot")
    for name, variable, kind in (
        ("--manifest", "WAYSTAGE_SNAPSHOT", str),
        ("--rows", "WAYSTAGE_INPUT_ROWS", Path),
        ("--out", "WAYSTAGE_OUTPUT", Path),
    ):
        default = told.get(variable)
        parser.add_argument(
            name, type=kind, default=default, required=default is None, help=f"default: {variable}"
        )
    return parser.parse_args()


def _score(model: OnnxModel, source: Path, target: Path) -> int:
    done = 0
    size, read = max(1, source.stat().st_size), 0

    def counted(lines: Iterable[str]) -> Iterator[str]:
        nonlocal read
        for line in lines:
            read += len(line.encode())
            yield line

    with source.open(encoding="utf-8") as lines, target.open("w") as output:
        rows = _rows(source.name, counted(lines))
        while batch := list(islice(rows, BATCH)):
            try:
                scores = model.score(batch)
            except BadRows as error:
                raise BadRows(f"{source.name}, rows from {done} on: {error}") from error
            output.writelines(json.dumps({"score": score}) + "\n" for score in scores)
            done += len(batch)
            _tell(min(1.0, read / size))
    return done


def _tell(share: float) -> None:
    """Say how far this is, where somebody may look."""
    if place := os.environ.get("WAYSTAGE_PROGRESS"):
        Path(place).write_text(f"{share:.3f}\n")


def _rows(name: str, lines: Iterator[str]) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise BadRows(f"{name}, line {number}: is not JSON: {error}") from error
        if not isinstance(row, dict):
            raise BadRows(f"{name}, line {number}: is not an object that names its columns")
        yield row


if __name__ == "__main__":
    sys.exit(main())
