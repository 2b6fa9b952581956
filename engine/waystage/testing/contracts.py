"""What every plugin of a kind must hold to; authors call these from their own tests.

Each `check_…` raises `AssertionError` saying which promise is broken, and for what.
"""

from __future__ import annotations

import json
import logging
import re
import tempfile
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from functools import partial
from inspect import cleandoc
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from waystage.errors import Conflict, Hopeless, NotFound, WaystageError
from waystage.plugin import (
    Done,
    Fact,
    JsonObject,
    Message,
    Notifier,
    Plugin,
    Refused,
    Repository,
    Secret,
    SecretStore,
    Snapshot,
    Step,
)
from waystage.testing.context import FakeContext, run_to_end

MAX_OUTPUT = 256 * 1024


def examples(plugin: type[Plugin]) -> list[dict[str, Any]]:
    """Give the entries of the YAML list in a plugin's docstring."""
    lines = cleandoc(plugin.__doc__ or "").splitlines()
    start = next((n for n, line in enumerate(lines) if line.lstrip().startswith("- ")), None)
    if start is None:
        return []
    indent = len(lines[start]) - len(lines[start].lstrip())
    block = []
    for line in lines[start:]:
        if line.strip() and len(line) - len(line.lstrip()) < indent:
            break
        block.append(line)
    entries = yaml.safe_load("\n".join(block))
    return [entry for entry in entries if isinstance(entry, dict)]


def check_plugin(plugin: type[Plugin]) -> None:
    """A plugin is named, frozen and closed, and says in its docstring how it is written."""
    assert re.fullmatch(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*", plugin.use), plugin.use
    assert plugin.model_config.get("frozen"), f"{plugin.use}: can be changed once it is made"
    found = examples(plugin)
    assert found, f"{plugin.use}: the docstring has no YAML example"
    first = (plugin.__doc__ or "").strip().splitlines()[0]
    assert first.endswith("."), f"{plugin.use}: the docstring does not begin with one sentence"
    if issubclass(plugin, SecretStore):
        _check_secret_example(plugin, found)
        return
    for entry in found:
        assert entry.get("use") == plugin.use, f"{plugin.use}: the example uses {entry.get('use')}"
        plugin.model_validate(entry.get("with", {}))
        _check_closed(plugin, entry.get("with", {}))


def check_step(step: Step, ctx: FakeContext, *, world: Callable[[], object]) -> Done | Refused:
    """A step that is called again, also as a new attempt, leaves the same world.

    `world` gives what the step may have changed, as something that compares. Every secret that
    the context knows is watched for. Answers what the step answered first.
    """
    with no_secret_told(ctx):
        first = run_to_end(step, ctx)
        check_answer(step, first)
        after = world()
        for attempt in (ctx.attempt, ctx.attempt + 1):
            ctx.memo, ctx.attempt = {}, attempt
            again = run_to_end(step, ctx)
            check_answer(step, again)
            assert type(again) is type(first), f"{step.use}: answers otherwise when repeated"
            assert world() == after, f"{step.use}: a repeated call changed the world"
    return first


def check_answer(step: Step, answer: object) -> None:
    """An answer is `Done` or `Refused`; its output is small, finite JSON of the declared type."""
    assert isinstance(answer, Done | Refused), f"{step.use}: answered {type(answer).__name__}"
    text = as_json(answer.output)
    assert len(text) <= MAX_OUTPUT, f"{step.use}: its output is larger than 256 KiB"
    if isinstance(answer, Refused):
        assert type(step).refuses, f"{step.use}: says that it never refuses, and refused"
        assert answer.why.strip(), f"{step.use}: a refusal says why"
        return
    type(step).Output.model_validate_json(text)
    for fact in answer.facts:
        assert isinstance(fact, get_args(Fact)), f"{step.use}: {fact!r} is not a fact"


def as_json(output: BaseModel | JsonObject) -> str:
    """Write an output as the engine stores it; NaN and infinities raise `ValueError`."""
    plain = output.model_dump(mode="python") if isinstance(output, BaseModel) else output
    json.dumps(plain, allow_nan=False, default=str)
    return output.model_dump_json() if isinstance(output, BaseModel) else json.dumps(output)


def check_repository(
    repository: Repository, ctx: FakeContext, source: Path, manifest: JsonObject
) -> Snapshot:
    """An empty repository keeps what is registered, once per key, and tells of it once.

    `manifest` names no version, so that the repository chooses two of them.
    """
    with no_secret_told(ctx):
        made = repository.register(ctx, source, manifest, key="contract/1")
        assert repository.register(ctx, source, manifest, key="contract/1") == made, "key repeated"
        assert repository.snapshots(ctx) == [made]
        assert repository.get(ctx, made.name, made.version) == made
        missing = partial(repository.get, ctx, made.name, "no-such-version")
        assert _raised(NotFound, missing), "what is not there was found"
        _check_fetch(repository, ctx, made)
        _check_watch(repository, ctx, made)
        other = repository.register(ctx, source, manifest, key="contract/2")
        _check_alias(repository, ctx, made, other.version)
    return made


def check_notifier(
    notifier: Notifier, ctx: FakeContext, message: Message, *, received: Callable[[], list[str]]
) -> None:
    """The same key is one message to its receiver, another key is another.

    `received` gives the ids by which the receiver tells messages apart, also repeated ones.
    """
    before = set(received())
    with no_secret_told(ctx):
        first = notifier.send(ctx, message, key="contract/1")
        assert first == notifier.send(ctx, message, key="contract/1"), "one key, two ids"
        assert len(set(received()) - before) == 1, "one key reached the receiver as two messages"
        notifier.send(ctx, message, key="contract/2")
    assert len(set(received()) - before) == 2, "a message with another key did not arrive"


def check_secret_store(store: SecretStore, project: Path, *, known: str, text: str) -> None:
    """A store gives the text of a known name and of an unknown one tells the name alone."""
    assert store.resolve(known, project) == text
    assert text not in repr(store), "the store's own fields hold the secret"
    for name in ("no/such-secret", "../" + known, "\0", ""):
        error = _raised(Hopeless, partial(store.resolve, name, project))
        assert error is not None, f"the unknown name {name!r} was resolved"
        assert text not in _chain(error), "the error tells a secret"


@contextmanager
def no_secret_told(ctx: FakeContext) -> Iterator[None]:
    """Fail when a secret of the context gets into a log record or an exception."""
    told = _Recorder()
    root, level = logging.getLogger(), logging.getLogger().level
    root.addHandler(told)
    root.setLevel(logging.DEBUG)
    try:
        yield
    except WaystageError as error:
        _assert_silent(ctx.secrets.values(), _chain(error), "an exception")
        raise
    finally:
        root.removeHandler(told)
        root.setLevel(level)
    _assert_silent(ctx.secrets.values(), "\n".join(told.texts), "the log")


class _Recorder(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(self.format(record))


def _assert_silent(secrets: Collection[str], text: str, where: str) -> None:
    for secret in secrets:
        assert secret not in text, f"a secret is told in {where}"


def _chain(error: BaseException | None) -> str:
    texts = []
    while error is not None:
        texts.append(f"{error!r} {error}")
        error = error.__cause__ or error.__context__
    return "\n".join(texts)


def _check_closed(plugin: type[Plugin], fields: dict[str, Any]) -> None:
    error = _raised(ValidationError, lambda: plugin.model_validate({**fields, "no_such_field": 1}))
    assert error is not None, f"{plugin.use}: an unknown field is not refused"


def _check_secret_example(store: type[SecretStore], found: list[dict[str, Any]]) -> None:
    references = [
        Secret.model_validate(value).reference
        for entry in found
        for value in entry.get("with", {}).values()
        if isinstance(value, dict) and "secret" in value
    ]
    family = store.use.removeprefix("secret.")
    assert references, f"{store.use}: the example names no secret"
    assert all(name.startswith(f"{family}/") for name in references), references
    _check_closed(store, {})


def _raised(kind: type[Exception], call: Callable[[], object]) -> Exception | None:
    try:
        call()
    except kind as error:
        return error
    return None


def _check_fetch(repository: Repository, ctx: FakeContext, made: Snapshot) -> None:
    with tempfile.TemporaryDirectory() as directory:
        fetched = repository.fetch(ctx, made, Path(directory))
        assert fetched.is_relative_to(directory), "fetched to somewhere else"
        there = {
            path.relative_to(fetched).as_posix() for path in fetched.rglob("*") if path.is_file()
        }
        assert made.files.keys() <= there, "a file was not fetched"
        wrong = made.model_copy(update={"digest": "sha256:" + "0" * 64})
        unwanted = partial(repository.fetch, ctx, wrong, Path(directory))
        assert _raised(Hopeless, unwanted), "files with another digest were handed out"


def _check_watch(repository: Repository, ctx: FakeContext, made: Snapshot) -> None:
    cursor, new = repository.watch(ctx, {})
    assert new == [made], "a new snapshot was not told"
    cursor = json.loads(json.dumps(cursor))
    assert repository.watch(ctx, cursor)[1] == [], "a snapshot was told twice"


def _check_alias(repository: Repository, ctx: FakeContext, made: Snapshot, other: str) -> None:
    name, version = made.name, made.version
    assert version != other, "another key gave the same version"
    assert repository.alias(ctx, name, "contract") is None
    for _ in range(2):
        repository.set_alias(ctx, name, "contract", version, expect=None)
    unexpected = partial(repository.set_alias, ctx, name, "contract", other, expect=None)
    assert _raised(Conflict, unexpected), "an alias moved from where nobody expected it"
    assert repository.alias(ctx, name, "contract") == version
