"""`python -m waystage_plugins.runtimes.kafka DIRECTORY LOCK`: score what comes by Kafka."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from waystage_plugins.runtimes.files import write_json
from waystage_plugins.runtimes.kafka.scorer import score
from waystage_plugins.runtimes.serving.config import FAILURE


def main() -> int:
    """Score until told to end. Secrets come by the standard input, as a JSON object."""
    directory, lock = Path(sys.argv[1]), int(sys.argv[2])
    try:
        return score(directory, lock, json.loads(sys.stdin.read() or "{}"))
    except ImportError as error:
        told = f"{error}: pip install 'waystage[kafka]'"
        write_json(directory / FAILURE, {"reason": "not_installed", "message": told})
        return 1


if __name__ == "__main__":
    sys.exit(main())
