"""What a client is told: exactly what its binding grants, by the Service, and at once after an edit."""

import copy
import subprocess
import time
from pathlib import Path

import pytest

from cluster.asking import ask, ask_until, watching
from cluster.drivers import Drivers
from cluster.release import Release
from cluster.trial import write_ask

pytestmark = pytest.mark.timeout(400)

_SECONDS = 2.0


def test_the_client_gets_what_its_binding_grants_and_nothing_else_through_the_service(
    release: Release, drivers: Drivers
) -> None:
    cluster = release.cluster
    granted = ask_until(cluster, drivers.pricing, drivers.variable, "conv_rate", 200)
    assert granted.columns == {"driver_id": [1001, 1002], "conv_rate": [0.0, 0.001]}

    for columns in ("acc_rate", "avg_daily_trips", "conv_rate,acc_rate"):
        refused = ask(cluster, drivers.pricing, drivers.variable, columns)
        assert refused.status == 403, refused
        assert "results" not in refused.body
    stranger = ask_until(cluster, drivers.stranger, drivers.variable, "conv_rate", 403)
    assert "results" not in stranger.body


def test_what_make_cluster_leaves_asks_as_a_person_does(
    release: Release, drivers: Drivers, tmp_path: Path
) -> None:
    program = write_ask(release.cluster, drivers, tmp_path)
    ask_until(release.cluster, drivers.pricing, drivers.variable, "conv_rate", 200)
    for client, columns, status in (
        ("pricing-api", "conv_rate", "200"),
        ("pricing-api", "acc_rate", "403"),
        ("stranger", "conv_rate", "403"),
    ):
        done = subprocess.run([program, client, columns], capture_output=True, text=True)
        assert done.stdout.startswith(f"{status}\n{{"), done
    usage = subprocess.run([program], capture_output=True, text=True)
    assert (usage.returncode, "ask pricing-api conv_rate" in usage.stderr) == (1, True)


def test_an_edit_changes_the_next_answer_within_two_seconds(
    release: Release, drivers: Drivers
) -> None:
    """Counted from when `kubectl apply` has ended, in both directions."""
    cluster = release.cluster
    wider = copy.deepcopy(drivers.binding)
    wider["spec"]["features"].append("driver_hourly_stats:acc_rate")
    ask_until(cluster, drivers.pricing, drivers.variable, "conv_rate", 200)
    took = {}
    with watching(cluster, drivers.pricing, drivers.variable, "acc_rate") as app:
        app.becomes(403)
        for what, document, status in (
            ("granted", wider, 200),
            ("taken away", drivers.binding, 403),
        ):
            cluster.apply(document)
            applied = time.time()
            took[what] = app.becomes(status) - applied
    print("seconds from kubectl apply to another answer:", took)
    assert max(took.values()) < _SECONDS, took
