"""What the operator is told of this sidecar: a Report of what the engine and the kernel know.

Pure but for the clock and the two sources. Everything that grows with the number of callers is cut, with a
count of what was left out, because ten thousand sidecars report to one operator.
"""

import ipaddress
import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from featward.policy.v1 import policy_pb2 as v1
from featward_sidecar.sockets_table import SocketsTable

__all__ = ["Reports", "report_of"]

Row = Mapping[str, Any]

CHANGED_SECONDS = 5.0
"""Between two reports that differ, unless the operator asks for another time."""

UNCHANGED_SECONDS = 60.0
"""Between two that say the same."""

LEAST_SECONDS, MOST_SECONDS = 1.0, 3600.0
"""What an operator may ask for."""

LISTED = 64
"""Callers, and peers that come past us, in one report."""

LISTENING = 256
"""Sockets that listen in the pod; a pod has a handful."""

WOULD_REFUSE = {"would-deny", "would-limit", "unjudged", "unmanaged-route"}
"""Ends of requests that passed only because nothing is enforced."""

UNIDENTIFIED = "unidentified"
"""The standing of a caller without identity whom nothing else is said of."""


class Reports:
    """When there is something to say, and what. Used by one thread."""

    def __init__(
        self,
        status: Callable[[], bytes],
        sockets: SocketsTable,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._status = status
        self._sockets = sockets
        self._clock = clock
        self._every = CHANGED_SECONDS
        self._upstream_ports: frozenset[int] = frozenset()
        self._next = 0.0
        self._said: bytes | None = None
        self._said_at = 0.0

    def begin(self) -> None:
        """Whoever is told from now on knows nothing yet."""
        self._next, self._said = self._clock(), None

    def every(self, seconds: float) -> None:
        """Report at these intervals from now on; 0 is for the usual ones."""
        asked = seconds or CHANGED_SECONDS
        self._every = min(MOST_SECONDS, max(LEAST_SECONDS, asked))
        self._next = min(self._next, self._clock() + self._every)

    def watch(self, upstreams: Iterable[tuple[str, int]]) -> None:
        """Where the feature servers are. Of one that is not on this machine nobody can be seen here."""
        self._upstream_ports = frozenset(port for host, port in upstreams if _is_local(host))

    def due(self) -> v1.Report | None:
        """What to say now, if it is time and something has changed, or was not said for long."""
        now = self._clock()
        if now < self._next:
            return None
        self._next = now + self._every
        report = self.make()
        said = report.SerializeToString(deterministic=True)
        if said == self._said and now - self._said_at < UNCHANGED_SECONDS:
            return None
        self._said, self._said_at = said, now
        return report

    def make(self, *, draining: bool = False) -> v1.Report:
        """The report of this moment."""
        self._sockets.look(self._upstream_ports, time.time())
        report = report_of(json.loads(self._status()), self._sockets)
        report.draining |= draining
        return report


def _is_local(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False  # a name, as a gateway has one


def report_of(status: Row, sockets: SocketsTable) -> v1.Report:
    """The engine's status document and the sockets of the pod as a Report."""
    policy = status.get("policy") or {}
    modes = {each["name"]: each["mode"] for each in policy.get("feature_sets", ())}
    callers, bypassing = _callers(status), sockets.bypassing
    return v1.Report(
        digest=policy.get("digest", ""),
        sets=[_set(each, modes) for each in status["sets"]],
        callers=callers[:LISTED],
        callers_left_out=max(0, len(callers) - LISTED),
        bypassing=[
            v1.Peer(address=one.address, port=one.port, last_seen=int(one.last_seen))
            for one in bypassing[:LISTED]
        ],
        bypassing_left_out=max(0, len(bypassing) - LISTED),
        listening=[
            v1.Listening(address=address, port=port)
            for address, port in sockets.listening[:LISTENING]
        ],
        draining=status["draining"],
        identity_not_after=int((status.get("identity") or {}).get("not_after", 0)),
        outbound=[_outbound(each) for each in status["outbound"]],
    )


def _set(counts: Row, modes: Mapping[str, str]) -> v1.SetReport:
    names = ("answered", "refused", "would_refuse", "unidentified")
    return v1.SetReport(
        feature_set=counts["name"],
        mode=modes.get(counts["name"], ""),
        **{name: counts[name] for name in names},
    )


def _outbound(each: Row) -> v1.OutboundReport:
    failure = each.get("last_failure")
    return v1.OutboundReport(
        feature_set=each["feature_set"],
        server=(each.get("server") or {}).get("spiffe_id", ""),
        last_answer=int(each.get("last_answer") or 0),
        last_failure=f"{failure['reason']}: {failure['detail']}" if failure else "",
    )


def _callers(status: Row) -> list[v1.Caller]:
    """Those whom enforcing would refuse, a row for each reason, and all without identity; newest first."""
    rows = [*_refused(status["would_refuse"]), *_unidentified(status["unidentified"])]
    return sorted(rows, key=lambda row: (-row.last_seen, row.spiffe_id, row.address, row.reason))


def _refused(rows: list[Row]) -> Iterator[v1.Caller]:
    for row in rows:
        troubles = row["troubles"]
        standing = [one for one in troubles if one["stands"]]
        waiting = [one for one in troubles if one["decision"] in WOULD_REFUSE]
        for trouble in standing or waiting:
            yield _caller(row, row["standing"], trouble, row["would_refuse"])


def _unidentified(rows: list[Row]) -> Iterator[v1.Caller]:
    for row in rows:
        if row["standing"] is None:
            yield _caller(row, UNIDENTIFIED, row["newest_trouble"] or {}, row["requests"])


def _caller(row: Row, standing: str, trouble: Row, count: int) -> v1.Caller:
    return v1.Caller(
        spiffe_id=row.get("identity") or "",
        address=row.get("source") or "",
        feature_set=trouble.get("feature_set", ""),
        standing=standing,
        reason=trouble.get("reason", ""),
        missing=trouble.get("missing", ()),
        count=count,
        last_seen=int(row["last_seen"]),
    )
