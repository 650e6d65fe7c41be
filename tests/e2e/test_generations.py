"""Twenty generations of authorities, a new root, and a CA that is killed meanwhile: callers notice nothing."""

import json
import signal
import time
from collections.abc import Iterator
from typing import Any

import grpc
import pytest

from featward.authority.v1 import authority_pb2, authority_pb2_grpc
from featward_demo.command_line import run
from featward_demo.feast_server import FeastServer
from featward_demo.load import Load
from featward_demo.sidecar import Sidecar
from mesh import QUESTION, SET, Mesh, running

GENERATIONS = 20
UNITS = ("prod.payments", "prod.risk")
AdminStub: Any = authority_pb2_grpc.AuthorityServiceStub
# Enough of a life for a killed CA to be back on a busy machine.
KILLED_TTL = "20s"
RISK = {
    "apiVersion": "featward.dev/v1alpha1",
    "kind": "BusinessUnit",
    "metadata": {"name": "prod.risk"},
    "spec": {},
}


@pytest.fixture
def mesh(tmp_path_factory: pytest.TempPathFactory, feast: FeastServer, ttl: str) -> Iterator[Mesh]:
    """A server and a client of one business unit, who know of another one by its scope row."""
    with running(tmp_path_factory.mktemp("g"), feast, ttl, short_lives=True) as mesh:
        mesh.start(["pricing-api"])
        mesh.write("risk.yaml", RISK)
        _until(lambda: _active(mesh, "prod.risk") == 1)
        yield mesh


@pytest.fixture
def client(mesh: Mesh) -> Sidecar:
    """The running sidecar of the client."""
    return mesh.client("pricing-api")


@pytest.mark.timeout(300)
@pytest.mark.parametrize("ttl", ["6s"])
def test_twenty_generations_of_two_business_units_and_a_root_cost_no_request(
    mesh: Mesh, client: Sidecar
) -> None:
    load = Load(client.outbound[SET], QUESTION)
    load.start()
    try:
        for unit in UNITS:
            run("ca", "authority", "rotate", unit, "--wait", "--data", mesh.ca.data)
        for _ in range(GENERATIONS - 1):
            _rotate_all(mesh, UNITS)
        run("ca", "authority", "rotate", "root", "--data", mesh.ca.data)
        _until(lambda: not _show(mesh)["rotations"], 120)
    finally:
        load.stop()
    assert not load.failures
    assert load.answered > 500
    for unit in UNITS:
        # The root's rotation made one more of each.
        assert _active(mesh, unit) == GENERATIONS + 2
    assert _active(mesh, "root") == 2
    states = [one["state"] for one in _show(mesh)["authorities"]]
    assert set(states) == {"active"}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("ttl", [KILLED_TTL])
def test_a_ca_that_is_killed_during_rotations_costs_no_request(mesh: Mesh, client: Sidecar) -> None:
    load = Load(client.outbound[SET], QUESTION)
    load.start()
    try:
        for pause in (0.0, 1.0, 3.0):
            for unit in UNITS:
                run("ca", "authority", "rotate", unit, "--data", mesh.ca.data)
            time.sleep(pause)
            mesh.ca.program.signal(signal.SIGKILL)
            mesh.ca.program.wait(10)
            mesh.ca.restart()
            _until(lambda: not _show(mesh)["rotations"], 60)
    finally:
        load.stop()
    assert not load.failures
    for unit in UNITS:
        assert _active(mesh, unit) == 4


def _rotate_all(mesh: Mesh, units: tuple[str, ...]) -> None:
    """All at once, over the admin socket: a command's start takes longer than a rotation."""
    with grpc.insecure_channel(f"unix:{mesh.ca.data}/admin.sock") as channel:
        stub = AdminStub(channel)
        for unit in units:
            stub.Rotate(authority_pb2.RotateRequest(owner=unit, step_timeout_seconds=30))
        _until(lambda: not stub.Show(authority_pb2.ShowRequest()).rotations, 60)


def _show(mesh: Mesh) -> dict[str, Any]:
    told = run("ca", "authority", "list", "--data", mesh.ca.data, "--output", "json")
    shown: dict[str, Any] = json.loads(told)
    return shown


def _active(mesh: Mesh, owner: str) -> int:
    """The generation that signs for an owner; 0: none does."""
    rows = [one for one in _show(mesh)["authorities"] if one["owner"] == owner]
    return next((int(one["generation"]) for one in rows if one["state"] == "active"), 0)


def _until(done: Any, seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.2)
