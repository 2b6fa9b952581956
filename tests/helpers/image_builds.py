"""A build of a serving image against a registry of the tests, and how one fails."""

from __future__ import annotations

from typing import Any

import pytest
from image_registry import PASSWORD, Shelf

from waystage.plugin import Step
from waystage.testing import FakeContext, run_to_end
from waystage_plugins.images import BuildServingImage

PATH = "models/credit-risk"
TOKEN = {"secret": "env/REGISTRY_TOKEN"}


def build(shelf: Shelf, **login: Any) -> BuildServingImage:
    registry = {"host": shelf.address, "project": "models", "plain_http": True, **login}
    base = f"{shelf.address}/mirror/serving:2.19.1"
    return BuildServingImage.model_validate({"base": base, "tag": "1", "registry": registry})


def failing(step: Step, ctx: FakeContext, kind: type[Exception]) -> str:
    """Give the one line that the step fails with; the packed layer must be gone."""
    return str(failed(step, ctx, kind))


def failed(step: Step, ctx: FakeContext, kind: type[Exception]) -> Exception:
    """Give what the step fails with; the packed layer must be gone."""
    with pytest.raises(kind) as caught:
        run_to_end(step, ctx)
    assert "\n" not in str(caught.value)
    assert PASSWORD not in str(caught.value)
    assert list(ctx.scratch.iterdir()) == []
    return caught.value
