"""A real PgBouncer before a test's server, where the program is installed."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

PLACES = "/usr/sbin:/usr/local/sbin:/usr/local/bin:/usr/bin"
SETTINGS = """
[databases]
* = host=127.0.0.1 port={server}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = trust
auth_file = {users}
pool_mode = {mode}
default_pool_size = {size}
max_client_conn = 100
server_login_retry = 1
ignore_startup_parameters = extra_float_digits
"""


class NoBouncer(Exception):  # the word that tests are skipped with
    """The program is not here."""


class PgBouncer:
    """One pooler on loopback in one mode."""

    def __init__(self, server: int, mode: str, user: str, size: int = 10) -> None:
        program = shutil.which("pgbouncer", path=PLACES + ":" + os.environ.get("PATH", ""))
        if program is None:
            raise NoBouncer("pgbouncer is not installed (Debian: apt-get install pgbouncer)")
        self._place = Path(tempfile.mkdtemp(prefix="waystage-pgbouncer-"))
        self._place.chmod(0o755)
        self.port = _free_port()
        users = self._place / "users"
        users.write_text(f'"{user}" ""\n')
        settings = self._place / "settings.ini"
        settings.write_text(
            SETTINGS.format(server=server, port=self.port, users=users, mode=mode, size=size)
        )
        as_user: dict[str, Any] = {}
        if os.geteuid() == 0:  # it refuses to be root
            nobody = pwd.getpwnam("nobody")
            as_user = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
        self._process = subprocess.Popen(
            [program, "-q", str(settings)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, **as_user,
        )  # fmt: skip
        self._wait()

    def url(self, direct: str) -> str:
        """Give the way through the pooler to a database of the server."""
        head, _, name = direct.rpartition("/")
        return f"{head.rpartition(':')[0]}:{self.port}/{name}"

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait(timeout=300)
        shutil.rmtree(self._place, ignore_errors=True)

    def _wait(self) -> None:
        end = time.monotonic() + 120
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                assert self._process.poll() is None, "pgbouncer ended at once"
                assert time.monotonic() < end, "pgbouncer does not listen"
                time.sleep(0.02)
            else:
                return


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
