"""Mail goes out over SMTP with a Message-ID of its own key and headers that hold."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from email import message_from_bytes
from email.message import Message as Mail
from email.policy import default
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from pydantic import ValidationError

from waystage.errors import Hopeless, Retryable
from waystage.plugin import Message
from waystage.testing import FakeContext, check_notifier
from waystage.testing.context import START
from waystage_plugins.notifiers import MailNotifier

MESSAGE = Message(
    title="KS fell", text="below 0.3\nüber Nacht", run="credit-1", at=START, facts={"stage": "PROD"}
)


class Inbox:
    """An SMTP server's handler that keeps mails and refuses whom it is told to."""

    def __init__(self) -> None:
        self.mails: list[Mail] = []
        self.answers: dict[str, str] = {}
        self.port = 0

    async def handle_RCPT(  # noqa: N802  # the name that aiosmtpd calls
        self, server: Any, session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        if address not in self.answers:
            envelope.rcpt_tos.append(address)
        return self.answers.get(address, "250 OK")

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802  # the same
        self.mails.append(message_from_bytes(envelope.content, policy=default))
        return "250 OK"

    def ids(self) -> list[str]:
        return [str(mail["Message-ID"]) for mail in self.mails]


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    handler = Inbox()
    with socket.create_server(("127.0.0.1", 0)) as free:
        handler.port = free.getsockname()[1]
    controller = Controller(handler, hostname="127.0.0.1", port=handler.port)
    controller.start()
    yield handler
    controller.stop()


@pytest.fixture
def ctx(tmp_path: Path) -> FakeContext:
    return FakeContext(tmp_path, secrets={"env/SMTP": "smtp-password-4711"})


def notifier(inbox: Inbox, **fields: Any) -> MailNotifier:
    settings = {
        "host": "127.0.0.1",
        "port": inbox.port,
        "tls": "none",
        "sender": "waystage@example.org",
        "to": ["risk@example.org"],
    }
    return MailNotifier.model_validate(settings | fields)


def test_mail_keeps_the_contract(ctx: FakeContext, inbox: Inbox) -> None:
    check_notifier(notifier(inbox), ctx, MESSAGE, received=inbox.ids)


def test_a_mail_says_what_the_message_says(ctx: FakeContext, inbox: Inbox) -> None:
    assert notifier(inbox).send(ctx, MESSAGE, key="k") == inbox.ids()[0]
    mail = inbox.mails[0]
    assert (mail["Subject"], mail["To"]) == ("KS fell", "risk@example.org")
    assert mail["Auto-Submitted"] == "auto-generated"
    body = str(mail.get_content())  # type: ignore[attr-defined]  # a mail of the new policy has it
    assert body.splitlines() == ["below 0.3", "über Nacht", "", "run: credit-1", "stage: PROD"]


@pytest.mark.parametrize("break_", ["\r\n", "\n", "\r", "\x0b", "\x85", "\u2028"])
def test_no_text_gets_a_header_of_its_own(ctx: FakeContext, inbox: Inbox, break_: str) -> None:
    evil = MESSAGE.model_copy(update={"title": f"KS{break_}Bcc: eve@example.org{break_}{break_}x"})
    notifier(inbox).send(ctx, evil, key=f"k{break_}Bcc: eve@example.org")
    mail = inbox.mails[0]
    assert mail["Bcc"] is None
    assert str(mail["Subject"]).startswith("KS ")
    assert len(mail.get_all("Message-ID", [])) == 1


@pytest.mark.parametrize("address", ["a@b\r\nBcc: x@y", "a b@c", "a@b, c@d", "<a@b>", ""])
def test_addresses_that_are_none_are_refused(inbox: Inbox, address: str) -> None:
    with pytest.raises(ValidationError):
        notifier(inbox, to=[address])


def test_a_password_is_never_sent_in_the_clear(inbox: Inbox) -> None:
    with pytest.raises(ValidationError, match="not sent without tls"):
        notifier(inbox, user="u", password={"secret": "env/SMTP"})


def test_a_server_without_starttls_is_hopeless_and_gets_no_mail(
    ctx: FakeContext, inbox: Inbox
) -> None:
    with pytest.raises(Hopeless, match="STARTTLS"):
        notifier(inbox, tls="starttls").send(ctx, MESSAGE, key="k")
    assert inbox.mails == []


def test_an_unknown_recipient_is_hopeless_and_named(ctx: FakeContext, inbox: Inbox) -> None:
    inbox.answers["gone@example.org"] = "550 no such user"
    with pytest.raises(Hopeless, match=r"does not take mail for gone@example\.org"):
        notifier(inbox, to=["risk@example.org", "gone@example.org"]).send(ctx, MESSAGE, key="k")
    assert len(inbox.mails) == 1


def test_a_full_mailbox_is_tried_again(ctx: FakeContext, inbox: Inbox) -> None:
    inbox.answers["risk@example.org"] = "452 mailbox is full"
    with pytest.raises(Retryable, match=r"risk@example\.org"):
        notifier(inbox).send(ctx, MESSAGE, key="k")


def test_no_server_is_tried_again(ctx: FakeContext, inbox: Inbox) -> None:
    with pytest.raises(Retryable, match=r"mail server 127\.0\.0\.1: ConnectionRefusedError"):
        notifier(inbox, port=1).send(ctx, MESSAGE, key="k")
