"""A certificate for 127.0.0.1, and other addresses, that signs itself, made by openssl."""

from __future__ import annotations

import subprocess
from pathlib import Path


def make_certificate(place: Path, *addresses: str) -> tuple[Path, Path]:
    """Give the files of a certificate and its RSA key."""
    certificate, key = place / "tls.pem", place / "tls.key"
    names = ",".join([*(f"IP:{each}" for each in ("127.0.0.1", *addresses)), "DNS:localhost"])
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
         "-keyout", str(key), "-out", str(certificate), "-subj", "/CN=127.0.0.1",
         "-addext", f"subjectAltName={names}"],
        check=True, capture_output=True,
    )  # fmt: skip
    return certificate, key
