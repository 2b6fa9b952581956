"""What one container serves: written here by the runtime, and as `models.config` for the server."""

from __future__ import annotations

from typing import Self

from waystage.plugin import Opening, Snapshot
from waystage.plugin.values import Value
from waystage_plugins.runtimes.docker.containers import archive_of
from waystage_plugins.runtimes.numbers import number_among
from waystage_plugins.runtimes.serving.config import Config, Entry
from waystage_plugins.tfserving import prometheus
from waystage_plugins.tfserving.models_config import ServedModel, specific, write_models

ROOT = "/waystage"  # of the volume, in the container
MODELS = f"{ROOT}/models"
MODELS_CONFIG, MONITORING = "models.config", "monitoring.config"


class Refusal(Value):
    """Why a version is not served."""

    reason: str
    message: str


class Served(Config):
    """All versions of one container, and where its labels lead.

    `answered` are versions that were available once; `refused` ones are kept out; of `left` ones
    the files could not be removed, so that their numbers stay theirs.
    """

    name: str
    image: str = ""
    image_id: str = ""
    base_path: str = MODELS
    labels: dict[str, int] = {}
    refused: dict[int, Refusal] = {}
    answered: tuple[int, ...] = ()
    left: dict[int, str] = {}
    openings: tuple[Opening, ...] = ()

    def number_of(self, snapshot: Snapshot) -> int:
        """Give the version number that a snapshot has, or would get."""
        return number_among(snapshot.id, {**self.left, **self.numbers})

    @property
    def loaded(self) -> tuple[int, ...]:
        """The versions that the server shall load."""
        return tuple(sorted(set(self.numbers) - set(self.refused)))

    @property
    def newcomers(self) -> tuple[int, ...]:
        """Those of them that were never available yet."""
        return tuple(number for number in self.loaded if number not in self.answered)

    def models(self) -> list[ServedModel]:
        """Give what `models.config` says; nothing when there is nothing to load."""
        if not self.loaded:
            return []
        led = {label: n for label, n in self.labels.items() if n in self.loaded}
        versions = specific(*self.loaded)
        return [
            ServedModel(name=self.model, base_path=self.base_path, versions=versions, labels=led)
        ]

    def files(self) -> bytes:
        """Give the files that the server reads, as an archive."""
        return archive_of(
            {
                MONITORING: prometheus.CONFIG.encode(),
                MODELS_CONFIG: write_models(self.models()).encode(),
            }
        )

    def refusing(self, numbers: tuple[int, ...], reason: str, message: str) -> Self:
        """Keep versions out, and remember why."""
        more = dict.fromkeys(numbers, Refusal(reason=reason, message=message[:500]))
        return self.model_copy(update={"refused": {**self.refused, **more}})

    def admitting(self, number: int) -> Self:
        """Let a version in again that was kept out."""
        return self.model_copy(
            update={"refused": {n: why for n, why in self.refused.items() if n != number}}
        )

    def having_answered(self, *numbers: int) -> Self:
        """Remember that versions were available."""
        return self.model_copy(update={"answered": tuple(sorted({*self.answered, *numbers}))})

    def leading(self, label: str, number: int) -> Self:
        """Lead a label to a version."""
        return self.model_copy(update={"labels": {**self.labels, label: number}})

    def left_by(self, number: int, role: str) -> Self:
        """Take a deployment away, and what is remembered of a version that is gone with it."""
        rest = self.without(number, role)
        if number in rest.numbers:
            return rest
        return rest.model_copy(
            update={
                "labels": {label: n for label, n in rest.labels.items() if n != number},
                "refused": {n: why for n, why in rest.refused.items() if n != number},
                "answered": tuple(n for n in rest.answered if n != number),
            }
        )

    def worth_keeping(self, key: str) -> tuple[Entry, ...]:
        """Give the deployments that stay when the call with this key fails."""
        return tuple(
            each for each in self.entries if each.key != key or each.number in self.answered
        )

    def heir(self, number: int, role: str) -> int | None:
        """Give the version that a role's label goes to when this one goes: the latest other one."""
        others = [
            entry.number
            for entry in self.entries
            if entry.role == role and entry.number != number and entry.number in self.answered
            and entry.number not in self.refused
        ]  # fmt: skip
        return others[-1] if others else None
