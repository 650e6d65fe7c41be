"""One gRPC call on a local client's connection: framing, the order of its answers, and its one status.

Apart from the connection, which knows bytes and streams: this knows messages and statuses.
"""

import struct
from collections.abc import Sequence
from typing import Protocol
from urllib.parse import quote

from h2.connection import H2Connection

from featward_sidecar.grpc_call import Status

__all__ = ["Call", "Handler", "Wire", "first"]

MESSAGE_BYTES = 1 << 20
"""Largest request. Envoy's says all about its build, some 100 KB; the Workload API's are empty."""

_PLAIN = " !\"#$&'()*+,-./:;<=>?@[\\]^_`{|}~"
"""What a grpc-message may hold as it is, besides letters and digits."""


class Wire(Protocol):
    """What a call needs of its connection."""

    @property
    def flushed(self) -> bool: ...
    def pump(self, call: "Call") -> None: ...


class Handler(Protocol):
    """One call from its server's side. May raise anything: the call then ends as UNAVAILABLE."""

    def message(self, data: bytes) -> None: ...
    def half_closed(self) -> None: ...


class Call:
    """One gRPC call: what it asks, and the way to answer it."""

    def __init__(self, connection: Wire, stream: int, headers: Sequence[tuple[str, str]]):
        self._connection = connection
        self.stream = stream
        self.headers = headers
        self.path = first(headers, ":path")
        self.handler: Handler | None = None
        self._received = bytearray()
        self._answered = False
        self._begun = memoryview(b"")
        self._next: bytes | None = None
        self._ending: tuple[Status, str] | None = None
        self.ended = False

    def metadata(self, name: str) -> list[str]:
        """All values of a header, in order."""
        return [value for each, value in self.headers if each == name]

    def send(self, message: bytes) -> None:
        """Send one message. One that was not begun yet is replaced: each says all there is to say."""
        if self._ending is None:
            self._next = struct.pack("!BI", 0, len(message)) + message
            self._connection.pump(self)

    def end(self, status: Status, detail: str = "") -> None:
        """End the call, after what was given to `send`; the first status counts."""
        if self._ending is None:
            self._ending = (status, detail)
            self._connection.pump(self)

    @property
    def written(self) -> bool:
        """Whether all that was given to `send` has left for the kernel."""
        return not self._begun and self._next is None and self._connection.flushed

    # For the connection

    def take(self, data: bytes) -> None:
        """Bytes of the request."""
        self._received += data
        while len(self._received) >= 5 and self._ending is None:
            compressed, length = struct.unpack_from("!BI", self._received)
            if compressed:
                self.end(Status.UNIMPLEMENTED, "compressed messages are not read")
            elif length > MESSAGE_BYTES:
                self.end(Status.RESOURCE_EXHAUSTED, f"a message may have {MESSAGE_BYTES} bytes")
            elif len(self._received) < 5 + length:
                return
            elif self.handler is not None:
                message = bytes(self._received[5 : 5 + length])
                del self._received[: 5 + length]
                self.handler.message(message)

    def half_closed(self) -> None:
        if self._received and self._ending is None:
            self.end(Status.INTERNAL, "the request was cut off")
        elif self.handler is not None and self._ending is None:
            self.handler.half_closed()

    def frames(self, http2: H2Connection) -> None:
        """Give as much to h2 as the client's windows take."""
        while self._begun or self._next is not None:
            if not self._begun and self._next is not None:
                self._begun, self._next = memoryview(self._next), None
                self._answer(http2)
            window = http2.local_flow_control_window(self.stream)
            room = min(window, http2.max_outbound_frame_size)
            if room <= 0:
                return
            http2.send_data(self.stream, bytes(self._begun[:room]))
            self._begun = self._begun[room:]
        if self._ending is not None and not self.ended:
            self._finish(http2, *self._ending)

    def cut(self, http2: H2Connection) -> bool:
        """Say the status at once. False where half a message is out: only a lost connection says it then."""
        self._next = None
        if self._begun or self.ended or self._ending is None:
            return self.ended
        self._finish(http2, *self._ending)
        return True

    def _answer(self, http2: H2Connection) -> None:
        if not self._answered:
            self._answered = True
            headers = [(":status", "200"), ("content-type", "application/grpc+proto")]
            http2.send_headers(self.stream, headers)

    def _finish(self, http2: H2Connection, status: Status, detail: str) -> None:
        trailers = [("grpc-status", str(int(status)))]
        if detail:
            trailers.append(("grpc-message", quote(detail, safe=_PLAIN)))
        if not self._answered:
            trailers[:0] = [(":status", "200"), ("content-type", "application/grpc+proto")]
        http2.send_headers(self.stream, trailers, end_stream=True)
        self._answered = self.ended = True


def first(headers: Sequence[tuple[str, str]], name: str) -> str:
    """The first value of a header, or nothing."""
    return next((value for each, value in headers if each == name), "")
