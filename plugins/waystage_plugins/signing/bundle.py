"""A signature file of OpenSSF model-signing (OMS 1.0): read strictly, before anything is believed.

It is a Sigstore bundle (JSON) around a DSSE envelope, whose payload is an in-toto statement with
one entry for each file of the model.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MAX_BYTES = 8 << 20
MEDIA = re.compile(r"application/vnd\.dev\.sigstore\.bundle(\.v|\+json;version=)0\.[123](\+json)?")
PAYLOAD = "application/vnd.in-toto+json"
STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "https://model_signing/signature/v1.0"
HEX = re.compile(r"[0-9a-f]{64}")


class Unsound(Exception):
    """Why a signature is not to be believed, in words that go on from `its signature`."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """What a signature file says. Nothing of it is proved."""

    payload: bytes
    signature: bytes
    certificates: tuple[bytes, ...]  # DER, the signer's own first; none: signed by a bare key

    @property
    def signed(self) -> bytes:
        """The bytes that were signed: the envelope's pre-authentication encoding."""
        kind = PAYLOAD.encode()
        return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(self.payload), self.payload)


def read_bundle(raw: bytes) -> Bundle:
    """Read a signature file; raises `Unsound`."""
    if len(raw) > MAX_BYTES:
        raise Unsound(f"is larger than {MAX_BYTES >> 20} MiB")
    bundle = _mapping(_json(raw, "is cut off or no signature file"), "the file")
    if not MEDIA.fullmatch(str(bundle.get("mediaType"))):
        raise Unsound("is no signature file of model-signing (a Sigstore bundle)")
    envelope = _mapping(bundle.get("dsseEnvelope"), "dsseEnvelope")
    if envelope.get("payloadType") != PAYLOAD:
        raise Unsound(f"has another payload than {PAYLOAD}")
    signatures = envelope.get("signatures")
    if not isinstance(signatures, list) or len(signatures) != 1:
        raise Unsound("is not exactly one signature")
    return Bundle(
        _decoded(envelope.get("payload"), "payload"),
        _decoded(_mapping(signatures[0], "signatures").get("sig"), "sig"),
        _certificates(_mapping(bundle.get("verificationMaterial"), "verificationMaterial")),
    )


def signed_files(bundle: Bundle) -> dict[str, str]:
    """Give path and `sha256:<hex>` of each file that a bundle signs; raises `Unsound`.

    Call it only for a bundle whose signature was verified.
    """
    statement = _mapping(_json(bundle.payload, "signs something that cannot be read"), "payload")
    if statement.get("_type") != STATEMENT or statement.get("predicateType") != PREDICATE:
        kind = statement.get("predicateType") or statement.get("_type")
        raise Unsound(f"signs {kind!r}, which is no model of model-signing 1.0")
    predicate = _mapping(statement.get("predicate"), "predicate")
    how = _mapping(predicate.get("serialization"), "serialization")
    if (how.get("method"), how.get("hash_type")) != ("files", "sha256"):
        raise Unsound(
            f"was made by {how.get('method')} and {how.get('hash_type')}; "
            "sign whole files by sha256, as model_signing does unless told otherwise"
        )
    files = _resources(predicate.get("resources"))
    _check_subject(statement.get("subject"), files)
    return files


def _certificates(material: Mapping[str, Any]) -> tuple[bytes, ...]:
    if "certificate" in material:
        raise Unsound("was made without a key, by Sigstore's services, which is not supported")
    if "x509CertificateChain" not in material:
        return ()
    chain = _mapping(material["x509CertificateChain"], "x509CertificateChain").get("certificates")
    if not isinstance(chain, list) or not 0 < len(chain) <= 10:
        raise Unsound("has a chain of no or more than ten certificates")
    return tuple(_decoded(_mapping(each, "certificates").get("rawBytes"), "rawBytes")
                 for each in chain)  # fmt: skip


def _resources(listed: Any) -> dict[str, str]:
    if not isinstance(listed, list) or not listed:
        raise Unsound("lists no files")
    files: dict[str, str] = {}
    for each in listed:
        resource = _mapping(each, "resources")
        name, digest = resource.get("name"), resource.get("digest")
        whole = isinstance(name, str) and isinstance(digest, str) and HEX.fullmatch(digest)
        if not whole or resource.get("algorithm") != "sha256":
            raise Unsound(f"lists {name!r} without a sha256 digest")
        if name in files:
            raise Unsound(f"lists {name!r} twice")
        files[str(name)] = f"sha256:{digest}"
    return files


def _check_subject(subject: Any, files: Mapping[str, str]) -> None:
    """Hold the digest of the whole against those of the files, in their order."""
    total = hashlib.sha256()
    for digest in files.values():
        total.update(bytes.fromhex(digest.removeprefix("sha256:")))
    one = subject[0] if isinstance(subject, list) and len(subject) == 1 else None
    said = _mapping(_mapping(one, "subject").get("digest"), "subject").get("sha256")
    if said != total.hexdigest():
        raise Unsound("contradicts itself: its digest of the whole is not that of its files")


def _json(raw: bytes, why: str) -> Any:
    try:
        return json.loads(raw, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise Unsound(why) from error


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):  # readers differ in which of the two they take
        raise ValueError("a key is there twice")
    return found


def _mapping(value: Any, name: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise Unsound(f"is not one that can be read: {name} is missing or no mapping")
    return value


def _decoded(text: Any, name: str) -> bytes:
    try:
        return base64.b64decode(text if isinstance(text, str) else "", validate=True) or _empty()
    except (binascii.Error, ValueError) as error:
        raise Unsound(f"is not one that can be read: {name} is no base64") from error


def _empty() -> bytes:
    raise ValueError("nothing is there")
