"""One harmless question over an open TLS connection: does the far end speak to us, and which time does it have?

With TLS 1.3 a client's handshake is over before the server has looked at the client's certificate, so only what
comes after it says whether we were accepted. `GET /` changes nothing, and its answer has a `Date`. Not HEAD,
which some answer with a body, against the rules.
"""

from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Protocol

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import Event, ResponseReceived, StreamEnded, StreamReset
from h2.exceptions import ProtocolError

__all__ = ["Answer", "Http1", "Http2", "Question"]

LARGEST_HEAD = 32_768
"""Bytes of an answer that are looked at. A server that sends more before it is done is not read on."""

AGENT = "featward-doctor"


@dataclass(frozen=True)
class Answer:
    """What came back. `date` is the far end's clock in Unix seconds, to the second."""

    status: int | None = None
    date: float | None = None


class Question(Protocol):
    """One request in the making: what to write, and what the bytes that come mean."""

    def opening(self) -> bytes:
        """What a client has to say first."""

    def take(self, data: bytes) -> bytes:
        """Bytes of the far end in, bytes for it out. Raises ValueError for what is no HTTP."""

    @property
    def answer(self) -> Answer | None:
        """None as long as there is more to come."""


class Http1:
    """HTTP/1.1, on a connection of its own."""

    def __init__(self, authority: str) -> None:
        self._authority = authority
        self._head = b""

    def opening(self) -> bytes:
        lines = ["GET / HTTP/1.1", f"host: {self._authority}", f"user-agent: {AGENT}"]
        return "\r\n".join([*lines, "connection: close", "", ""]).encode()

    def take(self, data: bytes) -> bytes:
        self._head += data
        if not self._head.startswith(b"HTTP/1."[: len(self._head)]):
            raise ValueError("what it says is no HTTP/1.1")
        if len(self._head) > LARGEST_HEAD:
            raise ValueError(f"its answer has more than {LARGEST_HEAD} bytes of headers")
        return b""

    @property
    def answer(self) -> Answer | None:
        head, end, _ = self._head.partition(b"\r\n\r\n")
        if not end:
            return None
        first, *lines = head.decode("latin-1").split("\r\n")
        status = first.split(" ")[1:2]
        headers = {
            name.strip().lower(): value for name, _, value in (x.partition(":") for x in lines)
        }
        return Answer(_number(status[0] if status else ""), _date(headers.get("date")))


class Http2:
    """HTTP/2, as gRPC servers speak it."""

    def __init__(self, authority: str) -> None:
        self._authority = authority
        self._received = 0
        self._answer: Answer | None = None
        self._http2 = H2Connection(H2Configuration(client_side=True, header_encoding="latin-1"))

    def opening(self) -> bytes:
        self._http2.initiate_connection()
        names = {":method": "GET", ":scheme": "https", ":authority": self._authority, ":path": "/"}
        headers = [*names.items(), ("user-agent", AGENT)]
        self._http2.send_headers(1, headers, end_stream=True)
        return self._http2.data_to_send()

    def take(self, data: bytes) -> bytes:
        self._received += len(data)
        if self._received > LARGEST_HEAD:
            raise ValueError(f"it sends more than {LARGEST_HEAD} bytes and answers nothing")
        try:
            for event in self._http2.receive_data(data):
                self._act(event)
        except ProtocolError as error:
            raise ValueError(f"what it says is no HTTP/2: {error}") from error
        return self._http2.data_to_send()

    def _act(self, event: Event) -> None:
        if isinstance(event, ResponseReceived):
            headers = dict(event.headers or [])
            told = {str(name): str(value) for name, value in headers.items()}
            self._answer = Answer(_number(told.get(":status", "")), _date(told.get("date")))
        elif isinstance(event, StreamEnded | StreamReset) and self._answer is None:
            self._answer = Answer()

    @property
    def answer(self) -> Answer | None:
        return self._answer


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) == 3 else None


def _date(text: str | None) -> float | None:
    try:
        return parsedate_to_datetime(text or "").timestamp()
    except (ValueError, OverflowError):
        return None
