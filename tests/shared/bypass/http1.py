"""Reads HTTP/1 answers off a socket, one at a time, and says how the connection ended.

A library would repair or refuse what we want to see, so this reads no more than the framing.
"""

import json
import socket
from dataclasses import dataclass, field
from typing import Any

SWITCHING_PROTOCOLS = 101


@dataclass(frozen=True)
class Answer:
    """A status with its headers and body."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """The body, read as JSON."""
        return json.loads(self.body)

    @property
    def reason(self) -> str | None:
        """The reason in a problem document, if it is one."""
        if self.headers.get("content-type") != "application/problem+json":
            return None
        reason = self.json()["reason"]
        return str(reason)


@dataclass
class Answers:
    """The answers that arrive on one connection."""

    connection: socket.socket
    _pending: bytes = field(default=b"", repr=False)

    def next(self) -> Answer | None:
        """The next answer, interim ones skipped; None when the connection ends first."""
        try:
            return self._next()
        except TimeoutError:
            raise
        except (OSError, EOFError):
            return None

    def ended(self) -> bool:
        """Whether the connection ends without another byte."""
        try:
            return not self._pending and self.connection.recv(1) == b""
        except TimeoutError:
            return False
        except OSError:
            # A reset, or TLS without its closing alert: an end all the same.
            return True

    def _next(self) -> Answer:
        status = 100
        while status < 200 and status != SWITCHING_PROTOCOLS:
            head = self._until(b"\r\n\r\n").decode("latin-1").split("\r\n")
            status = int(head[0].split(" ")[1])
        lines = (line.partition(":") for line in head[1:] if line)
        headers = {name.lower(): value.strip() for name, _, value in lines}
        return Answer(status, headers, self._body(headers))

    def _body(self, headers: dict[str, str]) -> bytes:
        if "content-length" in headers:
            return self._exactly(int(headers["content-length"]))
        if headers.get("transfer-encoding") != "chunked":
            return b""
        body = b""
        while size := int(self._until(b"\r\n"), 16):
            body += self._exactly(size + 2)[:-2]
        self._until(b"\r\n")
        return body

    def _until(self, mark: bytes) -> bytes:
        while mark not in self._pending:
            self._more()
        found, _, self._pending = self._pending.partition(mark)
        return found + mark

    def _exactly(self, size: int) -> bytes:
        while len(self._pending) < size:
            self._more()
        found, self._pending = self._pending[:size], self._pending[size:]
        return found

    def _more(self) -> None:
        received = self.connection.recv(65536)
        if not received:
            raise EOFError
        self._pending += received
