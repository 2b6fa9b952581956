"""A daemon in a process of its own that looks once at a project of tests, and may be killed."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "helpers"))

from drifting import Drifting

if __name__ == "__main__":
    found = Drifting(Path(sys.argv[1]), "", Path(sys.argv[2]), lease=float(sys.argv[3]))
    found.look(int(sys.argv[4]))
    found.stop()
