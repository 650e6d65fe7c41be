"""New keys for a business unit and for a whole environment, while pods of two units ask all the time."""

import time

import pytest

from cluster.pods import rolled_out
from cluster.quick import OTHER, UNIT, Quick
from cluster.records import records
from cluster.release import QUICK, Release
from cluster.rotating import ask_rotation, follow_rotation, printed, status_of
from cluster.traffic import no_request_lost

pytestmark = pytest.mark.timeout(400)


def test_a_units_authority_rotates_under_traffic_and_the_other_unit_is_untouched(
    release: Release, quick: Quick
) -> None:
    cluster = release.cluster
    before, other = (status_of(cluster, "businessunit", one) for one in (UNIT, OTHER))
    others_changes = records(release, QUICK).changes(OTHER)
    with no_request_lost(*quick.apps):
        began = time.time()
        asked = ask_rotation(cluster, "businessunit", UNIT)
        seen = follow_rotation(cluster, "businessunit", UNIT, asked)
        print(f"{time.time() - began:.1f} s; kubectl get showed {seen}")
    # Steps that wait for nobody may pass between two looks.
    assert len(seen.steps) >= 2, seen
    assert any("/" in one for one in seen.progress), seen
    after = printed(cluster, "businessunit", UNIT)
    assert int(after["GENERATION"]) == before["authority"]["generation"] + 1
    assert after["ROTATION"] == "Idle"
    found = records(release, QUICK)
    assert found.signers("/bu/payments/", time.time() - 5) <= {
        status_of(cluster, "businessunit", UNIT)["authority"]["id"]
    }

    now = status_of(cluster, "businessunit", OTHER)
    assert now["authority"] == other["authority"]
    assert now.get("rotation") == other.get("rotation")
    assert found.changes(OTHER) == others_changes
    assert found.signers("/bu/risk/", began) <= {other["authority"]["id"]}


def test_the_root_rotates_under_traffic_and_who_comes_later_knows_the_new_one(
    release: Release, quick: Quick
) -> None:
    cluster = release.cluster
    generation = {
        name: status_of(cluster, kind, name)["authority"]["generation"]
        for kind, name in (
            ("environment", QUICK),
            ("businessunit", UNIT),
            ("businessunit", OTHER),
            ("environment", "prod"),
        )
    }
    with no_request_lost(*quick.apps):
        began = time.time()
        asked = ask_rotation(cluster, "environment", QUICK)
        seen = follow_rotation(cluster, "environment", QUICK, asked)
        print(f"{time.time() - began:.1f} s; kubectl get showed {seen}")
    assert len(seen.steps) >= 2, seen
    assert any("/" in one for one in seen.progress), seen
    now = status_of(cluster, "environment", QUICK)["authority"]["generation"]
    assert now == generation[QUICK] + 1
    # Every unit moves under the new root, and no other environment notices.
    for unit in (UNIT, OTHER):
        found = status_of(cluster, "businessunit", unit)["authority"]["generation"]
        assert found == generation[unit] + 1
    assert (
        status_of(cluster, "environment", "prod")["authority"]["generation"] == generation["prod"]
    )

    cluster.kubectl("rollout", "restart", "deployment/pricing-api", "--namespace", quick.clients)
    rolled_out(cluster, quick.clients, "pricing-api")
    with no_request_lost(*quick.apps):
        time.sleep(1)
