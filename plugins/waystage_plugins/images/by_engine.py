"""Building and pushing with a Docker engine."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from waystage.plugin import Context
from waystage_plugins.images.engine import Engine
from waystage_plugins.images.publish import Target, held, turn, verified
from waystage_plugins.images.remote import remote

MINE = "waystage.local"  # no registry has this name: such a tag never leaves the engine


def working_name(ctx: Context, act: str = "build") -> str:
    """Give the name that an image has while this step works on it, the same over attempts."""
    return f"{MINE}/{hashlib.sha256(ctx.key.encode()).hexdigest()[:32]}:{act}"


@contextmanager
def cleared(engine: Engine, *names: str) -> Iterator[None]:
    """Take these names away in the end, also when something fails; a dead engine keeps them."""
    try:
        yield
    finally:
        for name in names:
            with suppress(Exception):  # what went wrong before is what counts
                engine.untag(name)


def push_by_engine(ctx: Context, engine: Engine, target: Target, image: str, own: str) -> str:
    """Push an image of the engine, and give the digest that the registry has it by.

    `image` is its id, the digest of its configuration; `own` is what the engine calls it.
    The digest is what the engine says at the end of its push, and what the registry says when
    it is asked again. The engine keeps none of the names that were needed for it.
    """
    goal, pushing = target.reference, working_name(ctx, "push")
    with turn(ctx, target), remote(ctx, goal.host, target.login, goal.path) as there:
        # a name without our mark beside it was there before: it stays
        theirs = engine.image(str(goal)) is not None and engine.image(pushing) is None
        with cleared(engine, *([] if theirs else [str(goal)]), pushing):
            if kept := held(there, target, image):
                return kept
            if not theirs:
                engine.tag(own, pushing)
            engine.tag(own, str(goal))
            digest = engine.push(str(goal), target.login.credentials(ctx))
            return verified(there, target, digest)
