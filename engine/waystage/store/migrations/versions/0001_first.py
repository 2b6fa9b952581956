"""The first shape of the store.

Until the first release it follows `schema`; from then on it is written out and later shapes
are later migrations. A test holds the migrated database against the tables in `schema`.
"""

from alembic import op

from waystage.store import schema

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    schema.metadata.create_all(op.get_bind())


def downgrade() -> None:
    schema.metadata.drop_all(op.get_bind())
