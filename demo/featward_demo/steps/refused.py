"""Who is refused, and told why: strangers, the expired, writers, and the greedy."""

from featward_demo.calls import READ, Answer, mutual, plain
from featward_demo.stack import Stack
from featward_demo.steps import Seen

FEATURE = "driver_hourly_stats:conv_rate"
QUESTION = {"features": [FEATURE], "entities": {"driver_id": [1001]}}
PUSH = {
    "push_source_name": "driver_stats_push",
    "df": {
        "driver_id": [1001],
        "conv_rate": [0.99],
        "acc_rate": [0.99],
        "avg_daily_trips": [99],
        "event_timestamp": ["2030-01-01T00:00:00Z"],
        "created": ["2030-01-01T00:00:00Z"],
    },
    "to": "online",
}
# One more than the binding's rowsPerRequest.
ROWS = 101


def without_certificate(stack: Stack) -> Seen:
    """No certificate, no connection."""
    bundle = stack.identity("reporting").bundle
    seen = len(stack.feast.requests())
    answer = mutual(stack.ports.server, bundle, None, QUESTION)
    return Seen(
        tried="a caller without certificate connects to the sidecar's port",
        came_back=_told(answer),
        why="TLS ends before a byte of the request is read; in prod nobody comes in without an identity",
        behaved=answer.status is None and len(stack.feast.requests()) == seen,
        seconds=answer.seconds,
    )


def from_another_environment(stack: Stack) -> Seen:
    """The same name in another environment is another identity."""
    bundle = stack.identity("reporting").bundle
    who = stack.dev_identity("laptop")
    seen = len(stack.feast.requests())
    answer = mutual(stack.ports.server, bundle, who, QUESTION)
    return Seen(
        tried=f"{who.spiffe_id} connects with the certificate that dev's CA gave it",
        came_back=_told(answer),
        why="dev and prod have separate roots: prod's sidecar trusts no certificate of dev, whatever is in it",
        behaved=answer.status is None and len(stack.feast.requests()) == seen,
        seconds=answer.seconds,
    )


def expired(stack: Stack) -> Seen:
    """A grant ends on its day, without anybody taking it away."""
    who = stack.identity("fraud-batch")
    answer = mutual(stack.ports.server, who.bundle, who, QUESTION)
    return Seen(
        tried="fraud-batch asks for conv_rate; its binding ended last week",
        came_back=_told(answer),
        why="the certificate is good, so it is told; the binding no longer grants anything",
        behaved=answer.status == 403 and answer.reason == "binding-expired",
        seconds=answer.seconds,
    )


def write(stack: Stack) -> Seen:
    """Feast would take a write from anybody; the sidecar has no route for it."""
    seen = stack.feast.requests()
    answer = plain(stack.ports.drivers, PUSH, "/push")
    # A read after it is in Feast's access log; whatever was sent before it would be too.
    after = stack.sdk.ask([{"driver_id": 1001}], [FEATURE])
    new = stack.feast.requests()[len(seen) :]
    writes = [line for line in new if READ not in line]
    value = (after.columns or {}).get("conv_rate")
    return Seen(
        tried="the app sends POST /push through its sidecar: conv_rate of driver 1001 = 0.99",
        came_back=f"{_told(answer)}; Feast saw {writes or 'nothing'} of it; conv_rate is still {value}",
        why="only the adapter's routes exist; everything else ends before Feast sees a byte",
        behaved=answer.status == 404 and not writes and value == [0.0],
        seconds=answer.seconds,
    )


def too_many_rows(stack: Stack) -> Seen:
    """A copy of the table in one request is above the binding's limit."""
    answer = stack.sdk.ask([{"driver_id": 1001 + row} for row in range(ROWS)], [FEATURE])
    said = answer.error or f"{ROWS} rows"
    return Seen(
        tried=f"the app asks for {ROWS} drivers at once",
        came_back=said,
        why="binding driver-ml/pricing allows 100 rows in one request",
        behaved="rows-over-limit" in said,
        seconds=answer.seconds,
    )


def _told(answer: Answer) -> str:
    if answer.status is None:
        return str(answer.failure)
    return f"{answer.status} {answer.reason or ''} {(answer.json or {}).get('detail', '')}".strip()
