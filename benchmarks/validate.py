"""How long `validate` takes for 100 lifecycles of 50 states: python benchmarks/validate.py

The figure to be held is 2 seconds for all of it: reading, models, proofs. With `--profile` the
slowest functions are listed.
"""

from __future__ import annotations

import cProfile
import pstats
import shutil
import sys
import tempfile
import time
from pathlib import Path

from waystage import library
from waystage.cli.validate import prove_project
from waystage.registry import load_catalog

LIFECYCLES, STATES, LIMIT = 100, 50, 2.0
HEAD = """\
lifecycle: made-{number}
services: ["credit-*"]
params:
  floor: {{type: number, minimum: 0, maximum: 1, default: 0.3}}
  channel: {{type: string, default: mlops}}
monitors:
  ks:
    use: performance.ks
    window: {{length: P91D, label_delay: P30D}}
    warn: {{below: 0.4}}
    breach: {{below: "{{{{ params.floor }}}}"}}
initial: work_0
states:
"""
# a block of five states of five kinds; ten of them follow each other
BLOCK = """\
  work_{n}:
    stage: PROD
    lease: "{{{{ service }}}}/{{{{ stage }}}}"
    steps:
      - {{use: runtime.deploy, undo: {{use: runtime.restore}}}}
      - use: notify
        with:
          to: "{{{{ params.channel }}}}"
          text: "{number}: {{{{ snapshot.name }}}} runs in {{{{ stage }}}}"
    next: {{done: ask_{n}, refused: closed}}
  ask_{n}:
    task:
      title: "{number}: go on with {{{{ snapshot.name }}}}?"
      for: [role:validator]
      exclude: [author, starter]
      form:
        ks: {{type: number, required: true}}
        ticket: {{type: string, pattern: "^T-[0-9]+$"}}
      due: P7D
    next:
      approve:
        - {{if: tasks.ask_{n}.form.ks < 0.{number:03}, to: told_{n}}}
        - {{if: tasks.ask_{n}.form.ks < params.floor, to: wait_{n}}}
        - {{to: look_{n}}}
      reject: told_{n}
  told_{n}:
    steps: [{{use: notify, with: {{to: "{{{{ params.channel }}}}", text: "No {number}"}}}}]
    next: {{done: wait_{n}, refused: wait_{n}}}
  wait_{n}:
    timers: {{weekly: {{cron: "0 6 * * MON", zone: Europe/Berlin}}}}
    signals: [hurry]
    next: {{weekly: look_{n}, hurry: look_{n}}}
  look_{n}:
    verify: ks
    next: {{ok: {after}, warn: told_{n}, insufficient: wait_{n}, breach: told_{n}}}
"""


def lifecycle(number: int) -> str:
    """Make a lifecycle of fifty states, the final one included in the last block's place."""
    blocks = STATES // 5
    text = HEAD.format(number=number)
    for n in range(blocks):
        after = f"work_{n + 1}" if n + 1 < blocks else "closed"
        text += BLOCK.format(n=n, after=after, number=number)
    return text + "  closed: {final: true}\n"


def project(directory: Path) -> None:
    """Write the project with all its files."""
    shutil.copy(library.example("german_credit") / "waystage.yaml", directory)
    shutil.copytree(library.library() / "stages", directory / "stages")
    (directory / "lifecycles").mkdir()
    for number in range(LIFECYCLES):
        (directory / "lifecycles" / f"made-{number}.yaml").write_text(lifecycle(number))


def main() -> int:
    """Measure and print; exits 1 when it takes longer than it may."""
    load_catalog()  # start-up has a figure of its own
    profile = cProfile.Profile()
    with tempfile.TemporaryDirectory() as name:
        project(Path(name))
        if "--profile" in sys.argv:
            profile.enable()
        wall, used = time.perf_counter(), time.process_time()
        _, found = prove_project(Path(name))
        wall, used = time.perf_counter() - wall, time.process_time() - used
    if "--profile" in sys.argv:
        pstats.Stats(profile).sort_stats("tottime").print_stats(25)
    serious = [problem for problem in found if problem.severity == "error"]
    print(f"{LIFECYCLES} lifecycles of {STATES + 1} states: {len(serious)} errors, "
          f"{len(found) - len(serious)} warnings")  # fmt: skip
    print(f"{wall:.2f} s, of a processor {used:.2f} s (may take {LIMIT:g} s)")
    for problem in serious[:5]:
        print(problem)
    return int(used > LIMIT or bool(serious))


if __name__ == "__main__":
    sys.exit(main())
