"""Messages as mail."""

from __future__ import annotations

import hashlib
import smtplib
import socket
import ssl
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from waystage.errors import Hopeless, Retryable
from waystage.plugin import Message, Notifier, Secret, Services

Address = Annotated[
    str,
    Field(pattern=r"^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9.-]{1,253}$", max_length=254),
]
HIGH = {"X-Priority": "1", "Importance": "high"}


class MailNotifier(Notifier):
    """Send each message by SMTP.

        - use: mail
          with:
            host: smtp.example.org
            sender: waystage@example.org
            to: [risk@example.org]
            user: waystage
            password: {secret: env/SMTP_PASSWORD}

    `tls` is `starttls` (port 587), `implicit` (port 465) or `none`, which takes no password.
    The `Message-ID` comes from the message's key, so that a repeated mail shows as the same.
    """

    use: ClassVar[str] = "mail"
    host: str = Field(min_length=1, max_length=253)
    port: int = Field(default=587, ge=1, le=65535)
    tls: Literal["starttls", "implicit", "none"] = "starttls"
    sender: Address
    to: tuple[Address, ...] = Field(min_length=1, max_length=100)
    user: str | None = None
    password: Secret | None = None
    timeout: float = Field(default=30, gt=0, le=300)

    @model_validator(mode="after")
    def _safe_password(self) -> MailNotifier:
        if (self.user is None) != (self.password is None):
            raise ValueError("user and password go together")
        if self.password is not None and self.tls == "none":
            raise ValueError("a password is not sent without tls: starttls or implicit")
        return self

    def diagnose(self, ctx: Services) -> list[str]:
        """Say whether the server takes connections."""
        try:
            with socket.create_connection((self.host, self.port), timeout=5):
                return []
        except OSError as error:
            return [f"{self.host}:{self.port} takes no connection: {error}"]

    def send(self, ctx: Services, message: Message, *, key: str) -> str:
        """Hand the mail to the server and answer its Message-ID."""
        mail = self._mail(message, key)
        try:
            with self._connect() as server:
                if self.user is not None and self.password is not None:
                    server.login(self.user, self.password.reveal(ctx))
                refused = server.send_message(mail, self.sender, self.to)
        except smtplib.SMTPRecipientsRefused as error:
            refused = error.recipients
        except smtplib.SMTPResponseException as error:
            raise _response(self.host, error.smtp_code) from None
        except smtplib.SMTPNotSupportedError as error:
            raise Hopeless(f"mail server {self.host}: {error}") from None
        except ssl.SSLCertVerificationError as error:
            raise Hopeless(f"mail server {self.host}: {error.verify_message}") from None
        except (OSError, smtplib.SMTPException) as error:
            raise Retryable(f"mail server {self.host}: {type(error).__name__}") from None
        _judge(self.host, refused)
        return str(mail["Message-ID"])

    def _connect(self) -> smtplib.SMTP:
        context = ssl.create_default_context()
        if self.tls == "implicit":
            return smtplib.SMTP_SSL(self.host, self.port, timeout=self.timeout, context=context)
        server = smtplib.SMTP(self.host, self.port, timeout=self.timeout)
        if self.tls == "starttls":
            try:
                server.starttls(context=context)
            except BaseException:
                server.close()
                raise
        return server

    def _mail(self, message: Message, key: str) -> EmailMessage:
        mail = EmailMessage(policy=SMTP)
        mail["From"] = self.sender
        mail["To"] = ", ".join(self.to)
        mail["Subject"] = _one_line(message.title)
        mail["Date"] = format_datetime(message.at)
        name = hashlib.sha256(key.encode()).hexdigest()[:40]
        mail["Message-ID"] = f"<{name}@{self.sender.partition('@')[2]}>"
        mail["Auto-Submitted"] = "auto-generated"
        for header, value in HIGH.items() if message.level == "alarm" else ():
            mail[header] = value
        facts = {"service": message.service, "run": message.run, **message.facts}
        lines = [f"{_one_line(k)}: {_one_line(v)}" for k, v in facts.items() if v]
        mail.set_content("\n".join([message.text, "", *lines]))
        return mail


def _one_line(text: str) -> str:
    """Make control characters blanks: a header ends where its line ends."""
    return "".join(c if c.isprintable() else " " for c in text).strip()


def _response(host: str, code: int) -> Exception:
    if 400 <= code < 500:
        return Retryable(f"mail server {host} answered {code}; it may take the mail later")
    return Hopeless(f"mail server {host} answered {code}; it does not take the mail")


def _judge(host: str, refused: dict[str, tuple[int, bytes]]) -> None:
    """Raise when a recipient was refused; the others have the mail."""
    if not refused:
        return
    names = ", ".join(sorted(refused))
    later = all(400 <= code < 500 for code, _ in refused.values())
    kind = Retryable if later else Hopeless
    raise kind(f"mail server {host} does not take mail for {names}")
