"""A TCP proxy before a database that is slow and cuts lines, by a seed; COMMIT above all."""

from __future__ import annotations

import contextlib
import random
import socket
import threading
import time
from collections import Counter


class RoughProxy:
    """Passes everything on; while `rough` is set it delays, and cuts lines now and then.

    `cuts` counts what was cut: `before` a COMMIT reached the server, `after` it was obeyed and
    before its answer was heard, `anywhere` else.
    """

    def __init__(self, port: int, seed: int, *, cut: float = 0.004, commit: float = 0.04) -> None:
        self._target, self._chance = port, random.Random(seed)
        self._cut, self._commit = cut, commit
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._socket.getsockname()[1])
        self.rough = threading.Event()
        self.cuts: Counter[str] = Counter()
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Let go of everything."""
        for line in (self._socket, *self._open):
            _end(line)
            line.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._socket.accept()
                try:
                    server = socket.create_connection(("127.0.0.1", self._target))
                except OSError:  # the server is away
                    client.close()
                    continue
                self._open += [client, server]
                lost = threading.Event()
                for work in (self._up, self._down):
                    threading.Thread(target=work, args=(client, server, lost), daemon=True).start()

    def _up(self, client: socket.socket, server: socket.socket, lost: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while data := client.recv(65536):
                kind = self._fate(b"COMMIT" in data)
                if kind == "before":
                    break
                if kind == "after":
                    lost.set()
                server.sendall(data)
        _end(client)
        _end(server)

    def _down(self, client: socket.socket, server: socket.socket, lost: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(65536):
                if lost.is_set() or self._fate(commit=False) == "anywhere":
                    break
                client.sendall(data)
        _end(client)
        _end(server)

    def _fate(self, commit: bool) -> str:
        if not self.rough.is_set():
            return ""
        time.sleep(self._chance.random() ** 6 * 0.05)
        found = self._chance.random()
        kind = ""
        if commit and found < self._commit:
            kind = "before" if found < self._commit / 2 else "after"
        elif not commit and found < self._cut:
            kind = "anywhere"
        if kind:
            self.cuts[kind] += 1
        return kind


def _end(line: socket.socket) -> None:
    with contextlib.suppress(OSError):
        line.shutdown(socket.SHUT_RDWR)
