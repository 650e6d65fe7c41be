"""What the sidecar's tests share: a folder of real manifests."""

from collections.abc import Callable
from pathlib import Path

import pytest

PLATFORM = """
apiVersion: featward.dev/v1alpha1
kind: Environment
metadata: {name: prod}
spec: {trustDomain: prod.acme.example, svidTTL: %(ttl)s}
---
apiVersion: featward.dev/v1alpha1
kind: BusinessUnit
metadata: {name: prod.payments}
spec: {}
---
apiVersion: v1
kind: Namespace
metadata: {name: pricing, labels: {featward.dev/business-unit: prod.payments}}
---
apiVersion: featward.dev/v1alpha1
kind: Workload
metadata: {name: feast}
spec: {businessUnit: prod.payments, name: feast%(unix)s}
---
apiVersion: featward.dev/v1alpha1
kind: Workload
metadata: {name: pricing-api}
spec: {businessUnit: prod.payments, name: pricing-api}
"""

SETS = """
apiVersion: featward.dev/v1alpha1
kind: FeatureSet
metadata: {name: driver-stats, namespace: pricing}
spec:
  version: "1.0.0"
  owner: {team: driver-ml, contact: driver-ml@acme.example}
  serving:
    workload: {name: feast}
    endpoints: [{adapter: feast-http/v1, host: 127.0.0.1, port: %(upstream)d}]
    address: 127.0.0.1:%(serve)d
  enforcement: {mode: %(mode)s}
  entities: [{name: driver_id, type: int64}]
  features:
    - {name: "driver_hourly_stats:conv_rate", type: double}
    - {name: "driver_hourly_stats:acc_rate", type: double}
---
apiVersion: featward.dev/v1alpha1
kind: FeatureBinding
metadata: {name: pricing-api, namespace: pricing}
spec:
  subjects: [{workload: {businessUnit: prod.payments, name: pricing-api}}]
  featureSet: {name: driver-stats}
  features: [%(features)s]
  purpose: pricing
  expires: "2099-12-31"
"""

Manifests = Callable[..., Path]


@pytest.fixture
def manifests(tmp_path: Path) -> Manifests:
    """Writes the folder of manifests; called again, it is an edit."""

    def write(
        features: str = '"driver_hourly_stats:conv_rate"',
        mode: str = "enforce",
        ttl: str = "1h",
        unix: str = "",
        upstream: int = 6566,
        serve: int = 15443,
    ) -> Path:
        folder = tmp_path / "manifests"
        folder.mkdir(exist_ok=True)
        values = {"features": features, "mode": mode, "upstream": upstream, "serve": serve}
        told = f", attest: {{unix: {{user: {unix}}}}}" if unix else ""
        (folder / "platform.yaml").write_text(PLATFORM % {"ttl": ttl, "unix": told})
        (folder / "sets.yaml").write_text(SETS % values)
        return folder

    return write
