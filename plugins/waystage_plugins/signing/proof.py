"""What is proved of a signature file: by whose key it was made, and for which files."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from waystage.errors import Hopeless
from waystage.plugin import Services
from waystage_plugins.repositories.tree import MANIFEST
from waystage_plugins.signing.bundle import Bundle, Unsound, read_bundle, signed_files

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
    from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

CURVES = ("secp256r1", "secp384r1", "secp521r1")
MAX_KEY_BYTES = 1 << 20
MAX_WORDS = 500  # characters of an objection: names in it are those of whoever made the file
INSTALL = "cryptography is not installed; pip install 'waystage[signing]'"


def objection(
    files: Mapping[str, str],
    signature: bytes,
    key_of: Callable[[Bundle], EllipticCurvePublicKey],
) -> str:
    """Say why a signature does not stand for these files and no others; empty if it does.

    `key_of` gives the key that must have made it, or raises: then there is none.
    """
    try:
        bundle = read_bundle(signature)
        _verify(bundle, _key(bundle, key_of))
        signed = signed_files(bundle)
    except Unsound as error:
        return str(error)[:MAX_WORDS]
    return _difference(signed, files)[:MAX_WORDS]


def read_keys(ctx: Services, names: Iterable[str]) -> list[bytes]:
    """Give the content of files with keys or certificates; raises `Hopeless` naming the file."""
    found = []
    for name in names:
        path = ctx.project / name
        try:
            with path.open("rb") as file:
                found.append(file.read(MAX_KEY_BYTES + 1))
        except OSError as error:
            raise Hopeless(f"{path} cannot be read: {error.strerror or error}") from error
        _refuse_private(path, found[-1])
    return found


def mark_of(kind: str, *parts: bytes) -> str:
    """Give the mark of keys: a digest of all that decides what they sign."""
    total = hashlib.sha256()
    for part in (kind.encode(), *parts):
        total.update(hashlib.sha256(part).digest())
    return f"sha256:{total.hexdigest()}"


def usable(key: PublicKeyTypes, whose: str) -> EllipticCurvePublicKey:
    """Give a key if model-signing signs with such a one; raises `Unsound`."""
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

    if not isinstance(key, EllipticCurvePublicKey) or key.curve.name not in CURVES:
        raise Unsound(f"needs {whose} on the curve P-256, P-384 or P-521")
    return key


def _difference(signed: Mapping[str, str], files: Mapping[str, str]) -> str:
    """Say which file is not as it was signed; empty when all are, and no other is there."""
    for path in sorted({*signed, *files}):
        if path == MANIFEST:
            return f"covers {path}, which the repository writes; sign with --ignore-paths {path}"
        if path not in files:
            return f"covers {path}, which is not there"
        if path not in signed:
            return f"does not cover {path}"
        if signed[path] != files[path]:
            return f"is for another {path}"
    return ""


def _key(
    bundle: Bundle, key_of: Callable[[Bundle], EllipticCurvePublicKey]
) -> EllipticCurvePublicKey:
    try:
        return key_of(bundle)
    except Unsound:
        raise
    except Exception as error:  # of several kinds: the bytes come from whoever made the file
        raise Unsound("has a certificate that cannot be read") from error


def _verify(bundle: Bundle, key: EllipticCurvePublicKey) -> None:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric.ec import ECDSA

    by_size = {256: hashes.SHA256(), 384: hashes.SHA384(), 521: hashes.SHA512()}
    try:
        key.verify(bundle.signature, bundle.signed, ECDSA(by_size[key.curve.key_size]))
    except InvalidSignature as error:
        raise Unsound("was made by another key, or changed since") from error


def _refuse_private(path: Path, content: bytes) -> None:
    if len(content) > MAX_KEY_BYTES:
        raise Hopeless(f"{path} is larger than {MAX_KEY_BYTES >> 20} MiB: no file of keys")
    if b"PRIVATE KEY-----" in content:
        raise Hopeless(
            f"{path} holds a private key, which does not belong here: keep it where models are "
            "signed, and give the public one"
        )
