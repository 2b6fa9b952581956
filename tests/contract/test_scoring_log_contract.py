"""Our scoring logs hold the contract that authors hold theirs to; the contract finds bad ones."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest
from postgres_server import PostgresServer

from waystage.plugin import Compared, Grouped, JsonObject, Label, ScoredRow, Slice
from waystage.testing import check_scoring_log
from waystage_plugins.scoring import PostgresqlScoringLog, SqliteScoringLog
from waystage_plugins.scoring.postgres.connect import Place, forget_connections


def test_sqlite_holds_the_contract(tmp_path: Path) -> None:
    check_scoring_log(SqliteScoringLog(path=tmp_path / "scores.db"))


def test_postgresql_holds_the_contract(shared_postgres: PostgresServer) -> None:
    url = shared_postgres.database(empty=True)
    check_scoring_log(PostgresqlScoringLog(url=url))
    forget_connections(Place(url, "waystage_scores"))
    shared_postgres.drop(url)


class LabelsByArrival(SqliteScoringLog):
    """Let the label win that came last."""

    use = "scoring_log.by_arrival"

    def label(self, labels: Iterable[Label]) -> int:
        from waystage_plugins.scoring.database import writing

        told = list(labels)
        with writing(self.path) as connection:
            for each in told:
                connection.execute("DELETE FROM label WHERE request_id = ?", (each.request_id,))
        return super().label(told)


class Rolled(SqliteScoringLog):
    """Answer from a roll-up that nobody makes anew."""

    use = "scoring_log.rolled"

    def grouped(self, which: Slice) -> Grouped:
        return KEPT.setdefault(self.path, super().grouped(which))


class Forgetful(SqliteScoringLog):
    """Keep what comes again under another name."""

    use = "scoring_log.forgetful"

    def append(self, rows: Iterable[ScoredRow]) -> int:
        from dataclasses import replace

        return super().append(
            replace(row, request_id=f"{row.request_id}@{row.at:%d}") for row in rows
        )


class LooksAnew(SqliteScoringLog):
    """Take data that were looked at for other data."""

    use = "scoring_log.looks_anew"

    def looks(self, of: Compared, look: JsonObject | None = None) -> list[JsonObject]:
        taken = super().looks(of)
        if look is not None:
            look = look | {"data": f"{look['data']}@{len(taken)}" if taken else look["data"]}
        return super().looks(of, look)


KEPT: dict[Path, Grouped] = {}


@pytest.mark.parametrize(
    ("log", "says"),
    [
        (LabelsByArrival, "an older label that came late won"),
        (Rolled, "labels that came are not counted"),
        (Forgetful, "came again on another day was kept twice"),
        (LooksAnew, "looks that were taken are not kept in their order"),
    ],
)
def test_the_contract_finds_what_a_log_does_wrong(
    log: type[SqliteScoringLog], says: str, tmp_path: Path
) -> None:
    with pytest.raises(AssertionError, match=says):
        check_scoring_log(log(path=tmp_path / "scores.db"))
