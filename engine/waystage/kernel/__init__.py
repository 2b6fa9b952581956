"""The kernel: a pure function that decides everything a run does."""

from waystage.kernel.advance import Step, advance
from waystage.kernel.definition import Definition, Node, compile_lifecycle
from waystage.kernel.events import Event
from waystage.kernel.run import Run

__all__ = ["Definition", "Event", "Node", "Run", "Step", "advance", "compile_lifecycle"]
