"""A TCP relay between the sidecar and Feast that keeps every byte that goes towards Feast.

It is the witness: what it has not seen, the upstream has not seen.
"""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from typing import Any

Address = tuple[str, int]


@dataclass(frozen=True)
class Seen:
    """One request as the upstream got it."""

    line: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def json(self) -> Any:
        """The body, read as JSON."""
        return json.loads(self.body)


@dataclass
class Relay:
    """Listens on a free port of loopback and passes everything on to `target`."""

    target: Address
    _listener: socket.socket = field(init=False, repr=False)
    _streams: list[bytearray] = field(default_factory=list, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def __post_init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))

    @property
    def address(self) -> Address:
        """Where it listens."""
        host, port = self._listener.getsockname()
        return str(host), int(port)

    def __enter__(self) -> "Relay":
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        # shutdown wakes the thread that waits in accept; close alone would not.
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def mark(self) -> list[int]:
        """A point in time, to be given to `since`."""
        with self._lock:
            return [len(stream) for stream in self._streams]

    def since(self, mark: list[int]) -> list[bytes]:
        """Every byte that went towards the upstream since then, connection by connection."""
        with self._lock:
            starts = mark + [0] * (len(self._streams) - len(mark))
            pairs = zip(self._streams, starts, strict=True)
            return [bytes(stream[start:]) for stream, start in pairs]

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._relay, args=(client,), daemon=True).start()

    def _relay(self, client: socket.socket) -> None:
        stream = bytearray()
        with self._lock:
            self._streams.append(stream)
        with closing(client), closing(socket.create_connection(self.target)) as upstream:
            back = threading.Thread(target=self._pump, args=(upstream, client), daemon=True)
            back.start()
            self._pump(client, upstream, stream)
            back.join()

    def _pump(
        self, source: socket.socket, sink: socket.socket, stream: bytearray | None = None
    ) -> None:
        # Either side may end at any time; the other is then told, and that is all there is to do.
        with suppress(OSError):
            while data := source.recv(65536):
                if stream is not None:
                    with self._lock:
                        stream += data
                sink.sendall(data)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_WR)


def requests(data: bytes) -> Iterator[Seen]:
    """The requests in what one connection carried. Raises ValueError for a part of a request."""
    while data:
        head, end, rest = data.partition(b"\r\n\r\n")
        line, *lines = head.decode("latin-1").split("\r\n")
        headers = tuple(_header(text) for text in lines)
        length = int(dict(headers).get("content-length", "0"))
        if not end or len(rest) < length:
            raise ValueError(f"the upstream saw a part of a request: {data[:200]!r}")
        yield Seen(line, headers, rest[:length])
        data = rest[length:]


def _header(line: str) -> tuple[str, str]:
    name, _, value = line.partition(":")
    return name.lower(), value.strip()
