"""The API server dies, stays away while etcd forgets, and comes back; and what it counts of who asks it."""

import json
import re
from collections.abc import Mapping
from signal import SIGKILL
from typing import Any

from cluster.control_plane import start_again
from cluster.running import Cluster

__all__ = ["begin_outage", "compact", "end_outage", "metric_of", "of_accounts", "served"]

_SERVER = "kube-apiserver"
_ETCD = "http://127.0.0.1:2379/v3/kv"
_ALL = "Lw=="
_SERIES = re.compile(r"([a-z_]+)(?:\{(.*)\})? (\S+)$")
_LABEL = re.compile(r'([a-z_]+)="([^"]*)"')


def begin_outage(cluster: Cluster) -> None:
    """By SIGKILL: connections are cut, nothing is told."""
    cluster.box.stop(_SERVER, SIGKILL)


def end_outage(cluster: Cluster) -> None:
    """Start it again, and return when it is ready."""
    start_again(cluster.box, cluster.kubernetes)


def compact(cluster: Cluster) -> None:
    """Have etcd forget every version of an object but the newest."""
    newest = _etcd(cluster, "range", {"key": _ALL})["header"]["revision"]
    _etcd(cluster, "compaction", {"revision": newest, "physical": True})


def _etcd(cluster: Cluster, what: str, body: Mapping[str, object]) -> Any:
    post = ("--post-data", json.dumps(body), f"{_ETCD}/{what}")
    return json.loads(cluster.box.run("busybox", "wget", "-q", "-O", "-", *post))


def served(cluster: Cluster, name: str, **labels: str) -> float:
    """The sum of a metric of the API server over all series with these labels."""
    return _sum(str(cluster.kubernetes.call("GET", "/metrics")), name, labels)


def of_accounts(cluster: Cluster) -> float:
    """Requests of service accounts outside of kube-system, which here are the operators' and the CAs' alone,
    since the server started: those that it has answered, and those for which it had no time.
    """
    names = ("dispatched", "rejected")
    schema = {"flow_schema": "service-accounts"}
    return sum(
        served(cluster, f"apiserver_flowcontrol_{one}_requests_total", **schema) for one in names
    )


def metric_of(cluster: Cluster, address: str, name: str, **labels: str) -> float:
    """The same of an operator at this address, which needs no API server."""
    url = f"http://{address}:8080/metrics"
    return _sum(cluster.box.run("busybox", "wget", "-q", "-O", "-", url), name, labels)


def _sum(text: str, name: str, labels: Mapping[str, str]) -> float:
    total = 0.0
    for line in text.splitlines():
        found = _SERIES.match(line) if line.startswith(name) else None
        if (
            found
            and found[1] == name
            and labels.items() <= dict(_LABEL.findall(found[2] or "")).items()
        ):
            total += float(found[3])
    return total
