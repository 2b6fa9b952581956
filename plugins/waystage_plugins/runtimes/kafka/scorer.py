"""The life of a scorer: its lanes, and the small server that tells how it fares."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from waystage.plugin import Role
from waystage_plugins.runtimes.holder import announce
from waystage_plugins.runtimes.kafka.lane import Lane
from waystage_plugins.runtimes.kafka.link import ScorerConfig
from waystage_plugins.runtimes.kafka.turns import Turns
from waystage_plugins.runtimes.serving import protocol
from waystage_plugins.runtimes.serving.config import VERSIONS, read_config
from waystage_plugins.runtimes.serving.http import Handler, Server
from waystage_plugins.runtimes.serving.models import Models
from waystage_plugins.runtimes.serving.protocol import Problem
from waystage_plugins.runtimes.serving.scores import Recorder
from waystage_plugins.runtimes.serving.serve import live

END_SECONDS = 4.0
ROLES: tuple[Role, ...] = ("champion", "challenger")


def score(directory: Path, lock: int, secrets: Mapping[str, str]) -> int:
    """Score until told to end or nothing is left; `lock` is the directory's descriptor."""
    announce(directory)
    config = read_config(directory, ScorerConfig)
    if config is None or not config.entries:
        return 0
    models, recorder, turns = Models(directory, config), Recorder(), Turns()
    lanes = {
        role: Lane(role, config.link, secrets, models, recorder, directory, turns) for role in ROLES
    }

    class Telling(_Telling):
        told = lanes

    live(directory, lock, models, Server(0, models, None, Telling), {})
    for lane in lanes.values():
        lane.end()
    for lane in lanes.values():
        lane.wait(END_SECONDS / len(lanes))
    return 0


class _Telling(Handler):
    """Answers what the runtime looks at, and nothing else: requests come by the topics."""

    told: ClassVar[Mapping[Role, Lane]]

    def _get(self) -> dict[str, Any]:
        if self.path != VERSIONS:
            raise Problem(404, "this scorer takes requests by Kafka alone")
        lanes = {role: lane.seen() for role, lane in self.told.items()}
        return protocol.seen(self.server.models.table) | {"lanes": lanes}
