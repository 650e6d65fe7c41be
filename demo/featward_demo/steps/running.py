"""What goes on by itself while callers call: certificates are renewed, and every decision is recorded."""

import json
import time
from collections import Counter

from featward_demo.load import Load
from featward_demo.sidecar import Sidecar
from featward_demo.stack import Stack
from featward_demo.steps import Seen

QUESTION = {"features": ["driver_hourly_stats:conv_rate"], "entities": {"driver_id": [1001, 1002]}}
RENEWALS = 2
# Certificates of 16 s are renewed after 8; two on each side come within 20, and 60 are a failure.
LONGEST = 60.0
# What the steps before left in the record, beside the two refused handshakes.
NEEDED = {
    "granted",
    "not-granted",
    "identity-required",
    "binding-expired",
    "unknown-route",
    "rows-over-limit",
}


def rotation(stack: Stack) -> Seen:
    """Both sidecars of dev get new certificates while requests flow."""
    sides = (stack.dev_server, stack.dev_client)
    before = [_renewals(side) for side in sides]
    load = Load(stack.ports.dev_drivers, QUESTION)
    load.start()
    started = time.perf_counter()
    renewed = [0, 0]
    while min(renewed) < RENEWALS and time.perf_counter() - started < LONGEST:
        time.sleep(0.5)
        renewed = [_renewals(side) - count for side, count in zip(sides, before, strict=True)]
    load.stop()
    failures = "".join(f" ({count} x {text})" for text, count in load.failures.items())
    return Seen(
        tried="two callers ask without pause in dev, whose certificates live for 16 s",
        came_back=f"{load.answered} answered, {load.failed} failed{failures}; the server's sidecar renewed "
        f"{renewed[0]} times, the client's {renewed[1]}; slowest answer {load.slowest:.3f} s",
        why="renewal swaps key and certificate under open connections, and re-dials before the old one ends",
        behaved=load.failed == 0 and load.answered > 0 and min(renewed) >= RENEWALS,
        seconds=time.perf_counter() - started,
    )


def record(stack: Stack) -> Seen:
    """All of this is in the record, one line a decision, without anybody's values."""
    started = time.perf_counter()
    text = stack.server.record.read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    reasons = Counter(f"{line['outcome']} {line['reason']}" for line in lines)
    seen = {line["reason"] for line in lines}
    handshakes = sum(line["kind"] == "handshake" for line in lines)
    return Seen(
        tried=f"reading {stack.server.record.name}, which the sidecar writes before it answers",
        came_back=f"{len(lines)} lines: {_counted(reasons)}",
        why="each line names caller, binding, features and policy digest, and never an entity's value",
        behaved=seen >= NEEDED and handshakes >= 2 and '"driver_id"' not in text,
        seconds=time.perf_counter() - started,
    )


def _counted(reasons: Counter[str]) -> str:
    return ", ".join(f"{reason} {count}" for reason, count in reasons.most_common())


def _renewals(sidecar: Sidecar) -> int:
    return int(sidecar.status()["agent"]["identity"]["renewals"])
