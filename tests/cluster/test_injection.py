"""What injection does to pods that run: what it closes, and what ends by itself."""

import pytest

from cluster.asking import ASK, ask_until, connect
from cluster.drivers import PRICING, Drivers
from cluster.feasts import FEAST_PORT
from cluster.pods import PYTHON, container, state_of, template
from cluster.release import Release
from cluster.waiting import wait_until

pytestmark = pytest.mark.timeout(400)

_UNTIL_GRANTED = f"""
import subprocess, sys, time
program, arguments = {ASK!r}, sys.argv[1:]
for _ in range(60):
    said = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True).stdout
    print(said, flush=True)
    if said.startswith("[200,"):
        sys.exit(0)
    time.sleep(0.5)
sys.exit(1)
"""


def test_a_port_on_loopback_is_closed_to_other_pods(release: Release, drivers: Drivers) -> None:
    cluster, address = release.cluster, drivers.server["status"]["podIP"]
    assert connect(cluster, drivers.pricing, address, 15443) == "open"
    assert connect(cluster, drivers.pricing, address, FEAST_PORT) == "ConnectionRefusedError"
    # It is there, and answers who comes through the sidecar.
    ask_until(cluster, drivers.pricing, drivers.variable, "conv_rate", 200)


def test_a_job_with_init_containers_ends(release: Release, drivers: Drivers) -> None:
    """Its init container has features already, and its sidecar does not keep it from ending."""
    cluster = release.cluster
    asks = (PYTHON, "-c", _UNTIL_GRANTED, drivers.variable, "conv_rate")
    pods = template(
        "pricing-api",
        container("app", release.image, *asks),
        labels={"featward.dev/inject": "client"},
        annotations={
            "featward.dev/feature-sets": "ml/driver-stats",
            "featward.dev/hold-application": "true",
        },
        initContainers=[container("before", release.image, *asks)],
        restartPolicy="Never",
    )
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "report", "namespace": PRICING},
        "spec": {"backoffLimit": 0, "template": pods},
    }
    cluster.apply(job)
    path = f"/apis/batch/v1/namespaces/{PRICING}/jobs/report"

    def ended() -> set[str]:
        conditions = cluster.kubernetes.call("GET", path)["status"].get("conditions", [])
        return {one["type"] for one in conditions if one["status"] == "True"}

    try:
        wait_until(lambda: ended() & {"Complete", "Failed"}, "the Job has ended", 90)
        assert "Complete" in ended()
    except AssertionError as error:
        raise AssertionError(f"{error}\n{state_of(cluster, PRICING)}") from error
    finally:
        cluster.kubectl("delete", "job", "--namespace", PRICING, "report", "--wait=false")
