"""The step `argocd.sync`."""

from __future__ import annotations

from datetime import timedelta
from typing import ClassVar, Literal

from pydantic import BaseModel, Field

from waystage.clock import wall_seconds
from waystage.errors import Retryable
from waystage.plugin import Answer, Change, Context, Done, JsonObject, Refused, Secret, Step
from waystage_plugins.delivery.argocd import Application, Argo
from waystage_plugins.delivery.connected import COMMIT
from waystage_plugins.steps.jobs import memo, waited, waiting

LONGEST_WAIT = 15.0
BROKEN = ("Degraded", "Missing")


class ArgoSync(Step):
    """Have Argo CD bring an application to a commit, and wait until it is healthy there.

        - use: argocd.sync
          with:
            server: "https://argocd.example.org"
            token: {secret: env/ARGOCD_TOKEN}
            application: credit-risk-prod
            revision: 1f6e8d3c9b0a4e57c2d1f0b9a8e7d6c5b4a39281
            healthy_within: PT10M

    An application that Argo CD syncs by itself is not synced but waited for. It is refused, with
    what Argo CD says of the resources, when the sync fails, when the application is Degraded or
    Missing for longer than `patience`, or not Healthy after `healthy_within`. `application` is
    written in lower case, as Kubernetes wants names.
    """

    use: ClassVar[str] = "argocd.sync"
    changes: ClassVar[Change] = "forward"
    promotes: ClassVar[bool] = True
    needs_runtime: ClassVar[Literal["any", "online", "batch"] | None] = None

    server: str = Field(pattern=r"^https?://[^\s/]+(/[^\s]*)?$", max_length=2000)
    token: Secret
    application: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9.-]{0,252}$")
    namespace: str = Field(default="", description="of the Application, where it is not Argo CD's")
    revision: str = Field(pattern=COMMIT)
    prune: bool = Field(default=False, description="also take away what Git no longer has")
    healthy_within: timedelta = Field(default=timedelta(minutes=10), gt=timedelta())
    patience: timedelta = Field(default=timedelta(minutes=1), ge=timedelta())

    class Output(BaseModel):
        """What runs now."""

        revision: str
        health: str
        sync: str

    def run(self, ctx: Context) -> Answer:
        """Ask for the sync unless it was asked for, then look until it is over."""
        argo = Argo(ctx, self.server, self.application.lower(), self.token.reveal(ctx),
                    self.namespace)  # fmt: skip
        app, key = argo.look(refresh=not memo(ctx)), f"{ctx.key}#{ctx.attempt}"
        if app.automated:
            known = self.revision in app.revisions | {app.compared}
            return self._judged(ctx, app, there=known and app.synced == "Synced")
        phase = app.operation.get("phase")
        step, _, attempt = app.key.rpartition("#")
        failed_before = phase == "Error" and attempt != str(ctx.attempt)
        if step != ctx.key or failed_before:  # a crash between asking and answering is found here
            asked = argo.sync(self.revision, key, prune=self.prune)
            return self._again(ctx, app, {"asked": asked})
        if phase == "Failed":
            return Refused(f"Argo CD could not sync {self.application}: {app.why}")
        if phase == "Error":
            raise Retryable(f"Argo CD met an error with {self.application}: {app.why}")
        return self._judged(ctx, app, there=phase == "Succeeded" and self.revision in app.revisions)

    def _judged(self, ctx: Context, app: Application, *, there: bool) -> Answer:
        if there and app.health == "Healthy":
            found = self.Output(revision=self.revision, health=app.health, sync=app.synced)
            return Done(found)
        since = memo(ctx).get("broken_since")
        broken = there and app.health in BROKEN
        if broken and isinstance(since, int | float):
            if wall_seconds() - since >= self.patience.total_seconds():
                return Refused(f"{self.application} is {app.health}: {app.why}")
        elif broken:
            since = wall_seconds()
        return self._again(ctx, app, {"broken_since": since if broken else None})

    def _again(self, ctx: Context, app: Application, remember: JsonObject) -> Answer:
        if waited(ctx) >= self.healthy_within.total_seconds():
            return Refused(
                f"{self.application} is not healthy at {self.revision} after {waited(ctx):.0f} s: "
                f"{app.synced}, {app.health}: {app.why}"
            )
        return waiting(ctx, remember, longest=LONGEST_WAIT)
