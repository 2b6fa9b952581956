"""Real Git repositories with the real git program: on disk, and over HTTP behind a password."""

from __future__ import annotations

import base64
import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from waystage.testing import FakeContext

VALUES = """\
# what Argo CD rolls out; people write here too
model:
  name: credit   # never changed by hand
  version: "1"
  digest: 'sha256:1111'
replicas: 2

list:
  - one
"""
TOKEN = "t0ken-of-the-robot"
FILE = "credit-risk/PROD/values.yaml"


def git(*words: str, cwd: Path) -> str:
    """Call git as a person would."""
    who = ("-c", "user.name=Pat", "-c", "user.email=pat@example.org")
    done = subprocess.run(
        ["git", *who, *words], cwd=cwd, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


@dataclass
class Remote:
    """A bare repository, and a person's clone of it."""

    bare: Path
    person: Path

    @property
    def url(self) -> str:
        return str(self.bare)

    def text(self, branch: str = "main", path: str = FILE) -> str:
        return git("show", f"{branch}:{path}", cwd=self.bare) + "\n"

    def log(self, branch: str = "main") -> list[str]:
        return git("log", "--format=%s", branch, cwd=self.bare).splitlines()

    def branches(self) -> list[str]:
        return git("branch", "--format=%(refname:short)", cwd=self.bare).splitlines()

    def push(self, path: str, change: Callable[[str], str], branch: str = "main") -> None:
        """Let the person change a file and push it."""
        git("fetch", "-q", "origin", cwd=self.person)
        git("checkout", "-q", "-B", branch, f"origin/{branch}", cwd=self.person)
        place = self.person / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(change(place.read_text() if place.exists() else ""))
        git("add", "-A", cwd=self.person)
        git("commit", "-q", "-m", "by hand", cwd=self.person)
        git("push", "-q", "origin", branch, cwd=self.person)


@pytest.fixture
def remote(tmp_path: Path) -> Remote:
    bare, person = tmp_path / "deployments.git", tmp_path / "person"
    git("init", "-q", "--bare", "-b", "main", str(bare), cwd=tmp_path)
    git("clone", "-q", str(bare), str(person), cwd=tmp_path)
    git("checkout", "-q", "-b", "main", cwd=person)
    for stage in ("DEV", "PROD"):
        place = person / "credit-risk" / stage / "values.yaml"
        place.parent.mkdir(parents=True)
        place.write_text(VALUES)
    git("add", "-A", cwd=person)
    git("commit", "-q", "-m", "first", cwd=person)
    git("push", "-q", "origin", "main", cwd=person)
    return Remote(bare, person)


@pytest.fixture
def ctx(tmp_path: Path) -> FakeContext:
    return FakeContext(tmp_path / "home", stage="PROD", secrets={"env/GIT_TOKEN": TOKEN})


@dataclass
class GitServer:
    """Git's own HTTP backend behind a password, and what it was asked."""

    url: str = ""
    asked: list[str] = field(default_factory=list)
    users: list[str] = field(default_factory=list)


@pytest.fixture
def git_server(remote: Remote) -> Iterator[GitServer]:
    """Serve the bare repository by `git http-backend`, the CGI program that git brings."""
    seen = GitServer()
    git("config", "http.receivepack", "true", cwd=remote.bare)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.backend(b"")

        def do_POST(self) -> None:
            self.backend(self.rfile.read(int(self.headers.get("Content-Length", 0))))

        def backend(self, body: bytes) -> None:
            seen.asked.append(self.path)
            user, password = self.who()
            if password != TOKEN:
                self.send_response(401)
                self.send_header("WWW-Authenticate", 'Basic realm="git"')
                self.end_headers()
                return
            seen.users.append(user)
            path, _, query = self.path.partition("?")
            environment = os.environ | {
                "GIT_PROJECT_ROOT": str(remote.bare.parent), "GIT_HTTP_EXPORT_ALL": "1",
                "PATH_INFO": path, "QUERY_STRING": query, "REQUEST_METHOD": self.command,
                "CONTENT_TYPE": self.headers.get("Content-Type", ""), "REMOTE_USER": user,
                "CONTENT_LENGTH": str(len(body)), "HTTP_CONTENT_ENCODING":
                self.headers.get("Content-Encoding", ""),
            }  # fmt: skip
            done = subprocess.run(
                ["git", "http-backend"], input=body, env=environment, capture_output=True,
                check=True,
            )  # fmt: skip
            head, _, answer = done.stdout.partition(b"\r\n\r\n")
            headers = dict(line.split(": ", 1) for line in head.decode().splitlines())
            self.send_response(int(headers.pop("Status", "200").split()[0]))
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def who(self) -> tuple[str, str]:
            said = self.headers.get("Authorization", "").removeprefix("Basic ")
            user, _, password = base64.b64decode(said).decode().partition(":")
            return user, password

        def log_message(self, format: str, *args: object) -> None:
            """Stay quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    seen.url = f"http://127.0.0.1:{server.server_address[1]}/{remote.bare.name}"
    yield seen
    server.shutdown()
    server.server_close()
