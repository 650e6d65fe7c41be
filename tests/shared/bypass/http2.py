"""Sends one HTTP/2 request, frame by frame and as wrong as the entry wants it, and reads the answer.

Client libraries refuse to send what RFC 9113 forbids; here nothing is checked.
"""

import socket
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from hpack import Decoder

from bypass.entry import Header, Message
from bypass.http1 import Answer

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, GOAWAY, CONTINUATION = 0, 1, 3, 4, 7, 9
END_STREAM, END_HEADERS, ACK = 1, 4, 1
STREAM = 1
FRAME_BYTES = 16_384


def request(message: Message) -> bytes:
    """The bytes of a whole connection: preface, settings, headers, body, trailers."""
    body = message.encoded_body()
    body = body[: len(body) - message.cut]
    open_end = message.cut > 0
    frames = [PREFACE, _frame(SETTINGS, 0, 0, b"")]
    last = END_STREAM if not body and not message.trailers and not open_end else 0
    frames += _headers(last, _block(message.h2 or ()))
    parts = _parts(body)
    for index, part in enumerate(parts):
        final = index == len(parts) - 1 and not message.trailers and not open_end
        frames.append(_frame(DATA, END_STREAM if final else 0, STREAM, part))
    if message.trailers:
        frames += _headers(END_STREAM, _block(message.trailers))
    return b"".join(frames)


def _headers(flags: int, block: bytes) -> Iterator[bytes]:
    """One HEADERS frame, and CONTINUATION frames for what does not fit in it."""
    parts = _parts(block)
    for index, part in enumerate(parts):
        ends = END_HEADERS if index == len(parts) - 1 else 0
        first = index == 0
        yield _frame(HEADERS if first else CONTINUATION, ends | flags * first, STREAM, part)


def _parts(data: bytes) -> list[bytes]:
    return [data[at : at + FRAME_BYTES] for at in range(0, len(data), FRAME_BYTES)]


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def _block(headers: Iterable[Header]) -> bytes:
    """Literals without indexing and without Huffman (RFC 7541 section 6.2.2)."""
    return b"".join(b"\0" + _text(name) + _text(value) for name, value in headers)


def _text(text: str) -> bytes:
    data = text.encode("latin-1")
    length, prefix = len(data), 127
    if length < prefix:
        return bytes([length]) + data
    length -= prefix
    octets = [prefix]
    while length >= 128:
        octets.append(length % 128 + 128)
        length //= 128
    return bytes([*octets, length]) + data


@dataclass
class Streams:
    """What a server sends back on the one stream that `request` opens."""

    connection: socket.socket
    _decoder: Decoder = field(default_factory=Decoder, repr=False)

    def answer(self) -> Answer | None:
        """The answer; None when the stream or the connection is reset, or the connection ends."""
        status, headers, body = 0, {}, b""
        try:
            while True:
                kind, flags, stream, payload = self._next()
                if kind == SETTINGS and not flags & ACK:
                    self.connection.sendall(_frame(SETTINGS, ACK, 0, b""))
                if kind == GOAWAY or (kind == RST_STREAM and stream == STREAM and not status):
                    return None
                if kind == HEADERS and stream == STREAM:
                    headers = {str(n): str(v) for n, v in self._decoder.decode(payload)}
                    status = int(headers[":status"])
                if kind == DATA and stream == STREAM:
                    body += payload
                if status and flags & END_STREAM and stream == STREAM:
                    return Answer(status, headers, body)
        except TimeoutError:
            raise
        except (OSError, EOFError):
            return None

    def _next(self) -> tuple[int, int, int, bytes]:
        head = self._exactly(9)
        length = int.from_bytes(head[:3], "big")
        kind, flags, stream = struct.unpack(">BBI", head[3:])
        return kind, flags, stream, self._exactly(length)

    def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            received = self.connection.recv(size - len(data))
            if not received:
                raise EOFError
            data += received
        return data
