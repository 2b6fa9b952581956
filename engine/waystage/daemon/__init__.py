"""Claim, call, commit: what makes runs move."""

from waystage.daemon.daemon import Daemon
from waystage.daemon.definitions import Definitions
from waystage.daemon.engine import Engine
from waystage.daemon.opening import Opening

__all__ = ["Daemon", "Definitions", "Engine", "Opening"]
