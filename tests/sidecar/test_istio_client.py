"""A real Envoy, set up as Istio sets its clients up, calls the sidecar's mTLS listener with an SVID that it got
by SDS from the sidecar beside it."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from envoy_kit import IstioClient, Traffic
from workload_kit import wait_for

FEAST = "spiffe://prod.acme.example/bu/payments/svc/feast"
FEATWARD = Path(sys.executable).with_name("featward")
GRANTED, WITHHELD = "driver_hourly_stats:conv_rate", "driver_hourly_stats:acc_rate"
# What clients of a mesh offer: istiod's clusters for HTTP (the filter istio.alpn puts the versions before the
# names), for HTTP with metadata exchange, and for bytes, where nothing says which HTTP it is.
OFFERS: dict[str, tuple[list[str], bool]] = {
    "HTTP/1.1": (["istio-http/1.1", "istio", "http/1.1"], False),
    "HTTP/2": (["istio-h2", "istio", "h2"], True),
    "HTTP/2 with exchange": (["istio-peer-exchange", "istio", "h2"], True),
    "bytes that are HTTP/1.1": (["istio-peer-exchange", "istio"], False),
    "bytes that are HTTP/2": (["istio"], True),
    "the versions' names alone": (["istio-http/1.1"], False),
}
Start = Callable[..., IstioClient]


@pytest.fixture
def start(scene: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """Starts an Envoy beside the client's sidecar; waits until it gets through."""
    with ExitStack() as stack:

        def start(alpn: list[str], h2: bool, **more: Any) -> IstioClient:
            folder = tmp_path_factory.mktemp("envoy")
            to, sds = scene.bound["listen"], scene.folder / "app.sock"
            envoy = IstioClient(folder, sds, to, FEAST, alpn, h2=h2, **more)
            stack.callback(envoy.close)
            return envoy

        yield start


def mesh(scene: Any, **values: Any) -> None:
    """A server behind its sidecar, and the sidecar of a client that only hands out its identity."""
    scene.serve(**values)
    scene.calling = scene.run(
        name="pricing-api",
        join_token_file=scene.token("pricing-api"),
        workload_socket=scene.folder / "app.sock",
    )
    scene.calling.logged("identity issued")


def ask(envoy: IstioClient, feature: str = GRANTED) -> tuple[int, dict[str, Any]]:
    body = json.dumps({"features": [feature], "entities": {"driver_id": [1001]}})
    status, answer = envoy.call("POST", "/get-online-features", body)
    return status, json.loads(answer) if answer.startswith(b"{") else {"said": answer.decode()}


def status_of(envoy: IstioClient) -> int:
    return ask(envoy)[0]


def until_open(envoy: IstioClient) -> None:
    """Any answer of the sidecar will do: an Envoy that has no secrets yet answers 503 by itself."""
    wait_for(lambda: is_open(envoy))


def is_open(envoy: IstioClient) -> bool:
    try:
        return ask(envoy)[0] == 200
    except OSError:
        return False


@pytest.mark.timeout(120)
def test_every_name_that_a_mesh_offers_is_served_with_the_clients_identity(
    scene: Any, start: Start
) -> None:
    mesh(scene)
    for alpn, h2 in OFFERS.values():
        envoy = start(alpn, h2)
        until_open(envoy)
        status, answer = ask(envoy)
        assert (status, answer["metadata"]["feature_names"][-1]) == (200, "conv_rate"), alpn
        status, answer = ask(envoy, WITHHELD)
        assert (status, answer["reason"], answer["missing"]) == (403, "not-granted", [WITHHELD])
    callers = {each["identity"] for each in scene.serving.status()["callers"]}
    assert callers == {FEAST.replace("feast", "pricing-api")}


def test_an_envoy_that_is_not_allowed_tls_1_3_does_not_get_in(scene: Any, start: Start) -> None:
    """Envoy's own maximum for clients is 1.2; Istio raises it."""
    mesh(scene)
    until_open(start(["istio-http/1.1", "istio", "http/1.1"], False))
    old = start(["istio-http/1.1", "istio", "http/1.1"], False, newest="TLSv1_2")
    wait_for(lambda: refused_by_tls(old))
    assert scene.upstream.seen >= 1


def refused_by_tls(envoy: IstioClient) -> bool:
    try:
        status, answer = ask(envoy)
    except OSError:
        return False
    # Else it says that the secret is not supplied yet.
    return status == 503 and "remote connection failure" in answer["said"]


@pytest.mark.timeout(180)
def test_no_request_is_lost_while_identities_are_renewed_and_their_authority_is_replaced(
    scene: Any, start: Start
) -> None:
    mesh(scene, ttl="6s")
    offers = [OFFERS["HTTP/1.1"], OFFERS["HTTP/2 with exchange"]]
    envoys = [start(alpn, h2) for alpn, h2 in offers]
    for envoy in envoys:
        until_open(envoy)
    traffic = [Traffic(partial(status_of, envoy)) for envoy in envoys]
    first = scene.calling.status()["identity"]["authority"]
    rotate(scene.folder / "ca" / "data")
    scene.calling.wait(lambda status: status["agent"]["identity"]["renewals"] >= 3)
    results = [each.end() for each in traffic]
    assert [failed for _, failed in results] == [[], []]
    assert all(answered > 20 for answered, _ in results), results
    assert scene.calling.status()["identity"]["authority"] != first


def rotate(data: Path) -> None:
    """Replace the business unit's authority, to the end of the old one."""
    options = ["prod.payments", "--wait", "--step-timeout", "1m", "--data", data]
    command = [str(each) for each in (FEATWARD, "ca", "authority", "rotate", *options)]
    subprocess.run(command, check=True, timeout=100)
