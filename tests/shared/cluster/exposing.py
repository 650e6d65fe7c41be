"""`kubectl featward exposure` as a person runs it beside the cluster."""

import json
import os
import subprocess
import sys
from typing import Any

from cluster.running import Cluster

__all__ = ["exposure", "exposure_text"]


def exposure_text(cluster: Cluster, pod: dict[str, Any], *options: str) -> str:
    """What it prints about a pod."""
    name = f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
    command = [sys.executable, "-m", "featward.kubectl", "exposure", name, *options]
    environment = {**os.environ, "KUBECONFIG": str(cluster.kubeconfig)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def exposure(cluster: Cluster, pod: dict[str, Any], *options: str) -> dict[int, dict[str, Any]]:
    """Its ports, by number."""
    (found,) = json.loads(exposure_text(cluster, pod, *options, "--output", "json"))
    return {one["port"]: one for one in found["ports"]}
