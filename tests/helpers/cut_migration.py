"""Open a database with migrations of a later version, and die at one of their statements.

    python -c "import cut_migration; cut_migration.main()" URL MIGRATIONS NUMBER [torn]

NUMBER counts statements that change something; 0 dies at none. Prints how many there were.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Engine

from waystage.store import shapes, upgrade

LATER = '''
"""A later shape: a table more, a column more that is filled, and one less."""

import sqlalchemy as sa
from alembic import op

revision, down_revision, branch_labels, depends_on = "{later}", "{before}", None, None


def upgrade() -> None:
    op.create_table("later", sa.Column("id", sa.Integer, primary_key=True))
    op.execute("INSERT INTO later SELECT no FROM runs")
    op.add_column("runs", sa.Column("later", sa.String(20)))
    op.execute("UPDATE runs SET later = status")
    op.create_index("later_runs", "runs", ["later"])
    op.execute("DELETE FROM later WHERE id IN (SELECT no FROM runs WHERE status = 'ended')")
'''
CHANGES = ("CREATE", "INSERT", "UPDATE", "ALTER", "DELETE", "DROP")


def write_migrations(place: Path) -> Path:
    """Write the migrations of this version and one more."""
    shutil.copytree(Path(shapes.__file__).parent / "migrations", place)
    head = str(shapes.known_revisions()[1])
    later = f"{int(head) + 1:0{len(head)}}"
    text = LATER.replace("{later}", later).replace("{before}", head)
    (place / "versions" / f"{later}_later.py").write_text(text)
    return place


def use(place: Path) -> None:
    """Have the store migrate by these."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(place))
    shapes.migrations = upgrade.migrations = lambda: config  # the test's own version


def main() -> None:
    """Migrate, or die in the middle."""
    url, place, number = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    use(place)
    passed = 0

    def count(_c: Any, cursor: Any, statement: str, *_: Any) -> None:
        nonlocal passed
        if statement.lstrip().upper().startswith(CHANGES):
            passed += 1
            if passed == number:
                if sys.argv[4:] == ["torn"]:  # planted: half of it is committed
                    cursor.connection.commit()
                os.kill(os.getpid(), signal.SIGKILL)

    event.listen(Engine, "before_cursor_execute", count)
    from waystage.store.database import open_database

    open_database(url).dispose()
    print(passed)
