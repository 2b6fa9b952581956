"""Tokens: whose is which, and who acts with it."""

from __future__ import annotations

import hashlib
import hmac
import os
import pwd
import secrets
from collections.abc import Callable, Collection
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from waystage.errors import NotFound
from waystage.people import Caller, holder_acts, owner_acts, service_acts
from waystage.spec.wording import did_you_mean
from waystage.store import answering
from waystage.store.codec import micros
from waystage.store.tokens import holder_of_token, keep_token, revoke_tokens

if TYPE_CHECKING:
    from waystage.daemon.daemon import Daemon
    from waystage.web.models import Whose

SERVICE = "service:"  # before the name of a service, where the name of a person is kept


def callers(daemon: Daemon, owners: str) -> Callable[[str, str], Caller | None]:
    """Give what finds out who acts by token and named person; None for a stranger."""
    owner = local_owner()

    def known(token: str, named: str) -> Caller | None:
        if hmac.compare_digest(token.encode(), owners.encode()):
            return owner_acts(daemon.files.project.spec, owner, named)
        person = holder(daemon, token)
        if person is not None and person.startswith(SERVICE):
            return service_acts(person.removeprefix(SERVICE), named)
        return None if person is None else holder_acts(person, named)

    return known


def local_owner() -> str:
    """Give the user whose process this is: by the system's word, not the environment's."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # as in a container that gives its process a number and no name
        return f"user {os.getuid()}"


def issue(daemon: Daemon, person: str, days: int) -> dict[str, Any]:
    """Make a token for a person or service; it is told this once and never kept."""
    token = f"ws_{secrets.token_urlsafe(32)}"
    expires = daemon.clock.now() + timedelta(days=days)
    daemon.engine.act(
        lambda tx: keep_token(tx.connection, digest_of(token), person, micros(expires))
    ).result(timeout=60)
    return {"person": person, "token": token, "expires_at": expires}


def revoke(daemon: Daemon, person: str) -> dict[str, Any]:
    """End all tokens of a person or service, also of one that is no longer in the project."""
    now = micros(daemon.clock.now())
    ended = daemon.engine.act(lambda tx: revoke_tokens(tx.connection, person, now))
    return {"person": person, "revoked": ended.result(timeout=60)}


def holder(daemon: Daemon, token: str) -> str | None:
    """Give whose good token it is, if that person or service is still in the project."""
    with answering(), daemon.store.reading() as connection:
        person = holder_of_token(connection, digest_of(token), micros(daemon.clock.now()))
    project = daemon.files.project.spec
    if person is not None and person.startswith(SERVICE):
        return person if person.removeprefix(SERVICE) in project.services else None
    return person if person in project.people else None


def digest_of(token: str) -> str:
    """Give what is kept of a token."""
    return hashlib.sha256(token.encode()).hexdigest()


def whose(given: Whose) -> str:
    """Give the name under which tokens are kept."""
    return f"{SERVICE}{given.service}" if given.service else given.person


def holder_named(daemon: Daemon, given: Whose) -> str:
    """Give that name of a person or service of the project; raises `NotFound` for another."""
    project = daemon.files.project.spec
    if given.service:
        _listed(given.service, project.services, "services:", "no service named")
    elif given.person.startswith(SERVICE):
        raise NotFound(f"{given.person!r} is no person; for a service say which: --service NAME")
    else:
        _listed(given.person, project.people, "people:", "nobody named")
    return whose(given)


def _listed(name: str, known: Collection[str], where: str, what: str) -> None:
    if name not in known:
        hint = did_you_mean(name, known)
        raise NotFound(f"waystage.yaml lists {what} {name!r} under {where}; {hint}")
