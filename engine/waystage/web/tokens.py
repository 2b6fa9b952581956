"""Tokens: whose is which, and who acts with it."""

from __future__ import annotations

import hashlib
import hmac
import os
import pwd
import secrets
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from waystage.errors import NotFound
from waystage.people import Caller, holder_acts, owner_acts
from waystage.spec.wording import did_you_mean
from waystage.store import answering
from waystage.store.codec import micros
from waystage.store.tokens import holder_of_token, keep_token, revoke_tokens

if TYPE_CHECKING:
    from waystage.daemon.daemon import Daemon


def callers(daemon: Daemon, owners: str) -> Callable[[str, str], Caller | None]:
    """Give what finds out who acts by token and named person; None for a stranger."""
    owner = local_owner()

    def known(token: str, named: str) -> Caller | None:
        if hmac.compare_digest(token.encode(), owners.encode()):
            return owner_acts(daemon.files.project.spec, owner, named)
        person = holder(daemon, token)
        return None if person is None else holder_acts(person, named)

    return known


def local_owner() -> str:
    """Give the user whose process this is: by the system's word, not the environment's."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # as in a container that gives its process a number and no name
        return f"user {os.getuid()}"


def issue(daemon: Daemon, person: str, days: int) -> dict[str, Any]:
    """Make a token for a person of the project; it is told this once and never kept."""
    _known(daemon, person)
    token = f"ws_{secrets.token_urlsafe(32)}"
    expires = daemon.clock.now() + timedelta(days=days)
    daemon.engine.act(
        lambda tx: keep_token(tx.connection, digest_of(token), person, micros(expires))
    ).result(timeout=60)
    return {"person": person, "token": token, "expires_at": expires}


def revoke(daemon: Daemon, person: str) -> dict[str, Any]:
    """End all tokens of a person, also of one who is no longer in the project."""
    now = micros(daemon.clock.now())
    ended = daemon.engine.act(lambda tx: revoke_tokens(tx.connection, person, now))
    return {"person": person, "revoked": ended.result(timeout=60)}


def holder(daemon: Daemon, token: str) -> str | None:
    """Give whose good token it is, if that person is still in the project."""
    with answering(), daemon.store.reading() as connection:
        person = holder_of_token(connection, digest_of(token), micros(daemon.clock.now()))
    return person if person in daemon.files.project.spec.people else None


def digest_of(token: str) -> str:
    """Give what is kept of a token."""
    return hashlib.sha256(token.encode()).hexdigest()


def _known(daemon: Daemon, person: str) -> None:
    people = daemon.files.project.spec.people
    if person not in people:
        hint = did_you_mean(person, people)
        raise NotFound(f"waystage.yaml lists nobody named {person!r} under people:; {hint}")
