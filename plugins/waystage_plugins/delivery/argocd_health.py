"""The step `argocd.health`."""

from __future__ import annotations

from datetime import timedelta
from typing import ClassVar, Literal

from pydantic import BaseModel, Field

from waystage.plugin import Answer, Context, Done, Refused, Secret, Step
from waystage_plugins.delivery.argocd import Argo
from waystage_plugins.steps.jobs import waited, waiting


class ArgoHealth(Step):
    """Look whether an application of Argo CD is healthy, changing nothing.

        - use: argocd.health
          with:
            server: "https://argocd.example.org"
            token: {secret: env/ARGOCD_TOKEN}
            application: credit-risk-prod
            patience: PT5M

    It is refused, with what Argo CD says of the resources, when the application is not Healthy
    for as long as `patience`: Degraded, Missing, or still Progressing.
    """

    use: ClassVar[str] = "argocd.health"
    needs_runtime: ClassVar[Literal["any", "online", "batch"] | None] = None

    server: str = Field(pattern=r"^https?://[^\s/]+(/[^\s]*)?$", max_length=2000)
    token: Secret
    application: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9.-]{0,252}$")
    namespace: str = Field(default="", description="of the Application, where it is not Argo CD's")
    patience: timedelta = Field(default=timedelta(minutes=5), ge=timedelta())

    class Output(BaseModel):
        """How it is, and whether it is what Git says."""

        health: str
        sync: str

    def run(self, ctx: Context) -> Answer:
        """Look until it is healthy, or was not for too long."""
        argo = Argo(
            ctx, self.server, self.application.lower(), self.token.reveal(ctx), self.namespace
        )
        app = argo.look(refresh=False)
        if app.health == "Healthy":
            return Done(self.Output(health=app.health, sync=app.synced))
        if waited(ctx) >= self.patience.total_seconds():
            return Refused(f"{self.application} is {app.health}: {app.why}")
        return waiting(ctx, {}, longest=15.0)
