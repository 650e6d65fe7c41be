"""One local client's HTTP/2 connection and the gRPC calls on it, without blocking and without threads.

Strict on purpose: what no gRPC client sends ends the connection, what one call does wrong ends that call, and
every call ends in a status, whatever happens in its handler. h2 does the protocol; grpcio as a server would
cost this process 20 MB.
"""

import logging
import socket
from collections.abc import Callable, Sequence
from functools import partial

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    RequestReceived,
    StreamEnded,
    StreamReset,
)
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes, Settings

from featward.logs import fields
from featward_sidecar.grpc_call import Status
from featward_sidecar.socket.call import Call, Handler, first

__all__ = ["Connection", "ConnectionGoneError", "Open"]

log = logging.getLogger(__name__)

STREAMS = 100
"""Calls at a time on a connection. An app has a handful; Envoy opens one for each secret."""

UNSENT_BYTES = 1 << 20
"""A client that has us keep more than this, by not reading, is not read from until it has."""

RESETS = 1000
"""Calls that a client may open and take back on one connection before it has to make a new one."""

_SETTINGS = {
    SettingCodes.ENABLE_PUSH: 0,
    SettingCodes.MAX_CONCURRENT_STREAMS: STREAMS,
    SettingCodes.MAX_HEADER_LIST_SIZE: 16_384,
}


class ConnectionGoneError(Exception):
    """The client has closed, or broken the protocol; there is nothing left to say to it."""


Open = Callable[[Call], Handler | None]
"""Finds the handler of a call, or ends it and returns None."""


class Connection:
    """Bytes in, bytes out. Raises ConnectionGoneError where nothing can be said any more."""

    def __init__(self, end: socket.socket, open_call: Open) -> None:
        end.setblocking(False)
        self.socket = end
        self.calls: dict[int, Call] = {}
        self._open = open_call
        self._unsent = bytearray()
        self._resets = 0
        self._closing = False
        self._http2 = H2Connection(H2Configuration(client_side=False, header_encoding=None))
        self._http2.local_settings = Settings(client=False, initial_values=_SETTINGS)
        self._http2.initiate_connection()
        self.flush()

    @property
    def flushed(self) -> bool:
        return not self._unsent

    @property
    def wants_reading(self) -> bool:
        return len(self._unsent) < UNSENT_BYTES

    def read(self) -> None:
        """Take what has come, act on it and answer."""
        try:
            data = self.socket.recv(65_536)
        except BlockingIOError:
            return
        except OSError as error:
            raise ConnectionGoneError(str(error)) from error
        if not data:
            raise ConnectionGoneError("closed")
        try:
            for event in self._http2.receive_data(data):
                self._act(event)
            self._pump_all()
        except ProtocolError as error:
            self.flush()  # h2 has put the reason there
            raise ConnectionGoneError(f"not HTTP/2: {error}") from error
        self.flush()

    def flush(self) -> None:
        """Write as much as the kernel takes."""
        self._unsent += self._http2.data_to_send()
        while self._unsent:
            try:
                sent = self.socket.send(self._unsent)
            except BlockingIOError:
                return
            except OSError as error:
                raise ConnectionGoneError(str(error)) from error
            del self._unsent[:sent]

    def pump(self, call: Call) -> None:
        call.frames(self._http2)
        if call.ended:
            self.calls.pop(call.stream, None)

    def shut(self, status: Status, detail: str) -> None:
        """End every call with this status and take no others; what is left to write, `flush` writes."""
        self._closing = True
        for call in list(self.calls.values()):
            call.end(status, detail)
            if not call.ended:
                call.cut(self._http2)
        self._http2.close_connection(ErrorCodes.NO_ERROR)
        self.flush()

    def close(self) -> None:
        self.calls.clear()
        self.socket.close()

    def _act(self, event: Event) -> None:
        match event:
            case RequestReceived():
                self._begin(event.stream_id or 0, event.headers or [])
            case DataReceived():
                stream = event.stream_id or 0
                self._http2.acknowledge_received_data(event.flow_controlled_length or 0, stream)
                if (call := self.calls.get(stream)) is not None:
                    self._safely(call, partial(call.take, event.data or b""))
            case StreamEnded():
                if (call := self.calls.get(event.stream_id or 0)) is not None:
                    self._safely(call, call.half_closed)
            case StreamReset():
                self.calls.pop(event.stream_id or 0, None)
                self._count_reset()
            case ConnectionTerminated():
                raise ConnectionGoneError("ended by the client")
            case _:
                pass  # windows, settings and pings are h2's own business

    def _begin(self, stream: int, headers: Sequence[tuple[bytes, bytes]]) -> None:
        read = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers]
        if first(read, ":method") != "POST" or not _is_grpc(first(read, "content-type")):
            refusal = [(":status", "415"), ("content-length", "0")]
            self._http2.send_headers(stream, refusal, end_stream=True)
            return
        call = Call(self, stream, read)
        self.calls[stream] = call
        if self._closing:
            call.end(Status.UNAVAILABLE, "the sidecar is stopping")
            return

        def find_handler() -> None:
            call.handler = self._open(call)

        self._safely(call, find_handler)

    def _safely(self, call: Call, step: Callable[[], None]) -> None:
        """A call must end in a status, also where our own code is wrong."""
        try:
            step()
        except (ProtocolError, ConnectionGoneError):
            raise
        except Exception:  # a defect of ours: the client may try again, and the log has it
            log.exception("call stumbled", extra=fields(path=call.path))
            call.end(Status.UNAVAILABLE, "the sidecar stumbled; its log says why")

    def _pump_all(self) -> None:
        for call in list(self.calls.values()):
            self.pump(call)

    def _count_reset(self) -> None:
        self._resets += 1
        if self._resets > RESETS:
            self._http2.close_connection(ErrorCodes.ENHANCE_YOUR_CALM)
            self.flush()
            raise ConnectionGoneError(f"took back more than {RESETS} calls")


def _is_grpc(content_type: str) -> bool:
    """application/grpc, with a suffix such as +proto or a parameter; not application/grpc-web."""
    kind, rest = content_type[:16].lower(), content_type[16:]
    return kind == "application/grpc" and (not rest or rest[0] in "+;")
