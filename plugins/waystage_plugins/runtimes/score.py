"""`python -m waystage_plugins.runtimes.score MODEL`: score a JSON-lines file as a job."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from waystage.errors import Hopeless
from waystage.plugin import Snapshot
from waystage_plugins.runtimes.onnx_model import BadRows, OnnxModel

BATCH = 1000


def main() -> int:
    """Write `scores.jsonl`, one score per row in the same order."""
    snapshot = Snapshot.model_validate_json(os.environ["WAYSTAGE_SNAPSHOT"])
    try:
        count = _score(OnnxModel(Path(sys.argv[1]), snapshot))
    except (BadRows, Hopeless) as error:
        print(error)
        return 1
    print(f"scored {count} rows")
    return 0


def _score(model: OnnxModel) -> int:
    source = Path(os.environ["WAYSTAGE_INPUT_ROWS"])
    target = Path(os.environ["WAYSTAGE_OUTPUT"]) / "scores.jsonl"
    rows = [json.loads(line) for line in source.read_text().splitlines() if line.strip()]
    with target.open("w") as output:
        for start in range(0, len(rows), BATCH):
            for score in model.score(rows[start : start + BATCH]):
                output.write(json.dumps({"score": score}) + "\n")
    return len(rows)


if __name__ == "__main__":
    sys.exit(main())
