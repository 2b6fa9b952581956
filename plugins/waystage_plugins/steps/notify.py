"""The step `notify`."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import BaseModel, Field

from waystage.plugin import Answer, Context, Done, Message, Step


class Notify(Step):
    """Tell people something over one of the project's channels.

    - use: notify
      with: {to: mlops, text: "credit is live", level: info}
    """

    use: ClassVar[str] = "notify"
    refuses: ClassVar[bool] = False
    needs_runtime: ClassVar[Literal["any", "online", "batch"] | None] = None

    to: str = Field(min_length=1, max_length=63)
    text: str = Field(min_length=1, max_length=20_000)
    title: str = Field(default="", max_length=500)
    level: Literal["info", "warn", "alarm"] = "info"

    class Output(BaseModel):
        """What the receiver calls the message."""

        id: str

    def run(self, ctx: Context) -> Answer:
        """Send it; the key makes a repeated message recognizable as the same one."""
        facts = {"snapshot": ctx.snapshot.id, "stage": ctx.stage or "", "state": ctx.state_name}
        message = Message(
            title=self.title or f"{ctx.service}: {ctx.snapshot.id}",
            text=self.text,
            service=ctx.service,
            run=ctx.run,
            level=self.level,
            at=ctx.now,
            facts={name: value for name, value in facts.items() if value},
        )
        return Done(self.Output(id=ctx.notifier(self.to).send(ctx, message, key=ctx.key)))
