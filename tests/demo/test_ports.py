"""Which ports the demo takes."""

import itertools
import socket

import pytest

from featward_demo.errors import PortTakenError
from featward_demo.ports import HOST, ports


def test_free_ports_differ_and_can_be_bound() -> None:
    taken = list(itertools.islice(ports(None), 20))
    assert len(set(taken)) == 20
    for port in taken:
        with socket.socket() as probe:
            probe.bind((HOST, port))


def test_a_row_of_ports_begins_at_its_base() -> None:
    base = next(ports(None))
    assert next(ports(base)) == base


def test_a_port_in_use_is_named_with_what_to_do() -> None:
    with socket.create_server((HOST, 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(PortTakenError, match=rf"port {port} is in use; .*--port-base"):
            next(ports(port))
