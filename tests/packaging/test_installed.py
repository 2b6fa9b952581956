"""What is installed is whole: entry points, shipped files, types, a quick command."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import distribution, entry_points, files
from pathlib import Path

import waystage
from waystage import library
from waystage.spec.load import load_lifecycle

HEAVY = {
    "alembic", "apscheduler", "celpy", "docker", "fastapi", "kubernetes", "numpy", "onnxruntime",
    "pydantic", "rich", "scipy", "sklearn", "sqlalchemy", "starlette", "uvicorn", "yaml",
}  # fmt: skip


def test_the_command_and_the_plugins_are_found_by_entry_points() -> None:
    commands = {entry.name: entry.value for entry in entry_points(group="console_scripts")}
    assert commands["waystage"] == "waystage.cli.main:main"
    plugins = {entry.name: entry.value for entry in entry_points(group="waystage.plugins")}
    assert plugins["builtin"] == "waystage_plugins:PLUGINS"


def test_the_version_is_the_distribution_s() -> None:
    assert distribution("waystage").version == waystage.__version__


def test_both_packages_say_that_they_are_typed() -> None:
    import waystage_plugins

    for package in (waystage, waystage_plugins):
        assert (Path(package.__file__ or "").parent / "py.typed").is_file()


def test_nothing_takes_a_name_that_is_not_ours() -> None:
    tops = {file.parts[0] for file in files("waystage") or () if file.parts[0] != ".."}
    own = {"waystage", "waystage_plugins", "__pycache__", "_editable_impl_waystage.pth"}
    assert {top for top in tops if not top.startswith("waystage-")} <= own


def test_shipped_lifecycles_stages_and_examples_are_at_hand() -> None:
    assert {load_lifecycle(path).spec.lifecycle for path in library.lifecycles()} >= {"scorecard"}
    assert {path.stem for path in library.stages()} == {"DEV", "SIT", "UAT", "PROD"}
    inside = {path.name for path in library.example("german_credit").iterdir()}
    assert inside >= {"waystage.yaml", "german_credit.csv", "train.py"}


def test_the_version_is_told_without_loading_anything_heavy() -> None:
    code = (
        "import sys; from waystage.cli.main import run; assert run(['version']) == 0;"
        "print(*{name.partition('.')[0] for name in sys.modules})"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    first, loaded = told.stdout.splitlines()
    assert first == f"waystage {waystage.__version__}"
    assert HEAVY & set(loaded.split()) == set()


def test_what_starts_a_job_imports_no_plugin() -> None:
    code = (
        "import sys, waystage_plugins.runtimes.job_runner\n"
        "print(*[each for each in sys.modules if each.startswith('waystage.plugin')])"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.split() == []
