"""Monitors that are made of others: each part is measured with what it kept itself."""

from __future__ import annotations

from typing import Any, cast

from pydantic import BaseModel, ConfigDict, Field, model_validator

from waystage.plugin import Context, JsonObject, Monitor


class Part(BaseModel):
    """Another monitor, written as in `monitors:` of a lifecycle."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    use: str
    with_: dict[str, Any] = Field(default={}, alias="with")

    @model_validator(mode="after")
    def _can_be_made(self) -> Part:
        self.monitor()
        return self

    def monitor(self) -> Monitor:
        """Give the monitor; raises `ValueError` for an unknown one or settings that do not fit."""
        from waystage_plugins.monitors import MONITORS

        for kind in MONITORS:
            if kind.use == self.use:
                return kind.model_validate(self.with_)
        known = ", ".join(sorted(kind.use for kind in MONITORS))
        raise ValueError(f"there is no built-in monitor {self.use!r}; there are {known}")


class _OwnMemo:
    """The context of a part: that of the whole, with another memo."""

    def __init__(self, ctx: Context, memo: JsonObject) -> None:
        self._ctx, self.memo = ctx, memo

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ctx, name)


def for_part(ctx: Context, kept: object) -> Context:
    """Give the context for a part that kept this."""
    return cast(Context, _OwnMemo(ctx, kept if isinstance(kept, dict) else {}))
