"""Lifecycles on a virtual clock: scenarios, stepping through, random runs.

Everything is decided by the kernel; nothing is called, stored or sent. Parts of the layer beside
this one (when timers fire, who may answer) are handed in as `Rules`.
"""

from waystage.simulate.coverage import Coverage, coverage_of
from waystage.simulate.player import Played, play
from waystage.simulate.prepared import Lifecycles, Prepared, prepare
from waystage.simulate.world import Rules, World

__all__ = [
    "Coverage", "Lifecycles", "Played", "Prepared", "Rules", "World", "coverage_of", "play",
    "prepare",
]  # fmt: skip
