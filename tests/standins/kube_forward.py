"""Port-forward of the stand-in: `v4.channel.k8s.io` over a WebSocket, to where a pod's port is."""

from __future__ import annotations

import base64
import hashlib
import socket
import threading
from http.server import BaseHTTPRequestHandler

MARK = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # of RFC 6455
Address = tuple[str, int]


def forward(handler: BaseHTTPRequestHandler, address: Address | None, number: int) -> None:
    """Pass on what comes until an end closes: channel 0 is data, channel 1 errors."""
    accept = hashlib.sha1(handler.headers["Sec-WebSocket-Key"].encode() + MARK).digest()
    handler.send_response(101)
    for name, value in (
        ("Upgrade", "websocket"), ("Connection", "Upgrade"),
        ("Sec-WebSocket-Accept", base64.b64encode(accept).decode()),
        ("Sec-WebSocket-Protocol", "v4.channel.k8s.io"),
    ):  # fmt: skip
        handler.send_header(name, value)
    handler.end_headers()
    handler.close_connection = True
    for channel in (0, 1):
        _frame(handler, bytes((channel, number % 256, number // 256)))
    try:
        pod = socket.create_connection(address or ("127.0.0.1", 1), timeout=5)
    except OSError as error:
        _frame(handler, b"\x01an error occurred forwarding: " + str(error).encode())
        return
    with pod:
        back = threading.Thread(target=_back, args=(handler, pod))
        back.start()
        while data := _unframe(handler):
            pod.sendall(data[1:])
        pod.shutdown(socket.SHUT_RDWR)
        back.join()


def _back(handler: BaseHTTPRequestHandler, pod: socket.socket) -> None:
    try:
        while data := pod.recv(65536):
            _frame(handler, b"\x00" + data)
        handler.connection.shutdown(socket.SHUT_WR)
    except OSError:
        return


def _frame(handler: BaseHTTPRequestHandler, data: bytes) -> None:
    size = len(data)
    head = bytes((0x82, size)) if size < 126 else bytes((0x82, 126)) + size.to_bytes(2, "big")
    if size > 65535:
        head = bytes((0x82, 127)) + size.to_bytes(8, "big")
    handler.wfile.write(head + data)
    handler.wfile.flush()


def _unframe(handler: BaseHTTPRequestHandler) -> bytes:
    """Read a frame of data; empty at the end."""
    try:
        first = handler.rfile.read(2)
        if len(first) < 2 or first[0] & 0x0F == 8:
            return b""
        size = first[1] & 0x7F
        if size >= 126:
            size = int.from_bytes(handler.rfile.read(2 if size == 126 else 8), "big")
        mask = handler.rfile.read(4)
        data = handler.rfile.read(size)
    except OSError:
        return b""
    return bytes(byte ^ mask[at % 4] for at, byte in enumerate(data))
