"""In observe the bad requests of one caller, which make Feast fail and hang up, fail nobody else's."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from http.client import HTTPConnection

import pytest

from featward_demo.feast_server import FeastServer
from featward_demo.ports import HOST
from mesh import QUESTION, Mesh, running

ROUNDS = 60
BAD: Mapping[str, object] = {**QUESTION, "features": ["driver_hourly_stats:nope"]}


@pytest.fixture
def mesh(tmp_path_factory: pytest.TempPathFactory, feast: FeastServer) -> Iterator[Mesh]:
    with running(tmp_path_factory.mktemp("b"), feast) as mesh:
        mesh.start(["pricing-api"], mode="observe")
        yield mesh


@pytest.mark.timeout(180)
def test_a_request_that_feast_fails_on_fails_alone_and_is_in_the_log(mesh: Mesh) -> None:
    good, bad, writes = Counter[int](), Counter[int](), Counter[int]()
    for _ in range(ROUNDS):
        bad[_asked(mesh, "/get-online-features", BAD)] += 1
        good[_asked(mesh, "/get-online-features", QUESTION)] += 1
        bad[_asked(mesh, "/get-online-features", BAD)] += 1
        # A route that is not ours is never sent twice; Feast answers 422 to a write that says nothing.
        writes[_asked(mesh, "/push", {})] += 1
    assert (good, bad, writes) == (
        {200: ROUNDS},
        {500: 2 * ROUNDS},
        {422: ROUNDS},
    )
    assert "upstream failed" in mesh.server.log.read_text()


def _asked(mesh: Mesh, path: str, question: Mapping[str, object]) -> int:
    assert mesh.server.plain is not None
    connection = HTTPConnection(HOST, mesh.server.plain, timeout=10)
    try:
        connection.request("POST", path, json.dumps(question), {"Content-Type": "application/json"})
        response = connection.getresponse()
        response.read()
        return response.status
    finally:
        connection.close()
