"""Requests to addresses that were checked first, and to no others."""

from __future__ import annotations

import ipaddress
import socket
from typing import TYPE_CHECKING

from waystage.errors import Hopeless, Retryable

if TYPE_CHECKING:
    import httpx

    from waystage.plugin import Services

LATER = frozenset({408, 425, 429})


def post(
    ctx: Services, url: str, body: bytes, headers: dict[str, str], *, allow_private: bool
) -> None:
    """Post once; raises `Retryable` or `Hopeless` with the host but never the rest of the URL.

    The connection goes to the very address that was checked, follows no redirect, and uses
    no proxy; the certificate is held against the host's name.
    """
    import httpx

    try:
        target = httpx.URL(url)
    except httpx.InvalidURL:
        raise Hopeless("the webhook's URL is not one") from None
    address = _address(target, allow_private=allow_private)
    request = ctx.http.build_request(
        "POST",
        target.copy_with(host=address),
        content=body,
        headers={**headers, "Host": target.netloc.decode()},
        extensions={**_timeouts(), "sni_hostname": target.host},
    )
    try:
        response = ctx.http.send(request, stream=True, follow_redirects=False)
    except httpx.HTTPError as error:
        raise Retryable(f"{target.host} does not answer: {type(error).__name__}") from None
    response.close()
    _judge(target.host, response.status_code)


def _timeouts() -> dict[str, object]:
    return {"timeout": {"connect": 5.0, "read": 10.0, "write": 10.0, "pool": 5.0}}


def _address(target: httpx.URL, *, allow_private: bool) -> str:
    """Resolve the host; refuse it when any of its addresses is not a public one."""
    if target.scheme not in ("http", "https") or not target.host or target.userinfo:
        raise Hopeless("the webhook's URL is not http:// or https:// with a host and no user")
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
            f"say allow_private: true if messages shall go there"
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


def _judge(host: str, status: int) -> None:
    if 200 <= status < 300:
        return
    if status >= 500 or status in LATER:
        raise Retryable(f"{host} answered {status}")
    if 300 <= status < 400:
        raise Hopeless(f"{host} answered {status}: redirects are not followed; give the real URL")
    raise Hopeless(f"{host} answered {status}: it will not take this message")
