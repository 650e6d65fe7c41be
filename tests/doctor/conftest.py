"""Servers that end with their test, and a folder whose path is short enough for sockets."""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from doctor_kit import Server, Talk


@pytest.fixture
def serve() -> Iterator[Callable[[Talk], str]]:
    """Starts a server; returns its address."""
    servers: list[Server] = []

    def serve(talk: Talk) -> str:
        servers.append(Server(talk))
        return servers[-1].address

    yield serve
    for server in servers:
        server.close()


@pytest.fixture
def folder() -> Iterator[Path]:
    """Instead of pytest's, whose path may be too long for a socket."""
    with tempfile.TemporaryDirectory(prefix="fw") as folder:
        yield Path(folder).resolve()
