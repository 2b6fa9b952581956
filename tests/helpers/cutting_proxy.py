"""A TCP proxy before a database that cuts the line at the worst moment: after a COMMIT."""

from __future__ import annotations

import contextlib
import socket
import threading


class CuttingProxy:
    """Passes everything on until `cut_after_commit` is set; then one COMMIT's answer is lost."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._socket.getsockname()[1])
        self.cut_after_commit = threading.Event()
        # while it is set, new lines are closed at once, and a cut takes them all
        self.away = threading.Event()
        self.cuts = 0
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Let go of everything."""
        for line in (self._socket, *self._open):
            with contextlib.suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)
            line.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._socket.accept()
                if self.away.is_set():
                    client.close()
                    continue
                server = socket.create_connection(("127.0.0.1", self._target))
                self._open += [client, server]
                waiting = threading.Event()
                for work in (self._up, self._down):
                    threading.Thread(
                        target=work, args=(client, server, waiting), daemon=True
                    ).start()

    def _cut(self, lines: list[socket.socket]) -> None:
        for line in lines:
            with contextlib.suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)

    def _up(self, client: socket.socket, server: socket.socket, cut: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while data := client.recv(65536):
                if b"COMMIT" in data and self.cut_after_commit.is_set():
                    self.cut_after_commit.clear()
                    cut.set()
                server.sendall(data)
            server.shutdown(socket.SHUT_RDWR)

    def _down(self, client: socket.socket, server: socket.socket, cut: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(65536):
                if cut.is_set():  # the server has answered: it is committed, and nobody hears
                    self.cuts += 1
                    self._cut(self._open if self.away.is_set() else [server])
                    break
                client.sendall(data)
            client.shutdown(socket.SHUT_RDWR)
