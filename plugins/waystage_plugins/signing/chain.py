"""Certificates: from the signer's own to an authority that is believed, each valid now."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, TypeVar

from waystage.errors import Hopeless
from waystage_plugins.signing.bundle import Unsound

if TYPE_CHECKING:
    from cryptography.x509 import BasicConstraints, Certificate, ExtensionType, KeyUsage
    from cryptography.x509.verification import ExtensionPolicy, Policy

    E = TypeVar("E", bound=ExtensionType)

SOON = timedelta(days=30)
LONGEST = 5  # certificates between the signer's own and an authority


def authorities(name: str, pem: bytes) -> list[Certificate]:
    """Read the certificates of a PEM file; raises `Hopeless` naming it."""
    from cryptography.x509 import load_pem_x509_certificates

    try:
        return load_pem_x509_certificates(pem)
    except ValueError as error:
        raise Hopeless(f"{name} holds no certificate in PEM") from error


def proved(
    chain: Sequence[bytes], trusted: Sequence[Certificate], identity: str, now: datetime
) -> Certificate:
    """Give the signer's certificate, proved up to an authority.

    Raises `Unsound`, and what the library raises on certificates that cannot be read.
    """
    from cryptography.x509 import load_der_x509_certificate
    from cryptography.x509.verification import (
        ExtensionPolicy,
        PolicyBuilder,
        Store,
        VerificationError,
    )

    if not chain:
        raise Unsound("was made with a bare key, not with a certificate")
    leaf, *others = [load_der_x509_certificate(each) for each in chain]
    _need_valid(leaf, now)
    _need_for_signing(leaf)
    builder = PolicyBuilder().store(Store(list(trusted))).time(now).max_chain_depth(LONGEST)
    free = ExtensionPolicy.permit_all()  # what the signer's own must say was looked at above
    verifier = builder.extension_policies(ca_policy=_issuers(), ee_policy=free)
    try:
        verifier.build_client_verifier().verify(leaf, others)
    except VerificationError as error:
        why = str(error).removeprefix("validation failed: ")
        raise Unsound(
            f"has a certificate ({leaf.subject.rfc4514_string()}) that no authority vouches for: "
            f"{why}"
        ) from error
    if identity and identity not in _identities(leaf):
        names = ", ".join(sorted(_identities(leaf))) or "nobody"
        raise Unsound(f"has the certificate of {names}, not of {identity}")
    return leaf


def ends_soon(certificates: Sequence[Certificate], now: datetime) -> list[str]:
    """Tell the certificates that are not valid, or will not be for long."""
    told = []
    for each in certificates:
        name, end = each.subject.rfc4514_string(), each.not_valid_after_utc
        if end < now + SOON:
            told.append(f"{name} {'was' if end < now else 'is'} valid until {end:%Y-%m-%d %H:%M}")
        elif each.not_valid_before_utc > now:
            told.append(f"{name} is valid only from {each.not_valid_before_utc:%Y-%m-%d %H:%M}")
    return told


def _need_valid(leaf: Certificate, now: datetime) -> None:
    """Say in plain words what the library says in its own."""
    begins, ends = leaf.not_valid_before_utc, leaf.not_valid_after_utc
    if now > ends:
        raise Unsound(f"has a certificate that was valid until {ends:%Y-%m-%d %H:%M} UTC")
    if now < begins:
        raise Unsound(f"has a certificate that is valid only from {begins:%Y-%m-%d %H:%M} UTC")


def _identities(leaf: Certificate) -> set[str]:
    from cryptography import x509

    names = leaf.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    kinds = (x509.RFC822Name, x509.DNSName, x509.UniformResourceIdentifier)
    others = _extension(leaf, x509.SubjectAlternativeName) or ()
    return {str(name.value) for name in names} | {
        each.value for each in others if isinstance(each, kinds)
    }


def _need_for_signing(leaf: Certificate) -> None:
    """Refuse a certificate that is for something else, such as a web server."""
    from cryptography import x509

    usage = _extension(leaf, x509.KeyUsage)
    purposes = _extension(leaf, x509.ExtendedKeyUsage)
    if usage is None and purposes is None:
        raise Unsound("has a certificate that does not say what it is for")
    if usage is not None and not usage.digital_signature:
        raise Unsound("has a certificate whose key usage is not digitalSignature")
    named = x509.oid.ExtendedKeyUsageOID
    if purposes is not None and not {named.CODE_SIGNING, named.ANY_EXTENDED_KEY_USAGE} & {
        *purposes
    }:
        raise Unsound("has a certificate whose extended key usage is not codeSigning")


def _extension(leaf: Certificate, kind: type[E]) -> E | None:
    from cryptography.x509 import ExtensionNotFound

    try:
        return leaf.extensions.get_extension_for_class(kind).value
    except ExtensionNotFound:
        return None


def _issuers() -> ExtensionPolicy:
    """What a certificate must be that issues others."""
    from cryptography import x509
    from cryptography.x509.verification import Criticality, ExtensionPolicy

    def is_authority(_: Policy, __: Certificate, said: BasicConstraints) -> None:
        if not said.ca:
            raise ValueError("its issuer is no authority")

    def for_certificates(_: Policy, __: Certificate, usage: KeyUsage | None) -> None:
        if usage is not None and not usage.key_cert_sign:
            raise ValueError("its issuer may not issue certificates")

    free, either = ExtensionPolicy.permit_all(), Criticality.AGNOSTIC
    return free.require_present(x509.BasicConstraints, either, is_authority).may_be_present(
        x509.KeyUsage, either, for_certificates
    )
