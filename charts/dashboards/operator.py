"""The operator: admission, the way of an edit, and what it finds unprotected."""

from dashboards.panels import EXPIRY, OPERATOR, panel, quantile, rate

__all__ = ["PANELS"]

PANELS = (
    panel(
        "Replicas",
        "short",
        ("count(featward_operator_policy_streams)", "running"),
        (f'sum(leader_election_master_status{{name="featward-operator"}}{OPERATOR})', "leading"),
        says="One leads, always.",
    ),
    panel(
        "Sidecars",
        "short",
        (
            "sum by (trust_domain, state) (featward_operator_sidecars)",
            "{{trust_domain}}, {{state}}",
        ),
        ("max(featward_operator_held_workloads)", "workloads held"),
        says="A held workload stays at its last good policy until a slip above it is put right.",
    ),
    panel(
        "From an edit to its sidecars",
        "s",
        (quantile(0.99, "featward_operator_policy_push_seconds"), "p99 until sent"),
        (quantile(0.99, "featward_operator_snapshot_compile_seconds"), "p99 of compiling"),
    ),
    panel(
        "Pods asked about, a second",
        "ops",
        (
            rate("featward_operator_injections_total", "decision", "reason"),
            "{{decision}}: {{reason}}",
        ),
    ),
    panel(
        "Time of an admission",
        "s",
        (
            quantile(0.5, "controller_runtime_webhook_latency_seconds", where=OPERATOR),
            "p50",
        ),
        (
            quantile(0.99, "controller_runtime_webhook_latency_seconds", where=OPERATOR),
            "p99",
        ),
        says="The API server waits three seconds.",
    ),
    panel(
        "Admissions, a second",
        "ops",
        (rate("controller_runtime_webhook_requests_total", "code", where=OPERATOR), "{{code}}"),
        (f"sum(controller_runtime_webhook_requests_in_flight{OPERATOR})", "in flight"),
    ),
    panel(
        "Not protected",
        "short",
        ("sum by (cause) (featward_operator_unprotected_pods)", "pods: {{cause}}"),
        ("max(featward_operator_protection_suspended)", "namespaces suspended by hand"),
        ("max by (action) (featward_operator_overrides_in_force)", "Overrides: {{action}}"),
    ),
    panel(
        "Rotations, acknowledged",
        "percentunit",
        ("max by (owner) (featward_operator_rotation_acknowledged_ratio)", "{{owner}}"),
        says="Only while one is under way: of the clients that its step needs, the part that has acknowledged.",
    ),
    panel(
        "The webhook's certificates end in",
        "s",
        (f'min by (purpose) ({EXPIRY}{{purpose=~"webhook|webhook-ca"}}) - time()', "{{purpose}}"),
    ),
    panel(
        "Reconciliations that failed, a second",
        "ops",
        (
            rate("controller_runtime_reconcile_errors_total", "controller", where=OPERATOR),
            "{{controller}}",
        ),
        (
            rate("controller_runtime_reconcile_panics_total", "controller", where=OPERATOR),
            "{{controller}}, by an error of its own",
        ),
    ),
    panel(
        "Waiting",
        "short",
        (f"sum by (name) (workqueue_depth{OPERATOR})", "{{name}}"),
        (
            quantile(0.99, "workqueue_queue_duration_seconds", where=OPERATOR),
            "seconds, p99 of all",
        ),
    ),
    panel(
        "The API server, a second",
        "reqps",
        (rate("rest_client_requests_total", "code", where=OPERATOR), "{{code}}"),
        (rate("featward_operator_watch_relists_total", "cause"), "lists made again: {{cause}}"),
    ),
    panel(
        "Memory",
        "bytes",
        (f"process_resident_memory_bytes{OPERATOR}", "{{instance}}"),
    ),
)
