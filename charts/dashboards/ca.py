"""The CA: whether everybody gets and keeps an identity."""

from dashboards.panels import CA, EXPIRY, RUNWAY, panel, quantile, rate

__all__ = ["PANELS"]

PANELS = (
    panel(
        "Runway",
        "s",
        (f"{RUNWAY}{CA}", "{{instance}}"),
        ("featward_ca_svid_lifetime_seconds", "an SVID's life"),
        says="How long until the first workload loses its identity if the CA stays away. About half of an "
        "SVID's life is usual; it falls when renewals do not get through.",
    ),
    panel(
        "Clients",
        "short",
        ("featward_ca_clients", "living"),
        ("featward_ca_clients_behind", "behind"),
        ("featward_ca_streams", "connected to {{instance}}"),
        says="Rotations wait for those who are behind.",
    ),
    panel(
        "Certificates signed, a second",
        "ops",
        (rate("featward_ca_signatures_total", "purpose", "result"), "{{purpose}}, {{result}}"),
    ),
    panel(
        "Calls refused, a second",
        "ops",
        (rate("featward_ca_refusals_total", "rpc", "status"), "{{rpc}}, {{status}}"),
    ),
    panel(
        "Connections, a second",
        "ops",
        (
            rate("featward_ca_connections_total", "listener", "outcome"),
            "{{listener}}, {{outcome}}",
        ),
    ),
    panel(
        "Tokens reviewed, a second",
        "ops",
        (rate("featward_ca_token_reviews_total", "cluster", "result"), "{{cluster}}, {{result}}"),
    ),
    panel(
        "The store, p99",
        "s",
        (quantile(0.99, "featward_ca_store_seconds", "operation"), "{{operation}}"),
        (quantile(0.99, "featward_ca_store_queue_seconds"), "waiting for its turn"),
        says="Every SVID waits for two writes.",
    ),
    panel(
        "Certificates end in",
        "s",
        (
            f'{EXPIRY}{{purpose=~"root|authority|svid|bundle-endpoint"}} - time()',
            "{{purpose}} {{owner}}",
        ),
    ),
    panel(
        "By hand",
        "short",
        ("featward_ca_issuance_halted", "issuing halted"),
        ("featward_ca_bans", "bans"),
        ("increase(featward_ca_rotation_steps_forced_total[1h])", "{{step}} of {{owner}} forced"),
        ("increase(featward_ca_manifest_errors_total[1h])", "edits refused"),
        ("increase(featward_ca_svids_cloned_total[1h])", "SVIDs cloned"),
    ),
    panel(
        "Foreign bundles, fetched ago",
        "s",
        ("time() - featward_ca_foreign_bundle_fetched_timestamp_seconds", "{{trust_domain}}"),
    ),
    panel(
        "Foreign bundles end in",
        "s",
        ("featward_ca_foreign_bundle_end_timestamp_seconds - time()", "{{trust_domain}}"),
    ),
    panel(
        "Trust announced",
        "short",
        (f"featward_bundle_sequence{CA}", "sequence of {{instance}}"),
        says="Replicas of one CA announce the same.",
    ),
)
