"""What repositories behind a REST API share: certificates, time limits, errors of one line.

Nothing that a server says is believed to be harmless: texts are cut to one line, answers have a
largest size, redirects are not followed.
"""

from __future__ import annotations

import base64
import json
import ssl
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from waystage.errors import Hopeless, Retryable, WaystageError
from waystage.plugin import Services

if TYPE_CHECKING:
    import httpx

SECONDS = {"connect": 10.0, "read": 120.0, "write": 120.0, "pool": 10.0}
MAX_ANSWER = 64 << 20  # of lists; files are streamed
LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})


@contextmanager
def client(ctx: Services, ca: str) -> Iterator[httpx.Client]:
    """Give a client; `ca` is a PEM file with who signed the server's certificate, or empty."""
    if not ca:
        yield ctx.http
        return
    import httpx

    try:
        trusted = ssl.create_default_context(cafile=str(ctx.project / ca))
    except (OSError, ssl.SSLError):
        raise Hopeless(f"ca: {ca} is no file with certificates (PEM)") from None
    with httpx.Client(verify=trusted, follow_redirects=False, trust_env=False) as own:
        yield own


def broken(whom: str, error: httpx.HTTPError) -> WaystageError:
    """Make the error that a connection which failed stands for."""
    if "CERTIFICATE" in str(error).upper():
        return Hopeless(
            f"{whom}: its certificate is not trusted; name the file with its signer by ca:"
        )
    told = one_line(str(error)) or type(error).__name__
    return Retryable(f"{whom}: the connection failed: {told}")


def json_object(raw: bytes, otherwise: str) -> dict[str, Any]:
    """Give an answer as an object; raises `Hopeless` with `otherwise` when it is none."""
    try:
        told = json.loads(raw or b"{}")
    except ValueError:
        told = None
    if not isinstance(told, dict):
        raise Hopeless(otherwise)
    return told


def small(chunks: Iterable[bytes], largest: int, what: str) -> bytes:
    """Give bytes as a whole; raises `Hopeless` when they are more than `largest`."""
    found = bytearray()
    for chunk in chunks:
        found += chunk
        if len(found) > largest:
            raise Hopeless(f"{what} is larger than {largest} bytes")
    return bytes(found)


def basic(user: str, password: str) -> str:
    """Write the header of HTTP's basic authentication."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def one_line(text: str) -> str:
    """Give what somebody else wrote as one short line of plain characters."""
    plain = "".join(each if each.isprintable() else " " for each in text)
    return " ".join(plain.split())[:200]
