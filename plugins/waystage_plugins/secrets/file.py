"""Secrets from files, as Docker and Kubernetes mount them."""

from __future__ import annotations

import logging
import stat
from pathlib import Path
from typing import ClassVar

from waystage.errors import Hopeless
from waystage.plugin import SecretStore

MAX_BYTES = 64 * 1024


class FileSecrets(SecretStore):
    """Read secrets from files; one newline at the end does not belong to the secret.

        - use: notify.example
          with: {token: {secret: file/run/secrets/example}}

    The reference is an absolute path without its first slash; `file/./keys/x` starts at the
    project. A file that others may write is refused; one that others may read is warned of.
    """

    use: ClassVar[str] = "secret.file"

    def resolve(self, name: str, project: Path) -> str:
        """Give the file's text; raises `Hopeless` naming the reference."""
        if ".." in Path(name).parts or "\0" in name:
            raise Hopeless(f"secret file/{name}: a path to a secret has no .. in it")
        path = project / name if name.startswith("./") else Path("/") / name
        try:
            with path.open("rb") as file:
                mode, raw = path.stat().st_mode, file.read(MAX_BYTES + 1)
        except OSError as error:
            raise Hopeless(f"secret file/{name}: {error.strerror}") from error
        _check_mode(name, mode)
        return _text(name, raw)


def _check_mode(name: str, mode: int) -> None:
    if mode & stat.S_IWOTH:
        raise Hopeless(f"secret file/{name}: everybody may change it; run chmod o-w")
    if mode & stat.S_IROTH:
        logging.getLogger("waystage.plugins").warning(
            "secret file/%s: everybody on this machine may read it; run chmod o-r", name
        )


def _text(name: str, raw: bytes) -> str:
    if len(raw) > MAX_BYTES:
        raise Hopeless(f"secret file/{name}: is larger than {MAX_BYTES // 1024} KiB")
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        # without `from`: the error's own text would show bytes of the secret
        raise Hopeless(f"secret file/{name}: is not UTF-8 text") from None
    text = text.removesuffix("\n").removesuffix("\r")
    if not text:
        raise Hopeless(f"secret file/{name}: is empty")
    return text
