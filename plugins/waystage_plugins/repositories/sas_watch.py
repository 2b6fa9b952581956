"""What a watch of SAS's model repository has seen."""

from __future__ import annotations

from typing import Any

from waystage.plugin import JsonObject
from waystage_plugins.repositories.mlflow_watch import Troubles


class Cursor(Troubles):
    """For each model, by its id, the names of the versions that were taken.

    A version that is not listed any more is forgotten: listed again, it is told again.
    """

    def __init__(self, old: JsonObject) -> None:
        super().__init__(old)
        found = old.get("models")
        self._old: dict[str, Any] = found if isinstance(found, dict) else {}
        self._models: dict[str, Any] = {}

    def keeps(self, model: str, version: str) -> bool:
        """Whether a version was taken before; then it stays remembered."""
        known = version in self._old.get(model, [])
        if known:
            self.keep(model, version)
        return known

    def keep(self, model: str, version: str) -> None:
        """Remember that a version was taken."""
        self._models.setdefault(model, []).append(version)

    def next(self) -> JsonObject:
        """Give what the next look begins with."""
        return {"models": self._models, "troubles": self._told}
