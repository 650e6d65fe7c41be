"""The workload socket over a real engine, in this process."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from workload_kit import Client, GoClient, PyClient, Served

CLIENTS: dict[str, Callable[[str], Client]] = {"py-spiffe": PyClient, "go-spiffe": GoClient}


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    served = Served(tmp_path / "workload.sock")
    yield served
    served.stop()


@pytest.fixture(params=list(CLIENTS))
def connect(request: pytest.FixtureRequest) -> Iterator[Callable[[str], Client]]:
    """Starts the client of this turn."""
    clients: list[Client] = []

    def connect(address: str) -> Client:
        clients.append(CLIENTS[request.param](address))
        return clients[-1]

    yield connect
    for client in clients:
        client.close()
