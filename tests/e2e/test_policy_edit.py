"""What an owner edits holds for the next request, on connections that are already open."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.client import HTTPConnection

import pytest

from featward_demo.feast_server import FeastServer
from featward_demo.ports import HOST
from mesh import GRANTED, QUESTION, SET, Mesh, binding, running

SECOND = "driver_hourly_stats:acc_rate"
BOTH = {"features": [GRANTED, SECOND], "entities": {"driver_id": [1001]}}


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory, feast: FeastServer) -> Iterator[Mesh]:
    with running(tmp_path_factory.mktemp("p"), feast) as mesh:
        mesh.start(["pricing-api"])
        mesh.client("pricing-api")
        yield mesh


@pytest.fixture
def connection(mesh: Mesh) -> Iterator[HTTPConnection]:
    """One connection for the whole test; `http.client` would raise rather than open another."""
    port = mesh.clients["pricing-api"].outbound[SET]
    connection = HTTPConnection(HOST, port, timeout=10)
    connection.connect()
    connection.auto_open = 0
    yield connection
    connection.close()


def test_a_grant_and_its_removal_hold_for_the_next_request_of_an_open_connection(
    mesh: Mesh, connection: HTTPConnection
) -> None:
    assert _status(connection, BOTH) == 403
    _edit(mesh, GRANTED, SECOND)
    assert _status(connection, BOTH) == 200
    _edit(mesh, GRANTED)
    assert _status(connection, BOTH) == 403
    assert _status(connection, QUESTION) == 200


def test_a_bad_edit_is_refused_and_the_last_good_policy_stays(
    mesh: Mesh, connection: HTTPConnection
) -> None:
    digest = mesh.server.status()["policy"]["digest"]
    mesh.write(
        "broken.yaml", binding("broken", ["pricing-api"], ["driver_hourly_stats:no_such_column"])
    )
    _until(lambda: mesh.server.status()["agent"]["policy"]["last_error"] is not None)
    assert mesh.server.status()["policy"]["digest"] == digest
    assert _status(connection, QUESTION) == 200
    (mesh.manifests / "broken.yaml").unlink()
    _until(lambda: mesh.server.status()["agent"]["policy"]["last_error"] is None)


def _edit(mesh: Mesh, *features: str) -> None:
    """Grant exactly these, and wait until the sidecar has taken the edit."""
    digest = mesh.server.status()["policy"]["digest"]
    mesh.write("bindings.yaml", binding("clients", ["pricing-api"], features))
    _until(lambda: mesh.server.status()["policy"]["digest"] != digest)


def _until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < end
        threading.Event().wait(0.05)


def _status(connection: HTTPConnection, question: object) -> int:
    headers = {"Content-Type": "application/json"}
    connection.request("POST", "/get-online-features", json.dumps(question), headers)
    response = connection.getresponse()
    response.read()
    return response.status
