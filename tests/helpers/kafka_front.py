"""A front before a mock broker that wants TLS and a password, as real brokers do.

The mock brokers of librdkafka know neither. The front ends TLS, answers the two SASL requests
itself by the one mechanism that it takes, and hands all others on; in the answers it puts its own
port where the broker names its own, so that clients never learn of another way in.
"""

from __future__ import annotations

import asyncio
import ssl
import struct
import threading
from contextlib import suppress
from pathlib import Path

from kafka_logins import LoginRefused, login

API_VERSIONS, SASL_HANDSHAKE, SASL_AUTHENTICATE = 18, 17, 36
HOST = b"127.0.0.1"
UNSUPPORTED, SASL_FAILED = 33, 58


class KafkaFront:
    """Listens on a port of its own for one broker; `logins` are those that it lets in."""

    def __init__(
        self, broker: int, certificate: Path, key: Path, logins: dict[str, str], *,
        clients: Path | None = None, mechanism: str = "PLAIN",
    ) -> None:  # fmt: skip
        self.logins, self._broker, self.mechanism = logins, broker, mechanism
        self.refused = 0
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate, key)
        if clients is not None:
            self._context.verify_mode = ssl.CERT_REQUIRED
            self._context.load_verify_locations(clients)
        self._loop, ready = asyncio.new_event_loop(), threading.Event()
        self.port, self._tasks = 0, set[asyncio.Task[None]]()
        self._thread = threading.Thread(target=self._run, args=(ready,), daemon=True)
        self._thread.start()
        assert ready.wait(10)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    def _run(self, ready: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)
        self._stop = asyncio.Event()
        self._loop.run_until_complete(self._serve(ready))
        self._loop.close()

    async def _serve(self, ready: threading.Event) -> None:
        server = await asyncio.start_server(self._greet, "127.0.0.1", 0, ssl=self._context)
        self.port = server.sockets[0].getsockname()[1]
        ready.set()
        await self._stop.wait()
        server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _greet(self, client: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        inside, forward = await asyncio.open_connection("127.0.0.1", self._broker)
        asked: dict[int, tuple[int, int]] = {}
        answers = asyncio.create_task(self._answers(inside, back, asked))
        try:
            await self._requests(client, back, forward, asked)
        except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            pass
        finally:
            answers.cancel()
            for each in (forward, back):
                each.close()
                with suppress(ConnectionError, ssl.SSLError):
                    await each.wait_closed()
            self._tasks.discard(task)

    async def _requests(
        self, client: asyncio.StreamReader, back: asyncio.StreamWriter,
        forward: asyncio.StreamWriter, asked: dict[int, tuple[int, int]],
    ) -> None:  # fmt: skip
        who = login(self.mechanism, self.logins)
        while True:
            frame = await _frame(client)
            key, version, name = struct.unpack(">hhi", frame[:8])
            if key == SASL_HANDSHAKE:
                wanted = self.mechanism.encode()
                error = 0 if frame.endswith(wanted) else UNSUPPORTED
                _send(back, struct.pack(">ihih", name, error, 1, len(wanted)) + wanted)
            elif key == SASL_AUTHENTICATE:
                try:
                    error, text, said = 0, b"", who.answer(_token(frame))
                except LoginRefused:
                    error, text, said = SASL_FAILED, b"wrong user or password", b""
                    self.refused += 1
                told = struct.pack(">h", len(text)) + text + struct.pack(">i", len(said)) + said
                rest = struct.pack(">q", 0) if version else b""
                _send(back, struct.pack(">ih", name, error) + told + rest)
            elif who.known or key == API_VERSIONS:
                asked[name] = (key, version)
                _send(forward, frame)
            else:
                return  # a broker hangs up on who did not log in
            await back.drain()

    async def _answers(
        self, inside: asyncio.StreamReader, back: asyncio.StreamWriter,
        asked: dict[int, tuple[int, int]],
    ) -> None:  # fmt: skip
        there, here = struct.pack(">i", self._broker), struct.pack(">i", self.port)
        while True:
            frame = await _frame(inside)
            key, version = asked.pop(struct.unpack(">i", frame[:4])[0])
            if key == API_VERSIONS:
                frame = _with_sasl(frame, version)
            _send(back, frame.replace(HOST + there, HOST + here))
            await back.drain()


async def _frame(source: asyncio.StreamReader) -> bytes:
    (size,) = struct.unpack(">i", await source.readexactly(4))
    return await source.readexactly(size)


def _token(frame: bytes) -> bytes:
    """Give what a client says to log in, behind the head with its name."""
    (length,) = struct.unpack(">h", frame[8:10])
    return frame[10 + max(0, length) + 4 :]


def _send(target: asyncio.StreamWriter, frame: bytes) -> None:
    target.write(struct.pack(">i", len(frame)) + frame)


def _with_sasl(frame: bytes, version: int) -> bytes:
    """Add the two requests of SASL to what a broker says that it knows."""
    head, error = frame[:6], struct.unpack(">h", frame[4:6])[0]
    if version >= 3 and error == 0:  # lengths are one more than they are, parts end in a tag
        count, end = frame[6], b"\0"
        assert count < 120, "a length of more than one byte"
        entries = bytes([count + 2])
        rest = frame[7:]
    else:
        (count,), end = struct.unpack(">i", frame[6:10]), b""
        entries, rest = struct.pack(">i", count + 2), frame[10:]
    for key in (SASL_HANDSHAKE, SASL_AUTHENTICATE):
        entries += struct.pack(">hhh", key, 0, 1) + end
    return head + entries + rest
