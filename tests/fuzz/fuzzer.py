"""Fuzz what reads people's files: python tests/fuzz/fuzzer.py [TARGET …] [--seconds N]

Atheris (libFuzzer) follows the branches of the code to find bytes that end in a traceback, in a
hang or without a place. A target is a file `fuzz_TARGET.py` with `one_input(data)`, which raises
only on a bug, and `seeds()`. What was found lies in .cache/fuzz/TARGET and is tried first again.
"""

from __future__ import annotations

import argparse
import importlib
import re
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
CACHE = HERE.parents[1] / ".cache" / "fuzz"
TIMEOUT = 10  # seconds that one input may take
LARGEST = 4096  # bytes of one input; what is larger is tried by the tests
DONE = re.compile(r"Done (\d+) runs|#(\d+)\s+DONE")


def main() -> int:
    """Fuzz one target after the other; 1 when something was found."""
    given = _arguments()
    if given.inside:
        _inside(given.targets[0], given.seconds)
        return 0
    bad = 0
    for target in given.targets or targets():
        bad += _fuzzed(target, given.seconds)
    return 1 if bad else 0


def targets() -> list[str]:
    """Give the names of all targets."""
    return sorted(path.stem.removeprefix("fuzz_") for path in HERE.glob("fuzz_*.py"))


def _fuzzed(target: str, seconds: int) -> int:
    from rich.console import Console

    console, began = Console(), time.monotonic()
    corpus = CACHE / target / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(importlib.import_module(f"fuzz_{target}").seeds()):
        (corpus / f"seed-{number}").write_bytes(seed)
    command = [sys.executable, __file__, target, "--inside", "--seconds", str(seconds)]
    with console.status(f"{target}: {seconds} s …"), (CACHE / target / "log").open("wb") as log:
        done = subprocess.run(command, stdout=log, stderr=log, check=False)
    said = (CACHE / target / "log").read_text(errors="replace")
    runs = next((a or b for a, b in DONE.findall(said)), "?")
    took = time.monotonic() - began
    if done.returncode == 0:
        console.print(f"{target}: nothing found in {runs} runs, {took:.0f} s")
        return 0
    console.print(f"[red]{target}: found something[/red]; see {CACHE / target}")
    console.print("\n".join(said.splitlines()[-30:]), markup=False)
    return 1


def _inside(target: str, seconds: int) -> None:
    """Fuzz in this process, which libFuzzer ends."""
    import atheris

    with atheris.instrument_imports(include=["waystage", "waystage_plugins"]):
        one_input = importlib.import_module(f"fuzz_{target}").one_input
    place = CACHE / target
    options = [f"-max_total_time={seconds}", f"-timeout={TIMEOUT}", f"-max_len={LARGEST}",
               "-rss_limit_mb=2048", f"-artifact_prefix={place}/found-"]  # fmt: skip
    atheris.Setup([sys.argv[0], *options, str(place / "corpus")], one_input)
    atheris.Fuzz()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("targets", nargs="*", help=f"of {', '.join(targets())}; else all")
    parser.add_argument("--seconds", type=int, default=60, help="for each target (default 60)")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    sys.path.insert(0, str(HERE))
    sys.exit(main())
