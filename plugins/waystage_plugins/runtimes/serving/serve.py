"""The life of a server: listen, follow the config, end when nothing is left to serve."""

from __future__ import annotations

import errno
import os
import resource
import signal
import sys
import threading
import time
import traceback
from http.server import HTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

from waystage_plugins.runtimes.files import keep_small, write_json
from waystage_plugins.runtimes.holder import LOCK, announce
from waystage_plugins.runtimes.serving.config import (
    CONFIG,
    FAILURE,
    LOG,
    SERVER,
    Config,
    read_config,
)
from waystage_plugins.runtimes.serving.desk import Desk
from waystage_plugins.runtimes.serving.http import Server
from waystage_plugins.runtimes.serving.models import Models
from waystage_plugins.runtimes.serving.scores import Recorder

if TYPE_CHECKING:
    from waystage_plugins.runtimes.serving.grpc_server import GrpcServer

LOOK_SECONDS = 0.05
DRAIN_SECONDS = 3.0
PORT_IN_USE = 3


def serve(directory: Path, lock: int) -> int:
    """Serve the directory until told to end or nothing is left; `lock` is its descriptor."""
    announce(directory)
    config = read_config(directory, Config)
    if config is None or not config.entries:
        return 0
    models = Models(directory, config)
    desk = Desk(models, Recorder())
    server = _listen(directory, config, models, desk)
    if server is None:
        return PORT_IN_USE
    grpc = _listen_grpc(directory, config, desk) if "grpc" in config.speaks else None
    if "grpc" in config.speaks and grpc is None:
        server.server_close()
        return PORT_IN_USE
    live(directory, lock, models, server, {"grpc_port": grpc.port} if grpc else {})
    desk.mirror.close()
    ended = grpc.stop(DRAIN_SECONDS) if grpc else None
    server.drain(DRAIN_SECONDS)
    if ended is not None:
        ended.wait(DRAIN_SECONDS)
    return 0


def live(
    directory: Path, lock: int, models: Models, server: HTTPServer, told: dict[str, int]
) -> None:
    """Follow the config and answer until told to end or nothing is left.

    `told` is what others should know of this process besides its number and its port.
    """
    (directory / FAILURE).unlink(missing_ok=True)
    write_json(directory / SERVER, {"pid": os.getpid(), "port": server.server_port, **told})
    follower = Follower(directory, lock, models, server)
    threading.Thread(target=follower.run, name="config", daemon=True).start()
    signal.signal(signal.SIGTERM, lambda *_: follower.stop())
    server.serve_forever(poll_interval=0.05)
    server.server_close()


def bound(memory_mb: int | None) -> None:
    """Hold this process to so many megabytes of address space; None lifts what was said before."""
    most = resource.getrlimit(resource.RLIMIT_AS)[1]
    wanted = most if memory_mb is None else memory_mb << 20
    soft = wanted if most == resource.RLIM_INFINITY else min(wanted, most)
    resource.setrlimit(resource.RLIMIT_AS, (soft, most))


class Follower:
    """Looks at the config and follows its changes."""

    def __init__(self, directory: Path, lock: int, models: Models, server: HTTPServer) -> None:
        self._directory, self._models, self._server = directory, models, server
        self._lock = os.fstat(lock).st_ino
        self._seen = (0, 0)

    def stop(self) -> None:
        """End the server, from whichever thread."""
        threading.Thread(target=self._server.shutdown, daemon=True).start()

    def run(self) -> None:
        """Follow until nothing is left to serve."""
        while self._is_ours():
            try:
                self._look()
            except Exception:  # noqa: BLE001  # a server goes on with what it has
                traceback.print_exc(file=sys.stderr)
                sys.stderr.flush()
                time.sleep(1)
            time.sleep(LOOK_SECONDS)
        self.stop()

    def _is_ours(self) -> bool:
        """Whether the directory is there, is still that of our lock, and has something to serve."""
        try:
            if (self._directory / LOCK).stat().st_ino != self._lock:
                return False
            (self._directory / CONFIG).stat()
        except FileNotFoundError:
            return False
        return bool(self._models.table.config.entries)

    def _look(self) -> None:
        found = (self._directory / CONFIG).stat()
        changed = (found.st_mtime_ns, found.st_ino)
        keep_small(self._directory / LOG, self._models.table.config.max_log_bytes)
        if changed == self._seen:
            return
        config = read_config(self._directory, type(self._models.table.config))
        if config is not None:
            bound(config.memory_mb)
            self._models.follow(config)
            self._seen = changed


def _listen(directory: Path, config: Config, models: Models, desk: Desk) -> Server | None:
    # the runtime looks at the server by HTTP, also where no requests come by it
    takes = desk if "rest" in config.speaks else None
    for port in (config.port,) if config.fixed else (config.port, 0):
        try:
            return Server(port, models, takes)
        except OSError as error:
            if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                raise
            reason = "forbidden" if error.errno == errno.EACCES else "port_in_use"
            _fail(directory, reason, f"port {port} on 127.0.0.1 cannot be had: {error.strerror}")
    return None


def _listen_grpc(directory: Path, config: Config, desk: Desk) -> GrpcServer | None:
    try:
        from waystage_plugins.runtimes.serving.grpc_server import GrpcServer
    except ImportError as error:
        _fail(directory, "not_installed", f"{error}: pip install 'waystage[tfserving]'")
        return None
    for port in (config.grpc_port,) if config.grpc_fixed else (config.grpc_port, 0):
        try:
            return GrpcServer(port, desk)
        except RuntimeError as error:  # the library says no more of it
            _fail(directory, "port_in_use", f"port {port} on 127.0.0.1 cannot be had: {error}")
    return None


def _fail(directory: Path, reason: str, message: str) -> None:
    print(message, flush=True)
    write_json(directory / FAILURE, {"reason": reason, "message": message})
