"""The step `argocd.restore`."""

from __future__ import annotations

from typing import ClassVar

from waystage.errors import Hopeless
from waystage.plugin import Answer, Change, Context, Refused
from waystage_plugins.delivery.argocd_sync import ArgoSync


class ArgoRestore(ArgoSync):
    """Have Argo CD bring an application to a commit that takes something back.

        - use: argocd.restore
          with:
            server: "https://argocd.example.org"
            token: {secret: env/ARGOCD_TOKEN}
            application: credit-risk-prod
            revision: 1f6e8d3c9b0a4e57c2d1f0b9a8e7d6c5b4a39281

    It does what `argocd.sync` does, goes through freezes of the stage that are not strict, and
    takes no refusal for an answer: what cannot be taken back parks the run, so that a person looks.
    """

    use: ClassVar[str] = "argocd.restore"
    refuses: ClassVar[bool] = False
    changes: ClassVar[Change] = "back"
    promotes: ClassVar[bool] = False

    class Output(ArgoSync.Output):
        """What runs now."""

    def run(self, ctx: Context) -> Answer:
        """Sync as ever, but fail where that refuses."""
        answer = super().run(ctx)
        if isinstance(answer, Refused):
            raise Hopeless(answer.why)
        return answer
