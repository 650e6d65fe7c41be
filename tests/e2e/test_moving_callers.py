"""Ten callers move from the plain port to sidecars of their own, one by one, while all keep asking."""

import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from http.client import HTTPConnection

import pytest

from featward_demo.feast_server import FeastServer
from featward_demo.ports import HOST
from mesh import QUESTION, SET, Mesh, running

CALLERS = [f"caller-{number}" for number in range(10)]


class Caller:
    """An app that asks again and again from an address of its own, on a connection that it keeps."""

    def __init__(self, number: int, port: int) -> None:
        # The whole of 127.0.0.0/8 is loopback, so each app can have its own source address.
        self.address = f"127.0.0.{11 + number}"
        self.port = port
        self.outcomes: Counter[int] = Counter()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._ask)

    def start(self) -> None:
        self._thread.start()

    def move(self, port: int) -> None:
        """Ask there from the next request on."""
        self.port = port

    def stop(self) -> None:
        self._ending.set()
        self._thread.join()

    def answered(self) -> int:
        return self.outcomes[200]

    def _ask(self) -> None:
        body = json.dumps(QUESTION)
        port, connection = self.port, self._connect()
        while not self._ending.is_set():
            if port != self.port:
                connection.close()
                port, connection = self.port, self._connect()
            connection.request(
                "POST", "/get-online-features", body, {"Content-Type": "application/json"}
            )
            response = connection.getresponse()
            response.read()
            self.outcomes[response.status] += 1
            self._ending.wait(0.05)
        connection.close()

    def _connect(self) -> HTTPConnection:
        return HTTPConnection(HOST, self.port, timeout=10, source_address=(self.address, 0))


@pytest.fixture
def mesh(tmp_path_factory: pytest.TempPathFactory, feast: FeastServer) -> Iterator[Mesh]:
    with running(tmp_path_factory.mktemp("m"), feast) as mesh:
        mesh.start(CALLERS, mode="observe")
        yield mesh


@pytest.mark.timeout(240)
def test_ten_callers_move_one_at_a_time_and_the_set_is_enforced_without_a_failed_request(
    mesh: Mesh,
) -> None:
    assert mesh.server.plain is not None
    callers = [Caller(number, mesh.server.plain) for number in range(len(CALLERS))]
    for caller in callers:
        caller.start()
    try:
        _wait_for_rounds(callers)
        for number, name in enumerate(CALLERS):
            assert _left(mesh) == {caller.address for caller in callers[number:]}
            callers[number].move(mesh.client(name).outbound[SET])
            _wait_for_rounds(callers)
        assert _left(mesh) == set()
        mesh.set_mode("enforce")
        while _mode(mesh) != "enforce":
            _wait_for_rounds(callers)
        _wait_for_rounds(callers, 20)
    finally:
        for caller in callers:
            caller.stop()
    assert sum((caller.outcomes for caller in callers), Counter()).keys() == {200}


def _mode(mesh: Mesh) -> object:
    return mesh.server.status()["policy"]["feature_sets"][0]["mode"]


def _wait_for_rounds(callers: list[Caller], rounds: int = 5) -> None:
    """Until every caller has been answered so many times more."""
    wanted = [caller.answered() + rounds for caller in callers]
    waiting = threading.Event()
    while any(caller.answered() < want for caller, want in zip(callers, wanted, strict=True)):
        assert all(caller.outcomes.keys() <= {200} for caller in callers)
        waiting.wait(0.05)


def _left(mesh: Mesh) -> set[str]:
    """The addresses that the status names as callers without identity in the second that just began."""
    begun = int(time.time()) + 1
    threading.Event().wait(begun + 0.9 - time.time())
    return {
        row["source"] for row in mesh.server.status()["unidentified"] if row["last_seen"] >= begun
    }
