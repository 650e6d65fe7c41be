"""kill -9 of the CA at every step of a rotation, a new root and a compromise, under load: nobody notices."""

import contextlib
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest

from featward.authority.v1 import authority_pb2, authority_pb2_grpc
from featward_demo.feast_server import FeastServer
from mesh import Mesh, running
from mortal_authority import DIES_SECONDS, MortalAuthority, begin


def _of(owner: str, *steps: str) -> set[str]:
    return {f"{owner}:{step}" for step in steps}


AdminStub: Any = authority_pb2_grpc.AuthorityServiceStub
Order = Callable[[Any], None]
UNIT = "prod.payments"
# Half of it is left when a sidecar renews: enough for a killed CA to be back on a busy machine, each time.
TTL = "1m"
WITHIN_SECONDS = 120.0
MANUAL = _of(UNIT, "request", "prepare", "activate", "taint", "revoke", "done")
COMPROMISE = _of(UNIT, "request", "prepare", "activate", "revoke", "done")
# The owners move to a new root each by a rotation of their own.
MOVED = ("platform", UNIT)
ROOT = _of("root", "request", "prepare", "activate", "taint", "revoke", "done") | {
    step for owner in MOVED for step in _of(owner, "request", "prepare", "activate", "done")
}


@pytest.fixture
def mesh(tmp_path_factory: pytest.TempPathFactory, feast: FeastServer) -> Iterator[Mesh]:
    """A server and a client, whose CA can be told when to die."""
    with running(tmp_path_factory.mktemp("k"), feast, TTL, short_lives=True) as mesh:
        mesh.start(["pricing-api"])
        mesh.client("pricing-api")
        mesh.ca = MortalAuthority.instead_of(mesh.ca)
        mesh.ca.restart()
        yield mesh


@pytest.mark.timeout(400)
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_ca_killed_at_every_step_of_a_rotation_costs_no_request(mesh: Mesh, when: str) -> None:
    with mesh.no_request_lost():
        _survive(mesh, MANUAL, when, _rotate(UNIT))
    assert mesh.states(UNIT) == ["revoked", "active"]


@pytest.mark.timeout(400)
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_ca_killed_at_every_step_of_a_compromise_costs_no_request(mesh: Mesh, when: str) -> None:
    (stolen,) = [row for row in mesh.query("SELECT id, owner FROM authority") if row[1] == UNIT]
    with mesh.no_request_lost():
        _survive(mesh, COMPROMISE, when, _compromise(stolen[0]))
    assert mesh.states(UNIT) == ["revoked", "active"]
    assert len(mesh.query("SELECT * FROM ban WHERE kind = 'authority'")) == 1


@pytest.mark.timeout(600)
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_ca_killed_at_every_step_of_a_new_root_costs_no_request(mesh: Mesh, when: str) -> None:
    with mesh.no_request_lost():
        _survive(mesh, ROOT, when, _rotate("root"))
    assert mesh.states("root") == ["revoked", "active"]
    for owner in MOVED:
        assert mesh.states(owner) == ["revoked", "active"]


def _survive(mesh: Mesh, steps: set[str], when: str, order: Order) -> None:
    """Let the CA die at every step; nothing but its restart helps it on."""
    left = set(steps)
    while left:
        ca = begin(mesh, ",".join(sorted(left)), when)
        _ordered(mesh, order)
        died = ca.program.wait(DIES_SECONDS)
        assert died == -signal.SIGKILL, f"it ended with {died} before it came to {left}"
        left.remove(ca.died_of)
    begin(mesh, "0", when)
    _ordered(mesh, order)
    end = time.monotonic() + DIES_SECONDS
    while mesh.query("SELECT * FROM rotation WHERE state NOT IN ('done', 'cancelled')"):
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.2)


def _ordered(mesh: Mesh, order: Order) -> None:
    """Ask for it unless it is under way or done; the CA may die of it, or be dead by now."""
    if mesh.query("SELECT * FROM rotation"):
        return
    with (
        grpc.insecure_channel(f"unix:{mesh.ca.data}/admin.sock") as channel,
        contextlib.suppress(grpc.RpcError),
    ):
        order(AdminStub(channel))


def _rotate(owner: str) -> Order:
    request = authority_pb2.RotateRequest(owner=owner, generation=2, step_timeout_seconds=60)
    return lambda stub: stub.Rotate(request, timeout=60)


def _compromise(authority: str) -> Order:
    request = authority_pb2.CompromiseRequest(authority=authority, within_seconds=WITHIN_SECONDS)
    return lambda stub: stub.Compromise(request, timeout=60)
