"""A job of a real daemon: from a table into another, and how far it is, by API and command line."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml

from waystage.cli.main import run as waystage
from waystage.daemon import leftovers

COPY = """
import json, os, pathlib, time
rows = pathlib.Path(os.environ["WAYSTAGE_INPUT_CASES"]).read_text()
pathlib.Path(os.environ["WAYSTAGE_PROGRESS"]).write_text("0.4")
print("half way", flush=True)
while not pathlib.Path(os.environ["WAYSTAGE_PROJECT"], "go").exists():
    time.sleep(0.02)
pathlib.Path(os.environ["WAYSTAGE_OUTPUT"], "done.jsonl").write_text(rows)
"""
LIFECYCLE = {
    "lifecycle": "copying",
    "services": ["*"],
    "initial": "copy",
    "states": {
        "copy": {
            "stage": "DEV",
            "steps": [{
                "use": "batch.run",
                "with": {
                    "command": ["python", "-c", COPY],
                    "inputs": {"cases": "table://warehouse/cases"},
                    "outputs": {"done.jsonl": "table://warehouse/done"},
                },
            }],
            "signals": ["copy.stop"],
            "next": {"done": "copied", "refused": "copied", "copy.stop": "copied"},
        },
        "copied": {"final": True},
    },
}  # fmt: skip
ENDLESS = {
    "lifecycle": "endless",
    "services": ["*"],
    "initial": "work",
    "states": {
        "work": {
            "stage": "DEV",
            "steps": [{
                "use": "batch.run", "deadline": "PT2S",
                "with": {"command": ["python", "-c", "import time; time.sleep(600)"]},
            }],
            "next": {"done": "worked", "refused": "worked"},
        },
        "worked": {"final": True},
    },
}  # fmt: skip
STAGE = {
    "stage": "DEV",
    "runtimes": [{"name": "jobs", "use": "local.process", "mode": "batch"}],
}


@pytest.fixture
def api(project: Path, new_api: Callable[..., Any]) -> Any:
    with closing(sqlite3.connect(project / "warehouse.db")) as database:
        database.execute("CREATE TABLE cases (id INTEGER)")
        database.execute("CREATE TABLE done (id INTEGER)")
        database.executemany("INSERT INTO cases VALUES (?)", [(1,), (2,)])
        database.commit()
    (project / "lifecycles" / "copying.yaml").write_text(yaml.safe_dump(LIFECYCLE, sort_keys=False))
    (project / "lifecycles" / "endless.yaml").write_text(yaml.safe_dump(ENDLESS, sort_keys=False))
    (project / "stages").mkdir(exist_ok=True)
    (project / "stages" / "DEV.yaml").write_text(yaml.safe_dump(STAGE, sort_keys=False))
    told = yaml.safe_load((project / "waystage.yaml").read_text())
    told["connections"] = [
        {"name": "warehouse", "stages": ["PROD"], "use": "storage.sqlite",
         "with": {"path": "of-prod.db"}},
        {"name": "warehouse", "stages": ["DEV"], "use": "storage.sqlite",
         "with": {"path": "warehouse.db"}},
    ]  # fmt: skip
    (project / "waystage.yaml").write_text(yaml.safe_dump(told, sort_keys=False))
    return new_api(project)


def done(api: Any) -> list[Any]:
    with closing(sqlite3.connect(api.root / "warehouse.db")) as database:
        return database.execute("SELECT id FROM done").fetchall()


def test_people_see_how_far_a_job_is_and_its_rows_come_once(
    api: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    run = api.open("copying")
    api.until(lambda: "half way" in str(api.get(f"runs/{run}")["steps"]))
    assert api.get(f"runs/{run}")["steps"] == [
        {"state": "copy", "use": "batch.run", "attempt": 1, "said": "running 40%: half way"}
    ]
    assert waystage(["--project", str(api.root), "--as", "otto", "show", run]) == 0
    assert "at work    batch.run in copy: running 40%: half way" in capfd.readouterr().out
    assert done(api) == []
    (api.root / "go").touch()
    api.until(lambda: api.get(f"runs/{run}")["status"] != "open")
    assert done(api) == [(1,), (2,)]
    assert api.get(f"runs/{run}")["steps"] == []


def test_a_job_whose_run_has_gone_on_is_ended(api: Any) -> None:
    run = api.open("copying")
    api.until(lambda: "half way" in str(api.get(f"runs/{run}")["steps"]))
    (place,) = (api.root / ".waystage" / "jobs").glob("*/")
    assert leftovers.end_leftovers(api.daemon.connections, api.daemon.store) == 0
    answer = api.post("signals", "otto", {"name": "copy.stop", "run": run})
    assert answer.status_code == 200, answer.text
    api.until(lambda: api.get(f"runs/{run}")["status"] != "open")
    leftovers.end_leftovers(api.daemon.connections, api.daemon.store)
    api.until((place / "ended.json").exists)
    assert done(api) == []


def test_a_job_that_never_ends_parks_its_run_at_the_deadline_and_is_ended(api: Any) -> None:
    run = api.open("endless")
    api.until(lambda: api.get(f"runs/{run}")["incidents"])
    (incident,) = api.get(f"runs/{run}")["incidents"]
    assert "still waiting at its deadline" in incident["message"]
    (place,) = (api.root / ".waystage" / "jobs").glob("*/")
    leftovers.end_leftovers(api.daemon.connections, api.daemon.store)
    api.until((place / "ended.json").exists)
    assert (place / "cancelled.json").exists()


def test_doctor_asks_every_connection(api: Any, capfd: pytest.CaptureFixture[str]) -> None:
    waystage(["--project", str(api.root), "doctor"])
    told = capfd.readouterr().out
    assert "connection warehouse" in told
    assert "of-prod.db" in told
