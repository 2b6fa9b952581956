"""Workload W1, Waystage beside its peers in one run, with the limit of the database.

N runs x 10 transitions, each with a step that returns a small dict whose result is durable
before the next begins; 64 runs in flight. Every side runs alone, in a process of its own, on
a fresh database in the same place, and checks it before it tells its rate. On SQLite the peers
are DBOS, Temporal's development server and SpiffWorkflow with its state saved after each step;
with `--backend postgresql` ours and DBOS use one server, as durable as PostgreSQL ships it.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from raw_commit import raw_rate, raw_rate_on_postgresql

HERE = Path(__file__).resolve().parent
CACHE = HERE.parent / ".cache"
PEER_ENVIRONMENT = CACHE / "bench-venv"
PEER = PEER_ENVIRONMENT / "bin" / "python"
SIDES = ("ours", "alone", "dbos", "dbos_alone")
NAMES = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}
OTHERS = {"temporal": "peers/temporal_w1.py", "spiff": "peers/spiff_w1.py"}


def main() -> None:
    """Measure all sides and print them."""
    given = _arguments()
    if not given.peer_python.exists():
        _install_peer(given.peer_python)
    found = measure(given)
    if given.json:
        print(json.dumps(found))
    else:
        show(found)


def _install_peer(python: Path) -> None:
    """Make the peers' own environment; what it says goes to stderr, which holds no result."""
    if python != PEER:
        sys.exit(f"{python} is missing: leave --peer-python away and it is made")
    print(f"Installing the peers into {PEER_ENVIRONMENT} (once) ...", file=sys.stderr)
    pip = [str(PEER), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    pins = ["-c", "constraints.txt"]
    for command in (
        [sys.executable, "-m", "venv", str(PEER_ENVIRONMENT)],
        [*pip, *pins, "pip"],
        [*pip, *pins, "--group", "bench"],
    ):
        done = subprocess.run(command, cwd=HERE.parent, stdout=sys.stderr, check=False)
        if done.returncode:
            shutil.rmtree(PEER_ENVIRONMENT, ignore_errors=True)
            sys.exit("The peers could not be installed: is a package index within reach?")


def measure(given: argparse.Namespace) -> dict[str, Any]:
    """Run every side once; rates are durable transitions per second."""
    with _scratch(given.directory) as place:
        sides = _on_postgresql if given.backend == "postgresql" else _on_sqlite
        found = sides(given, place)
    ours, alone, shipped, peer_alone = (found.pop(side) for side in SIDES)
    return {
        "workload": "w1", "backend": given.backend, "in_flight": given.in_flight,
        "runs": given.runs, "ours": round(ours["rate"]), "dbos": round(shipped["rate"]),
        "ratio": round(ours["rate"] / shipped["rate"], 1),
        "alone": round(alone["rate"]), "dbos_alone": round(peer_alone["rate"]),
        "ratio_alone": round(alone["rate"] / peer_alone["rate"], 1),
        "p99_ms": round(ours["p99_seconds"] * 1000, 1),
        "dbos_p99_ms": round(shipped["p99_seconds"] * 1000, 1),
        "cpu_us": round(ours["cpu_microseconds"], 1),
        "history_bytes": round(ours["history_bytes"]), "dbos_version": shipped["version"],
        **{name: round(value) for name, value in found.items()},
    } | _shares(ours["rate"], found)  # fmt: skip


def _shares(ours: float, found: dict[str, Any]) -> dict[str, float]:
    shares = {"of_raw": round(ours / found["raw"], 3)}
    for peer in ("dbos_wal", *OTHERS):
        if peer in found:
            shares[f"ratio_{peer}"] = round(ours / found[peer], 1)
    return shares


def _on_sqlite(given: argparse.Namespace, place: Path) -> dict[str, Any]:
    flight = given.in_flight
    ours = _ask(sys.executable, "ours_w1.py", given.runs, flight, "--place", place / "ours")
    alone = _ask(sys.executable, "ours_w1.py", given.runs // 10, 1, "--place", place / "alone")
    shipped = _peer(given, flight, place / "dbos.db")
    wal = _peer(given, flight, place / "dbos-wal.db", "--wal")
    peer_alone = _peer(given, 1, place / "dbos-alone.db")
    others = {peer: _other(given, peer, place) for peer in OTHERS}
    raw, raw_alone = raw_rate(place / "raw.db", flight), raw_rate(place / "raw-alone.db", 1)
    return {"ours": ours, "alone": alone, "dbos": shipped, "dbos_alone": peer_alone,
            "dbos_wal": wal["rate"], "raw": raw, "raw_alone": raw_alone,
            **{peer: other["rate"] for peer, other in others.items()},
            **{f"{peer}_p99_ms": other["p99_seconds"] * 1000 for peer, other in others.items()},
            }  # fmt: skip


def _on_postgresql(given: argparse.Namespace, place: Path) -> dict[str, Any]:
    from postgres import server

    def side(name: str, runs: int, flight: int) -> dict[str, Any]:
        more = ("--place", place / name, "--database", made.database())
        return _ask(sys.executable, "ours_w1.py", runs, flight, *more)

    def raw(rows: int) -> float:
        return raw_rate_on_postgresql(made.database(empty=True), rows)

    with server() as made:
        ours, alone = side("ours", given.runs, given.in_flight), side("alone", given.runs // 10, 1)
        shipped = _peer(given, given.in_flight, made.database(empty=True))
        peer_alone = _peer(given, 1, made.database(empty=True))
        return {"ours": ours, "alone": alone, "dbos": shipped, "dbos_alone": peer_alone,
                "raw": raw(given.in_flight), "raw_alone": raw(1)}  # fmt: skip


def show(found: dict[str, Any]) -> None:
    """Print the figures as a table for people."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    flight, place = found["in_flight"], NAMES[found["backend"]]
    table = Table(box=box.SIMPLE_HEAD, caption_justify="left", caption=_caption(found))
    table.add_column(f"W1 on {place}")
    table.add_column("transitions/s", justify="right")
    table.add_column("")
    for name, key, ratio in (
        (f"Waystage, {flight} runs in flight", "ours", ""),
        (f"DBOS {found['dbos_version']} as shipped", "dbos", "ratio"),
        ("DBOS with WAL", "dbos_wal", "ratio_dbos_wal"),
        ("Temporal's development server", "temporal", "ratio_temporal"),
        ("SpiffWorkflow, saved after each step", "spiff", "ratio_spiff"),
        (f"bare {place}, {flight} rows a commit", "raw", "of_raw"),
        ("Waystage, one run at a time", "alone", ""),
        ("DBOS, one run at a time", "dbos_alone", "ratio_alone"),
        (f"bare {place}, one row a commit", "raw_alone", ""),
    ):
        if key in found:
            table.add_row(name, f"{found[key]:,}", _words(found, ratio))
    Console().print(table)


def _words(found: dict[str, Any], ratio: str) -> str:
    if not ratio:
        return ""
    if ratio == "of_raw":
        return f"Waystage reaches {found[ratio]:.0%}"
    return f"Waystage is {found[ratio]} x"


def _caption(found: dict[str, Any]) -> str:
    return (
        f"slowest 1 % of runs: {found['p99_ms']} ms{''.join(_slowest(found))}\n"
        f"a transition: {found['cpu_us']} µs of CPU, {found['history_bytes']} B of history"
    )


def _slowest(found: dict[str, Any]) -> Iterator[str]:
    for key, name in (("dbos", "DBOS"), ("temporal", "Temporal"), ("spiff", "SpiffWorkflow")):
        if f"{key}_p99_ms" in found:
            yield f", {name} {found[f'{key}_p99_ms']:,} ms"


def _other(given: argparse.Namespace, peer: str, place: Path) -> dict[str, Any]:
    more = ("--database", place / f"{peer}.db")
    return _ask(str(given.peer_python), OTHERS[peer], given.peer_runs, given.in_flight, *more)


def _peer(
    given: argparse.Namespace, flight: int, database: str | Path, *more: str
) -> dict[str, Any]:
    runs = max(given.peer_runs if flight > 1 else given.peer_runs // 5, 1)
    script, python = "peers/dbos_w1.py", str(given.peer_python)
    return _ask(python, script, runs, flight, "--database", database, *more)


def _ask(python: str, script: str, runs: int, flight: int, *more: str | Path) -> dict[str, Any]:
    size = ("--runs", str(max(runs, 1)), "--in-flight", str(flight))
    command = [python, str(HERE / script), *size, *map(str, more)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        sys.exit(f"{script} failed with exit code {done.returncode}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@contextmanager
def _scratch(directory: Path) -> Iterator[Path]:
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=directory, prefix="w1-") as place:
        yield Path(place)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3000, help="runs of ours (default 3000)")
    parser.add_argument("--peer-runs", type=int, default=300, help="runs of each peer (300)")
    parser.add_argument("--in-flight", type=int, default=64, help="runs at once (default 64)")
    parser.add_argument("--backend", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--json", action="store_true", help="print one line of JSON")
    parser.add_argument(
        "--directory", type=Path, default=CACHE,
        help="where the databases go; a disk, not memory (default .cache)",
    )  # fmt: skip
    parser.add_argument(
        "--peer-python", type=Path, default=PEER, help="a Python that has the peers"
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
