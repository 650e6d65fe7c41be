"""A sidecar that is killed has lost no record of a request that it answered."""

import json
import signal
import threading
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPException

import pytest

from featward_demo.feast_server import FeastServer
from featward_demo.ports import HOST
from mesh import QUESTION, SET, Mesh, running

KILLS = 3


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory, feast: FeastServer) -> Iterator[Mesh]:
    with running(tmp_path_factory.mktemp("k"), feast) as mesh:
        mesh.start(["pricing-api"])
        mesh.client("pricing-api")
        yield mesh


@pytest.mark.timeout(180)
def test_kill_9_of_the_sidecar_loses_no_record_of_an_answered_request(mesh: Mesh) -> None:
    answered: set[str] = set()
    for _ in range(KILLS):
        answered |= _ask_until_killed(mesh)
        mesh.run(mesh.server)
    recorded = [json.loads(line) for line in mesh.server.record.read_text().splitlines()]
    assert len(answered) > 50 * KILLS
    assert answered <= {line["id"] for line in recorded if line.get("upstream_status") == 200}


def _ask_until_killed(mesh: Mesh) -> set[str]:
    """The ids of the requests that were answered before the sidecar died, by several callers at once."""
    answered: list[str] = []
    threads = [threading.Thread(target=_ask, args=(mesh, answered)) for _ in range(4)]
    for thread in threads:
        thread.start()
    while len(answered) < 60:
        threading.Event().wait(0.01)
    mesh.server.program.signal(signal.SIGKILL)
    mesh.server.program.wait(10)
    for thread in threads:
        thread.join()
    return set(answered)


def _ask(mesh: Mesh, answered: list[str]) -> None:
    connection = HTTPConnection(HOST, mesh.clients["pricing-api"].outbound[SET], timeout=10)
    headers = {"Content-Type": "application/json"}
    try:
        while True:
            connection.request("POST", "/get-online-features", json.dumps(QUESTION), headers)
            response = connection.getresponse()
            response.read()
            if response.status != 200:
                return
            answered.append(response.headers["featward-request-id"])
    except (OSError, HTTPException):
        return
    finally:
        connection.close()
