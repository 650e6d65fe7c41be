"""`exposure --probe`: what ports say, what dials them, and what is said when that does not start."""

import asyncio
import json
import socket
import subprocess
import sys
import threading
from contextlib import ExitStack
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from featward.kubectl.dial import Answer, dial
from featward.kubectl.exposed import Exposed, _Around
from featward.kubectl.exposure import Port, State
from featward.kubectl.exposure_view import contradictions
from featward.kubectl.probing import Dialled, address_of, probe_pod
from kubectl_kit import Place, a_sidecar
from kubernetes_programs import BUILD_SECONDS

pytestmark = pytest.mark.timeout(BUILD_SECONDS)
_MERGE = "merge-patch+json"


def port(number: int, state: State = "open", protocol: str = "TCP") -> Port:
    return Port(number, protocol, "feature-server", (), state, f"it is {state}")


def test_a_port_answers_refuses_or_says_nothing() -> None:
    with ExitStack() as open_sockets:
        taking = open_sockets.enter_context(socket.create_server(("127.0.0.1", 0)))
        closed = open_sockets.enter_context(socket.socket())
        closed.bind(("127.0.0.1", 0))
        # Once its queue is full the system answers nobody any more, as a firewall that drops.
        full = open_sockets.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4):
            one = open_sockets.enter_context(socket.socket())
            one.setblocking(False)
            one.connect_ex(full.getsockname())
        at = [f"127.0.0.1:{one.getsockname()[1]}" for one in (taking, closed, full)]
        found = asyncio.run(dial([*at, at[0]], seconds=0.5))
    assert list(found.values()) == [Answer.ANSWERS, Answer.REFUSED, Answer.SILENT]
    assert list(found) == at


def test_what_the_pod_runs_prints_its_findings_as_json() -> None:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as taking:
        address = f"[::1]:{taking.getsockname()[1]}"
        command = [sys.executable, "-m", "featward.kubectl.dial", address]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    assert json.loads(done.stdout) == {address: "answers"}


@pytest.mark.parametrize(
    ("pod_ip", "address"), [("10.0.0.7", "10.0.0.7:80"), ("fd00::7", "[fd00::7]:80")]
)
def test_an_address_is_written_as_it_is_dialled(pod_ip: str, address: str) -> None:
    assert address_of({"status": {"podIP": pod_ip}}, port(80)) == address


def _exposed(*ports: Port) -> Exposed:
    metadata = {"name": "feast-0", "namespace": "ml"}
    pod = {"metadata": metadata, "spec": {}, "status": {"podIP": "10.0.0.7"}}
    around = _Around([], [], [], (), (), 0.0)
    return Exposed(pod, around, (), ports, {}, ())


@given(
    st.sampled_from(["open", "accepted", "closed-by-policy", "loopback"]), st.sampled_from(Answer)
)
def test_only_what_should_be_closed_and_answers_is_a_contradiction(
    state: State, answer: Answer
) -> None:
    found = list(
        contradictions(_exposed(port(80, state)), Dialled("shop", {"10.0.0.7:80": answer}))
    )
    closed = state in ("closed-by-policy", "loopback")
    assert bool(found) == (closed and answer is Answer.ANSWERS)
    assert all("port 80 answers a pod of the namespace shop" in one for one in found)


def test_a_port_that_is_not_tcp_is_not_dialled() -> None:
    one = _exposed(port(80, protocol="UDP"))
    dialled = Dialled("shop", {"10.0.0.7:80": Answer.ANSWERS})
    assert dialled.of(one.pod, one.ports[0]) is None
    assert "dialled" not in one.as_json(dialled)["ports"][0]
    (said,) = _exposed(port(80)).as_json(dialled)["ports"]
    assert said["dialled"] == {"from": "shop", "result": "answers"}


def _namespace(place: Place) -> str:
    """With the account that a controller makes, and restricted."""
    name = place.kubernetes.namespace(place.unit)
    label = {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}}
    place.kubernetes.call("PATCH", f"/api/v1/namespaces/{name}", label, _MERGE)
    account = {"metadata": {"name": "default"}}
    place.kubernetes.call("POST", f"/api/v1/namespaces/{name}/serviceaccounts", account)
    return name


def test_the_pod_that_dials_fits_restricted_pod_security(place: Place) -> None:
    name = _namespace(place)
    pod = probe_pod("localhost/featward:1", ["10.0.0.7:80"], [])
    made = place.kubernetes.call("POST", f"/api/v1/namespaces/{name}/pods", pod)
    assert made["metadata"]["name"].startswith("featward-probe-")


def _fail_the_probe(place: Place, namespace: str, stopped: threading.Event) -> None:
    """As a kubelet that can't pull the image."""
    base = f"/api/v1/namespaces/{namespace}/pods"
    waiting = {"reason": "ErrImagePull", "message": "no such image"}
    state = {"name": "probe", "image": "x", "imageID": "", "ready": False, "restartCount": 0}
    status = {
        "phase": "Failed",
        "containerStatuses": [state | {"state": {"waiting": waiting}}],
    }
    while not stopped.wait(0.1):
        for one in place.kubernetes.call("GET", base)["items"]:
            if one["metadata"]["name"].startswith("featward-probe-"):
                path = f"{base}/{one['metadata']['name']}/status"
                place.kubernetes.ask("PATCH", path, {"status": status}, _MERGE)


def _server(place: Place) -> str:
    place.apply_set()
    labels = {"featward.dev/server": "feast"}
    app: Any = {"name": "app", "image": "localhost/app:1", "ports": [{"containerPort": 6566}]}
    pod = place.pod(
        place.ml, "feast", labels=labels, containers=[app], initContainers=[a_sidecar()]
    )
    path = f"/api/v1/namespaces/{place.ml}/pods/{pod}/status"
    at = {"status": {"podIP": "10.0.0.7", "podIPs": [{"ip": "10.0.0.7"}]}}
    place.kubernetes.call("PATCH", path, at, _MERGE)
    return pod


def test_a_probe_that_does_not_start_says_why_and_leaves_no_pod(place: Place) -> None:
    pod, origin, stopped = _server(place), _namespace(place), threading.Event()
    kubelet = threading.Thread(target=_fail_the_probe, args=(place, origin, stopped))
    kubelet.start()
    try:
        done = place.run("exposure", pod, "-n", place.ml, "--probe", "--from", origin)
    finally:
        stopped.set()
        kubelet.join()
    assert done.status == 1
    assert "ErrImagePull: no such image" in done.err
    left = place.kubernetes.call("GET", f"/api/v1/namespaces/{origin}/pods")["items"]
    assert left == []


def test_a_probe_is_refused_where_it_means_nothing(place: Place) -> None:
    pod = _server(place)
    done = place.run("exposure", pod, "-n", place.ml, "--from", place.shop)
    assert "give --probe with it" in done.err
    done = place.run("exposure", pod, "-n", place.ml, "--probe", "--network-policy")
    assert "give one of them" in done.err
    done = place.run("exposure", "-n", place.shop, "--probe")
    assert done.status == 1
    assert "there is nothing to dial" in done.err
