"""A signer who is known by who issued the certificate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from waystage.errors import Hopeless
from waystage.plugin import Examined, Services, Signer
from waystage_plugins.signing.bundle import Bundle
from waystage_plugins.signing.chain import authorities, ends_soon, proved
from waystage_plugins.signing.proof import INSTALL, mark_of, objection, read_keys, usable

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
    from cryptography.x509 import Certificate


class CertifiedSigner(Signer):
    """Believe what `model_signing sign certificate` signed with a certificate of these authorities.

        - use: model_signing.certificate
          with: {authorities: [keys/ca.pem], identity: models@bank.example}

    `authorities` are PEM files with the certificates of those who issue, roots or others; paths
    start at the project. `identity` is a common name or an alternative name (mail, host, URI)
    that the signer's certificate must have: without it, everybody whom they certified may sign.
    The certificate must be for digital signatures, and valid when the signature is verified.
    """

    use: ClassVar[str] = "model_signing.certificate"
    authorities: tuple[str, ...] = Field(min_length=1, max_length=20)
    identity: str = Field(default="", max_length=500)

    def mark(self, ctx: Services) -> str:
        """Give a digest of the authorities' files and the identity."""
        return self._mark(read_keys(ctx, self.authorities))

    def examine(self, ctx: Services, files: Mapping[str, str], signature: bytes) -> Examined:
        """Prove the certificate, hold the signature against it, and its list against the files."""
        pems = read_keys(ctx, self.authorities)
        trusted = self._trusted(pems)

        def key_of(bundle: Bundle) -> EllipticCurvePublicKey:
            leaf = proved(bundle.certificates, trusted, self.identity, ctx.now)
            return usable(leaf.public_key(), "a certificate with a key")

        return Examined(mark=self._mark(pems), objection=objection(files, signature, key_of))

    def diagnose(self, ctx: Services) -> list[str]:
        """Say whether the certificates can be used, and which of them is over or soon will be."""
        return ends_soon(self._trusted(read_keys(ctx, self.authorities)), ctx.now)

    def _mark(self, pems: list[bytes]) -> str:
        return mark_of(self.use, self.identity.encode(), *pems)

    def _trusted(self, pems: list[bytes]) -> list[Certificate]:
        try:
            import cryptography.x509  # noqa: F401  # chain needs it
        except ImportError as error:
            raise Hopeless(INSTALL) from error
        return [each for name, pem in zip(self.authorities, pems, strict=True)
                for each in authorities(name, pem)]  # fmt: skip
