"""The shapes that a database's tables may have: a number each, to which a migration leads."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from sqlalchemy import inspect, text

STEPS = 1  # that a database may be newer than the daemon


def steps(older: str, newer: str) -> int | None:
    """Give by how many steps one shape is newer than another; None if that cannot be told."""
    if older.isdigit() and newer.isdigit():
        return int(newer) - int(older)
    return None


def known_revisions() -> tuple[set[str], str | None]:
    """Give the schemas that this version knows, and the newest."""
    config = migrations()
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory.from_config(config)
    return {script.revision for script in scripts.walk_revisions()}, scripts.get_current_head()


def revision(connection: Any) -> str | None:
    """Give the schema that a database has; None if it has no tables yet."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()  # type: ignore[no-any-return]  # untyped scalar


def migrations() -> Any:
    """Give Alembic's configuration, with the migrations that lie here."""
    # what Alembic tells of its plugins when it is imported is nothing for operators' logs
    logging.getLogger("alembic").setLevel(logging.WARNING)
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return config
