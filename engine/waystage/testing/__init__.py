"""The public test kit: a fake context with a hand-turned clock, and contract suites."""

from waystage.testing.context import FakeContext, run_to_end

__all__ = ["FakeContext", "run_to_end"]
