"""`models.config`: which versions of which models a server loads, and their labels.

Field names are those of TensorFlow Serving's `model_server_config.proto`.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, ValidationError, model_validator

from waystage.plugin.values import Value
from waystage_plugins.tfserving import textproto
from waystage_plugins.tfserving.textproto import Message, NotText, messages, only, several

LABEL = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$"
CONFIG_FIELDS = (
    "name", "base_path", "model_platform", "model_version_policy", "version_labels",
)  # fmt: skip


class Versions(Value):
    """Which versions below a model's path are loaded: the latest ones, all, or these."""

    policy: Literal["latest", "all", "specific"] = "latest"
    count: int = Field(default=1, ge=1, description="of the latest ones")
    numbers: tuple[int, ...] = Field(default=(), description="of the specific ones")

    @model_validator(mode="after")
    def _whole(self) -> Versions:
        if (self.policy == "specific") != bool(self.numbers):
            raise ValueError("specific versions are named, and no others")
        if any(number < 1 for number in self.numbers):
            raise ValueError("a version is a number from 1 on")
        return self


class ServedModel(Value):
    """One model of a server. A label leads requests to the version that it names."""

    name: str = Field(pattern=LABEL)
    base_path: str = Field(min_length=1, max_length=1000)
    platform: str = "tensorflow"
    versions: Versions = Versions()
    labels: dict[str, int] = {}

    @model_validator(mode="after")
    def _known(self) -> ServedModel:
        for label, number in self.labels.items():
            if self.versions.policy == "specific" and number not in self.versions.numbers:
                raise ValueError(f"label {label} leads to version {number}, which is not loaded")
        return self


def specific(*numbers: int) -> Versions:
    """Load exactly these versions."""
    return Versions(policy="specific", numbers=tuple(sorted(set(numbers))))


def write_models(models: list[ServedModel]) -> str:
    """Write `models.config`."""
    return textproto.write([("model_config_list", [("config", as_message(m)) for m in models])])


def read_models(text: str) -> list[ServedModel]:
    """Read `models.config`; raises `NotText` with what is wrong in it."""
    message = textproto.read(text)
    only(message, ("model_config_list",), "models.config")
    found: list[ServedModel] = []
    for listed in messages(message, "model_config_list"):
        only(listed, ("config",), "model_config_list")
        found += [_model(each) for each in messages(listed, "config")]
    names = [model.name for model in found]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise NotText(f"model {twice[0]} is there twice")
    return found


def as_message(model: ServedModel) -> Message:
    """Give a model's part of the configuration."""
    labels: Message = [
        ("version_labels", [("key", label), ("value", number)])
        for label, number in sorted(model.labels.items())
    ]
    return [
        ("name", model.name),
        ("base_path", model.base_path),
        ("model_platform", model.platform),
        ("model_version_policy", [(model.versions.policy, _chosen(model.versions))]),
        *labels,
    ]


def _chosen(versions: Versions) -> Message:
    if versions.policy == "latest":
        return [("num_versions", versions.count)]
    return [("versions", number) for number in versions.numbers]


def _model(message: Message) -> ServedModel:
    only(message, CONFIG_FIELDS, "config")
    given = {
        "name": _last(message, "name", ""),
        "base_path": _last(message, "base_path", ""),
        "platform": _last(message, "model_platform", "tensorflow"),
        "labels": {
            str(_last(each, "key", "")): _last(each, "value", 0)
            for each in messages(message, "version_labels")
        },
    }
    try:
        policies = messages(message, "model_version_policy")
        versions = _versions(policies[-1]) if policies else Versions()
        return ServedModel.model_validate(given | {"versions": versions})
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise NotText(f"model {given['name']!r}: {place}: {first['msg']}") from None


def _versions(message: Message) -> Versions:
    only(message, ("latest", "all", "specific"), "model_version_policy")
    if len(message) != 1 or not isinstance(message[0][1], list):
        raise NotText("model_version_policy is one of latest {}, all {} and specific {}")
    name, chosen = message[0]
    fields = {"latest": ("num_versions",), "specific": ("versions",), "all": ()}[name]
    assert isinstance(chosen, list), "it was looked at above"
    only(chosen, fields, name)
    told = {"count": _last(chosen, "num_versions", 1)} if name == "latest" else {}
    return Versions.model_validate(
        {"policy": name, "numbers": several(chosen, "versions"), **told}, strict=False
    )


def _last(message: Message, name: str, default: object) -> object:
    found = several(message, name)
    return found[-1] if found else default
