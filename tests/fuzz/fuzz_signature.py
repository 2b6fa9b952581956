"""What the reader of signature files says to any bytes: files with digests, or one objection."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator

from waystage_plugins.signing import bundle as b

MEDIA = "application/vnd.dev.sigstore.bundle.v0.3+json"


def seeds() -> Iterator[bytes]:
    """Give a statement, and signature files around it."""
    digest = hashlib.sha256(b"weights").hexdigest()
    whole = hashlib.sha256(bytes.fromhex(digest)).hexdigest()
    statement = json.dumps({
        "_type": b.STATEMENT, "subject": [{"name": "m", "digest": {"sha256": whole}}],
        "predicateType": b.PREDICATE,
        "predicate": {
            "serialization": {"method": "files", "hash_type": "sha256", "allow_symlinks": False},
            "resources": [{"name": "a.onnx", "digest": digest, "algorithm": "sha256"}],
        },
    }).encode()  # fmt: skip
    yield statement
    chain = {"certificates": [{"rawBytes": "MAA="}]}
    for material in ({"publicKey": {"hint": digest}}, {"x509CertificateChain": chain}):
        envelope = {"payload": base64.b64encode(statement).decode(), "payloadType": b.PAYLOAD,
                    "signatures": [{"sig": "MAA=", "keyid": ""}]}  # fmt: skip
        yield json.dumps({"mediaType": MEDIA, "verificationMaterial": material,
                          "dsseEnvelope": envelope}).encode()  # fmt: skip


def one_input(data: bytes) -> None:
    """Read the bytes as a signature file, and as what one signs."""
    for said in (lambda: b.read_bundle(data), lambda: b.Bundle(data, b"", ())):
        try:
            files = b.signed_files(said())
        except b.Unsound:
            continue
        assert files
        assert all(digest.startswith("sha256:") for digest in files.values())
