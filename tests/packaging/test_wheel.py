"""The wheel that is built from the checkout, looked into and installed by itself."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import venv
from collections.abc import Iterator
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (ROOT / "engine").is_dir(), reason="the checkout that a wheel is built from is not here"
    ),
]
BUILD = (
    "import sys; from hatchling import build; build.build_wheel(sys.argv[1]);"
    "build.build_sdist(sys.argv[1])"
)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("dist")
    subprocess.run([sys.executable, "-c", BUILD, str(place)], cwd=ROOT, check=True)
    return place


@pytest.fixture(scope="module")
def names(built: Path) -> Iterator[set[str]]:
    with ZipFile(next(built.glob("*.whl"))) as wheel:
        yield set(wheel.namelist())


def test_the_wheel_has_both_packages_and_nothing_beside_them(names: set[str]) -> None:
    tops = {name.partition("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {
        "waystage",
        "waystage_plugins",
    }


def test_the_wheel_has_the_shipped_yaml_and_the_example_s_data(names: set[str]) -> None:
    for name in ("lifecycles", "stages", "examples"):
        ours = {str(p.relative_to(ROOT)) for p in tracked(name)}
        assert {f"waystage/_library/{path}" for path in ours} <= names


def test_the_wheel_has_types_migrations_and_license(names: set[str]) -> None:
    assert {"waystage/py.typed", "waystage_plugins/py.typed"} <= names
    assert "waystage/store/migrations/env.py" in names
    assert any(name.startswith("waystage/store/migrations/versions/0") for name in names)
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)


def test_the_wheel_names_the_command_and_the_plugins(built: Path) -> None:
    with ZipFile(next(built.glob("*.whl"))) as wheel:
        (name,) = [name for name in wheel.namelist() if name.endswith("/entry_points.txt")]
        told = wheel.read(name).decode()
    assert "[console_scripts]\nwaystage = waystage.cli.main:main\n" in told
    assert "[waystage.plugins]\nbuiltin = waystage_plugins:PLUGINS\n" in told


def test_no_cache_and_no_database_slips_in(names: set[str]) -> None:
    bad = ("__pycache__", ".mypy_cache", ".pytest_cache", ".db", ".waystage/", ".DS_Store")
    assert [name for name in names if any(each in name for each in bad)] == []


def test_the_source_archive_can_build_and_be_tested(built: Path) -> None:
    with tarfile.open(next(built.glob("*.tar.gz"))) as archive:
        inside = {name.partition("/")[2] for name in archive.getnames()}
    assert {"pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "Makefile"} <= inside
    assert {"lifecycles/scorecard.yaml", "tests/conftest.py", "docs/index.md"} <= inside


def test_the_wheel_alone_makes_a_project_that_is_proved(built: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "venv", with_pip=False)
    python = tmp_path / "venv" / "bin" / "python"
    inside = subprocess.run(
        [python, "-c", "import site; print(site.getsitepackages()[0])"],
        capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip
    with ZipFile(next(built.glob("*.whl"))) as wheel:
        wheel.extractall(inside)
    # the libraries come from the environment of the tests; its editable install does not count
    Path(inside, "libraries.pth").write_text(libraries())
    ask = [str(python), "-P", "-m", "waystage.cli.main"]
    where = [str(python), "-P", "-c", "import waystage; print(waystage.__file__)"]
    assert run(where, tmp_path).startswith(inside)
    assert run([*ask, "version"], tmp_path).startswith("waystage ")
    run([*ask, "init", "project"], tmp_path)
    assert "holds" in run([*ask, "--project", "project", "validate"], tmp_path)


def libraries() -> str:
    """Give the directories of installed libraries, which `.pth` files in them do not follow."""
    import pydantic

    return f"{Path(pydantic.__file__).parents[1]}\n"


def run(command: list[str], place: Path) -> str:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "WAYSTAGE"))}
    done = subprocess.run(
        command, cwd=place, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def tracked(directory: str) -> list[Path]:
    """Give the files that are kept, without what tools leave beside them."""
    found = (ROOT / directory).rglob("*")
    return [p for p in found if p.is_file() and not {"__pycache__", ".mypy_cache"} & set(p.parts)]
