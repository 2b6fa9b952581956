"""What all tests share: the package they test, how hypothesis behaves, both databases."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import fault_rows
import pytest
from hypothesis import HealthCheck, settings
from postgres_server import NoServer, PostgresServer

import waystage

TESTED = os.environ.get("WAYSTAGE_TESTED")
# a busy machine must not fail a property; how long things take is for the benchmarks
settings.register_profile("waystage", deadline=None, suppress_health_check=[HealthCheck.too_slow])
# a change is judged by the same examples each time; new ones are found by whoever works on it
settings.register_profile("checkout", settings.get_profile("waystage"), derandomize=True)
# the same tests have just passed with all examples: what is in question is what was packed
settings.register_profile("wheel", settings.get_profile("checkout"), max_examples=10)
settings.load_profile(TESTED or "waystage")


def pytest_report_header() -> str:
    """Say which copy of Waystage is tested."""
    return f"waystage {waystage.__version__} from {Path(waystage.__file__).parent}"


def pytest_sessionstart() -> None:
    """Refuse to test the checkout when the wheel is meant."""
    if TESTED == "wheel" and "site-packages" not in waystage.__file__:
        pytest.exit(f"the wheel is to be tested, not {waystage.__file__}", returncode=4)


@pytest.fixture(scope="session")
def shared_postgres() -> Iterator[PostgresServer]:
    """Give the session's PostgreSQL server; without one, the tests say why they did not run."""
    try:
        server = PostgresServer()
    except NoServer as error:
        pytest.skip(str(error))
    yield server
    server.remove()


@pytest.fixture
def postgres_url(shared_postgres: PostgresServer) -> Iterator[str]:
    """Give a fresh database of the session's server, with Waystage's tables."""
    url = shared_postgres.database()
    yield url
    shared_postgres.drop(url)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Give a fresh database, once of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'waystage.db'}"
    return str(request.getfixturevalue("postgres_url"))


@pytest.fixture
def record(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Give what tells docs/reliability.md which fault was tried how often."""
    return fault_rows.recorder(request.node.nodeid)
