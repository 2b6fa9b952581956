"""Real signatures of models, made by the package model-signing with keys that are made anew."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

BESIDE = ("manifest.yaml", "model.sig")


def make_key(place: Path, name: str = "models", curve: Any = None) -> tuple[Path, Path]:
    """Write a private key and its public half; give both files."""
    private, public = place / f"{name}.pem", place / f"{name}.pub"
    key = ec.generate_private_key(curve or ec.SECP256R1())
    private.write_bytes(_private(key))
    public.write_bytes(key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo))  # fmt: skip
    return private, public


def sign_with_key(directory: Path, private: Path, ignored: Sequence[str] = BESIDE) -> Path:
    """Sign the model files of a directory, as `model_signing sign key` does."""
    from model_signing import signing

    return _sign(directory, signing.Config().use_elliptic_key_signer(private_key=private), ignored)


class Authority:
    """Somebody who issues certificates, and keeps their keys beside them."""

    def __init__(self, place: Path, now: datetime, name: str = "Model CA") -> None:
        self.place, self.now, self.name = place, now, _name(name)
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.file = place / f"{name.lower().replace(' ', '-')}.pem"
        self.certificate = self._certificate(self.name, self.key, now - timedelta(days=365),
                                             timedelta(days=3650), authority=True)  # fmt: skip
        self.file.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))

    def issue(
        self, name: str = "Model signing", *, begins: datetime | None = None,
        lasts: timedelta = timedelta(days=90), usage: str = "digital_signature",
        purposes: Sequence[Any] | None = (ExtendedKeyUsageOID.CODE_SIGNING,), mail: str = "",
        curve: Any = None,
    ) -> tuple[Path, Path]:  # fmt: skip
        """Write a private key and its certificate; give both files."""
        key = ec.generate_private_key(curve or ec.SECP256R1())
        begins = begins or self.now - timedelta(days=1)
        made = self._certificate(_name(name), key, begins, lasts, usage=usage, purposes=purposes,
                                 mail=mail)  # fmt: skip
        slug = name.lower().replace(" ", "-")
        private, certificate = self.place / f"{slug}.key", self.place / f"{slug}.crt"
        private.write_bytes(_private(key))
        certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
        return private, certificate

    def sign(
        self, directory: Path, private: Path, certificate: Path, ignored: Sequence[str] = BESIDE
    ) -> Path:
        """Sign the model files of a directory, as `model_signing sign certificate` does."""
        from model_signing import signing

        config = signing.Config().use_certificate_signer(
            private_key=private, signing_certificate=certificate, certificate_chain=[self.file]
        )
        return _sign(directory, config, ignored)

    def _certificate(
        self, subject: x509.Name, key: Any, begins: datetime, lasts: timedelta, *,
        authority: bool = False, usage: str = "key_cert_sign",
        purposes: Sequence[Any] | None = None, mail: str = "",
    ) -> x509.Certificate:  # fmt: skip
        names = ("digital_signature", "content_commitment", "key_encipherment",
                 "data_encipherment", "key_agreement", "key_cert_sign", "crl_sign",
                 "encipher_only", "decipher_only")  # fmt: skip
        builder = (
            x509.CertificateBuilder().subject_name(subject).issuer_name(self.name)
            .public_key(key.public_key()).serial_number(x509.random_serial_number())
            .not_valid_before(begins).not_valid_after(begins + lasts)
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        )  # fmt: skip
        if usage:
            said = {name: name == usage for name in names}
            builder = builder.add_extension(x509.KeyUsage(**said), critical=True)
        if purposes:
            builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
        if mail:
            others = x509.SubjectAlternativeName([x509.RFC822Name(mail)])
            builder = builder.add_extension(others, critical=False)
        return builder.sign(self.key, hashes.SHA256())


def _sign(directory: Path, config: Any, ignored: Sequence[str]) -> Path:
    from model_signing import hashing

    ours = hashing.Config().set_ignored_paths(
        paths=[directory / name for name in ignored], ignore_git_paths=False
    )
    signature = directory / "model.sig"
    config.set_hashing_config(ours).sign(directory, signature)
    return signature


def _private(key: Any) -> bytes:
    return bytes(key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption()))  # fmt: skip


def _name(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
