"""Where scored requests and what became of them are kept."""

from waystage_plugins.scoring.postgresql import PostgresqlScoringLog
from waystage_plugins.scoring.sqlite import SqliteScoringLog

SCORING_LOGS = (SqliteScoringLog, PostgresqlScoringLog)

__all__ = ["SCORING_LOGS", "PostgresqlScoringLog", "SqliteScoringLog"]
