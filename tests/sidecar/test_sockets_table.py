"""Who comes past the sidecar, by the kernel's own table of real connections, and by lines that it may hold."""

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from featward_sidecar.sockets_table import Far, SocketsTable, addresses_in

NOW = 1_800_000_000.0
HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid\n"
# As a little-endian machine writes 10.0.0.7, 10.0.0.9 and 127.0.0.1; port 6566 is 19A6.
POD, PEER, NEAR = "0700000A", "0900000A", "0100007F"
MAPPED = "0000000000000000FFFF0000"


@pytest.fixture
def own_address() -> str:
    """An address of this machine that is not loopback. Nothing is sent for it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            pytest.fail(
                "this machine has no address but loopback, and nothing can come from elsewhere"
            )
        return str(probe.getsockname()[0])


@pytest.fixture
def closing() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def listener(closing: ExitStack, host: str, family: int = socket.AF_INET) -> socket.socket:
    opened = closing.enter_context(socket.socket(family))
    opened.bind((host, 0))
    opened.listen()
    return opened


def port_of(opened: socket.socket) -> int:
    return int(opened.getsockname()[1])


def connect(closing: ExitStack, host: str, server: socket.socket) -> socket.socket:
    near = closing.enter_context(socket.create_connection((host, port_of(server)), timeout=5))
    closing.enter_context(server.accept()[0])
    return near


@pytest.mark.parametrize(
    ("family", "host"),
    [(socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")],  # noqa: S104  as a feature server does
)
def test_real_callers_from_elsewhere_are_named_and_those_on_loopback_are_not(
    own_address: str, closing: ExitStack, family: int, host: str
) -> None:
    server = listener(closing, host, family)
    table, port = SocketsTable(()), port_of(server)
    connect(closing, "127.0.0.1", server)
    table.look({port}, NOW)
    assert table.bypassing == []
    assert (host, port) in table.listening
    connect(closing, own_address, server)
    table.look({port + 1}, NOW)
    assert table.bypassing == []
    table.look({port}, NOW)
    assert table.bypassing == [Far(own_address, port, NOW)]


def test_what_we_listen_on_ourselves_is_left_out(closing: ExitStack) -> None:
    ours, other = listener(closing, "127.0.0.1"), listener(closing, "127.0.0.1")
    bound = {"serve": {"listen": f"127.0.0.1:{port_of(ours)}", "plain": None}, "outbound": {}}
    table = SocketsTable(addresses_in(bound))
    table.look(set(), NOW)
    assert ("127.0.0.1", port_of(other)) in table.listening
    assert ("127.0.0.1", port_of(ours)) not in table.listening


def test_addresses_are_found_wherever_they_stand() -> None:
    bound = {
        "serve": {"listen": "10.0.0.7:15443", "plain": "[fd00::7]:15080"},
        "outbound": {"a": "127.0.0.1:15100", "b": "unix:/run/b.sock"},
        "health": None,
    }
    assert addresses_in(bound) == [("10.0.0.7", 15443), ("fd00::7", 15080), ("127.0.0.1", 15100)]


def written(folder: Path, *lines: tuple[str, str, str], name: str = "tcp") -> SocketsTable:
    rows = [
        f"   {n}: {near} {far} {state} 0:0 0:0 0 0\n" for n, (near, far, state) in enumerate(lines)
    ]
    (folder / name).write_text(HEAD + "".join(rows))
    return SocketsTable((), folder)


@pytest.mark.parametrize(
    ("state", "counts"),
    [
        ("01", True),
        ("06", True),
        ("08", True),
        ("0B", True),
        ("03", False),
        ("07", False),
        ("0C", False),
    ],
)
def test_who_has_connected_counts_also_after_the_end_and_who_only_knocked_does_not(
    tmp_path: Path, state: str, counts: bool
) -> None:
    table = written(tmp_path, (f"{POD}:19A6", f"{PEER}:D431", state))
    table.look({6566}, NOW)
    assert table.bypassing == ([Far("10.0.0.9", 6566, NOW)] if counts else [])


def test_calls_of_our_own_to_such_a_port_elsewhere_are_not_somebodys(tmp_path: Path) -> None:
    table = written(tmp_path, (f"{POD}:D431", f"{PEER}:19A6", "01"))
    table.look({6566}, NOW)
    assert table.bypassing == []


def test_ipv4_within_ipv6_is_the_same_address(tmp_path: Path) -> None:
    row = (f"{MAPPED}{POD}:19A6", f"{MAPPED}{PEER}:D431", "01")
    near = (f"{MAPPED}{POD}:19A6", f"{MAPPED}{NEAR}:D432", "01")
    table = written(tmp_path, row, near, name="tcp6")
    table.look({6566}, NOW)
    assert table.bypassing == [Far("10.0.0.9", 6566, NOW)]


def test_who_has_stopped_coming_is_forgotten_after_an_hour(tmp_path: Path) -> None:
    table = written(tmp_path, (f"{POD}:19A6", f"{PEER}:D431", "01"))
    table.look({6566}, NOW)
    written(tmp_path)
    table.look({6566}, NOW + 3599)
    assert table.bypassing == [Far("10.0.0.9", 6566, NOW)]
    table.look({6566}, NOW + 3600)
    assert table.bypassing == []


def test_many_far_ends_are_remembered_up_to_a_number(tmp_path: Path) -> None:
    rows = [(f"{POD}:19A6", f"{number:08X}:D431", "01") for number in range(1, 1500)]
    table = written(tmp_path, *rows)
    began = time.monotonic()
    table.look({6566}, NOW)
    assert len(table.bypassing) == 1024
    assert time.monotonic() - began < 1


def test_tables_that_are_not_there_or_read_otherwise_say_nothing(tmp_path: Path) -> None:
    table = SocketsTable((), tmp_path)
    table.look({6566}, NOW)
    (tmp_path / "tcp").write_text("nothing\nthat we know\n")
    table.look({6566}, NOW)
    assert (table.bypassing, table.listening) == ([], [])
