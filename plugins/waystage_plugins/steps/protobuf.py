"""Reading the wire format of protocol buffers, without their library and without any schema.

Source of the format: protobuf.dev, "Encoding". Nothing is copied: parts are views of the bytes.
"""

from __future__ import annotations

from collections.abc import Iterator

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5


class NotProtobuf(ValueError):
    """The bytes are no message of protocol buffers."""


def fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Give number and value of each field in order; raises `NotProtobuf`."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        number, kind = key >> 3, key & 7
        if number == 0:
            raise NotProtobuf("field number 0")
        if kind == VARINT:
            value, at = _varint(message, at)
            yield number, value
            continue
        if kind == BYTES:
            size, at = _varint(message, at)
        elif kind in (FIXED64, FIXED32):
            size = 8 if kind == FIXED64 else 4
        else:
            raise NotProtobuf(f"wire type {kind}")
        if at + size > len(message):
            raise NotProtobuf("it ends in the middle of a field")
        yield number, message[at : at + size]
        at += size


def parts(message: memoryview, number: int) -> Iterator[memoryview]:
    """Give every message, text or block of bytes of that field; raises `NotProtobuf`."""
    for found, value in fields(message):
        if found == number:
            if isinstance(value, int):
                raise NotProtobuf(f"field {number} is a number")
            yield value


def last_number(message: memoryview, number: int) -> int:
    """Give the last number of that field, 0 if there is none; raises `NotProtobuf`."""
    found = [value for each, value in fields(message) if each == number]
    if found and not isinstance(found[-1], int):
        raise NotProtobuf(f"field {number} is no number")
    return found[-1] if found and isinstance(found[-1], int) else 0


def text(part: memoryview) -> str:
    """Give a text; raises `NotProtobuf` if it is none."""
    try:
        return bytes(part).decode()
    except UnicodeDecodeError:
        raise NotProtobuf("a text is not UTF-8") from None


def entries(message: memoryview, number: int) -> Iterator[tuple[str, memoryview]]:
    """Give key and value of each entry of a map from texts to messages; raises `NotProtobuf`."""
    for entry in parts(message, number):
        key, value = "", memoryview(b"")
        for part in parts(entry, 1):
            key = text(part)
        for part in parts(entry, 2):
            value = part
        yield key, value


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(message):
            raise NotProtobuf("it ends in the middle of a number")
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFF_FFFF_FFFF_FFFF, at
    raise NotProtobuf("a number has more than ten bytes")
