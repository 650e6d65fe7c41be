"""Feast's own SDK as the client: in the clear to the sidecar beside it, and from there by mTLS.

The newest release, and the oldest that featward speaks with, which asks once for each view and sends no
Content-Type.
"""

import pytest

from featward_demo.sdk import SdkClient
from featward_demo.stack import Stack

ROWS = [{"driver_id": 1001}, {"driver_id": 1002}]
GRANTED = ["driver_hourly_stats:conv_rate", "driver_hourly_stats:acc_rate"]
BEYOND = "driver_hourly_stats:avg_daily_trips"


@pytest.fixture(params=["newest", "oldest"])
def sdk(request: pytest.FixtureRequest, enforcing: Stack) -> SdkClient:
    """Each of the two, while the sets are in enforce."""
    if request.param == "newest":
        return enforcing.sdk
    client: SdkClient = request.getfixturevalue("old_sdk")
    return client


def test_granted_features_are_answered(sdk: SdkClient) -> None:
    answer = sdk.ask(ROWS, GRANTED)
    assert answer.error is None
    assert answer.columns == {
        "driver_id": [1001, 1002],
        "conv_rate": [0.0, 0.001],
        "acc_rate": pytest.approx([0.0, 0.002]),
    }


def test_a_granted_service_with_an_on_demand_view_is_answered(sdk: SdkClient) -> None:
    rows = [{"driver_id": 1002, "val_to_add": 3}]
    answer = sdk.ask(rows, feature_service="driver_activity_v1")
    assert answer.error is None
    assert answer.columns is not None
    assert answer.columns["conv_rate"] == [0.001]
    assert answer.columns["conv_plus"] == [3.001]


def test_the_exception_names_what_is_missing_and_how_to_ask_for_it(sdk: SdkClient) -> None:
    answer = sdk.ask(ROWS, [*GRANTED, BEYOND])
    assert answer.error is not None
    assert "not-granted" in answer.error
    assert BEYOND in answer.error
    assert "featward request" in answer.error


def test_another_set_of_the_same_server_is_not_granted_with_it(sdk: SdkClient) -> None:
    answer = sdk.ask([{"customer_id": "c-00001"}], ["customer_profile:current_balance"])
    assert answer.error is not None
    assert "not-granted" in answer.error


def test_too_many_rows_are_refused_and_not_retried(sdk: SdkClient, enforcing: Stack) -> None:
    before = len(enforcing.server.record.read_text().splitlines())
    answer = sdk.ask([{"driver_id": 1001 + row} for row in range(101)], GRANTED)
    assert answer.error is not None
    assert "rows-over-limit" in answer.error
    assert len(enforcing.server.record.read_text().splitlines()) == before + 1
