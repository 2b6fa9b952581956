"""For programs that score and programs that know outcomes: send both to a daemon's scoring log.

from waystage.client import ScoringClient

with ScoringClient(url, token, service="cc-fraud", stage="PROD") as log:
    request = log.score(0.73, {"income": 1500}, snapshot="fraud/3")
    log.label(request, 1, at)
"""

from waystage.client.buffer import BufferFull, ScoringClient
from waystage.client.sender import Row, Sender, Undeliverable

__all__ = ["BufferFull", "Row", "ScoringClient", "Sender", "Undeliverable"]
