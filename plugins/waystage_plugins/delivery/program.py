"""Calling the git program: argument lists, a closed environment, and a token that nobody sees."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from waystage.errors import Hopeless, Retryable

SECONDS = 300.0  # one call of git; a step's own timeout may be shorter
KEPT = ("PATH", "HOME", "LANG", "TMPDIR", "SSH_AUTH_SOCK", "SSL_CERT_FILE", "GIT_SSL_CAINFO")
# git asks this program for user and password; it answers from its own environment
ASKPASS = """#!/bin/sh
case "$1" in
Username*) printf '%s\\n' "$WAYSTAGE_GIT_USER" ;;
*) printf '%s\\n' "$WAYSTAGE_GIT_TOKEN" ;;
esac
"""
FIXED = {
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_ALLOW_PROTOCOL": "https:http:ssh:file",
    "GIT_OPTIONAL_LOCKS": "0",
    "LC_ALL": "C",  # what git says is read below
    **{f"GIT_{who}_NAME": "Waystage" for who in ("AUTHOR", "COMMITTER")},
    **{f"GIT_{who}_EMAIL": "waystage@localhost" for who in ("AUTHOR", "COMMITTER")},
}
# nothing that a repository or a machine brings may run programs or follow links
SETTINGS = (
    "-c", "core.hooksPath=/dev/null", "-c", "core.symlinks=false", "-c", "credential.helper=",
    "-c", "http.followRedirects=initial", "-c", "commit.gpgSign=false", "-c", "gc.auto=0",
)  # fmt: skip
DENIED = re.compile(
    r"authentication failed|could not read (username|password)|permission denied|access denied"
    r"|error: 40[13]|not authorized|protected branch|pre-receive hook declined",
    re.IGNORECASE,
)
LOST = re.compile(
    r"repository .*not found|does not appear to be a git repository|error: 404"
    r"|transport '.*' not allowed|no such file or directory",
    re.IGNORECASE,
)
RACED = re.compile(
    r"non-fast-forward|fetch first|stale info|cannot lock ref|failed to update ref|incorrect old",
    re.IGNORECASE,
)


class Raced(Exception):
    """Somebody else pushed in between."""


class Declined(Exception):
    """Git cannot bring two changes together."""


@dataclass(frozen=True)
class Git:
    """Git in one directory, as one user of one repository; `token` is in no argument or file."""

    directory: Path
    user: str = ""
    token: str = ""

    def __call__(self, *words: str, cwd: Path | None = None, text: str = "") -> str:
        """Call git and give what it printed; raises `Retryable`, `Hopeless` or `Raced`."""
        done = self.attempt(*words, cwd=cwd, text=text)
        if done.returncode:
            raise _failure(words[0], done.stderr or done.stdout)
        return done.stdout.strip()

    def attempt(
        self, *words: str, cwd: Path | None = None, text: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """Call git and give how it ended; raises `Retryable` when it takes too long."""
        program = shutil.which("git")
        if program is None:
            raise Hopeless("the program git is not installed where the daemon runs")
        try:
            return subprocess.run(  # noqa: S603  # an argument list; no shell reads it
                [program, *SETTINGS, *words], cwd=cwd or self.directory, env=self._environment(),
                input=text, capture_output=True, text=True, check=False, timeout=SECONDS,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise Retryable(f"git {words[0]} took longer than {SECONDS:.0f} s") from None

    def _environment(self) -> dict[str, str]:
        kept = {name: os.environ[name] for name in KEPT if name in os.environ}
        if not self.token:
            return kept | FIXED
        secret = {"WAYSTAGE_GIT_USER": self.user, "WAYSTAGE_GIT_TOKEN": self.token}
        return kept | FIXED | secret | {"GIT_ASKPASS": str(self._askpass())}

    def _askpass(self) -> Path:
        program = self.directory / "askpass.sh"
        if not program.exists():
            beside = program.with_suffix(f".{os.getpid()}")
            beside.write_text(ASKPASS)
            beside.chmod(0o700)
            beside.replace(program)
        return program


def lines(text: str) -> Sequence[str]:
    """Give the lines that are not empty."""
    return [line for line in text.splitlines() if line]


def _failure(verb: str, said: str) -> Exception:
    told = " ".join(said.split())[-500:] or "it said nothing"
    if RACED.search(told):
        return Raced(told)
    if DENIED.search(told):
        return Hopeless(f"git {verb} was refused; look at the token and its rights: {told}")
    if LOST.search(told):
        return Hopeless(f"git {verb} does not find the repository: {told}")
    return Retryable(f"git {verb} failed: {told}")
