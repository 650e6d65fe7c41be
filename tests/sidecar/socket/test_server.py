"""Clients that are broken or hostile: none of them keeps the others from their identity."""

import contextlib
import socket
import struct
import time
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import ConnectionTerminated, ResponseReceived, StreamEnded, TrailersReceived

from certificates import Authority, der
from featward_sidecar.socket import http2, server
from workload_kit import Served, outcome, raw_call, wait_for

FETCH = "/SpiffeWorkloadAPI/FetchX509SVID"


class Raw:
    """An HTTP/2 client that does as it is told."""

    def __init__(self, served: Served) -> None:
        self.end = socket.socket(socket.AF_UNIX)
        self.end.settimeout(10)
        self.end.connect(str(served.path))
        self.http2 = H2Connection(
            H2Configuration(
                client_side=True, header_encoding="utf-8", validate_outbound_headers=False
            )
        )
        self.http2.initiate_connection()
        self.flush()

    def flush(self) -> None:
        self.end.sendall(self.http2.data_to_send())

    def call(self, body: bytes = b"", last: bool = True, **headers: str) -> int:
        told = {"method": "POST", "scheme": "http", "path": FETCH, "authority": "%2Ftmp%2Fx.sock"}
        pseudo = [(f":{name}", headers.pop(name, value)) for name, value in told.items()]
        more = {"content-type": "application/grpc", "te": "trailers", "workload.spiffe.io": "true"}
        more |= {name.replace("_", "-"): value for name, value in headers.items()}
        stream = self.http2.get_next_available_stream_id()
        self.http2.send_headers(stream, [*pseudo, *more.items()])
        if body:
            self.http2.send_data(stream, body, end_stream=last)
        elif last:
            self.http2.end_stream(stream)
        self.flush()
        return stream

    def events(self) -> Iterator[Any]:
        while data := self.end.recv(65_536):
            yield from self.http2.receive_data(data)
            self.flush()

    def outcome(self, stream: int) -> dict[str, str]:
        """All headers of the answer, once it has ended."""
        found: dict[str, str] = {}
        for event in self.events():
            if getattr(event, "stream_id", None) == stream:
                if isinstance(event, ResponseReceived | TrailersReceived):
                    found |= dict(event.headers or [])  # type: ignore[arg-type]
                if isinstance(event, StreamEnded):
                    return found
        raise AssertionError(f"closed before its end: {found}")

    def close(self) -> None:
        self.end.close()


@pytest.fixture
def connect(served: Served) -> Iterator[Callable[[], Raw]]:
    opened: list[Raw] = []

    def connect() -> Raw:
        opened.append(Raw(served))
        return opened[-1]

    yield connect
    for raw in opened:
        raw.close()


def framed(message: bytes, compressed: int = 0) -> bytes:
    return struct.pack("!BI", compressed, len(message)) + message


@pytest.mark.parametrize(
    ("body", "headers", "expected"),
    [
        (framed(b""), {"content_type": "text/plain"}, {":status": "415"}),
        (framed(b""), {"content_type": "application/grpc-web"}, {":status": "415"}),
        (framed(b""), {"method": "GET"}, {":status": "415"}),
        (framed(b"", 1), {}, {"grpc-status": "12"}),
        (struct.pack("!BI", 0, 1 << 24), {}, {"grpc-status": "8"}),
        (b"\0\0", {}, {"grpc-status": "13"}),
        (b"", {}, {"grpc-status": "3"}),
        (framed(b"") * 2, {}, {"grpc-status": "3"}),
        (framed(b""), {"path": "/nonsense"}, {"grpc-status": "12"}),
        (framed(b""), {"path": "*"}, {"grpc-status": "12"}),
    ],
)
def test_what_is_no_call_of_ours_is_answered_with_why(
    served: Served,
    connect: Callable[[], Raw],
    body: bytes,
    headers: dict[str, str],
    expected: dict[str, str],
) -> None:
    served.identify()
    raw = connect()
    found = raw.outcome(raw.call(body, True, **headers))
    assert expected.items() <= found.items()
    assert {":status": "200"}.items() <= found.items() or ":status" in expected


def test_a_status_comes_also_to_a_request_that_is_not_ended(
    served: Served, connect: Callable[[], Raw]
) -> None:
    raw = connect()
    stream = raw.call(last=False, path="/SpiffeWorkloadAPI/Nothing")
    assert raw.outcome(stream)["grpc-status"] == "12"
    raw.http2.send_data(stream, b"still talking")
    raw.flush()
    assert raw.outcome(raw.call(framed(b"")))["grpc-status"] == "14"


@pytest.mark.parametrize(
    "garbage", [b"GET / HTTP/1.1\r\n\r\n", b"\0" * 100, b"PRI * HTTP/2.0\r\n\r\nx"]
)
def test_garbage_ends_its_own_connection_only(served: Served, garbage: bytes) -> None:
    served.identify()
    with socket.socket(socket.AF_UNIX) as end:
        end.settimeout(10)
        end.connect(str(served.path))
        end.sendall(garbage)
        with contextlib.suppress(ConnectionError):
            while end.recv(4096):
                pass
    with raw_call(served.path, FETCH) as call:
        assert next(call)


def test_a_client_that_takes_back_its_calls_without_end_is_sent_away(
    served: Served, connect: Callable[[], Raw], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http2, "RESETS", 20)
    raw = connect()
    with contextlib.suppress(ConnectionError):
        for _ in range(40):
            raw.http2.reset_stream(raw.call(last=False))
            raw.flush()
    with contextlib.suppress(ConnectionError):
        assert any(isinstance(event, ConnectionTerminated) for event in raw.events())
    assert outcome(served.path, FETCH)[0] == "UNAVAILABLE"


def test_a_client_that_does_not_read_holds_up_nobody_and_counts_as_given_in_the_end(
    served: Served, connect: Callable[[], Raw], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "SILENCE_SECONDS", 0.5)
    served.identify()
    raw = connect()
    raw.call(framed(b""))
    for number in range(300):  # each message replaces the one that the window holds back
        served.identify()
        if number % 100 == 0:
            began = time.monotonic()
            with raw_call(served.path, FETCH) as call:
                assert next(call)
            assert time.monotonic() - began < 2
    sequence = served.trust(der(Authority.root().certificate))
    assert served.given(sequence) < 5
    assert sum(len(each._unsent) for each in served.server._connections) < 2 * http2.UNSENT_BYTES


def test_one_user_has_a_bounded_number_of_connections(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "CONNECTIONS_OF_A_USER", 5)
    served.identify()
    ends = [socket.socket(socket.AF_UNIX) for _ in range(9)]
    for end in ends:
        end.settimeout(10)
        end.connect(str(served.path))
    wait_for(lambda: len(served.server._connections) == 5)
    assert [end.recv(1) == b"" for end in ends] == [False] * 5 + [True] * 4
    for end in ends:
        end.close()
    wait_for(lambda: not served.server._connections)
    with raw_call(served.path, FETCH) as call:
        assert next(call)


def test_a_connection_without_a_call_is_closed_in_time(
    served: Served, connect: Callable[[], Raw], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "IDLE_SECONDS", 0.2)
    raw = connect()
    time.sleep(0.3)
    served.identify()  # any turn of the loop looks
    assert any(isinstance(event, ConnectionTerminated) for event in raw.events())


def test_an_identity_that_has_ended_is_not_handed_to_newcomers(served: Served) -> None:
    served.identify(life=(-60, 2))
    with raw_call(served.path, FETCH) as call:
        assert next(call)
        wait_for(lambda: outcome_of_a_newcomer(served) == "UNAVAILABLE")
        served.identify()
        assert next(call)  # who has it keeps the stream, and gets the next


def outcome_of_a_newcomer(served: Served) -> str | None:
    with raw_call(served.path, FETCH) as call:
        try:
            next(call)
        except grpc.RpcError as error:
            return str(error.code().name)
    return None


def test_pings_and_changed_windows_are_answered(served: Served, connect: Callable[[], Raw]) -> None:
    served.identify()
    raw = connect()
    raw.http2.update_settings({4: 10})  # a window of ten bytes for each stream
    raw.http2.ping(b"12345678")
    raw.flush()
    stream = raw.call(framed(b""))
    received = bytearray()
    for event in raw.events():
        if (data := getattr(event, "data", None)) is not None and hasattr(event, "stream_id"):
            received += data
            raw.http2.increment_flow_control_window(len(data), stream)
            raw.flush()
        if len(received) > 5 and len(received) == 5 + struct.unpack_from("!I", received, 1)[0]:
            break
    assert len(received) > 1000
