"""The server of the workload socket: one thread for all connections, told of each change of what stands.

Bound before there is an identity. Every open stream is offered each change, and the server knows when all of
them have it.
"""

import logging
import os
import selectors
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from h2.exceptions import ProtocolError

from featward.logs import fields
from featward_sidecar.content import Content
from featward_sidecar.grpc_call import Status
from featward_sidecar.socket.call import Call, Handler
from featward_sidecar.socket.http2 import Connection, ConnectionGoneError
from featward_sidecar.socket.place import Place
from featward_sidecar.socket.standing import NOTHING_YET, OpenMethod, Standing, Stream

__all__ = ["SocketServer"]

log = logging.getLogger(__name__)

CONNECTIONS = 256
"""At a time. Each app beside us has one, some 60 KB each."""

CONNECTIONS_OF_A_USER = 128
"""Of one operating system user, so that no user of an open socket can shut out the others."""

IDLE_SECONDS = 300.0
"""A connection without a call is closed after this; gRPC makes a new one when it needs it."""

SILENCE_SECONDS = 5.0
"""A client that has neither taken a change nor refused it by then counts as given: it may be suspended, and
nothing that it holds is trusted any longer for it."""

FAREWELL_SECONDS = 1.0
"""For the last statuses to be written when the sidecar stops."""

_PEER = struct.Struct("3i")


class SocketServer:
    """`bind`, then `run` in a thread; all else may be called from other threads."""

    def __init__(self, path: Path, mode: int, services: Mapping[str, OpenMethod]) -> None:
        self._place = Place(path, mode)
        self._services = services
        self._lock = threading.Lock()
        self._news: tuple[Standing, int] | None = None
        self._standing: Standing = NOTHING_YET
        self._sequence = 0
        self._offered_at = 0.0
        self._given = 0
        self._stopping = False
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._selector = selectors.DefaultSelector()
        self._connections: dict[Connection, int] = {}
        self._idle_since: dict[Connection, float] = {}

    # From other threads

    def publish(self, content: Content, sequence: int) -> None:
        """Hand this out from now on; `given` reaches the sequence when all open streams have it."""
        self._tell((Standing(content), sequence))

    def withhold(self, status: Status, why: str) -> None:
        """Answer calls with this as long as nothing was published."""
        with self._lock:
            published = self._standing.content is not None or (
                self._news is not None and self._news[0].content is not None
            )
        if not published:
            self._tell((Standing(None, status, why), 0))

    def given(self) -> int:
        """The sequence of the newest change that every open stream has."""
        return self._given

    def stop(self) -> None:
        """Make `run` end every call as UNAVAILABLE, and return."""
        self._stopping = True
        os.eventfd_write(self._wake, 1)

    def _tell(self, news: tuple[Standing, int]) -> None:
        with self._lock:
            self._news = news
        os.eventfd_write(self._wake, 1)

    def bind(self) -> None:
        """Listen. Raises StartError where the path can't be had."""
        self._listener = self._place.bind()

    # The thread

    def run(self) -> None:
        """Serve until `stop`."""
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(self._wake, selectors.EVENT_READ)
        while not self._stopping:
            self._turn(self._patience())
        self._say_farewell()
        for connection in list(self._connections):
            self._drop(connection)
        self._selector.close()
        self._listener.close()
        self._place.leave()

    def _patience(self) -> float | None:
        if self._given < self._sequence:
            return 0.1
        return 30.0 if self._connections else None

    def _turn(self, patience: float | None) -> None:
        ready = self._selector.select(patience)
        self._take_news()  # first: whoever calls after a change gets it
        for key, events in ready:
            if key.fileobj is self._listener:
                self._accept()
            elif key.fileobj != self._wake:
                self._serve(key.data, events)
        self._settle()
        self._watch_all()

    def _accept(self) -> None:
        try:
            end, _ = self._listener.accept()
        except OSError as error:
            if not isinstance(error, BlockingIOError):
                log.warning("app not accepted", extra=fields(error=str(error)))
                time.sleep(0.05)  # out of descriptors: the listener stays readable, and would spin
            return
        peer = end.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size)
        uid = _PEER.unpack(peer)[1]
        of_user = Counter(self._connections.values())[uid]
        if len(self._connections) >= CONNECTIONS or of_user >= CONNECTIONS_OF_A_USER:
            end.close()
            log.warning("app not accepted", extra=fields(uid=uid, error="too many connections"))
            return
        try:
            connection = Connection(end, self._open)
        except ConnectionGoneError:
            end.close()
            return
        self._connections[connection] = uid
        self._idle_since[connection] = time.monotonic()
        self._selector.register(end, selectors.EVENT_READ, connection)

    def _open(self, call: Call) -> Handler | None:
        service, _, method = call.path.removeprefix("/").partition("/")
        if (open_method := self._services.get(service)) is None:
            call.end(Status.UNIMPLEMENTED, f"no service {service[:80]} here")
            return None
        return open_method(call, method, self._standing)

    def _serve(self, connection: Connection, events: int) -> None:
        if connection not in self._connections:
            return  # dropped earlier in this turn
        try:
            if events & selectors.EVENT_WRITE:
                connection.flush()
            if events & selectors.EVENT_READ:
                connection.read()
        except ConnectionGoneError as gone:
            log.debug("app gone", extra=fields(reason=str(gone)))
            self._drop(connection)

    def _drop(self, connection: Connection) -> None:
        with suppress(KeyError, ValueError):
            self._selector.unregister(connection.socket)
        self._connections.pop(connection, None)
        self._idle_since.pop(connection, None)
        connection.close()

    def _streams(self) -> Iterator[tuple[Connection, Stream]]:
        for connection in list(self._connections):
            for call in list(connection.calls.values()):
                if isinstance(call.handler, Stream):
                    yield connection, call.handler

    def _take_news(self) -> None:
        with suppress(BlockingIOError):
            os.eventfd_read(self._wake)  # before the news, so that none that follows is slept over
        with self._lock:
            news, self._news = self._news, None
        if news is None:
            return
        self._standing, self._sequence = news
        self._offered_at = time.monotonic()
        for connection, stream in self._streams():
            try:
                stream.offer(self._standing)
                connection.flush()
            except (ConnectionGoneError, ProtocolError):
                self._drop(connection)
            except Exception:  # a defect of ours: the call ends in a status, as any
                log.exception("call stumbled", extra=fields(path=stream.call.path))
                stream.call.end(Status.UNAVAILABLE, "the sidecar stumbled; its log says why")

    def _settle(self) -> None:
        """See whether all streams have what was offered last."""
        if self._given >= self._sequence:
            return
        open_answers = [stream.given for _, stream in self._streams()]
        if None in open_answers:
            return  # refused: it is for the one who reads our log to act
        silent = open_answers.count(False)
        if silent and time.monotonic() < self._offered_at + SILENCE_SECONDS:
            return
        if silent:
            told = fields(streams=silent, seconds=SILENCE_SECONDS, sequence=self._sequence)
            log.warning("apps did not take a change", extra=told)
        self._given = self._sequence

    def _watch_all(self) -> None:
        """Ask the kernel for what each connection waits for, and end those without calls."""
        now = time.monotonic()
        for connection in list(self._connections):
            if connection.calls:
                self._idle_since[connection] = now
            elif now > self._idle_since[connection] + IDLE_SECONDS:
                with suppress(ConnectionGoneError):
                    connection.shut(Status.UNAVAILABLE, "idle")
                self._drop(connection)
                continue
            events = selectors.EVENT_READ if connection.wants_reading else 0
            events |= 0 if connection.flushed else selectors.EVENT_WRITE
            if self._selector.get_key(connection.socket).events != events:
                self._selector.modify(connection.socket, events, connection)

    def _say_farewell(self) -> None:
        deadline = time.monotonic() + FAREWELL_SECONDS
        for connection in list(self._connections):
            try:
                connection.shut(Status.UNAVAILABLE, "the sidecar is stopping")
            except (ConnectionGoneError, ProtocolError):
                self._drop(connection)
        while time.monotonic() < deadline and self._unflushed():
            for connection in self._unflushed():
                try:
                    connection.flush()
                except ConnectionGoneError:
                    self._drop(connection)
            time.sleep(0.01)

    def _unflushed(self) -> list[Connection]:
        return [each for each in self._connections if not each.flushed]
