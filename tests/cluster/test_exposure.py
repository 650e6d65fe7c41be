"""What `kubectl featward exposure --probe` finds out where pods really run."""

import pytest

from cluster.drivers import PRICING, Drivers
from cluster.exposing import exposure
from cluster.feasts import FEAST_PORT
from cluster.running import Cluster

pytestmark = pytest.mark.timeout(300)


def test_a_port_on_loopback_refuses_a_pod_of_another_namespace_which_is_gone_afterwards(
    drivers: Drivers, cluster: Cluster
) -> None:
    ports = exposure(cluster, drivers.server, "--probe", "--from", PRICING)
    assert ports[FEAST_PORT]["dialled"] == {"from": PRICING, "result": "refused"}
    listed = cluster.kubernetes.call("GET", f"/api/v1/namespaces/{PRICING}/pods")["items"]
    assert not [one for one in listed if one["metadata"]["name"].startswith("featward-probe-")]
