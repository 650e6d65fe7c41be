"""Authorities and the root are replaced by a running CA that is killed meanwhile, under apps that hold the
sidecar's identity with the clients that people use.
"""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from envoy_kit import Envoy, Traffic
from featward.authority.v1 import authority_pb2, authority_pb2_grpc
from workload_kit import Client, GoClient, PyClient

UNIT, ROOT = "prod.payments", "root"
# Half of it is left when a sidecar renews: enough for a killed CA to be back on a busy machine.
TTL = "16s"
SECONDS = 120.0
AdminStub: Any = authority_pb2_grpc.AuthorityServiceStub


class Operator:
    """Whoever rotates, over the admin socket of whichever CA runs."""

    def __init__(self, data: Path) -> None:
        self._address = f"unix:{data}/admin.sock"

    def rotate(self, owner: str) -> None:
        request = authority_pb2.RotateRequest(owner=owner, step_timeout_seconds=60)
        with grpc.insecure_channel(self._address) as channel:
            AdminStub(channel).Rotate(request, timeout=20)

    def shown(self) -> Any:
        with grpc.insecure_channel(self._address) as channel:
            return AdminStub(channel).Show(authority_pb2.ShowRequest(), timeout=20)

    def active(self, owner: str) -> str:
        """The id of the authority that signs for an owner."""
        found = self.shown().authorities
        return next(str(one.id) for one in found if (one.owner, one.state) == (owner, "active"))

    def idle(self) -> bool:
        return not self.shown().rotations


class App:
    """A client, and all that it was told so far."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.told: list[dict[str, Any]] = []

    def until(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The first update of those not yet looked at that is wanted; an end before it fails."""
        end = time.monotonic() + SECONDS
        while True:
            event = self.client.events.get(timeout=max(0.01, end - time.monotonic()))
            assert event["kind"] != "ended", event
            if event["kind"] == "update":
                self.told.append(event)
                if wanted(event):
                    return event

    def saw(self, what: str) -> list[Any]:
        """The values of a field in their order, without what is the same as before."""
        values = [event[what] for event in self.told]
        changes = zip([None, *values], values, strict=False)
        return [value for before, value in changes if value != before]


def wait_for(done: Callable[[], bool]) -> None:
    end = time.monotonic() + SECONDS
    while not done():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.1)


@pytest.fixture
def sds(scene: Any) -> Path:
    """The socket of a running sidecar that talks TLS with its CA."""
    scene.write(ttl=TTL)
    scene.start_ca()
    path: Path = scene.folder / "workload.sock"
    token = scene.token("feast")
    scene.run(listen="127.0.0.1:0", workload_socket=path, join_token_file=token).ready()
    return path


@pytest.fixture
def apps(sds: Path) -> Iterator[list[App]]:
    """py-spiffe and go-spiffe, side by side."""
    apps = [App(client(f"unix://{sds}")) for client in (PyClient, GoClient)]
    yield apps
    for app in apps:
        app.client.close()


@pytest.fixture
def envoy(sds: Path, tmp_path: Path) -> Iterator[Envoy]:
    """Serves mTLS with the identity, and calls itself with it."""
    envoy = Envoy(tmp_path, sds)
    envoy.ready()
    yield envoy
    envoy.close()


def killed(scene: Any) -> None:
    scene.ca.kill()
    scene.ca.start()


@pytest.mark.timeout(300)
def test_apps_follow_a_new_authority_and_a_new_root_of_a_ca_that_is_killed_meanwhile(
    scene: Any, apps: list[App], envoy: Envoy
) -> None:
    operator = Operator(scene.ca.data)
    first, old_root = operator.active(UNIT), operator.active(ROOT)
    for app in apps:
        app.until(lambda event: event["authority"] == first)
    traffic = Traffic(envoy.ask)

    operator.rotate(UNIT)
    killed(scene)
    wait_for(operator.idle)
    second = operator.active(UNIT)
    for app in apps:
        app.until(lambda event: event["authority"] == second)

    killed(scene)
    operator.rotate(ROOT)
    for app in apps:
        app.until(lambda event: len(event["trusted"]) == 2)
    killed(scene)
    wait_for(operator.idle)
    third, new_root = operator.active(UNIT), operator.active(ROOT)
    for app in apps:
        app.until(lambda event: event["trusted"] == [new_root] and event["authority"] == third)
        assert app.saw("authority") == [first, second, third]
        assert app.saw("trusted") == [[old_root], sorted([old_root, new_root]), [new_root]]

    killed(scene)
    seen = {event["serial"] for app in apps for event in app.told}
    for app in apps:
        app.until(lambda event: event["serial"] not in seen)
    wait_for(lambda: not envoy.uses() & seen)
    answered, failed = traffic.end()
    assert (failed, answered > 100) == ([], True)
