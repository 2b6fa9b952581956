"""Whose signatures of snapshots are believed."""

from waystage_plugins.signing.certificate import CertifiedSigner
from waystage_plugins.signing.key import KeySigner

SIGNERS = (CertifiedSigner, KeySigner)

__all__ = ["SIGNERS", "CertifiedSigner", "KeySigner"]
