"""Messages as signed CloudEvents over HTTP."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Annotated, ClassVar

from pydantic import Field

from waystage.clock import wall_seconds
from waystage.plugin import Message, Notifier, Secret, Services
from waystage_plugins.notifiers.outgoing import post

TIMESTAMP, SIGNATURE = "Waystage-Timestamp", "Waystage-Signature"


class WebhookNotifier(Notifier):
    """Post each message as a CloudEvent (1.0, structured JSON) that is signed with HMAC-SHA256.

        - use: webhook
          with: {url: "https://hooks.example.org/waystage", secret: {secret: env/HOOK_KEY}}

    The event's `id` is the message's key: a receiver that has it already has the message.
    `Waystage-Signature` is `v1=` and the hex HMAC-SHA256, under the shared secret, of
    `Waystage-Timestamp` (seconds since 1970), a dot, and the body. A receiver refuses what is
    signed wrongly or is more than 300 seconds away from its own clock. `url` may be a secret
    too. Private addresses are refused unless `allow_private: true`.
    """

    use: ClassVar[str] = "webhook"
    url: Secret | Annotated[str, Field(min_length=1, max_length=2000)]
    secret: Secret
    allow_private: bool = False

    def send(self, ctx: Services, message: Message, *, key: str) -> str:
        """Post it and answer the key; what a receiver will never take is `Hopeless`."""
        url = self.url.reveal(ctx) if isinstance(self.url, Secret) else self.url
        body = json.dumps(_event(message, key)).encode()
        # receivers compare it with their own clocks, which nobody turns
        timestamp = str(int(wall_seconds()))
        headers = {
            "Content-Type": "application/cloudevents+json; charset=utf-8",
            TIMESTAMP: timestamp,
            SIGNATURE: f"v1={sign(self.secret.reveal(ctx), timestamp, body)}",
        }
        post(ctx, url, body, headers, allow_private=self.allow_private)
        return key


def sign(secret: str, timestamp: str, body: bytes) -> str:
    """Give the hex HMAC-SHA256 of timestamp, dot and body."""
    return hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()


def _event(message: Message, key: str) -> dict[str, object]:
    return {
        "specversion": "1.0",
        "id": key,
        "source": f"/waystage/{message.service}" if message.service else "/waystage",
        "type": f"waystage.message.{message.level}",
        "time": message.at.isoformat(),
        **({"subject": message.run} if message.run else {}),
        "datacontenttype": "application/json",
        "data": message.model_dump(mode="json"),
    }
