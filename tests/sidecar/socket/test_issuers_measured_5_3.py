"""What Workload API servers were measured to do to py-spiffe and go-spiffe, each with the real clients.

First the seven rules for a server that follow from it, in their order, each with the test of its name (the CA's
own streams have rule 3's in tests/ca/test_service.py); then what each event does to a client, row by row.
"""

import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from certificates import DOMAIN, PRICING, Authority, der
from featward_sidecar.errors import StartError
from featward_sidecar.grpc_call import Status
from featward_sidecar.socket import workload_api
from featward_sidecar.socket.server import SocketServer
from workload_kit import Client, GoClient, Served, ending, next_event, outcome, raw_call, wait_for

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
    served: Served,
    connect: Connect,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def stumble(*_: object) -> None:
        raise RuntimeError("a defect with a secret in its text")

    served.identify()
    with monkeypatch.context() as broken:
        broken.setitem(served.services, workload_api.SERVICE, stumble)
        refused = ("UNAVAILABLE", "the sidecar stumbled; its log says why")
        assert outcome(served.path, FETCH) == refused
        client = connect(served.address)
        wait_for(lambda: caplog.text.count("call stumbled") >= 2)
    # It was told, so it comes back; a stream without a status would hold it for ever.
    assert next_event(client, "update")["serial"] == served.serial
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


def test_the_security_header_of_both_clients_is_the_one_that_is_wanted(
    served: Served, connect: Connect
) -> None:
    serial = served.identify()
    assert next_event(connect(served.address), "update")["serial"] == serial


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


def test_permission_denied_at_start_is_waited_out_by_both_clients(
    served: Served, connect: Connect
) -> None:
    served.server.withhold(Status.PERMISSION_DENIED, "no identity issued: nobody is registered")
    client = connect(served.address)
    heard_refusal(served, client)
    serial = served.identify()
    assert next_event(client, "update")["serial"] == serial
    assert client.events.empty()


def test_permission_denied_in_a_running_stream_ends_neither_client(
    served: Served, connect: Connect
) -> None:
    first = served.identify()
    client = connect(served.address)
    assert next_event(client, "update")["serial"] == first
    # As after a restart: the workload was taken out of the manifests meanwhile, and is put back.
    served.stop()
    sequence, served.sequence = served.sequence, 0
    served.start()
    served.server.withhold(Status.PERMISSION_DENIED, "no identity issued: nobody is registered")
    heard_refusal(served, client)
    served.sequence = sequence
    served.trust()
    serial = served.identify()
    assert until_another(client, {first}) == serial


def heard_refusal(served: Served, client: Client) -> None:
    """Wait until the client was refused; py-spiffe tells nobody of it, so time has to do."""
    # What is withheld reaches the socket's own thread a moment later.
    wait_for(lambda: outcome(served.path, FETCH)[0] == "PERMISSION_DENIED")
    if isinstance(client, GoClient):
        while next_event(client, "error")["code"] != "PermissionDenied":
            pass
    else:
        time.sleep(1)


def until_another(client: Client, known: set[str]) -> str:
    """The serial of the first update that is none of these; nothing may end the watch before it."""
    while (event := client.events.get(timeout=20))["kind"] != "ended":
        if event["kind"] == "update" and event["serial"] not in known:
            return str(event["serial"])
    pytest.fail(f"the client gave up: {event}")


def test_a_socket_file_without_a_server_is_waited_out_by_both_clients(
    served: Served, connect: Connect
) -> None:
    first = served.identify()
    client = connect(served.address)
    next_event(client, "update")
    served.stop()
    # What SIGKILL leaves behind.
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(served.path))
    time.sleep(1)  # for both to be refused at least once
    served.start()
    serial = served.identify()
    assert until_another(client, {first}) == serial


def test_neither_client_is_ever_answered_what_makes_it_give_up(
    served: Served, connect: Connect
) -> None:
    """INVALID_ARGUMENT and CANCELLED end a watch for good, and an end with OK looks like a success."""
    client = connect(served.address)
    seen: set[str] = set()
    for _ in range(3):
        seen.add(served.identify())
        served.stop()
        served.start()
    serial = served.identify()
    codes: set[str] = set()
    while (event := client.events.get(timeout=20)).get("serial") != serial:
        assert event["kind"] != "ended", event
        codes |= {event["code"]} if event["kind"] == "error" else set()
    assert codes <= {"Unavailable"}


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
