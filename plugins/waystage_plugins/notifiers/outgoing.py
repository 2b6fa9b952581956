"""Requests to addresses that were checked first, and to no others."""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING

from waystage.errors import Hopeless, Retryable
from waystage_plugins.retry_after import asked_rest, may_pass

if TYPE_CHECKING:
    from datetime import timedelta

    import httpx

    from waystage.plugin import Services


def post(
    ctx: Services, url: str, body: bytes, headers: dict[str, str], *, allow_private: bool
) -> None:
    """Post once; raises `Retryable` or `Hopeless` with the host but never the rest of the URL.

    The connection goes to the very address that was checked, follows no redirect, and uses
    no proxy; the certificate is held against the host's name.
    """
    target = _target(url, "the webhook's URL")
    response = _sent(ctx, "POST", target, headers, body, allow_private=allow_private)
    response.close()
    answered = Answered.of(target.host, response)
    refuse_status(answered, "it will not take this message")


@dataclass(frozen=True, slots=True)
class Answered:
    """What a host answered.

    `date` is the time that it says it is (empty: it does not), `rest` what it asks to be left
    alone for.
    """

    host: str
    status: int
    body: bytes
    date: str
    rest: timedelta | None = None

    @classmethod
    def of(cls, host: str, response: httpx.Response, body: bytes = b"") -> Answered:
        """Take from a response what its readers ask for."""
        headers = response.headers
        rest = asked_rest(headers)
        return cls(host, response.status_code, body, headers.get("Date", ""), rest)


def fetch(
    ctx: Services,
    url: str,
    parameters: dict[str, str],
    headers: dict[str, str],
    *,
    most: int,
    allow_private: bool,
) -> Answered:
    """Ask once and give the answer whatever its status; raises beyond `most` bytes.

    What is no success is cut there: an error page may be as long as it likes.
    """
    import httpx

    target = _target(url, "the URL").copy_merge_params(parameters)
    response = _sent(ctx, "GET", target, headers, b"", allow_private=allow_private)
    try:
        body = bytearray()
        for part in response.iter_bytes():
            body += part
            if len(body) > most:
                if response.is_success:
                    raise Hopeless(f"{target.host} answered more than {most:,} bytes")
                del body[most:]
                break
    except httpx.HTTPError as error:
        raise Retryable(f"{target.host} broke off: {type(error).__name__}") from None
    finally:
        response.close()
    return Answered.of(target.host, response, bytes(body))


def _target(url: str, what: str) -> httpx.URL:
    import httpx

    try:
        return httpx.URL(url)
    except httpx.InvalidURL:
        raise Hopeless(f"{what} is not one") from None


def _sent(
    ctx: Services,
    method: str,
    target: httpx.URL,
    headers: dict[str, str],
    body: bytes,
    *,
    allow_private: bool,
) -> httpx.Response:
    import httpx

    address = _address(target, allow_private=allow_private)
    request = ctx.http.build_request(
        method,
        target.copy_with(host=address),
        content=body,
        headers={**headers, "Host": target.netloc.decode()},
        extensions={**_timeouts(), "sni_hostname": target.host},
    )
    try:
        return ctx.http.send(request, stream=True, follow_redirects=False)
    except httpx.HTTPError as error:
        raise Retryable(f"{target.host} does not answer: {type(error).__name__}") from None


def _timeouts() -> dict[str, object]:
    return {"timeout": {"connect": 5.0, "read": 10.0, "write": 10.0, "pool": 5.0}}


def _address(target: httpx.URL, *, allow_private: bool) -> str:
    """Resolve the host; refuse it when any of its addresses is not a public one."""
    if target.scheme not in ("http", "https") or not target.host or target.userinfo:
        raise Hopeless("the URL is not http:// or https:// with a host and no user")
    port = target.port or (443 if target.scheme == "https" else 80)
    try:
        found = socket.getaddrinfo(target.host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise Retryable(f"the name {target.host} cannot be looked up: {error}") from None
    addresses = [str(entry[4][0]) for entry in found]
    private = [address for address in addresses if not is_public(address)]
    if private and not allow_private:
        raise Hopeless(
            f"{target.host} is the private address {private[0]}; "
            f"say allow_private: true if it is meant"
        )
    return addresses[0]


def is_public(address: str) -> bool:
    """Whether an address is one of the open internet, also when it wraps an IPv4 address."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo or (None, None))[1]
        if ip in ipaddress.ip_network("64:ff9b::/96"):
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
    return ip.is_global and not ip.is_multicast


def refuse_status(answered: Answered, otherwise: str) -> None:
    """Raise for a status that is no success: `Retryable` where it may be another one later."""
    host, status = answered.host, answered.status
    if 200 <= status < 300:
        return
    if may_pass(status):
        raise Retryable(f"{host} answered {status}", after=answered.rest)
    if 300 <= status < 400:
        raise Hopeless(f"{host} answered {status}: redirects are not followed; give the real URL")
    raise Hopeless(f"{host} answered {status}: {otherwise}")
