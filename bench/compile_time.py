"""Times a folder of manifests: reading, validating, compiling, and the engine's loading of the snapshot.

    python bench/compile_time.py --bindings 100000

It writes a folder of that many bindings to a temporary place, in files of a thousand, and reports seconds of
wall clock for each step and the peak of resident memory. Nothing is kept.
"""

import argparse
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from featward.identity.spiffe import SpiffeId
from featward.manifests import Catalogue, load
from featward.manifests.validation import validate_catalogue
from featward.policy import Compiler
from featward_engine import Policy

T = TypeVar("T")

FEAST = SpiffeId.parse("spiffe://prod.acme.example/bu/payments/svc/feast")
FEATURES = 200
PER_FILE = 1000

PLATFORM = """\
apiVersion: featward.dev/v1alpha1
kind: Environment
metadata: {name: prod}
spec: {trustDomain: prod.acme.example}
---
apiVersion: featward.dev/v1alpha1
kind: BusinessUnit
metadata: {name: prod.payments}
---
apiVersion: v1
kind: Namespace
metadata: {name: pricing, labels: {featward.dev/business-unit: prod.payments}}
---
apiVersion: featward.dev/v1alpha1
kind: Workload
metadata: {name: feast}
spec: {businessUnit: prod.payments, name: feast}
---
apiVersion: featward.dev/v1alpha1
kind: FeatureSet
metadata: {name: driver-stats, namespace: pricing}
spec:
  version: "1.2.0"
  owner: {team: driver-ml, contact: driver-ml@acme.example}
  serving:
    workload: {name: feast}
    endpoints: [{adapter: feast-http/v1, port: 6566}]
    address: 127.0.0.1:15443
  entities: [{name: driver_id, type: int64}]
  features:
"""

BINDING = """\
apiVersion: featward.dev/v1alpha1
kind: FeatureBinding
metadata: {{name: b{number}, namespace: pricing}}
spec:
  subjects:
    - serviceAccount: {{namespace: pricing, name: client-{number}}}
  featureSet: {{name: driver-stats, version: ">=1.2,<2"}}
  features: ["view:f{first}", "view:f{second}"]
  purpose: online pricing
  limits:
    cost: {{rate: 10000/m, burst: 2000}}
    rowsPerRequest: 200
  onExcess: deny
  expires: "2097-03-31"
"""


def main() -> None:
    """Write, time, report."""
    parser = argparse.ArgumentParser(description="Time the compilation of a folder of manifests.")
    parser.add_argument(
        "--bindings", type=int, default=100_000, help="how many bindings to compile"
    )
    bindings = parser.parse_args().bindings
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(folder, bindings)
        loaded = timed("load", lambda: load(folder))
        catalogue = Catalogue(loaded.documents, loaded.malformed)
        findings = timed("validate", lambda: validate_catalogue(catalogue))
        compiler = timed("validate again and prepare", lambda: Compiler(loaded))
        compiled = timed("compile", lambda: compiler.compile(FEAST))
        policy = timed("engine loads", lambda: Policy(compiled.snapshot_bytes))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{bindings} bindings, {len(findings)} findings, {len(compiled.snapshot_bytes)} bytes")
    print(f"peak memory {peak:.0f} MB, digest {policy.digest}")


def write(folder: Path, bindings: int) -> None:
    """A platform, one feature set, and bindings that grant two features each."""
    features = "".join(
        f'    - {{name: "view:f{number}", type: double}}\n' for number in range(FEATURES)
    )
    (folder / "platform.yaml").write_text(PLATFORM + features)
    for start in range(0, bindings, PER_FILE):
        numbers = range(start, min(start + PER_FILE, bindings))
        documents = (
            BINDING.format(number=number, first=number % FEATURES, second=(number + 1) % FEATURES)
            for number in numbers
        )
        (folder / f"bindings-{start:07}.yaml").write_text("---\n".join(documents))


def timed(what: str, action: Callable[[], T]) -> T:
    """Run it and print how long it took."""
    start = time.perf_counter()
    outcome = action()
    print(f"{what:<28}{time.perf_counter() - start:8.2f} s", flush=True)
    return outcome


if __name__ == "__main__":
    main()
