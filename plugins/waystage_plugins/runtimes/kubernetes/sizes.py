"""How big what runs on a cluster is, and how many there are."""

from __future__ import annotations

from pydantic import Field, model_validator

from waystage.plugin.values import Value

QUANTITY = r"^[0-9]+(\.[0-9]+)?(m|k|M|G|Ki|Mi|Gi)?$"


class Autoscale(Value):
    """How many pods there are, by how busy they are."""

    min: int = Field(default=1, ge=1, le=1000)
    max: int = Field(ge=1, le=1000)
    cpu_percent: int = Field(default=80, ge=1, le=100)

    @model_validator(mode="after")
    def _ordered(self) -> Autoscale:
        if self.max < self.min:
            raise ValueError("max: is not below min:")
        return self


class Resources(Value):
    """What a pod asks for and may use at most; without a limit of memory it is what it asks for."""

    cpu: str = Field(default="500m", pattern=QUANTITY)
    memory: str = Field(default="1Gi", pattern=QUANTITY)
    cpu_limit: str = Field(default="", pattern=rf"{QUANTITY}|^$")
    memory_limit: str = Field(default="", pattern=rf"{QUANTITY}|^$")

    @property
    def requests(self) -> dict[str, str]:
        """The part that the scheduler sets aside."""
        return {"cpu": self.cpu, "memory": self.memory}

    @property
    def limits(self) -> dict[str, str]:
        """The part that a pod may not go beyond."""
        limits = {"memory": self.memory_limit or self.memory}
        return limits | ({"cpu": self.cpu_limit} if self.cpu_limit else {})
