"""Webhooks are signed CloudEvents that go to the checked address and nowhere else."""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from waystage.errors import Hopeless, Retryable
from waystage.plugin import Message
from waystage.testing import FakeContext, check_notifier
from waystage.testing.context import START
from waystage_plugins.notifiers import WebhookNotifier
from waystage_plugins.notifiers.outgoing import is_public

KEY = "shared-secret-4711"
MESSAGE = Message(
    title="KS fell",
    text="below 0.3",
    service="credit-risk",
    run="credit-1",
    level="alarm",
    at=START,
)


@dataclass
class Receiver:
    """An HTTP server that keeps what is posted and answers with `status`."""

    status: int = 204
    location: str = ""
    rest: str = ""
    requests: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://localhost:{self.port}/hook?token=in-the-url"

    def ids(self) -> list[str]:
        return [json.loads(body)["id"] for _, body in self.requests]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    kept = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:  # the name that http.server calls
            body = self.rfile.read(int(self.headers["Content-Length"]))
            kept.requests.append((dict(self.headers.items()), body))
            self.send_response(kept.status)
            if kept.location:
                self.send_header("Location", kept.location)
            if kept.rest:
                self.send_header("Retry-After", kept.rest)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        kept.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield kept
        server.shutdown()
        thread.join()


@pytest.fixture
def ctx(tmp_path: Path) -> FakeContext:
    return FakeContext(tmp_path, secrets={"env/HOOK_KEY": KEY})


def hook(url: object, *, allow_private: bool = True) -> WebhookNotifier:
    return WebhookNotifier.model_validate(
        {"url": url, "secret": {"secret": "env/HOOK_KEY"}, "allow_private": allow_private}
    )


def test_the_webhook_keeps_the_contract(ctx: FakeContext, receiver: Receiver) -> None:
    check_notifier(hook(receiver.url), ctx, MESSAGE, received=receiver.ids)


def test_a_receiver_can_check_who_sent_it_and_when(ctx: FakeContext, receiver: Receiver) -> None:
    hook(receiver.url).send(ctx, MESSAGE, key="credit-1/3/notify")
    headers, body = receiver.requests[0]
    stamp = headers["Waystage-Timestamp"]
    wanted = hmac.new(KEY.encode(), f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()
    assert headers["Waystage-Signature"] == f"v1={wanted}"
    assert abs(time.time() - int(stamp)) < 300


def test_the_body_is_a_structured_cloud_event(ctx: FakeContext, receiver: Receiver) -> None:
    hook(receiver.url).send(ctx, MESSAGE, key="credit-1/3/notify")
    headers, body = receiver.requests[0]
    event = json.loads(body)
    assert headers["Content-Type"].startswith("application/cloudevents+json")
    assert headers["Host"] == f"localhost:{receiver.port}"
    assert (event["specversion"], event["id"]) == ("1.0", "credit-1/3/notify")
    assert (event["type"], event["source"]) == ("waystage.message.alarm", "/waystage/credit-risk")
    assert event["data"]["text"] == "below 0.3"


def test_the_url_may_be_a_secret(ctx: FakeContext, receiver: Receiver) -> None:
    ctx.secrets["env/HOOK_URL"] = receiver.url
    hook({"secret": "env/HOOK_URL"}).send(ctx, MESSAGE, key="k")
    assert receiver.ids() == ["k"]


@pytest.mark.parametrize("status", [500, 503, 408, 425, 429])
def test_what_may_pass_is_tried_again(ctx: FakeContext, receiver: Receiver, status: int) -> None:
    receiver.status = status
    with pytest.raises(Retryable, match=f"localhost answered {status}") as caught:
        hook(receiver.url).send(ctx, MESSAGE, key="k")
    assert "in-the-url" not in str(caught.value)


@pytest.mark.parametrize("status", [429, 503])
def test_how_long_a_receiver_wants_to_be_left_alone_is_heard(
    ctx: FakeContext, receiver: Receiver, status: int
) -> None:
    receiver.status, receiver.rest = status, "30"
    with pytest.raises(Retryable) as caught:
        hook(receiver.url).send(ctx, MESSAGE, key="k")
    assert caught.value.after == timedelta(seconds=30)


@pytest.mark.parametrize("status", [400, 401, 404, 410])
def test_what_will_not_pass_is_not(ctx: FakeContext, receiver: Receiver, status: int) -> None:
    receiver.status = status
    with pytest.raises(Hopeless, match=f"localhost answered {status}"):
        hook(receiver.url).send(ctx, MESSAGE, key="k")


def test_a_redirect_is_not_followed(ctx: FakeContext, receiver: Receiver) -> None:
    receiver.status, receiver.location = 307, receiver.url
    with pytest.raises(Hopeless, match="redirects are not followed"):
        hook(receiver.url).send(ctx, MESSAGE, key="k")
    assert len(receiver.requests) == 1


def test_nobody_listening_is_tried_again(ctx: FakeContext) -> None:
    with pytest.raises(Retryable, match="localhost does not answer: ConnectError"):
        hook("http://localhost:1/hook").send(ctx, MESSAGE, key="k")


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost/x",
        "http://127.0.0.1/x",
        "http://127.1/x",
        "http://2130706433/x",
        "http://0x7f000001/x",
        "http://[::1]/x",
        "http://[::ffff:127.0.0.1]/x",
        "http://[::ffff:10.0.0.1]/x",
        "http://[64:ff9b::a00:1]/x",
        "http://[2002:7f00:1::]/x",
        "http://169.254.169.254/latest/meta-data",
        "http://10.1.2.3/x",
        "http://172.16.0.1/x",
        "http://192.168.1.1/x",
        "http://0.0.0.0/x",
        "http://[fe80::1]/x",
        "http://[fd00::1]/x",
        "http://224.0.0.1/x",
    ],
)
def test_private_addresses_are_refused_in_all_spellings(ctx: FakeContext, url: str) -> None:
    with pytest.raises(Hopeless, match="private address"):
        hook(url, allow_private=False).send(ctx, MESSAGE, key="k")


def test_addresses_of_the_internet_are_public() -> None:
    assert is_public("93.184.216.34")
    assert is_public("2606:4700::1111")


@pytest.mark.parametrize(
    "url", ["ftp://example.org/", "file:///etc/passwd", "http://", "http://u:p@example.org/", "x"]
)
def test_only_plain_web_addresses_are_taken(ctx: FakeContext, url: str) -> None:
    with pytest.raises(Hopeless, match="http:// or https://"):
        hook(url).send(ctx, MESSAGE, key="k")
