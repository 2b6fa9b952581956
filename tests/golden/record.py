"""Write down what this version makes of the shipped scenarios, and a database as it leaves it.

    python tests/golden/record.py [DIRECTORY]

A release adds the files of its version; later versions play them again. Until a version is
released, its files may be made anew by saying so: `--again`.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "helpers"))

import golden_database
import golden_histories

import waystage
from waystage.registry import load_catalog

HERE = Path(__file__).parent


def main(words: list[str]) -> int:
    """Record the present version; answers 1 when its files are there already."""
    again = "--again" in words
    words = [word for word in words if word != "--again"]
    version = ".".join(waystage.__version__.split(".")[:2])
    place = Path(words[0]) if words else HERE / f"v{version}"
    if place.exists() and any(place.iterdir()) and not again:
        print(f"{place} is there: what a release wrote stays as it is (--again before a release)")
        return 1
    place.mkdir(parents=True, exist_ok=True)
    for old in place.iterdir():
        old.unlink()
    golden_histories.record(place, load_catalog())
    golden_database.record(place / "database.sql")
    print(f"{len(list(place.iterdir()))} files in {place}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
