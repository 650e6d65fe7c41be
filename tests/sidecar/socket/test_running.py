"""A running sidecar with a real CA, and apps beside it that fetch its identity with the clients that people
use."""

import getpass
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from envoy_kit import Envoy, Traffic
from workload_kit import Client, next_event, outcome

FEAST = "spiffe://prod.acme.example/bu/payments/svc/feast"
FETCH = "/SpiffeWorkloadAPI/FetchX509SVID"
Connect = Callable[[str], Client]


def serve(scene: Any, ttl: str = "1h", **flags: object) -> Any:
    """A sidecar that is attested by the kernel, so that a restart needs no new token."""
    scene.write(unix=getpass.getuser(), ttl=ttl)
    scene.start_ca()
    return run(scene, **flags)


def run(scene: Any, **flags: object) -> Any:
    socket = scene.folder / "workload.sock"
    return scene.run(
        ca=f"unix:{scene.ca.socket}", listen="127.0.0.1:0", workload_socket=socket, **flags
    )


def until(client: Client, differs_from: set[str]) -> str:
    """The serial of the first update that is none of these; nothing may have ended before it."""
    while (event := client.events.get(timeout=30))["kind"] != "ended":
        if event["kind"] == "update" and event["serial"] not in differs_from:
            return str(event["serial"])
    pytest.fail(f"the client gave up: {event}")


def test_an_app_follows_rotation_a_restart_of_the_ca_and_one_of_the_sidecar(
    scene: Any, connect: Connect
) -> None:
    sidecar = serve(scene, ttl="6s")
    address = f"unix://{scene.folder / 'workload.sock'}"
    sidecar.logged("identity issued")
    client = connect(address)
    first = next_event(client, "update")
    assert (first["spiffe_id"], first["chain"]) == (FEAST, 2)
    assert first["bundles"] == ["prod.acme.example"]
    seen = {first["serial"]}
    seen.add(until(client, seen))
    scene.ca.kill()
    scene.ca.start()
    seen.add(until(client, seen))
    assert sidecar.end() == 0
    again = run(scene)
    seen.add(until(client, seen))
    again.end(signal.SIGKILL)
    run(scene)
    seen.add(until(client, seen))
    assert len(seen) == 5


def test_the_socket_is_there_before_the_ca_is(scene: Any) -> None:
    scene.write(unix=getpass.getuser())
    scene.start_ca()
    scene.ca.kill()
    sidecar = run(scene)
    sidecar.logged("CA not reached")
    path = scene.folder / "workload.sock"
    assert outcome(path, FETCH) == ("UNAVAILABLE", "the sidecar has no identity yet")
    scene.ca.start()
    sidecar.logged("identity issued")
    assert sidecar.status()["agent"]["apps"]["socket"] == str(path)


def test_a_refused_workload_is_told_that_no_identity_was_issued(scene: Any) -> None:
    scene.write(unix="nobody")
    scene.start_ca()
    sidecar = run(scene)
    sidecar.logged("no evidence for an identity")
    code, text = outcome(scene.folder / "workload.sock", FETCH)
    assert (code, text[:18]) == ("PERMISSION_DENIED", "no identity issued")


@pytest.mark.timeout(120)
def test_an_envoy_beside_it_loses_no_request_while_identities_of_seconds_are_renewed(
    scene: Any, tmp_path: Path
) -> None:
    sidecar = serve(scene, ttl="6s")
    envoy = Envoy(tmp_path, scene.folder / "workload.sock")
    try:
        envoy.ready()
        traffic = Traffic(envoy.ask)
        sidecar.wait(lambda status: status["agent"]["identity"]["renewals"] >= 3)
        answered, failed = traffic.end()
    finally:
        envoy.close()
    assert (failed, answered > 20) == ([], True)


def resident(process: Any) -> int:
    lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))


def test_the_socket_costs_little_memory_and_none_of_the_heavy_libraries(
    scene: Any, connect: Connect
) -> None:
    sidecar = serve(scene)
    plain = scene.run(
        ca=f"unix:{scene.ca.socket}", listen="127.0.0.1:0", state=scene.folder / "plain"
    )
    sidecar.ready()
    plain.ready()
    next_event(connect(f"unix://{scene.folder / 'workload.sock'}"), "update")
    maps = Path(f"/proc/{sidecar.process.pid}/maps").read_text()
    for library in ("cygrpc", "cryptography", "libssl"):
        assert library not in maps
    with_socket, without = resident(sidecar.process), resident(plain.process)
    print(f"RSS {with_socket} KB with the socket and a client, {without} KB without")
    assert with_socket < 57_000
    assert with_socket - without < 2000
