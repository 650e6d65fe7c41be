"""What an owner edits holds for the next request, on connections that are already open."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from typing import Any

import pytest
import yaml

from featward.manifests import Catalogue, dump, load
from featward.manifests.approving import approve
from featward.manifests.naming import binding_called
from featward_demo.documents import NAMESPACE
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


def test_consent_holds_for_the_next_request_and_an_edit_of_the_binding_voids_it(
    mesh: Mesh, connection: HTTPConnection
) -> None:
    platform = mesh.manifests / "platform.yaml"
    as_it_was = platform.read_text()
    assert _status(connection, QUESTION) == 200
    low = {"ceiling": {"maxSensitivity": 0}}
    documents = list(yaml.safe_load_all(as_it_was))
    lowered = [one | {"spec": low} if one["kind"] == "BusinessUnit" else one for one in documents]
    _written(mesh, "platform.yaml", *lowered)
    assert _status(connection, QUESTION) == 403
    catalogue = Catalogue(load(mesh.manifests).documents)
    named = binding_called(catalogue, f"{NAMESPACE}/clients")
    approval = approve(catalogue, named, reason="test", expires=named.model.spec.expires)
    _written(mesh, "approval.yaml", yaml.safe_load(dump(approval)))
    assert _status(connection, QUESTION) == 200
    edited = binding("clients", ["pricing-api"])
    edited["spec"]["purpose"] = "another"
    _written(mesh, "bindings.yaml", edited)
    assert _status(connection, QUESTION) == 403
    _written(mesh, "platform.yaml", *documents)
    assert _status(connection, QUESTION) == 200
    (mesh.manifests / "approval.yaml").unlink()


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
    """Grant exactly these."""
    _written(mesh, "bindings.yaml", binding("clients", ["pricing-api"], features))


def _written(mesh: Mesh, name: str, *documents: dict[str, Any]) -> None:
    """Write a file of manifests, and wait until the sidecar has taken the edit."""
    digest = mesh.server.status()["policy"]["digest"]
    mesh.write(name, *documents)
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
