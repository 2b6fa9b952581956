"""Whether a lifecycle can be opened as a child run: for whom, and with which parameters."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

from waystage.spec.fields import misfit
from waystage.spec.lifecycle import Lifecycle


def cannot_open(spec: Lifecycle, service: str, params: Mapping[str, Any]) -> str:
    """Say why a call with these parameters opens no run; empty if it does."""
    if not any(fnmatchcase(service, glob) for glob in spec.services):
        return f"lifecycle {spec.lifecycle!r} is not for {service!r}"
    for name, value in params.items():
        if name not in spec.params:
            return f"lifecycle {spec.lifecycle!r} has no parameter {name!r}"
        if wrong := misfit(spec.params[name], value):
            return f"lifecycle {spec.lifecycle!r}: parameter {name!r}: {wrong}"
    return ""
