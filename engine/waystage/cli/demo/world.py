"""What the demo needs around it: a project, a daemon of its own, a webhook receiver."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx

from waystage import library
from waystage.clock import SystemClock
from waystage.daemon.connections import Connections
from waystage.errors import Conflict, Unavailable
from waystage.plugin import Handle
from waystage.registry import load_catalog
from waystage.spec.load import load_project

MARKER = ".waystage-demo"
PATIENCE = 120.0
INDENT = 4  # of what verbs say, on the screen
TOKEN_DAYS = 3660  # the demo's clock turns by years
WHO = ("WAYSTAGE_URL", "WAYSTAGE_TOKEN", "WAYSTAGE_AS")


class Receiver:
    """A real HTTP server that takes the webhook's messages."""

    def __init__(self) -> None:
        self.received: list[dict[str, Any]] = []
        self._shown = 0
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.received.append(json.loads(body))
                self.send_response(204)
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                """Stay quiet: the story shows what came."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/"

    def fresh(self) -> list[dict[str, Any]]:
        """Give what came since the last time."""
        new = self.received[self._shown :]
        self._shown = len(self.received)
        return new

    def stop(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()


class World:
    """The project, its daemon, and how people reach it."""

    def __init__(self, directory: Path) -> None:
        self.root = directory.resolve()
        self.example = library.example("german_credit")
        self.receiver = Receiver()
        self.http = httpx.Client(timeout=30, trust_env=False)
        self._daemon: subprocess.Popen[bytes] | None = None
        self._tokens: dict[str, str] = {}

    def make_project(self) -> str:
        """Make the project anew; only a directory that a demo made is replaced."""
        if self.root.exists():
            if not (self.root / MARKER).exists():
                raise Conflict(
                    f"{self.root} is there and no demo's project; name another directory"
                )
            self._end_project()
            shutil.rmtree(self.root)
        output = self.waystage("init", str(self.root), project=False)
        (self.root / MARKER).write_text("made by `waystage demo`; it may be replaced\n")
        shutil.copy(self.example / "train.py", self.root)
        return output

    def start_daemon(self) -> None:
        """Start a real daemon whose clock can be turned."""
        secret = {
            "WAYSTAGE_WEBHOOK_URL": self.receiver.url,
            "WAYSTAGE_WEBHOOK_SECRET": secrets.token_hex(32),
        }
        command = [sys.executable, "-m", "waystage.cli.main", "--project", str(self.root)]
        with (self.root / "daemon.log").open("ab") as log:
            self._daemon = subprocess.Popen(  # noqa: S603  # our own command line, no shell
                [*command, "up", "--port", "0", "--turned-clock"],
                env=outside() | secret,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.until(lambda: self._address() is not None, "the daemon did not come up")

    def stop(self) -> None:
        """End everything that the demo started."""
        self._end_project()
        if self._daemon is not None:
            self._daemon.wait(timeout=30)
        self.receiver.stop()
        self.http.close()

    def end_kept(self) -> None:
        """End what a demo of before left running; its project stays."""
        if not (self.root / MARKER).exists():
            raise Conflict(f"{self.root} is no demo's project; say which directory")
        self._end_project()
        self.receiver.stop()

    def _end_project(self) -> None:
        placed = json.loads(self.waystage("where", "--json"))  # without a daemon too
        stop_daemon(self.root)
        take_down(self.root, placed)

    def waystage(self, *words: str, person: str = "", project: bool = True) -> str:
        """Run the command line as a person would; raises with its words when it refuses."""
        command = [sys.executable, "-m", "waystage.cli.main"]
        command += ["--project", str(self.root)] if project else []
        own = {"WAYSTAGE_TOKEN": self.token(person)} if person else {}
        own["COLUMNS"] = str(shutil.get_terminal_size().columns - INDENT)  # it is shown, indented
        done = subprocess.run(  # noqa: S603  # our own command line, no shell
            [*command, *words], capture_output=True, text=True, check=False, env=outside() | own
        )
        if done.returncode:
            raise Unavailable(f"waystage {' '.join(words)}: {done.stderr or done.stdout}")
        return done.stdout

    def token(self, person: str) -> str:
        """Give the person's own token, made when it is first wanted."""
        if person not in self._tokens:
            made = self.api("tokens", {"person": person, "days": TOKEN_DAYS})
            self._tokens[person] = made["token"]
        return self._tokens[person]

    def api(self, path: str, body: dict[str, Any] | None = None, **query: Any) -> Any:
        """Ask the daemon's API."""
        address = self._address()
        if address is None:
            raise Unavailable(f"the daemon is gone; see {self.root / 'daemon.log'}")
        headers = {"Authorization": f"Bearer {address['token']}", "X-Waystage-Person": "otto"}
        url = f"{address['url']}/v1/{path}"
        answer = (
            self.http.get(url, params=query, headers=headers)
            if body is None
            else self.http.post(url, json=body, headers=headers)
        )
        if answer.status_code != 200:
            raise Unavailable(f"{path}: {answer.text}")
        return answer.json()

    def turn(self, by: str) -> None:
        """Turn the daemon's clock forward and wait until all that is due has happened."""
        self.api("clock", {"by": by})
        self.settle()

    def settle(self) -> None:
        """Wait until nothing is due and nothing is being called."""
        self.until(lambda: self.api("health")["busy"] == 0, "the daemon does not come to rest")

    def until(self, holds: Callable[[], bool], otherwise: str) -> None:
        """Wait until something holds."""
        end = time.monotonic() + PATIENCE
        while not holds():
            if time.monotonic() > end or (self._daemon and self._daemon.poll() is not None):
                raise Unavailable(f"{otherwise}; see {self.root / 'daemon.log'}{self._parked()}")
            time.sleep(0.02)

    def _parked(self) -> str:
        try:
            return "".join(f"\n{i['run']}: {i['message']}" for i in self.api("incidents"))
        except (Unavailable, httpx.TransportError):
            return ""

    def _address(self) -> dict[str, Any] | None:
        try:
            found: dict[str, Any] = json.loads((self.root / ".waystage/daemon.json").read_text())
        except (FileNotFoundError, json.JSONDecodeError):
            return None
        return found


def outside() -> dict[str, str]:
    """Give the environment without what it says of another daemon and who acts there."""
    return {name: value for name, value in os.environ.items() if name not in WHO}


def stop_daemon(root: Path) -> None:
    """End the daemon of a demo's project, if one runs."""
    try:
        pid = json.loads((root / ".waystage/daemon.json").read_text())["pid"]
        os.kill(pid, signal.SIGTERM)
    except (FileNotFoundError, json.JSONDecodeError, ProcessLookupError):
        return
    end = time.monotonic() + 20
    while (root / ".waystage/daemon.json").exists() and time.monotonic() < end:
        time.sleep(0.05)


def take_down(root: Path, placed: list[dict[str, Any]]) -> None:
    """Have the project's own runtimes end what they started."""
    files = load_project(root)
    catalog = load_catalog(files.project.spec.plugins)
    connections = Connections(files, catalog, SystemClock(), root / ".waystage")
    for each in placed:
        if each["mode"] == "online":
            found = connections.runtime(each["service"], each["stage"], "online")
            found.online.delete(connections, Handle(ref=each["body"]["deployed"]["handle"]))
    connections.close()
