"""A signer who is known by a public key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from waystage.errors import Hopeless
from waystage.plugin import Examined, Services, Signer
from waystage_plugins.signing.bundle import Bundle, Unsound
from waystage_plugins.signing.proof import INSTALL, mark_of, objection, read_keys, usable

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey


class KeySigner(Signer):
    """Believe what `model_signing sign key` signed with the private half of this key.

        - use: model_signing.key
          with: {public_key: keys/models.pub}

    `public_key` is a PEM file on the curve P-256, P-384 or P-521; its path starts at the project.
    """

    use: ClassVar[str] = "model_signing.key"
    public_key: str = Field(min_length=1, max_length=4096)

    def mark(self, ctx: Services) -> str:
        """Give a digest of the key's file."""
        return mark_of(self.use, *read_keys(ctx, [self.public_key]))

    def examine(self, ctx: Services, files: Mapping[str, str], signature: bytes) -> Examined:
        """Hold the signature against the key, and what it lists against the files."""
        pem = read_keys(ctx, [self.public_key])
        key = self._key(pem[0])

        def key_of(bundle: Bundle) -> EllipticCurvePublicKey:
            if bundle.certificates:
                raise Unsound("was made with a certificate, not with this bare key")
            return key

        return Examined(mark=mark_of(self.use, *pem), objection=objection(files, signature, key_of))

    def diagnose(self, ctx: Services) -> list[str]:
        """Say whether the key can be used."""
        self._key(read_keys(ctx, [self.public_key])[0])
        return []

    def _key(self, pem: bytes) -> EllipticCurvePublicKey:
        try:
            from cryptography.hazmat.primitives.serialization import load_pem_public_key
        except ImportError as error:
            raise Hopeless(INSTALL) from error
        try:
            return usable(load_pem_public_key(pem), "a key")
        except Unsound as error:
            raise Hopeless(f"{self.public_key}: {error}") from error
        except Exception as error:  # the library raises several kinds, also for unknown algorithms
            raise Hopeless(f"{self.public_key} is no public key in PEM") from error
