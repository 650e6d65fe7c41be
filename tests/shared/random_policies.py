"""Small random snapshots and questions, drawn so that they collide.

Few features, identities and dates make overlapping bindings, ties, expiries and overrides that end on the very
second and foreign identities with our paths common instead of rare. All of it follows from the seed.
"""

from random import Random
from typing import Any

from featward.policy.v1.snapshot_pb2 import (
    COLUMN_TYPE_DOUBLE,
    MODE_ENFORCE,
    MODE_OBSERVE,
    MODE_SHADOW,
    ON_EXCESS_DENY,
    ON_EXCESS_STRIP,
    OVERRIDE_ACTION_CLOSE,
    OVERRIDE_ACTION_RELAX,
    SUBJECT_KIND_BUSINESS_UNIT,
    SUBJECT_KIND_SPIFFE_ID,
    SUBJECT_KIND_WORKLOAD,
    UPSTREAM_AUTH_NONE,
    Binding,
    Feature,
    FeatureSet,
    Override,
    OverrideAction,
    Rate,
    Service,
    Snapshot,
    Subject,
)

OURS = "spiffe://prod.acme.example"
THEIRS = "spiffe://mesh.other.example"
PATHS = [
    "/bu/payments/ns/pricing/sa/pricing-api",
    "/bu/payments/svc/batch",
    "/bu/risk/ns/scoring/sa/scorer",
    "/bu/risk/ci/train",
    "/bu/payments-two/svc/batch",
    "/bu/payments",
    "/featward/operator",
]
IDENTITIES = [OURS + path for path in PATHS] + [THEIRS + path for path in PATHS[:3]]
UNITS = ["prod.payments", "prod.payments-two", "prod.risk"]
DATES = [90, 100, 101, 110, 110, 150, 1000]
MOMENTS = [50, 89.9, 90, 99.5, 100, 100.5, 101, 105, 110, 149.99, 150, 400, 1000]
STRANGERS = ["view_a:unknown", "view_z:f0", "", "view_a:F0"]


def snapshot(random: Random) -> Snapshot:
    """A valid snapshot."""
    sets = [_feature_set(random, name) for name in "abc"[: random.randint(0, 3)]]
    named = {(random.choice(["ns", "ns-b"]), f"b{random.randrange(40)}") for _ in range(12)}
    count = random.choice([0, 1, 3, 8, 12]) if sets else 0
    return Snapshot(
        format=1,
        engine_version="0.2.0",
        environment="prod",
        trust_domain="prod.acme.example",
        workload=f"{OURS}/bu/payments/svc/feast",
        feature_sets=sets,
        bindings=[_binding(random, *name, sets) for name in sorted(named)[:count]],
    )


def question(random: Random, policy: Snapshot) -> dict[str, Any]:
    """A request in the engine's JSON form; most ask for little that is unknown."""
    asked: dict[str, Any] = {
        "identity": random.choice([*IDENTITIES, None]),
        "rows": random.choice([0, 1, 2, 5, 6, 20, 1000, 2**40]),
        "now": random.choice(MOMENTS),
    }
    services = [service.name for fs in policy.feature_sets for service in fs.services]
    if random.random() < 0.2:
        return asked | {"service": random.choice([*services, "no-such-service"])}
    return asked | {"features": _wanted(random, policy)}


def _wanted(random: Random, policy: Snapshot) -> list[str]:
    known = [feature.name for fs in policy.feature_sets for feature in fs.features]
    granted = [list(binding.features) for binding in policy.bindings if binding.features]
    if granted and random.random() < 0.5:
        known = random.choice(granted)
    wanted = random.sample(known, random.randint(min(1, len(known)), len(known)))
    if random.random() < 0.15:
        wanted.insert(random.randint(0, len(wanted)), random.choice(STRANGERS))
    return [] if random.random() < 0.02 else wanted


def _feature_set(random: Random, name: str) -> FeatureSet:
    features = [f"view_{name}:f{n}" for n in range(random.randint(1, 6))]
    allow = random.random() < 0.6
    return FeatureSet(
        namespace=random.choice(["ns", "ns-b"]) if name == "c" else "ns",
        name=f"set-{name}",
        version="1.0.0",
        business_unit="prod.payments",
        mode=random.choice([MODE_OBSERVE, MODE_SHADOW, MODE_ENFORCE]),
        unidentified_allow=allow,
        unidentified_until=random.choice(DATES) if allow else 0,
        upstream_auth=UPSTREAM_AUTH_NONE,
        features=[
            Feature(name=f, type=COLUMN_TYPE_DOUBLE, cost=random.choice([1, 1, 2, 7]))
            for f in features
        ],
        services=[
            Service(name=f"{name}-service-{n}", features=_some(random, features, 0))
            for n in range(random.randint(0, 2))
        ],
        override=_override(random, [OVERRIDE_ACTION_CLOSE, OVERRIDE_ACTION_RELAX]),
    )


def _binding(random: Random, namespace: str, name: str, sets: list[FeatureSet]) -> Binding:
    source = random.choice(sets)
    limit = Rate(amount=10, per_seconds=1, burst=random.choice([1, 5, 40, 5000, 2**50]))
    return Binding(
        namespace=namespace,
        name=name,
        subjects=_subjects(random),
        feature_set_namespace=source.namespace,
        feature_set_name=source.name,
        features=_some(random, [feature.name for feature in source.features], 0),
        purpose=random.choice(["", "online-pricing", "tests"]),
        cost=limit if random.random() < 0.4 else None,
        rows_per_request=random.choice([0, 0, 0, 1, 5, 20]),
        on_excess=random.choice([ON_EXCESS_DENY, ON_EXCESS_STRIP, ON_EXCESS_STRIP]),
        expires=random.choice(DATES),
        override=_override(random, [OVERRIDE_ACTION_CLOSE]),
    )


def _override(random: Random, actions: list[OverrideAction]) -> Override | None:
    """Most things are overridden by nobody."""
    if random.random() < 0.75:
        return None
    action, until = random.choice(actions), random.choice(DATES)
    return Override(action=action, until=until, name=f"by-hand-{random.randrange(5)}")


def _subjects(random: Random) -> list[Subject]:
    pool = [(SUBJECT_KIND_SPIFFE_ID, identity) for identity in IDENTITIES]
    pool += [(SUBJECT_KIND_WORKLOAD, identity) for identity in IDENTITIES if OURS in identity]
    pool += [(SUBJECT_KIND_BUSINESS_UNIT, unit) for unit in UNITS] * 2
    chosen = {random.choice(pool) for _ in range(random.randint(1, 6))}
    return [Subject(kind=kind, value=value) for kind, value in sorted(chosen)]


def _some(random: Random, names: list[str], least: int) -> list[str]:
    return sorted(random.sample(names, random.randint(least, len(names))))
