"""`python -m waystage_plugins.runtimes.serving DIRECTORY`: serve what its config.json says."""

from __future__ import annotations

import sys
from pathlib import Path

from waystage_plugins.runtimes.holder import hold
from waystage_plugins.runtimes.serving.http import serve


def main() -> int:
    """Serve until told to end; 0 also when another process serves this directory."""
    directory = Path(sys.argv[1])
    return 0 if hold(directory) is None else serve(directory)


if __name__ == "__main__":
    sys.exit(main())
