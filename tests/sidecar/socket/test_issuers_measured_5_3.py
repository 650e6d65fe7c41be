"""What other Workload API servers were measured to do wrong to py-spiffe and go-spiffe, each with the real
clients."""

import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from certificates import DOMAIN, PRICING, Authority, der
from featward_sidecar.errors import StartError
from featward_sidecar.grpc_call import Status
from featward_sidecar.socket.server import SocketServer
from workload_kit import Client, Served, ending, next_event, outcome, raw_call

FETCH = "/SpiffeWorkloadAPI/FetchX509SVID"
Connect = Callable[[str], Client]


def test_no_client_ever_gets_an_empty_or_unreadable_answer(
    served: Served, connect: Connect
) -> None:
    assert outcome(served.path, FETCH)[0] == "UNAVAILABLE"
    client = connect(served.address)
    served.server.withhold(Status.PERMISSION_DENIED, "no identity issued: the token is used")
    assert outcome(served.path, FETCH)[0] == "PERMISSION_DENIED"
    serial = served.identify()
    assert next_event(client, "update")["serial"] == serial
    # What a verifier would refuse is not handed out; what was handed out stays.
    served.environment.payments.identify(served.credentials, PRICING, life=(-7200, -3600))
    served.consumers.refresh()
    client = connect(served.address)
    assert next_event(client, "update")["serial"] == serial


def test_cancelled_never_reaches_a_client(served: Served, connect: Connect) -> None:
    served.identify()
    client = connect(served.address)
    next_event(client, "update")
    with raw_call(served.path, FETCH) as call:
        next(call)
        served.stop()
        assert ending(call) == ("UNAVAILABLE", "the sidecar is stopping")
    served.start()
    serial = served.identify()
    while next_event(client, "update")["serial"] != serial:
        pass
    assert client.events.empty()


def test_a_stream_always_ends_in_a_status(
    served: Served, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def stumble(*_: object) -> None:
        raise RuntimeError("a defect with a secret in its text")

    monkeypatch.setitem(served.services, "Broken", stumble)
    assert outcome(served.path, "/Broken/Call") == (
        "UNAVAILABLE",
        "the sidecar stumbled; its log says why",
    )
    assert "call stumbled" in caplog.text
    for request in (b"\xff\xff", b"\x0a"):
        header = (("workload.spiffe.io", "true"),)
        assert outcome(served.path, FETCH, header, request)[0] == "INVALID_ARGUMENT"


def test_the_same_content_is_not_pushed_twice(served: Served, connect: Connect) -> None:
    served.identify()
    client = connect(served.address)
    first = next_event(client, "update")
    served.consumers.refresh()
    served.given(served.trust())
    last = served.identify()
    second = next_event(client, "update")
    assert (first["serial"] != last, second["serial"]) == (True, last)
    assert client.events.empty()


def test_a_stale_socket_is_replaced_and_bound_before_identity(
    tmp_path: Path, connect: Connect
) -> None:
    path = tmp_path / "workload.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    served = Served(path)
    client = connect(served.address)
    assert path.stat().st_mode & 0o777 == 0o600
    assert outcome(path, FETCH) == ("UNAVAILABLE", "the sidecar has no identity yet")
    with pytest.raises(StartError, match="served by another process"):
        SocketServer(path, 0o600, {}).bind()
    serial = served.identify()
    assert next_event(client, "update")["serial"] == serial
    served.stop()
    assert not path.exists()
    path.write_text("a file of somebody's")
    with pytest.raises(StartError, match="is no socket"):
        SocketServer(path, 0o600, {}).bind()
    assert path.read_text() == "a file of somebody's"


@pytest.mark.parametrize("values", [(), ("True",), ("false",), ("true", "true"), ("true", "x")])
def test_the_security_header_is_wanted_exactly_once(
    served: Served, values: tuple[str, ...]
) -> None:
    served.identify()
    header = tuple(("workload.spiffe.io", value) for value in values)
    refused = ("INVALID_ARGUMENT", "security header missing from request")
    for method in ("FetchX509SVID", "FetchX509Bundles", "FetchJWTSVID", "FetchWITSVID"):
        assert outcome(served.path, f"/SpiffeWorkloadAPI/{method}", header) == refused
    assert outcome(served.path, "/SpiffeWorkloadAPI/Other", header)[0] == "UNIMPLEMENTED"
    assert outcome(served.path, "/other.Service/Other", header)[0] == "UNIMPLEMENTED"
    assert outcome(served.path, "/SpiffeWorkloadAPI/FetchJWTSVID") == (
        "UNIMPLEMENTED",
        "this sidecar has X.509-SVIDs only",
    )
    with raw_call(served.path, "/grpc.health.v1.Health/Check", header) as call:
        assert next(call) == b"\x08\x01"


def test_a_change_is_pushed_within_one_second(served: Served, connect: Connect) -> None:
    served.identify()
    client = connect(served.address)
    assert next_event(client, "update")["roots"] == 1
    began = time.monotonic()
    sequence = served.trust(der(Authority.root().certificate))
    update = next_event(client, "update")
    assert (update["roots"], update["bundles"]) == (2, [DOMAIN])
    assert served.given(sequence) < 1
    serial = served.identify()
    assert next_event(client, "update")["serial"] == serial
    assert time.monotonic() - began < 1


def test_unavailable_makes_both_clients_come_back_within_their_step(
    served: Served, connect: Connect
) -> None:
    served.identify()
    client = connect(served.address)
    next_event(client, "update")
    served.stop()
    time.sleep(0.5)  # clients fail once at least; nothing tells us when py-spiffe does
    served.start()
    serial = served.identify()
    began = time.monotonic()
    while next_event(client, "update")["serial"] != serial:
        pass
    assert time.monotonic() - began < 5
