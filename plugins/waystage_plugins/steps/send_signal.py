"""The step `signal.send`."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import BaseModel, Field

from waystage.plugin import Answer, Context, Done, JsonObject, Signalled, Step


class SendSignal(Step):
    """Tell the other open runs of this snapshot and service that something happened.

        - use: signal.send
          with: {name: snapshot.retired, payload: {why: no one asks for it}}

    A run that listens to the signal where it is goes its way; the others record it. The signal
    is sent in the transaction in which the step is done: once, or not at all.
    """

    use: ClassVar[str] = "signal.send"
    refuses: ClassVar[bool] = False
    inline: ClassVar[bool] = True
    needs_runtime: ClassVar[Literal["any", "online", "batch"] | None] = None

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*$", max_length=100)
    payload: JsonObject = Field(default_factory=dict)

    class Output(BaseModel):
        """The signal's name."""

        name: str

    def run(self, ctx: Context) -> Answer:
        """Tell the engine; it knows which runs there are."""
        fact = Signalled(name=self.name, payload=self.payload)
        return Done(self.Output(name=self.name), facts=(fact,))
