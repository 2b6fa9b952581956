"""The contract suites find plugins that break their promises."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import ClassVar

import pytest
from pydantic import BaseModel, ConfigDict

from waystage.errors import Hopeless
from waystage.plugin import (
    Answer,
    Context,
    Done,
    Message,
    Notifier,
    Refused,
    Secret,
    SecretStore,
    Services,
    Step,
)
from waystage.testing import (
    FakeContext,
    check_answer,
    check_notifier,
    check_plugin,
    check_secret_store,
    check_step,
)
from waystage.testing.context import START


class Counting(Step):
    """Append a line at every call, which is not harmless.

    - use: test.counting
    """

    use: ClassVar[str] = "test.counting"

    def run(self, ctx: Context) -> Answer:
        with (ctx.project / "lines").open("a") as file:
            file.write("once more\n")
        return Done()


class Sure(Step):
    """Promise never to refuse."""

    use: ClassVar[str] = "test.sure"
    refuses: ClassVar[bool] = False

    def run(self, ctx: Context) -> Answer:
        return Refused("no, after all")


def test_a_step_that_never_refuses_and_does_is_caught(tmp_path: Path) -> None:
    sure = Sure()
    with pytest.raises(AssertionError, match="never refuses"):
        check_answer(sure, sure.run(FakeContext(tmp_path)))


class Telling(Step):
    """Log a secret."""

    use: ClassVar[str] = "test.telling"
    key: Secret = Secret(secret="env/KEY")
    loudly: bool = False

    def run(self, ctx: Context) -> Answer:
        if self.loudly:
            raise Hopeless(f"cannot log in with {self.key.reveal(ctx)}")
        logging.getLogger("anything").debug("key is %s", self.key.reveal(ctx))
        return Done()


class Wrong(Step):
    """Answer whatever a test wants."""

    use: ClassVar[str] = "test.wrong"
    model_config = ConfigDict(frozen=False, extra="allow")

    class Output(BaseModel):
        """One number."""

        value: float

    def run(self, ctx: Context) -> Answer:
        return Done()


class Doubling(Notifier):
    """Write every message to a file, also when it is there."""

    use: ClassVar[str] = "test.doubling"

    def send(self, ctx: Services, message: Message, *, key: str) -> str:
        place = ctx.project / "sent"
        lines = place.read_text().splitlines() if place.exists() else []
        place.write_text("\n".join([*lines, f"{key} as number {len(lines)}"]))
        return key


class Guessing(SecretStore):
    """Answer the same for every name."""

    use: ClassVar[str] = "secret.guessing"

    def resolve(self, name: str, project: Path) -> str:
        return "hunter2"


@pytest.fixture
def ctx(tmp_path: Path) -> FakeContext:
    return FakeContext(tmp_path, secrets={"env/KEY": "open-sesame-4711"})


def test_an_effect_that_is_repeated_is_found(ctx: FakeContext) -> None:
    with pytest.raises(AssertionError, match="a repeated call changed the world"):
        check_step(Counting(), ctx, world=(ctx.project / "lines").read_text)


def test_a_logged_secret_is_found(ctx: FakeContext) -> None:
    with pytest.raises(AssertionError, match="a secret is told in the log"):
        check_step(Telling(), ctx, world=lambda: None)


def test_a_secret_in_an_error_is_found(ctx: FakeContext) -> None:
    with pytest.raises(AssertionError, match="a secret is told in an exception"):
        check_step(Telling(loudly=True), ctx, world=lambda: None)


@pytest.mark.parametrize(
    "answer",
    [
        None,
        Done({"value": float("nan")}),
        Done({"value": "many"}),
        Done({"value": 1.0, "note": "x" * 300_000}),
        Done({"value": 1.0}, facts=("deployed",)),  # type: ignore[arg-type]  # wrong on purpose
        Refused(" "),
    ],
)
def test_an_answer_that_no_step_may_give_is_found(answer: object) -> None:
    with pytest.raises((AssertionError, ValueError)):
        check_answer(Wrong(), answer)


def test_an_answer_that_a_step_may_give_passes() -> None:
    check_answer(Wrong(), Done({"value": 1.0}))
    check_answer(Wrong(), Refused("the model has no author"))


def test_an_open_or_undocumented_plugin_is_found() -> None:
    with pytest.raises(AssertionError, match="can be changed"):
        check_plugin(Wrong)
    with pytest.raises(AssertionError, match="no YAML example"):
        check_plugin(Telling)
    check_plugin(Counting)


def test_a_notifier_that_repeats_itself_is_found(ctx: FakeContext) -> None:
    message = Message(title="t", text="x", at=START)
    with pytest.raises(AssertionError, match="two messages"):
        check_notifier(Doubling(), ctx, message, received=lambda: _lines(ctx.project / "sent"))


def test_a_store_that_knows_every_name_is_found(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="was resolved"):
        check_secret_store(Guessing(), tmp_path, known="x", text="hunter2")


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []
