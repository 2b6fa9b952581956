"""Files of this machine as outputs: there whole or not at all."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

from waystage.errors import Conflict, Hopeless
from waystage_plugins.repositories.tree import sync_directory


def file_digest(path: Path) -> str:
    """Give `sha256:<hex>` of a file's bytes."""
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


def digest_or_none(path: Path) -> str | None:
    """Give the digest of what is there, None if nothing is."""
    try:
        return file_digest(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Hopeless(f"{path} cannot be read: {error.strerror}") from error


def write_file(source: Path, target: Path, *, key: str, replace: bool) -> None:
    """Bring a copy there in one move; raises `Conflict` when another file is there."""
    if digest_or_none(target) == file_digest(source):
        return
    part = target.with_name(f".{target.name}.{hashlib.sha256(key.encode()).hexdigest()[:12]}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with source.open("rb") as read, part.open("wb") as write:
            shutil.copyfileobj(read, write, 1 << 20)
            write.flush()
            os.fsync(write.fileno())
        if replace:
            part.replace(target)
        else:
            os.link(part, target)  # refuses, unlike a rename, when something is there by now
        sync_directory(target.parent)
    except FileExistsError:
        raise Conflict(f"{target} is there already with other content") from None
    except OSError as error:
        raise Hopeless(f"{target} cannot be written: {error.strerror}") from error
    finally:
        part.unlink(missing_ok=True)
