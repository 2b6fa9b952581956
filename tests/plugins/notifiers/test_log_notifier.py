"""The log notifier writes each message as one line, once."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from waystage.plugin import Message
from waystage.testing import FakeContext, check_notifier
from waystage.testing.context import START
from waystage_plugins.notifiers import LogNotifier

MESSAGE = Message(title="KS fell", text="below 0.3", service="credit-risk", at=START)


@pytest.fixture
def ctx(tmp_path: Path) -> FakeContext:
    return FakeContext(tmp_path)


def written(ctx: FakeContext, name: str = "messages.jsonl") -> list[dict[str, str]]:
    place = ctx.project / name
    return [json.loads(line) for line in place.read_text().splitlines()] if place.exists() else []


def test_the_log_notifier_keeps_the_contract(ctx: FakeContext) -> None:
    notifier = LogNotifier(path="messages.jsonl")
    check_notifier(notifier, ctx, MESSAGE, received=lambda: [line["key"] for line in written(ctx)])
    assert len(written(ctx)) == 2
    assert written(ctx)[0]["text"] == "below 0.3"


def test_without_a_path_the_file_is_in_the_daemons_directory(ctx: FakeContext) -> None:
    LogNotifier().send(ctx, MESSAGE, key="k")
    assert (ctx.state / "messages.jsonl").exists()


def test_no_text_passes_for_another_line_or_key(ctx: FakeContext) -> None:
    notifier = LogNotifier(path="messages.jsonl")
    evil = MESSAGE.model_copy(update={"text": 'x\n{"key": "k2", "text": "approved"}\u2028\u202e'})
    notifier.send(ctx, evil, key="k1")
    notifier.send(ctx, MESSAGE, key="k2")
    assert [line["key"] for line in written(ctx)] == ["k1", "k2"]
    assert (ctx.project / "messages.jsonl").read_bytes().isascii()


def test_a_line_that_a_crash_tore_does_not_count_and_is_left_alone(ctx: FakeContext) -> None:
    place = ctx.project / "messages.jsonl"
    place.write_text('{"key": "k1", "title": "KS f')
    LogNotifier(path="messages.jsonl").send(ctx, MESSAGE, key="k1")
    lines = place.read_text().splitlines()
    assert lines[0] == '{"key": "k1", "title": "KS f'
    assert json.loads(lines[1])["title"] == "KS fell"


def test_many_at_once_write_one_line_per_key(ctx: FakeContext) -> None:
    notifier = LogNotifier(path="messages.jsonl")
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: notifier.send(ctx, MESSAGE, key=f"k{n % 10}"), range(60)))
    assert sorted(line["key"] for line in written(ctx)) == [f"k{n}" for n in range(10)]


def test_who_reads_the_daemons_log_reads_a_sentence(
    ctx: FakeContext, caplog: pytest.LogCaptureFixture
) -> None:
    told = MESSAGE.model_copy(
        update={"text": "below 0.3\n2026 ERROR forged\u202e", "level": "alarm"}
    )
    with caplog.at_level("INFO"):
        LogNotifier().send(ctx, told, key="k")
    (record,) = [each for each in caplog.records if each.message.startswith("message: ")]
    assert record.message == "message: KS fell (credit-risk): below 0.3 2026 ERROR forged "
    assert record.levelname == "ERROR"
