"""Where a registry is, and as whom it is talked to."""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pydantic import Field, model_validator

from waystage.errors import Hopeless
from waystage.plugin import Secret, Services
from waystage.plugin.values import Value
from waystage_plugins.images.reference import DOCKER_HUB, HOST, PATH

if TYPE_CHECKING:
    import httpx


class Login(Value):
    """As whom a registry is talked to.

    `token` is a password or an access token. It is asked for with the user (htpasswd), or
    exchanged for a bearer token where the registry says so. `ca` is a PEM file with who signed
    the registry's certificate; its path starts at the project. `plain_http` is for registries
    of this machine.
    """

    user: str | Secret | None = None
    token: Secret | None = None
    ca: str = Field(default="", max_length=4096)
    plain_http: bool = False

    @model_validator(mode="after")
    def _whole(self) -> Login:
        if (self.user is None) != (self.token is None):
            raise ValueError("user and token belong together: give both or neither")
        return self

    def credentials(self, ctx: Services) -> tuple[str, str] | None:
        """Give user and token, or None if there are none."""
        if self.user is None or self.token is None:
            return None
        user = self.user.reveal(ctx) if isinstance(self.user, Secret) else self.user
        return user, self.token.reveal(ctx)


class Registry(Login):
    """A registry, and the project of it where a service's images are kept."""

    host: str = Field(
        pattern=rf"^{HOST}$", max_length=300, json_schema_extra={"format": "registry"}
    )
    project: str = Field(default="", pattern=rf"^(?:{PATH})?$", max_length=200)


class LentRegistry(Registry):
    """A registry whose token is lent anew each time by somebody who has one that still holds."""

    lend: Callable[[Services], tuple[str, str]]

    def credentials(self, ctx: Services) -> tuple[str, str]:
        """Give user and token."""
        return self.lend(ctx)


def address(host: str, login: Login) -> str:
    """Give the URL that a registry's API starts at; raises `Hopeless` for a risky one."""
    if not login.plain_http:
        return f"https://{'registry-1.docker.io' if host == DOCKER_HUB else host}"
    if not _is_here(host):
        raise Hopeless(
            f"registry {host} is on another machine: plain_http would send models and passwords "
            f"in clear; leave it out, and name the signer of its certificate by ca:"
        )
    return f"http://{host}"


def _is_here(host: str) -> bool:
    name = host.rpartition(":")[0] or host
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"


@contextmanager
def client(ctx: Services, login: Login) -> Iterator[httpx.Client]:
    """Give an HTTP client that trusts who the login says; raises `Hopeless` for a bad `ca`."""
    if not login.ca:
        yield ctx.http
        return
    import httpx

    try:
        trusted = ssl.create_default_context(cafile=str(ctx.project / login.ca))
    except (OSError, ssl.SSLError):
        raise Hopeless(f"ca: {login.ca} is no file with certificates (PEM)") from None
    with httpx.Client(verify=trusted, follow_redirects=False, trust_env=False) as own:
        yield own
