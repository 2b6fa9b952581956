"""Deploying to the Docker engine of a test, and asking what is deployed there."""

from __future__ import annotations

import os

import httpx

from waystage.plugin import DeploySpec, Handle
from waystage.testing import FakeContext
from waystage.testing.runtime_contracts import wait_until_ready
from waystage_plugins.runtimes.docker import DockerServing

NAME = "ws-credit-risk-dev"
# tests that run beside each other have engines of their own, but one machine's ports
OWNER = f"tests-{os.environ.get('PYTEST_XDIST_WORKER', 'alone')}"


def deployed(runtime: DockerServing, ctx: FakeContext, spec: DeploySpec, key: str) -> Handle:
    """Deploy as the step does: apply, wait, and for a champion lead the requests here."""
    ctx.key = key
    handle = runtime.apply(ctx, spec)
    wait_until_ready(runtime, ctx, handle)
    if spec.role == "champion":
        runtime.set_traffic(ctx, handle)
    return handle


def asked(url: str, income: float = 100.0) -> float:
    """Send one scoring request and give the score."""
    body = {"instances": [{"income": income, "owner": False}]}
    answer = httpx.post(f"{url}:predict", json=body, trust_env=False)
    assert answer.status_code == 200, answer.text
    return float(answer.json()["predictions"][0])


def answers(url: str) -> bool:
    """Whether requests are answered there."""
    try:
        asked(url)
    except (httpx.TransportError, AssertionError):
        return False
    return True
