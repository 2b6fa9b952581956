"""A repository as the daemon sees it: fetched into a bare copy, changed in a work tree, pushed."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from waystage.errors import Hopeless, Retryable
from waystage.plugin import Context
from waystage_plugins.delivery.program import Git, Raced, lines
from waystage_plugins.repositories.layout import locked

TRIES = 5  # pushes that lost a race, in one attempt of a step
KEY, RUN, REVERTS = "Waystage-Key", "Waystage-Run", "Waystage-Reverts"
Change: TypeAlias = Callable[["Tree"], str | None]


@dataclass(frozen=True)
class Tree:
    """A work tree at the tip of a branch."""

    git: Git
    place: Path
    tip: str

    def call(self, *words: str, text: str = "") -> str:
        """Call git in the tree."""
        return self.git(*words, cwd=self.place, text=text)

    def commit(self, message: str) -> str:
        """Commit what is staged and give the commit."""
        self.call("commit", "--quiet", "--cleanup=verbatim", "--file=-", text=message)
        return self.call("rev-parse", "HEAD")


@dataclass(frozen=True)
class Clone:
    """The daemon's bare copy of one repository, held by this thread alone."""

    git: Git
    url: str
    scratch: Path

    def tip(self, branch: str) -> str | None:
        """Fetch a branch and give its newest commit; None if there is no such branch."""
        ref = f"refs/heads/{branch}"
        if not self.git("ls-remote", "--heads", "--", self.url, ref):
            return None
        self.git("fetch", "--quiet", "--no-tags", "--force", "--", self.url, f"{ref}:{ref}")
        return self.git("rev-parse", "--verify", ref)

    def need(self, branch: str) -> str:
        """Give the newest commit of a branch that must be there."""
        found = self.tip(branch)
        if found is None:
            raise Hopeless(f"{self.url} has no branch {branch!r}")
        return found

    def found(self, tip: str, trailer: str, value: str) -> list[str]:
        """Give the commits below a tip whose message has exactly this trailer, newest first."""
        form = f"%H%x1f%(trailers:key={trailer},valueonly,separator=%x1f)"
        said = self.git("log", f"--format={form}", "--fixed-strings",
                        f"--grep={trailer}: {value}", tip, "--")  # fmt: skip
        rows = [line.split("\x1f") for line in lines(said)]
        return [commit for commit, *values in rows if value in values]

    def changed(self, branch: str, base: str, change: Change) -> str | None:
        """Make a change at the tip of a branch and push it, again if somebody else was faster.

        `change` commits in the tree and gives the commit, or None if there is nothing to do.
        """
        for _ in range(TRIES):
            tip = self.tip(branch)
            try:
                with self._tree(tip or self.need(base)) as tree:
                    made = change(tree)
                    if made is None:
                        return None
                    self.push(made, branch, tip)
                    return made
            except Raced:
                continue
        raise Retryable(f"others pushed to {branch!r} of {self.url} {TRIES} times in between")

    def push(self, commit: str, branch: str, expected: str | None) -> None:
        """Push one commit; raises `Raced` unless the branch is still where it was."""
        ref = f"refs/heads/{branch}"
        lease = f"--force-with-lease={ref}:{expected or ''}"
        self.git("push", "--quiet", lease, "--", self.url, f"{commit}:{ref}")

    def drop(self, branch: str, expected: str) -> None:
        """Take a branch away that is still where it was; one that is gone or moved stays so."""
        ref = f"refs/heads/{branch}"
        lease = f"--force-with-lease={ref}:{expected}"
        self.git.attempt("push", "--quiet", lease, "--", self.url, f":{ref}")

    @contextmanager
    def _tree(self, tip: str) -> Iterator[Tree]:
        place = self.scratch / "tree"
        self._clear(place)
        self.git("worktree", "add", "--quiet", "--force", "--detach", str(place), tip)
        try:
            yield Tree(self.git, place, tip)
        finally:
            self._clear(place)

    def _clear(self, place: Path) -> None:
        shutil.rmtree(place, ignore_errors=True)
        self.git("worktree", "prune")


@contextmanager
def cloned(ctx: Context, url: str, user: str, token: str) -> Iterator[Clone]:
    """Give the daemon's copy of a repository; other steps that want it wait."""
    home = ctx.state / "git"
    home.mkdir(exist_ok=True)
    bare = home / hashlib.sha256(url.encode()).hexdigest()[:24]
    with locked(bare.with_suffix(".lock")):
        for left in bare.rglob("*.lock"):  # of a git that was killed: nobody else is in here
            left.unlink(missing_ok=True)
        git = Git(bare, user, token)
        if not (bare / "HEAD").exists():
            shutil.rmtree(bare, ignore_errors=True)
            bare.mkdir()
            git("init", "--quiet", "--bare", str(bare))
        yield Clone(git, url, ctx.scratch)


def key_of(ctx: Context, *said: object) -> str:
    """Give what names a step's commit: its key, and a hash of what it is to make so."""
    parts = "\n".join([ctx.snapshot.digest, *map(repr, said)])
    return f"{ctx.key}@{hashlib.sha256(parts.encode()).hexdigest()[:12]}"


def run_of(ctx: Context) -> str:
    """Give what names all commits of a run."""
    return f"{ctx.run}@{ctx.snapshot.digest.removeprefix('sha256:')[:12]}"


def message(ctx: Context, title: str, key: str, *more: str) -> str:
    """Write a commit's message with the trailers that it is found by."""
    told = [f"{KEY}: {key}", f"{RUN}: {run_of(ctx)}", f"Waystage-Snapshot: {ctx.snapshot.id}"]
    return "\n".join([" ".join(title.split()), "", *told, *more]) + "\n"
