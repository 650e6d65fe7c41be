"""Twenty generations under load, the CA killed in each of them, and a new root: nobody notices."""

import contextlib
import json
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest

from featward.authority.v1 import authority_pb2, authority_pb2_grpc
from featward_demo.command_line import run
from featward_demo.feast_server import FeastServer
from mesh import Mesh, running
from mortal_authority import DIES_SECONDS, MortalAuthority, begin

GENERATIONS = 20
UNITS = ("prod.payments", "prod.risk")
# That of the server and of the client: where it is killed, backwards, so that a CA which finishes what the one
# before it has left does not come by its own step on the way.
FATAL = ("done", "revoke", "taint", "activate", "prepare", "request")
KILLED = "prod.payments"
AdminStub: Any = authority_pb2_grpc.AuthorityServiceStub
# Half of it is left when a sidecar renews: enough for a killed CA to be back on a busy machine.
TTL = "30s"
RISK = {
    "apiVersion": "featward.dev/v1alpha1",
    "kind": "BusinessUnit",
    "metadata": {"name": "prod.risk"},
    "spec": {},
}


@pytest.fixture
def mesh(tmp_path_factory: pytest.TempPathFactory, feast: FeastServer) -> Iterator[Mesh]:
    """A server and a client of one business unit, who know of another one by its scope row."""
    with running(tmp_path_factory.mktemp("g"), feast, TTL, short_lives=True) as mesh:
        mesh.manifests.mkdir()
        mesh.write("risk.yaml", RISK)
        mesh.start(["pricing-api"])
        mesh.client("pricing-api")
        mesh.ca = MortalAuthority.instead_of(mesh.ca)
        mesh.ca.restart()
        yield mesh


@pytest.mark.timeout(600)
def test_twenty_generations_with_the_ca_killed_in_each_and_a_root_cost_no_request(
    mesh: Mesh,
) -> None:
    started, kills = time.monotonic(), list[str]()
    with mesh.no_request_lost() as load:
        while len(mesh.states(KILLED)) <= GENERATIONS:
            around, place = divmod(len(kills), len(FATAL))
            kills.append(_killed_at(mesh, FATAL[place], "before" if around % 2 else "after"))
        begin(mesh, "0", "after")
        _until(lambda: not _under_way(mesh), 60)
        run("ca", "authority", "rotate", "root", "--data", mesh.ca.data)
        _until(lambda: not _under_way(mesh), 120)
    seconds = time.monotonic() - started
    print(
        f"{len(kills)} kills, {load.answered} requests in {seconds:.0f} s, slowest {load.slowest:.2f} s"
    )
    assert len(kills) >= GENERATIONS
    assert {step.partition(":")[2] for step in kills} == set(FATAL)
    shown = json.loads(run("ca", "authority", "list", "--data", mesh.ca.data, "--output", "json"))
    for unit in UNITS:
        # The root's rotation made one more of each.
        assert len(mesh.states(unit)) >= GENERATIONS + 2
        assert set(mesh.states(unit)[:-1]) == {"revoked"}
    assert mesh.states("root") == ["revoked", "active"]
    assert {one["state"] for one in shown["authorities"]} == {"active"}


def _killed_at(mesh: Mesh, step: str, when: str) -> str:
    """Begin the next generation of all and let the CA die at this step, or already in what the last kill has
    left; at what it died.
    """
    ca = begin(mesh, f"{KILLED}:{step}", when)
    _until(lambda: not _under_way(mesh) or not ca.program.alive(), 60)
    if ca.program.alive():
        _ordered(mesh)
    assert ca.program.wait(DIES_SECONDS) == -signal.SIGKILL
    return ca.died_of


def _ordered(mesh: Mesh) -> None:
    """All at once, over the admin socket; the CA may die of it."""
    with (
        grpc.insecure_channel(f"unix:{mesh.ca.data}/admin.sock") as channel,
        contextlib.suppress(grpc.RpcError),
    ):
        for unit in reversed(UNITS):
            generation = len(mesh.states(unit)) + 1
            AdminStub(channel).Rotate(
                authority_pb2.RotateRequest(
                    owner=unit, generation=generation, step_timeout_seconds=60
                ),
                timeout=60,
            )


def _under_way(mesh: Mesh) -> list[Any]:
    return mesh.query("SELECT * FROM rotation WHERE state NOT IN ('done', 'cancelled')")


def _until(done: Callable[[], bool], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.1)
