"""What was granted is answered: through the stock Feast SDK, and narrowed for who may be narrowed."""

from featward_demo.calls import mutual
from featward_demo.stack import Stack
from featward_demo.steps import Seen

ROWS = [{"driver_id": 1001}, {"driver_id": 1002}]
GRANTED = ["driver_hourly_stats:conv_rate", "driver_hourly_stats:acc_rate"]
TOO_MANY = [*GRANTED, "driver_hourly_stats:avg_daily_trips"]


def features(stack: Stack) -> Seen:
    """Features that a binding lists."""
    answer = stack.sdk.ask(ROWS, GRANTED)
    columns = dict(answer.columns or {})
    return Seen(
        tried="the app asks for conv_rate and acc_rate: stock Feast SDK, plain HTTP to its sidecar",
        came_back=str(columns or answer.error),
        why="binding driver-ml/pricing grants both to prod.payments/pricing-api, proved by its certificate",
        behaved=columns.get("conv_rate") == [0.0, 0.001]
        and set(columns) == {"driver_id", "conv_rate", "acc_rate"},
        seconds=answer.seconds,
    )


def feature_service(stack: Stack) -> Seen:
    """A grant by service covers a view that Feast computes on demand."""
    rows = [{"driver_id": 1002, "val_to_add": 3}]
    answer = stack.sdk.ask(rows, feature_service="driver_activity_v1")
    columns = dict(answer.columns or {})
    return Seen(
        tried="the app asks for feature service driver_activity_v1, with the request input val_to_add = 3",
        came_back=str(columns or answer.error),
        why="the same binding grants the service; its features come from the manifest, not from the request",
        behaved=columns.get("conv_plus") == [3.001],
        seconds=answer.seconds,
    )


def one_too_many(stack: Stack) -> Seen:
    """One feature beyond the grant refuses the request, and the SDK's exception says which."""
    answer = stack.sdk.ask(ROWS, TOO_MANY)
    said = answer.error or str(answer.columns)
    return Seen(
        tried="the app asks for one feature more: avg_daily_trips",
        came_back=said,
        why="no binding grants it; the exception names it, the owner, and the command that asks for it",
        behaved="not-granted" in said and "avg_daily_trips" in said and "featward request" in said,
        seconds=answer.seconds,
    )


def stripped(stack: Stack) -> Seen:
    """The same in strip mode: the answer without it."""
    question = {"features": GRANTED, "entities": {"driver_id": [1002]}}
    who = stack.identity("reporting")
    answer = mutual(stack.ports.server, who.bundle, who, question)
    columns = answer.columns if answer.status == 200 else {}
    note = {name: value for name, value in answer.headers.items() if name.startswith("featward-")}
    return Seen(
        tried="reporting asks for conv_rate, which it has, and acc_rate, which it has not (mTLS, no SDK)",
        came_back=f"{answer.status} {columns or answer.reason or answer.failure} {note}",
        why="its binding says onExcess: strip, so the rest is left out and a header says so",
        behaved=set(columns) == {"driver_id", "conv_rate"} and "acc_rate" in str(note),
        seconds=answer.seconds,
    )
