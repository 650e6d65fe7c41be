"""What sidecars of a set report, as rows of its status: one of each replica of the operator, and their sum.

Each replica writes its own row, which nobody else touches, so that no two writers quarrel; the leader adds the
rows up and takes away those of replicas that are gone. What a sidecar says is checked here: one text that the
definition refuses would keep the whole row from being written.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import ValidationError

from featward.crds.status import (
    ROWS,
    Bypassing,
    Laggard,
    Listening,
    ReplicaRow,
    Unidentified,
    WouldBeRefused,
)
from featward.kubernetes.errors import ApiError
from featward.manifests.text import second_of
from featward_operator.conditions import moment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from featward.kubernetes.gateway import Gateway
    from featward.kubernetes.resource import Key, Resource
    from featward_operator.pods import PodIndex
    from featward_operator.policy.tallies import Bypass, Open, Seen, SetTally

__all__ = ["RemoveRow", "Row", "alive", "beat_of", "is_loopback", "row_of", "united"]

Row = dict[str, Any]
_M = TypeVar("_M")
_T = TypeVar("_T")

ABSENT_SECONDS = 90.0
"""A row this old is of nobody any more: replicas write theirs every 30 s."""
FROZEN_SECONDS = 600.0
"""And this old though the replica's pod is there: its clock may be wrong, but not by that much."""
_PATCH = "application/json-patch+json"
_MISSING = 16


def row_of(
    tally: SetTally,
    replica: str,
    digest: str,
    behind_since: Mapping[str, float],
    pods: PodIndex,
    now: float,
) -> ReplicaRow:
    """The row of one replica. ``behind_since`` says of each pod that is behind since when, in Unix seconds."""
    current = sum(one.current for one in tally.sidecars)
    return ReplicaRow(
        replica=replica,
        seen_at=moment(now),
        digest=digest or None,
        sidecars=len(tally.sidecars),
        sidecars_current=current,
        laggards=tuple(_laggards(tally, behind_since, now))[:ROWS],
        answered_last_hour=tally.answered,
        refused_last_hour=tally.refused,
        would_be_refused=tuple(_each(_would_be_refused, tally.callers))[:ROWS],
        unidentified=tuple(_each(lambda one: _unidentified(one, pods), tally.callers))[:ROWS],
        bypassing=tuple(_each(lambda one: _bypassing(one, pods), tally.bypassing))[:ROWS],
        # What only the pod itself reaches is left out first.
        listening=tuple(
            _each(_listening, sorted(tally.listening, key=lambda one: is_loopback(one.address)))
        )[:ROWS],
    )


def _laggards(tally: SetTally, behind_since: Mapping[str, float], now: float) -> Iterator[Laggard]:
    behind = [one for one in tally.sidecars if not one.current]
    for one in sorted(behind, key=lambda one: behind_since.get(one.pod, now)):
        since = moment(behind_since.get(one.pod, now))
        error = " ".join(one.error.split())[:500]
        try:
            yield Laggard(
                pod=one.pod,
                digest=one.digest or None,
                engine=one.engine or None,
                since=since,
                error=error if error.isprintable() and error else None,
            )
        except ValidationError:
            continue  # a workload elsewhere, whose name is no pod's


def _each(make: Callable[[_T], _M | None], said: Iterable[_T]) -> Iterator[_M]:
    """What a status has room for. An old sidecar, or one that lies, names ports that are none and moments
    beyond the calendar: each costs its own line. (ValidationError is a ValueError; the C library has OSError.)
    """
    for one in said:
        try:
            made = make(one)
        except (ValueError, OverflowError, OSError):
            continue
        if made is not None:
            yield made


def _would_be_refused(seen: Seen) -> WouldBeRefused | None:
    if seen.is_address:
        return None
    return WouldBeRefused(
        caller=seen.identity,
        reason=seen.reason or seen.standing,
        missing=tuple(seen.missing[:_MISSING]),
        last_seen=moment(seen.last_seen),
        count=seen.count,
    )


def _unidentified(seen: Seen, pods: PodIndex) -> Unidentified | None:
    if not seen.is_address:
        return None
    return Unidentified(
        address=seen.identity, pod=_pod(seen.identity, pods), last_seen=moment(seen.last_seen)
    )


def _bypassing(one: Bypass, pods: PodIndex) -> Bypassing:
    return Bypassing(
        address=one.address,
        port=one.port,
        pod=_pod(one.address, pods),
        last_seen=moment(one.last_seen),
    )


def _listening(one: Open) -> Listening | None:
    if not one.port or not _is_line(one.address):
        return None
    return Listening(port=one.port, address=one.address)


def _pod(address: str, pods: PodIndex) -> str | None:
    key = pods.at(address)
    return "/".join(key) if key is not None else None


def _is_line(text: str) -> bool:
    return bool(text) and text.isprintable()


def beat_of(row: ReplicaRow) -> Row:
    """What of a row is told at once; counters and times wait for the half minute."""
    found = row.as_row()
    for key in ("seenAt", "answeredLastHour", "refusedLastHour"):
        found.pop(key, None)
    for key in ("laggards", "wouldBeRefused", "unidentified", "bypassing"):
        found[key] = [
            {
                name: value
                for name, value in one.items()
                if name not in ("lastSeen", "count", "since")
            }
            for one in found.get(key, ())
        ]
        found[key].sort(key=str)
    # Programs open ports for their own use all the time; what others reach is news.
    listening = found.get("listening", ())
    found["listening"] = [one for one in listening if not is_loopback(one["address"])]
    return found


def is_loopback(address: str) -> bool:
    """Whether only processes of the pod reach what listens there."""
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def alive(
    rows: Sequence[Row], pods: PodIndex, namespace: str, instance: str, now: float
) -> tuple[list[Row], list[Row]]:
    """The rows of replicas that are there, and those of others.

    In a cluster who has no pod is gone. A leader that is no pod itself, as on a developer's machine, goes by
    the rows' ages alone.
    """
    knows_pods = pods.named(namespace, instance) is not None
    here: list[Row] = []
    gone: list[Row] = []
    for row in rows:
        age = now - second_of(row["seenAt"])
        has_pod = pods.named(namespace, row["replica"]) is not None
        is_dead = age > (FROZEN_SECONDS if has_pod else ABSENT_SECONDS)
        if row["replica"] != instance and (is_dead or (knows_pods and not has_pod)):
            gone.append(row)
        else:
            here.append(row)
    return here, gone


def united(rows: Sequence[Row]) -> dict[str, Any]:
    """What the rows say together, by the names of a status. Without a row there is no sidecar."""
    digests = [row["digest"] for row in rows if row.get("digest")]
    sidecars = sum(row.get("sidecars", 0) for row in rows)
    current = sum(row.get("sidecarsCurrent", 0) for row in rows)
    return {
        # Replicas that have heard of an edit a moment sooner differ for that moment.
        "digest": max(digests, key=digests.count, default=None),
        "sidecars": sidecars,
        "sidecars_current": current,
        "progress": f"{current}/{sidecars}",
        "answered_last_hour": _sum(rows, "answeredLastHour"),
        "refused_last_hour": _sum(rows, "refusedLastHour"),
        "laggards": _listed(rows, "laggards", Laggard, ("pod",), oldest="since"),
        "would_be_refused": _listed(
            rows, "wouldBeRefused", WouldBeRefused, ("caller", "reason"), counted="count"
        ),
        "unidentified": _listed(rows, "unidentified", Unidentified, ("address",)),
        "bypassing": _listed(rows, "bypassing", Bypassing, ("address", "port")),
        "listening": tuple(
            Listening.model_validate(one)
            for one in sorted(
                {
                    (one["port"], one["address"]): one
                    for row in rows
                    for one in row.get("listening", ())
                }.values(),
                key=lambda one: (one["port"], one["address"]),
            )[:ROWS]
        ),
    }


def _sum(rows: Sequence[Row], key: str) -> int | None:
    known = [row[key] for row in rows if key in row]
    return sum(known) if known else None


def _listed(
    rows: Sequence[Row],
    key: str,
    model: Any,
    names: tuple[str, ...],
    *,
    oldest: str = "",
    counted: str = "",
) -> tuple[Any, ...]:
    """Entries of all rows once each: the newest first, or the one that began first."""
    by = oldest or "lastSeen"
    found: dict[tuple[Any, ...], Row] = {}
    for one in (one for row in rows for one in row.get(key, ())):
        name = tuple(one[part] for part in names)
        known = found.get(name)
        if known is None:
            found[name] = {**one}
            continue
        better = (one[by] < known[by]) if oldest else (one[by] > known[by])
        merged = {**known, **one} if better else {**one, **known}
        found[name] = merged | ({counted: known[counted] + one[counted]} if counted else {})
    ordered = sorted(found.values(), key=lambda one: tuple(str(one[part]) for part in names))
    ordered.sort(key=lambda one: str(one[by]), reverse=not oldest)
    return tuple(model.model_validate(one) for one in ordered[:ROWS])


@dataclass(frozen=True, slots=True)
class RemoveRow:
    """Take the row of a replica that is gone out of a set's status, if it is still as it was seen."""

    resource: Resource
    key: Key
    index: int
    replica: str
    seen_at: str

    async def carry_out(self, gateway: Gateway) -> None:
        """Raises ApiError."""
        row = f"/status/replicas/{self.index}"
        patch = [
            {"op": "test", "path": f"{row}/replica", "value": self.replica},
            {"op": "test", "path": f"{row}/seenAt", "value": self.seen_at},
            {"op": "remove", "path": row},
        ]
        path = self.resource.path(*self.key, "status")
        try:
            await gateway.ask("PATCH", path, patch, content=_PATCH)
        except ApiError as error:
            # The set is gone, or the row is no longer there, or its replica has come back.
            if error.status not in (404, 422):
                raise
