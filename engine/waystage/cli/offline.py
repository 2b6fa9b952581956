"""Reading a project's database with the API's own code while no daemon runs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from waystage.daemon.daemon import Daemon
from waystage.web.app import create_app


def read_offline(
    root: Path, path: str, query: dict[str, Any], checked: Callable[[httpx.Response], Any]
) -> Any:
    """Ask the API in this process; nothing is started and the database is not taken."""
    daemon = Daemon(root, upgrade=False)
    try:
        app = create_app(daemon, "offline")
        return checked(asyncio.run(_get(app, path, query)))
    finally:
        daemon.store.close()


async def _get(app: Any, path: str, query: dict[str, Any]) -> httpx.Response:
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://waystage") as client:
        headers = {"Authorization": "Bearer offline"}
        return await client.get(f"/v1/{path}", params=query, headers=headers)
