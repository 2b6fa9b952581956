"""Both scoring logs, empty."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from postgres_server import PostgresServer

from waystage.plugin import ScoringLog
from waystage_plugins.scoring import PostgresqlScoringLog, SqliteScoringLog
from waystage_plugins.scoring.postgres.connect import Place, forget_connections


@pytest.fixture
def postgresql(shared_postgres: PostgresServer) -> Iterator[PostgresqlScoringLog]:
    """Give a log in a database of its own."""
    url = shared_postgres.database(empty=True)
    log = PostgresqlScoringLog(url=url)
    yield log
    forget_connections(Place(log.url, log.namespace))
    shared_postgres.drop(url)


@pytest.fixture(params=["sqlite", "postgresql"])
def log(request: pytest.FixtureRequest, tmp_path: Path) -> ScoringLog:
    """Give an empty log, once of each kind."""
    if request.param == "sqlite":
        return SqliteScoringLog(path=tmp_path / "scores.db")
    made: Any = request.getfixturevalue("postgresql")
    assert isinstance(made, ScoringLog)
    return made
