"""`python -m waystage_plugins.runtimes.serving DIRECTORY`: serve what its config.json says."""

from __future__ import annotations

import sys
from pathlib import Path

from waystage_plugins.runtimes.holder import claim
from waystage_plugins.runtimes.serving.serve import serve


def main() -> int:
    """Serve until told to end; 0 also when another process serves this directory."""
    directory = Path(sys.argv[1])
    lock = int(sys.argv[2]) if len(sys.argv) > 2 else claim(directory)
    return 0 if lock is None else serve(directory, lock)


if __name__ == "__main__":
    sys.exit(main())
