"""Names of images: the grammar that registries share, and nothing looser."""

from __future__ import annotations

import re
from typing import NamedTuple

from waystage.errors import Hopeless

# distribution/reference, as docs.docker.com and the OCI distribution specification have it
HOST = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9-]+)*(?::[0-9]{1,5})?"
PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
PATH = rf"{PART}(?:/{PART})*"
TAG = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}"
DIGEST = r"sha256:[0-9a-f]{64}"
DOCKER_HUB = "docker.io"
LONGEST = 255

_REFERENCE = re.compile(
    rf"(?P<name>[^@:]+(?::[0-9]+/[^@:]+)?)(?::(?P<tag>{TAG}))?(?:@(?P<digest>{DIGEST}))?"
)


class Reference(NamedTuple):
    """An image in a registry, by tag, by digest, or by both (then the digest counts)."""

    host: str
    path: str
    tag: str = ""
    digest: str = ""

    @property
    def name(self) -> str:
        """Registry and path, as Docker writes them."""
        return f"{self.host}/{self.path}"

    @property
    def version(self) -> str:
        """What to ask the registry for: the digest if it is known, else the tag."""
        return self.digest or self.tag

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        return self.name + tag + (f"@{self.digest}" if self.digest else "")


def parse_reference(text: str) -> Reference:
    """Read `host/path:tag@digest`; raises `Hopeless` when it is none or names no version.

    A first part without dot and colon other than `localhost` is no host, as for Docker: the
    image is Docker Hub's then.
    """
    match = _REFERENCE.fullmatch(text)
    host, _, path = (match["name"] if match else "").partition("/")
    if match and not ("." in host or ":" in host or host == "localhost"):
        host, path = DOCKER_HUB, match["name"] if path else f"library/{host}"
    if not match or not re.fullmatch(HOST, host, re.ASCII) or not re.fullmatch(PATH, path):
        raise Hopeless(f"{text!r} is no reference of an image; write host/path:tag")
    if not match["tag"] and not match["digest"]:
        raise Hopeless(f"{text!r} names no tag and no digest; an image is used by one of them")
    return Reference(host, path, match["tag"] or "", match["digest"] or "")


def checked_path(*parts: str) -> str:
    """Join parts of an image's path; raises `Hopeless` naming the part that is none."""
    for part in parts:
        if not re.fullmatch(PATH, part, re.ASCII):
            raise Hopeless(f"{part!r} cannot be a part of an image's name: lower case, - . _ /")
    path = "/".join(parts)
    if len(path) > LONGEST:
        raise Hopeless(f"the image's name {path[:40]}... has more than {LONGEST} characters")
    return path
