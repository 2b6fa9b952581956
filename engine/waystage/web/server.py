"""Serving the API beside the engine, and telling the CLI where."""

from __future__ import annotations

import json
import os
import secrets
import socket
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import uvicorn

from waystage.errors import Unavailable
from waystage.web.app import create_app

if TYPE_CHECKING:
    from waystage.daemon.daemon import Daemon

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


class WebServer:
    """The API of one daemon on one address."""

    def __init__(self, daemon: Daemon, host: str, port: int) -> None:
        if host not in LOOPBACK:
            raise Unavailable(
                f"listen: {host} is not this machine alone; another address needs TLS and "
                "sign-in, which come with a proxy in front: listen on 127.0.0.1"
            )
        self._file = daemon.state / "daemon.json"
        self._token = secrets.token_urlsafe(32)
        self._socket = _bound(host, port)
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        config = uvicorn.Config(
            create_app(daemon, self._token), log_level="warning", access_log=False,
            timeout_keep_alive=15, timeout_graceful_shutdown=5,
            h11_max_incomplete_event_size=65536, lifespan="off",
        )  # fmt: skip
        self._server = uvicorn.Server(config)
        self._server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]  # the CLI handles signals
        self._thread = threading.Thread(target=self._run, name="web", daemon=True)

    def start(self) -> None:
        """Listen, and write where and with which token for the owner alone to read."""
        self._thread.start()
        _write_private(self._file, {"url": self.url, "token": self._token, "pid": os.getpid()})

    def stop(self) -> None:
        """Answer what is under way and end."""
        self._file.unlink(missing_ok=True)
        self._server.should_exit = True
        self._thread.join(timeout=10)
        self._socket.close()

    def _run(self) -> None:
        self._server.run(sockets=[self._socket])


def _bound(host: str, port: int) -> socket.socket:
    listening = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen(128)  # who reads daemon.json may connect at once
    except OSError as error:
        listening.close()
        raise Unavailable(
            f"port {port} on {host} cannot be used ({error.strerror}); "
            "end what uses it, or say another: waystage up --port N"
        ) from error
    return listening


def _write_private(path: Path, value: dict[str, object]) -> None:
    path.unlink(missing_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w") as file:
        json.dump(value, file)
