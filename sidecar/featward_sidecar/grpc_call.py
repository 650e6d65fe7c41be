"""A gRPC call over a UNIX socket, on h2.

Why not grpcio: importing it costs this process 20 MB of memory (measured, with asyncio and ssl behind it)
and h2 1.6 MB, and a sidecar runs beside every workload. What it does not need is what makes grpcio large:
TLS (the engine's Dialer ends it), name resolution, balancing, compression, servers. One connection carries
one call, so there is nothing to share and nothing to lock; `cancel` is the only method for other threads.
"""

import socket
import struct
import time
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from enum import IntEnum
from urllib.parse import unquote

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    PingAckReceived,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
)
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes, Settings

from featward_sidecar.errors import CallError

__all__ = ["GrpcCall", "Status"]

MESSAGE_BYTES = 4 << 20
"""Largest message taken, as gRPC's own default; a scope table of 10,000 authorities is under 1 MB."""

PING_SECONDS = 30.0
"""Silence after which the other side is asked whether it lives. Its host may have gone without a word."""

PONG_SECONDS = 10.0
"""How long it may take to say so."""

WINDOW = 1 << 20
"""What the other side may send before we have taken it. With h2's own 64 KiB a policy of 40 MB took 2.3 s from
an operator beside us and 3.4 s from one 50 ms away; with this 1.6 and 2.2, and less of the processor."""

_SETTINGS = {
    SettingCodes.ENABLE_PUSH: 0,
    SettingCodes.MAX_HEADER_LIST_SIZE: 16_384,
    SettingCodes.INITIAL_WINDOW_SIZE: WINDOW,
}


class Status(IntEnum):
    """The gRPC codes that this sidecar tells apart, or answers with. CANCELLED is not among them: it is the
    caller's word, and a server's breaks py-spiffe for good."""

    OK = 0
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    UNAUTHENTICATED = 16


class GrpcCall:
    """One call: messages up with `send`, messages down with `receive`. Close it when done.

    >>> with GrpcCall("/run/dialer.sock", "/featward.identity.v1.IdentityService/Attest") as call:  #
    doctest: +SKIP ...     answer = call.ask(request.SerializeToString(), timeout=10)
    """

    def __init__(
        self,
        path: str,
        method: str,
        connect_timeout: float = 10.0,
        metadata: Iterable[tuple[str, str]] = (),
    ) -> None:
        self._socket = _connect(path, connect_timeout)
        self._http2 = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
        self._http2.local_settings = Settings(client=True, initial_values=_SETTINGS)
        self._received = bytearray()
        self._messages: deque[bytes] = deque()
        self._headers: dict[str, str] = {}
        self._ended = False
        self._last_heard = time.monotonic()
        self._asked_at: float | None = None
        try:
            self._open(method, metadata)
        except BaseException:
            self._socket.close()
            raise

    def _open(self, method: str, metadata: Iterable[tuple[str, str]]) -> None:
        self._http2.initiate_connection()
        # The settings are for streams; a connection begins with 65,535 bytes, whatever they say.
        self._http2.increment_flow_control_window(WINDOW - 65_535)
        self._stream = self._http2.get_next_available_stream_id()
        headers = [
            (":method", "POST"),
            (":scheme", "http"),
            (":path", method),
            (":authority", "localhost"),
            ("content-type", "application/grpc+proto"),
            ("te", "trailers"),
            ("user-agent", "featward-sidecar"),
            *metadata,
        ]
        self._http2.send_headers(self._stream, headers)
        self._flush()

    def __enter__(self) -> "GrpcCall":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._socket.close()

    def cancel(self) -> None:
        """Make a `receive` in another thread end with CallError UNAVAILABLE."""
        with suppress(OSError):  # it may have ended by itself
            self._socket.shutdown(socket.SHUT_RDWR)

    def send(self, message: bytes, *, last: bool = False, timeout: float = 10.0) -> None:
        """Send one message; `last` says that no other follows. Raises CallError with the far side's word where
        that has ended the call."""
        rest = memoryview(struct.pack("!BI", 0, len(message)) + message)
        deadline = time.monotonic() + timeout
        while rest:
            if self._ended:
                raise self._outcome()
            room = min(
                self._http2.local_flow_control_window(self._stream),
                self._http2.max_outbound_frame_size,
            )
            if room <= 0:
                if time.monotonic() >= deadline:
                    raise CallError(
                        Status.DEADLINE_EXCEEDED, f"the message was not taken within {timeout:g} s"
                    )
                self._take(deadline)
                continue
            self._write(bytes(rest[:room]))
            rest = rest[room:]
        if last:
            self._write(b"", end_stream=True)

    def ask(self, message: bytes, timeout: float) -> bytes:
        """A unary call: one message up, one down and status OK; all else is a CallError."""
        self.send(message, last=True)
        answer = self.receive(timeout)
        if answer is None:
            raise CallError(Status.DEADLINE_EXCEEDED, f"no answer within {timeout:g} s")
        deadline = time.monotonic() + timeout
        while not self._ended and time.monotonic() < deadline:
            self._take(deadline)
        if (outcome := self._outcome()).status != Status.OK:
            raise outcome
        return answer

    def receive(self, timeout: float) -> bytes | None:
        """The next message, or None when none came in time.

        Raises CallError when the call has ended, with status OK too: who calls this expects a message.
        """
        deadline = time.monotonic() + timeout
        while not self._messages:
            if self._ended:
                raise self._outcome()
            if time.monotonic() >= deadline:
                return None
            self._take(deadline)
        return self._messages.popleft()

    def _take(self, deadline: float) -> None:
        """Read once from the socket, at most until the deadline, and act on it."""
        self._socket.settimeout(max(0.001, min(deadline, self._keep_alive()) - time.monotonic()))
        try:
            data = self._socket.recv(65_536)
        except TimeoutError:
            return
        except OSError as error:
            raise CallError(
                Status.UNAVAILABLE, f"the connection broke: {error.strerror}"
            ) from error
        if not data:
            raise CallError(Status.UNAVAILABLE, "the connection was closed")
        self._last_heard, self._asked_at = time.monotonic(), None
        try:
            for event in self._http2.receive_data(data):
                self._act(event)
        except ProtocolError as error:
            raise CallError(Status.INTERNAL, f"the answer is not HTTP/2: {error}") from error
        self._flush()

    def _keep_alive(self) -> float:
        """Ping after silence; returns when to look again."""
        now = time.monotonic()
        if self._asked_at is not None:
            if now >= self._asked_at + PONG_SECONDS:
                raise CallError(Status.UNAVAILABLE, f"no answer to a ping for {PONG_SECONDS:.0f} s")
            return self._asked_at + PONG_SECONDS
        if now < self._last_heard + PING_SECONDS:
            return self._last_heard + PING_SECONDS
        self._http2.ping(b"featward")
        self._flush()
        self._asked_at = now
        return now + PONG_SECONDS

    def _act(self, event: Event) -> None:
        match event:
            case ResponseReceived() | TrailersReceived():
                self._headers.update((str(name), str(value)) for name, value in event.headers or [])
            case DataReceived():
                self._http2.acknowledge_received_data(
                    event.flow_controlled_length or 0, self._stream
                )
                self._received += event.data or b""
                self._split()
            case StreamEnded():
                self._ended = True
            case StreamReset():
                self._end(Status.UNAVAILABLE, f"the call was reset ({_name(event.error_code)})")
            case ConnectionTerminated() if (
                event.last_stream_id is not None and event.last_stream_id < self._stream
            ):
                self._end(
                    Status.UNAVAILABLE, f"the connection was refused ({_name(event.error_code)})"
                )
            case PingAckReceived() | _:
                pass  # having heard anything is the point; windows and settings are h2's own business

    def _end(self, status: Status, detail: str) -> None:
        self._headers.setdefault("grpc-status", str(int(status)))
        self._headers.setdefault("grpc-message", detail)
        self._ended = True

    def _split(self) -> None:
        while len(self._received) >= 5:
            compressed, length = struct.unpack_from("!BI", self._received)
            if compressed or length > MESSAGE_BYTES:
                raise CallError(
                    Status.INTERNAL,
                    f"a message of {length} bytes, compressed {compressed}, is not ours",
                )
            if len(self._received) < 5 + length:
                return
            self._messages.append(bytes(self._received[5 : 5 + length]))
            del self._received[: 5 + length]

    def _outcome(self) -> CallError:
        if (http := self._headers.get(":status")) not in (None, "200"):
            return CallError(Status.UNAVAILABLE, f"HTTP status {http} instead of a gRPC answer")
        code = self._headers.get("grpc-status", "")
        detail = unquote(self._headers.get("grpc-message", "")) or "the call was ended"
        return CallError(
            int(code) if code.isdigit() else Status.UNKNOWN,
            detail,
            self._retry_after(),
            cause=self._headers.get("featward-cause", ""),
            alert=self._headers.get("featward-alert", ""),
        )

    def _retry_after(self) -> float | None:
        """What a CA that sheds load says, at most an hour."""
        text = self._headers.get("featward-retry-after-ms", "")
        if not text.isascii() or not text.isdigit():
            return None
        return min(int(text[:9]) / 1000, 3600.0)

    def _write(self, data: bytes, *, end_stream: bool = False) -> None:
        try:
            self._http2.send_data(self._stream, data, end_stream=end_stream)
        except ProtocolError as error:
            raise CallError(
                Status.UNAVAILABLE, f"the far side takes no more messages: {error}"
            ) from error
        self._flush()

    def _flush(self) -> None:
        try:
            self._socket.settimeout(10.0)
            self._socket.sendall(self._http2.data_to_send())
        except OSError as error:
            raise CallError(
                Status.UNAVAILABLE, f"the connection broke: {error.strerror or error}"
            ) from error


def _connect(path: str, timeout: float) -> socket.socket:
    end = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    end.settimeout(timeout)
    try:
        end.connect(path)
    except OSError as error:
        end.close()
        raise CallError(
            Status.UNAVAILABLE, f"nothing answers at {path}: {error.strerror or error}"
        ) from error
    return end


def _name(code: ErrorCodes | int | None) -> str:
    return code.name.lower() if isinstance(code, ErrorCodes) else str(code)
