"""A canary against a baseline that was started with it: what online metrics say of both."""

from waystage_plugins.canary.judge import JudgeCanary

CANARY = (JudgeCanary,)

__all__ = ["CANARY"]
