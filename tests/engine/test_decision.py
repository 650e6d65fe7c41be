"""The engine's decision against the reference evaluator, on random policies and requests."""

import json
from collections import Counter
from random import Random

import pytest

from featward_engine import Policy, PolicyError
from random_policies import IDENTITIES, MOMENTS, question, snapshot
from reference_evaluator import Evaluator

POLICIES = 600
QUESTIONS = 40
REASONS = {
    "binding-expired",
    "closed",
    "cost-over-burst",
    "granted",
    "identity-required",
    "not-granted",
    "nothing-left",
    "rows-over-limit",
}


def test_the_engine_decides_as_the_rules_say() -> None:
    random = Random(20261123)
    seen: Counter[str] = Counter()
    for _ in range(POLICIES):
        message = snapshot(random)
        data = message.SerializeToString(deterministic=True)
        policy, reference = Policy(data), Evaluator(data)
        for _ in range(QUESTIONS):
            asked = question(random, message)
            decided = json.loads(policy.decide(json.dumps(asked).encode()))
            expected = reference.decide(asked)
            assert decided == expected, f"{asked}\nof\n{message}"
            seen[decided["reason"]] += 1
            seen["stripped"] += decided["outcome"] == "allow" and bool(decided["stripped"])
            seen["shared"] += len(decided["charges"]) > 1
            seen["unidentified"] += decided["unidentified_allowed"]
            seen["closed binding"] += decided["reason"] == "closed" and decided["rule"] is not None
            seen["closed set"] += decided["reason"] == "closed" and decided["rule"] is None
            seen["overridden"] += bool(decided["overrides"]) and decided["reason"] != "closed"
    assert sum(seen[reason] for reason in REASONS) == POLICIES * QUESTIONS
    # Agreement says nothing about a case that never came up.
    assert {kind for kind, count in seen.items() if count >= 100} == REASONS | {
        "closed binding",
        "closed set",
        "overridden",
        "shared",
        "stripped",
        "unidentified",
    }


def test_the_engine_lists_readers_and_grants_as_the_rules_say() -> None:
    random = Random(7)
    for _ in range(200):
        message = snapshot(random)
        data = message.SerializeToString(deterministic=True)
        policy, reference = Policy(data), Evaluator(data)
        now = int(random.choice(MOMENTS))
        for fs in message.feature_sets:
            for feature in fs.features:
                readers = json.loads(policy.readers(feature.name, now))
                assert readers == reference.readers(feature.name, now)
        for identity in IDENTITIES:
            assert json.loads(policy.grants(identity, now)) == reference.grants(identity, now)


@pytest.mark.parametrize(
    "asked",
    [
        b"",
        b"[]",
        b'{"identity": null, "rows": 1, "now": 0}',
        b'{"identity": null, "rows": 1, "now": 0, "features": [], "service": "s"}',
        b'{"identity": null, "rows": -1, "now": 0, "features": []}',
        b'{"identity": null, "rows": 1, "rows": 2, "now": 0, "features": []}',
        b'{"identity": null, "rows": 1, "now": 0, "features": [], "mode": "observe"}',
        b'{"identity": "spiffe://prod.acme.example/a/", "rows": 1, "now": 0, "features": []}',
    ],
)
def test_a_malformed_question_is_refused(asked: bytes) -> None:
    policy = Policy(snapshot(Random(1)).SerializeToString(deterministic=True))
    with pytest.raises(PolicyError):
        policy.decide(asked)
