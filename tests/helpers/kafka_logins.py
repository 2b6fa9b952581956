"""How a broker of Kafka lets clients in by a password: PLAIN, and SCRAM after RFC 5802 and 7677."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from base64 import b64decode, b64encode

ROUNDS = 4096
UNBOUND = b64encode(b"n,,")  # the login is not bound to the TLS connection


class LoginRefused(Exception):
    """The user is unknown, the password wrong, or what was said no login."""


class Plain:
    """User and password as they are."""

    def __init__(self, logins: dict[str, str]) -> None:
        self._logins, self.known = logins, False

    def answer(self, token: bytes) -> bytes:
        """Take the only word of the client; raises `LoginRefused`."""
        _, user, password = token.split(b"\0")
        if self._logins.get(user.decode()) != password.decode():
            raise LoginRefused
        self.known = True
        return b""


class Scram:
    """A proof that both sides know the password, which is never sent."""

    def __init__(self, logins: dict[str, str], digest: str) -> None:
        self._logins, self._digest, self.known = logins, digest, False
        self._salt, self._nonce = secrets.token_bytes(16), secrets.token_urlsafe(24).encode()
        self._said: list[bytes] = []  # the client's first word without its head, and the answer
        self._salted = b""

    def answer(self, token: bytes) -> bytes:
        """Take the next word of the client; raises `LoginRefused`."""
        return self._last(token) if self._said else self._first(token)

    def _first(self, token: bytes) -> bytes:
        head, bare = token[:3], token[3:]
        told = _read(bare)
        password = self._logins.get(told[b"n"].decode())
        if head != b"n,," or password is None:
            raise LoginRefused
        self._salted = hashlib.pbkdf2_hmac(self._digest, password.encode(), self._salt, ROUNDS)
        self._nonce = told[b"r"] + self._nonce
        said = b"r=%s,s=%s,i=%d" % (self._nonce, b64encode(self._salt), ROUNDS)
        self._said = [bare, said]
        return said

    def _last(self, token: bytes) -> bytes:
        without, _, proof = token.rpartition(b",p=")
        told = _read(without)
        everything = b",".join([*self._said, without])
        key = self._mac(self._salted, b"Client Key")
        stored = hashlib.new(self._digest, key).digest()
        signature = self._mac(stored, everything)
        wanted = bytes(a ^ b for a, b in zip(key, signature, strict=True))
        is_theirs = hmac.compare_digest(b64decode(proof), wanted)
        if not is_theirs or (told[b"c"], told[b"r"]) != (UNBOUND, self._nonce):
            raise LoginRefused
        self.known = True
        return b"v=" + b64encode(self._mac(self._mac(self._salted, b"Server Key"), everything))

    def _mac(self, key: bytes, message: bytes) -> bytes:
        return hmac.digest(key, message, self._digest)


def _read(text: bytes) -> dict[bytes, bytes]:
    return {each[:1]: each[2:] for each in text.split(b",")}


def login(mechanism: str, logins: dict[str, str]) -> Plain | Scram:
    """Begin a login by `PLAIN`, `SCRAM-SHA-256` or `SCRAM-SHA-512`."""
    if mechanism == "PLAIN":
        return Plain(logins)
    return Scram(logins, {"SCRAM-SHA-256": "sha256", "SCRAM-SHA-512": "sha512"}[mechanism])
