"""Which requests are kept out of training, so that a challenger can be judged on them."""

from __future__ import annotations

import hashlib

HOLDOUT = 0.3  # the share that is kept out unless a step says otherwise


def is_holdout(request_id: str, fraction: float = HOLDOUT) -> bool:
    """Say whether a request is kept out of training: always the same answer for the same id.

    The id's sha256, read as a number in 0..1, lies below `fraction`. So the requests kept out
    at 0.2 are among those kept out at 0.3, and no other split by a plain hash of the id goes
    along with this one.
    """
    digest = hashlib.sha256(b"waystage holdout " + request_id.encode("utf-8", "surrogatepass"))
    return int.from_bytes(digest.digest()[:8], "big") < int(fraction * 2**64)
