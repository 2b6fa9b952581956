"""Personal tokens: only their hashes are kept."""

from __future__ import annotations

from sqlalchemy import Connection, insert, select, update

from waystage.store import schema as t


def keep_token(connection: Connection, digest: str, person: str, expires_at: int) -> None:
    """Keep the hash of a person's new token."""
    row = {"hash": digest, "person": person, "expires_at": expires_at}
    connection.execute(insert(t.tokens).values(row))


def revoke_tokens(connection: Connection, person: str, now: int) -> int:
    """End all tokens of a person that are still good; answer how many."""
    tokens = t.tokens.c
    good = (tokens.person == person) & tokens.revoked_at.is_(None) & (tokens.expires_at > now)
    return connection.execute(update(t.tokens).where(good).values(revoked_at=now)).rowcount


def holder_of_token(connection: Connection, digest: str, now: int) -> str | None:
    """Give whose token it is; None if there is none, or it has ended."""
    tokens = t.tokens.c
    query = select(tokens.person).where(
        tokens.hash == digest, tokens.revoked_at.is_(None), tokens.expires_at > now
    )
    row = connection.execute(query).first()
    return None if row is None else str(row.person)
