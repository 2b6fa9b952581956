"""The storage `storage.s3`: objects of a bucket, of AWS or of whatever speaks its protocol."""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from waystage.errors import Conflict, Hopeless, NotFound, Retryable
from waystage.plugin import Secret, Services, Storage
from waystage_plugins.storage.files import file_digest

CHUNK = 8 << 20
IN_ONE_PIECE = 64 << 20  # beyond that in parts, which cannot be refused when they are complete
KEY, DIGEST = "waystage-key", "waystage-digest"


class S3Bucket(Storage):
    """Keep inputs and outputs of jobs as objects of a bucket.

        - use: storage.s3
          with:
            bucket: credit-scores
            endpoint: https://objects.example
            access_key: {secret: env/S3_ACCESS_KEY}
            secret_key: {secret: env/S3_SECRET_KEY}

    `s3://NAME/a/b.jsonl` is the object `<prefix>a/b.jsonl`, NAME that of the connection. Without
    keys it is talked to as the machine's own role or the variables `AWS_…` say. Written objects
    carry their digest and the key of the step that wrote them. Needs `waystage[storage]`.
    """

    use: ClassVar[str] = "storage.s3"
    scheme: ClassVar[str] = "s3"

    bucket: str = Field(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")
    prefix: str = Field(
        default="", max_length=500, pattern=r"^$|^[^/].*/$", description="ends in /"
    )
    endpoint: str = Field(
        default="", max_length=500, pattern=r"^$|^https?://\S+$", description="else that of AWS"
    )
    region: str = Field(default="us-east-1", max_length=100)
    access_key: Secret | None = None
    secret_key: Secret | None = None
    path_style: bool = Field(default=True, description="the bucket in the path, not in the host")
    retries: int = Field(default=3, ge=0, le=20, description="of one request, before the step's")

    @field_validator("endpoint")
    @classmethod
    def _covered(cls, value: str) -> str:
        host = urlsplit(value).hostname or ""
        if value.startswith("http:") and not _is_here(host):
            raise ValueError("http is for servers of this machine: others need https")
        return value

    @model_validator(mode="after")
    def _whole(self) -> S3Bucket:
        if (self.access_key is None) != (self.secret_key is None):
            raise ValueError("access_key and secret_key belong together: give both or neither")
        return self

    def check(self, path: str) -> str:
        """Say whether the path could be read in two ways."""
        parts = path.split("/")
        return f"{path!r} has empty parts or dots" if {"", ".", ".."} & {*parts} else ""

    def diagnose(self, ctx: Services) -> list[str]:
        """Ask for the first object of the bucket."""
        import obstore

        try:
            with self._told(ctx, self.prefix) as store:
                for _ in obstore.list(store, self.prefix or None, chunk_size=1):
                    break
        except (Hopeless, Retryable, NotFound) as error:
            return [str(error)]
        return []

    def read(self, ctx: Services, path: str, into: Path) -> None:
        """Copy an object; `NotFound` if there is none."""
        import obstore

        with self._told(ctx, path) as store, into.open("xb") as file:
            for chunk in obstore.get(store, self.prefix + path).stream(min_chunk_size=CHUNK):
                file.write(chunk)

    def write(self, ctx: Services, source: Path, path: str, *, key: str, replace: bool) -> None:
        """Upload in one piece, or in parts of which nobody sees any before the last one is there.

        An object of one piece is only made where none is; between looking and finishing, parts
        could replace what another one has put there.
        """
        import obstore

        digest, small = file_digest(source), source.stat().st_size <= IN_ONE_PIECE
        with self._told(ctx, path) as store:
            told = self._attributes(store, self.prefix + path)
            if told is not None and told.get(DIGEST) == digest:
                return
            if told is not None and not replace and told.get(KEY) != key:
                raise Conflict(f"{self._name(path)} is there already with other content")
            obstore.put(
                store, self.prefix + path, source, attributes={KEY: key, DIGEST: digest},
                use_multipart=not small, mode="create" if told is None and small else "overwrite",
            )  # fmt: skip

    def digest(self, ctx: Services, path: str, *, key: str) -> str | None:
        """Give the digest of the object's bytes, read anew."""
        import obstore

        digest = hashlib.sha256()
        try:
            with self._told(ctx, path) as store:
                for chunk in obstore.get(store, self.prefix + path).stream(min_chunk_size=CHUNK):
                    digest.update(chunk)
        except NotFound:
            return None
        return f"sha256:{digest.hexdigest()}"

    def _attributes(self, store: Any, path: str) -> dict[str, Any] | None:
        import obstore

        try:
            return dict(obstore.get(store, path, options={"head": True}).attributes)
        except FileNotFoundError:
            return None

    def _name(self, path: str) -> str:
        return f"s3 object {self.bucket}/{self.prefix}{path}"

    @contextmanager
    def _told(self, ctx: Services, path: str) -> Iterator[Any]:
        """Give the bucket; what its library raises meanwhile is told in one line."""
        try:
            from obstore import exceptions as wrong
            from obstore.store import S3Store
        except ImportError:
            raise Hopeless("storage.s3 needs the extra waystage[storage]") from None
        if problem := self.check(path.rstrip("/") or "x"):
            raise Hopeless(problem)
        name = self._name(path)
        try:
            yield S3Store(self.bucket, **self._settings(ctx))
        except FileNotFoundError as error:
            what = "the bucket is not there" if "NoSuchBucket" in str(error) else "is not there"
            raise NotFound(f"{name}: {what}") from None
        except wrong.AlreadyExistsError:
            raise Conflict(f"{name} is there already with other content") from None
        except (wrong.PermissionDeniedError, wrong.UnauthenticatedError) as error:
            raise Hopeless(f"{name}: access is denied: {_line(error)}") from None
        except wrong.BaseError as error:
            raise Retryable(f"{name}: {_line(error)}") from None

    def _settings(self, ctx: Services) -> dict[str, Any]:
        settings: dict[str, Any] = {
            "region": self.region,
            "virtual_hosted_style_request": not self.path_style,
            "client_options": {"allow_http": self.endpoint.startswith("http:"), "timeout": "60s"},
            "retry_config": {"max_retries": self.retries},
        }
        if self.endpoint:
            settings["endpoint"] = self.endpoint
        if self.access_key is not None and self.secret_key is not None:
            settings["access_key_id"] = self.access_key.reveal(ctx)
            settings["secret_access_key"] = self.secret_key.reveal(ctx)
        return settings


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _line(error: Exception) -> str:
    """Give the first line; those after it are for the library's authors."""
    lines = str(error).strip().splitlines()
    return lines[0][:300] if lines else type(error).__name__
