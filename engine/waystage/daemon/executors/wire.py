"""Messages over a socket: a length, then that many bytes."""

from __future__ import annotations

import socket
import struct
import threading

HEAD = struct.Struct("!I")
LONGEST = 1 << 20  # bytes that a step's process may say in one message; outputs are far smaller


class TooLong(Exception):
    """A message is longer than messages may be."""


class Wire:
    """One end of a socket; whole messages go in and come out."""

    def __init__(self, end: socket.socket, timeout: float | None = None) -> None:
        end.settimeout(timeout)  # for who does not take what is sent
        self._end, self._lock, self._seen = end, threading.Lock(), bytearray()

    def fileno(self) -> int:
        """Give the socket's number, for who waits for it."""
        return self._end.fileno()

    def send(self, message: bytes) -> None:
        """Send a message, from any thread."""
        with self._lock:
            self._end.sendall(HEAD.pack(len(message)) + message)

    def receive(self) -> bytes | None:
        """Wait for a whole message; None at the end."""
        while (message := self._taken(None)) is None:
            if not self._read():
                return None
        return message

    def arrived(self) -> tuple[list[bytes], bool]:
        """Read what is there and give the whole messages, and whether more may come.

        Raises `TooLong`.
        """
        alive = self._read()
        found = []
        while (message := self._taken(LONGEST)) is not None:
            found.append(message)
        return found, alive

    def close(self) -> None:
        """Let go of the socket."""
        self._end.close()

    def _read(self) -> bool:
        try:
            more = self._end.recv(1 << 16)
        except OSError:
            return False
        self._seen += more
        return bool(more)

    def _taken(self, longest: int | None) -> bytes | None:
        if len(self._seen) < HEAD.size:
            return None
        (length,) = HEAD.unpack_from(self._seen)
        if longest is not None and length > longest:
            raise TooLong(f"{length:,} bytes")
        end = HEAD.size + length
        if len(self._seen) < end:
            return None
        message = bytes(self._seen[HEAD.size : end])
        del self._seen[:end]
        return message
