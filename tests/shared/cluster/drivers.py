"""Whom most tests ask: one Feast with driver statistics, and two clients of it."""

from dataclasses import dataclass
from typing import Any

from cluster.feasts import ACCOUNT, binding, client, feast, feature_set, served_by
from cluster.pods import rolled_out
from cluster.release import Release

__all__ = ["ML", "PRICING", "Drivers", "make_drivers"]

ML, PRICING = "ml", "pricing"
_SET = "driver-stats"


@dataclass(frozen=True)
class Drivers:
    """Feast in the namespace `ml`, and two clients in `pricing`: `binding` grants `conv_rate` to one of them,
    and nothing is granted to the other. They ask at `variable`. `made` is Feast as it was given to the server.
    """

    made: list[dict[str, Any]]
    server: dict[str, Any]
    pricing: dict[str, Any]
    stranger: dict[str, Any]
    binding: dict[str, Any]
    variable: str = "FEATWARD_ML_DRIVER_STATS_URL"


def make_drivers(release: Release) -> Drivers:
    """Make them, and return when all are Ready."""
    cluster = release.cluster
    for name in (ML, PRICING):
        release.namespace(name, "prod.payments")
    subject = {"serviceAccount": {"namespace": PRICING, "name": "pricing-api"}}
    granted = binding(ML, "pricing-api", _SET, subject, "conv_rate")
    cluster.apply(feature_set(ML, _SET, served_by(ACCOUNT)), granted)
    made = feast(ML, release.demo)
    cluster.apply(*made)
    for name in ("pricing-api", "stranger"):
        cluster.apply(*client(PRICING, name, release.image, f"{ML}/{_SET}"))
    (server,) = rolled_out(cluster, ML, "feast", 240)
    (pricing,) = rolled_out(cluster, PRICING, "pricing-api")
    (stranger,) = rolled_out(cluster, PRICING, "stranger")
    return Drivers(made, server, pricing, stranger, granted)
