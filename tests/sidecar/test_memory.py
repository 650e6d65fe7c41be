"""What policy edits leave behind in the sidecar's memory, measured in a process started as the sidecar is."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from featward.policy.v1 import snapshot_pb2
from featward_sidecar.launch import MALLOC

BINDINGS = 30_000
SWAPS = """
import pathlib, sys
from featward_engine import Credentials, Proxy

proxy = Proxy(Credentials("prod.acme.example"), b"{}")
for path in sys.argv[1:]:
    proxy.set_policy(pathlib.Path(path).read_bytes())
    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    print(next(line.split()[1] for line in lines if line.startswith("VmRSS:")))
"""


def snapshot(expires: int) -> bytes:
    """A large policy: an identity for each binding, six of a thousand features."""
    policy = snapshot_pb2.Snapshot(format=1, engine_version="0.1.0", environment="prod")
    policy.trust_domain = "prod.acme.example"
    policy.workload = "spiffe://prod.acme.example/bu/payments/svc/feast"
    drivers = policy.feature_sets.add(namespace="ml", name="drivers", version="1.0.0")
    drivers.business_unit, drivers.mode = "prod.payments", snapshot_pb2.MODE_ENFORCE
    drivers.upstream_auth = snapshot_pb2.UPSTREAM_AUTH_NONE
    names = [f"view:f{number:04d}" for number in range(1000)]
    for name in names:
        drivers.features.add(name=name, type=snapshot_pb2.COLUMN_TYPE_DOUBLE, cost=1)
    for number in range(BINDINGS):
        binding = policy.bindings.add(namespace="ml", name=f"binding-{number:06d}", expires=expires)
        binding.feature_set_namespace, binding.feature_set_name = "ml", "drivers"
        binding.on_excess = snapshot_pb2.ON_EXCESS_DENY
        binding.cost.amount, binding.cost.per_seconds, binding.cost.burst = 10_000, 60, 2000
        identity = f"spiffe://prod.acme.example/bu/payments/svc/app-{number:06d}"
        binding.subjects.add(kind=snapshot_pb2.SUBJECT_KIND_WORKLOAD, value=identity)
        start = number * 7 % 990
        binding.features.extend(names[start : start + 6])
    return policy.SerializeToString(deterministic=True)


@pytest.mark.timeout(180)
def test_a_large_policy_that_is_edited_again_and_again_holds_its_memory_once(
    tmp_path: Path,
) -> None:
    paths = [tmp_path / str(number) for number in range(2)]
    for number, path in enumerate(paths):
        path.write_bytes(snapshot(4_000_000_000 + number))
    command: list[Any] = [sys.executable, "-c", SWAPS, *(paths * 3)]
    done = subprocess.run(
        command, env=MALLOC | os.environ, check=True, capture_output=True, text=True
    )
    resident = [int(line) for line in done.stdout.split()]
    assert max(resident[1:]) < resident[0] * 1.4


def test_the_sidecar_runs_with_these_settings(standing: Any) -> None:
    environment = Path(f"/proc/{standing.serving.process.pid}/environ").read_bytes().split(b"\0")
    for name, value in MALLOC.items():
        assert f"{name}={value}".encode() in environment
