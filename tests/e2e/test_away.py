"""The CA is away for three lives of certificates: refusals say why, and all are back within a minute of it."""

import json
import signal
import time
from collections.abc import Iterator

import pytest

from featward_demo.calls import Answer, plain
from featward_demo.feast_server import FeastServer
from featward_demo.ports import HOST
from featward_demo.program import answers
from featward_demo.sidecar import Sidecar
from mesh import QUESTION, SET, Mesh, running

LIFE = 10
LIVES_AWAY = 3
BACK_WITHIN_SECONDS = 60
# What a caller of the server's plain port, or of a client's outbound one, may wait for between two questions.
PAUSE = 0.1
BY_TOKEN, BY_KERNEL = ("pricing-api", "scoring"), ("batch",)


@pytest.fixture
def mesh(tmp_path_factory: pytest.TempPathFactory, feast: FeastServer) -> Iterator[Mesh]:
    """A server that came by join token, two such clients, and one that the kernel vouches for."""
    with running(tmp_path_factory.mktemp("a"), feast, f"{LIFE}s", short_lives=True) as mesh:
        mesh.by_kernel = BY_KERNEL
        mesh.start([*BY_TOKEN, *BY_KERNEL])
        for name in (*BY_TOKEN, *BY_KERNEL):
            mesh.client(name)
        yield mesh


@pytest.mark.timeout(240)
def test_after_three_lives_without_the_ca_all_are_back_within_a_minute_of_it(mesh: Mesh) -> None:
    starts = [side.program.pid for side in (mesh.server, *mesh.clients.values())]
    assert {name: _ask(side).status for name, side in mesh.clients.items()} == dict.fromkeys(
        mesh.clients, 200
    )
    mesh.ca.program.signal(signal.SIGKILL)
    mesh.ca.program.wait(10)
    time.sleep(LIVES_AWAY * LIFE)
    for name, side in mesh.clients.items():
        refused = _ask(side)
        assert (refused.status, refused.reason) == (503, "identity-expired"), name
    assert not _serves(mesh.server)
    back = _back_after_return(mesh)
    print({name: f"{seconds:.1f} s" for name, seconds in back.items()})
    assert max(back.values()) <= BACK_WITHIN_SECONDS
    # Nobody lent a hand: the same processes, and no token but those of the start.
    assert [side.program.pid for side in (mesh.server, *mesh.clients.values())] == starts
    assert _attested_once(mesh)


def _back_after_return(mesh: Mesh) -> dict[str, float]:
    """Start the CA; how many seconds later the server was ready, and each client's question answered."""
    mesh.ca.start()
    mesh.ca.ready()
    returned = time.monotonic()
    back: dict[str, float] = {}
    while len(back) <= len(mesh.clients):
        assert time.monotonic() < returned + 2 * BACK_WITHIN_SECONDS, back
        if "server" not in back and _serves(mesh.server):
            back["server"] = time.monotonic() - returned
        for name in mesh.clients.keys() - back.keys():
            if _ask(mesh.clients[name]).status == 200:
                back[name] = time.monotonic() - returned
        time.sleep(PAUSE)
    return back


def _ask(client: Sidecar) -> Answer:
    return plain(client.outbound[SET], QUESTION)


def _serves(server: Sidecar) -> bool:
    return answers(HOST, server.health, "/readyz")


def _attested_once(mesh: Mesh) -> bool:
    """Whether every identity after the first was a renewal of the one before."""
    for side in (mesh.server, *mesh.clients.values()):
        lines = [json.loads(line) for line in side.log.read_text().splitlines() if line[:1] == "{"]
        issued = [line for line in lines if line["message"] == "identity issued"]
        renewals = int(side.status()["agent"]["identity"]["renewals"])
        if len(issued) - renewals != 1:
            return False
    return True
