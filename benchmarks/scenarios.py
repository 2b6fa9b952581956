"""How long `waystage test` takes for 1,000 scenarios: python benchmarks/scenarios.py

The shipped scenarios are written again and again into one project. The figure to be held is
5 seconds for reading, playing and counting; imports are told apart. With `--profile` the
slowest functions are listed.
"""

from __future__ import annotations

import cProfile
import pstats
import sys
import tempfile
import time
from itertools import cycle, islice
from pathlib import Path

import click

SCENARIOS, LIMIT = 1000, 5.0


def write_project(root: Path) -> None:
    """Make a project with a thousand scenarios of all shipped lifecycles."""
    from waystage import library
    from waystage.cli.main import run

    run(["init", str(root)])
    home = root / "scenarios"
    for file in home.iterdir():
        file.unlink()
    for number, file in enumerate(islice(cycle(library.scenarios()), SCENARIOS)):
        (home / f"{number:04}-{file.name}").write_text(file.read_text())


def main() -> int:
    """Measure once and print what it took."""
    began = time.perf_counter()
    from waystage.cli.main import waystage
    from waystage.cli.test import run_scenarios
    from waystage.registry import load_catalog

    load_catalog()
    imports = time.perf_counter() - began
    with tempfile.TemporaryDirectory() as place:
        root = Path(place) / "project"
        write_project(root)
        context = click.Context(waystage, obj={"project": root, "person": ""})
        profile = cProfile.Profile()
        began, at_work = time.perf_counter(), time.process_time()
        if "--profile" in sys.argv:
            profile.enable()
        result = run_scenarios(context, (), "")
        profile.disable()
        seconds, at_work = time.perf_counter() - began, time.process_time() - at_work
    if "--profile" in sys.argv:
        pstats.Stats(profile).sort_stats("tottime").print_stats(40)
    events = sum(len(each.visits) for each in result.played)
    print(f"{len(result.played)} scenarios, all hold: {result.ok}; {events} states entered")
    print(f"{seconds:.2f} s, of a core {at_work:.2f} s; to be held: {LIMIT:g} s")
    print(f"(imports and plugins before: {imports:.2f} s)")
    return 0 if result.ok and seconds < LIMIT else 1


if __name__ == "__main__":
    sys.exit(main())
