"""A FeatureSet: how it is served, what its sidecars use and see, and the Service and gateway of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from featward.crds.status import ROWS, FeatureSetStatus
from featward.kubernetes.resource import DEPLOYMENTS, FEATURE_SETS, SERVICES
from featward.manifests.text import day_after, second_of
from featward_engine import __version__ as engine_version
from featward_operator.conditions import Answer, answer, conditions, differs, news, ready
from featward_operator.controllers import Action, Notice, Result
from featward_operator.governance import (
    claims_lost,
    findings_of,
    held_by,
    overrides_of,
    set_again_at,
    validity,
)
from featward_operator.injection.names import CONTAINER, service_name
from featward_operator.reconcile.children import applied, left_over, owners
from featward_operator.reconcile.gateway import gateway, gateway_name
from featward_operator.reconcile.known import about, notice
from featward_operator.reconcile.service import account_of, service, takes_unidentified
from featward_operator.reconcile.sightings import (
    ABSENT_SECONDS,
    RemoveRow,
    Row,
    alive,
    is_loopback,
    united,
)
from featward_operator.vocabulary import Event, Reason, Type

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from featward.identity.spiffe import SpiffeId
    from featward.kubernetes.resource import Key, Resource
    from featward.manifests.catalogue import Set
    from featward_operator.governance import Overrides
    from featward_operator.pods import PodFacts
    from featward_operator.reconcile.children import Body
    from featward_operator.reconcile.known import Known
    from featward_operator.world import Observed

__all__ = ["BEHIND_SECONDS", "has_sidecar", "is_running", "reconcile", "version_lags"]

KIND = "FeatureSet"
BEHIND_SECONDS = 10.0
"""Every edit leaves sidecars behind for a moment; it is nobody's business before that."""
# Sidecars this many minor versions older than we are work.
_MINOR_VERSIONS = 2
_MODES = ("observe", "shadow", "enforce")
_EVENTS = {
    (Type.VALID, Reason.INVALID): Event.INVALID,
    (Type.VALID, Reason.UNKNOWN_NAMESPACE): Event.INVALID,
    (Type.VALID, Reason.NO_BUSINESS_UNIT): Event.INVALID,
    (Type.CLAIMED, Reason.FEATURE_CLAIMED_BY_OTHER): Event.CLAIM_LOST,
    (Type.CLAIMED, Reason.SERVICE_CLAIMED_BY_OTHER): Event.CLAIM_LOST,
    (Type.DISTRIBUTED, Reason.HELD): Event.HELD,
    (Type.DISTRIBUTED, Reason.SIDECARS_BEHIND): Event.SIDECAR_BEHIND,
    (Type.DISTRIBUTED, Reason.SIDECAR_REFUSED): Event.SIDECAR_BEHIND,
    (Type.DISTRIBUTED, Reason.SIDECAR_TOO_OLD): Event.SIDECAR_TOO_OLD,
    (Type.OBSERVED, Reason.SERVICE_BYPASSES_SIDECAR): Event.SERVICE_BYPASSED,
    (Type.OVERRIDDEN, Reason.RELAXED): Event.OVERRIDDEN,
    (Type.OVERRIDDEN, Reason.CLOSED_BY_HAND): Event.OVERRIDDEN,
    (Type.SUSPENDED, Reason.PROTECTION_SUSPENDED): Event.PROTECTION_SUSPENDED,
}
_GOOD_NEWS = {
    Type.OVERRIDDEN: Event.OVERRIDE_ENDED,
    Type.SUSPENDED: Event.PROTECTION_RESTORED,
}


def reconcile(key: Key, known: Known, now: float) -> Result:
    """Status, children and events of one set."""
    observed = known.observed(KIND, key)
    if observed is None:
        return Result()
    document = known.catalogue.feature_sets.get(key)
    if document is None:
        return _unreadable(key, known, observed, now)
    return _Looked(key, known, observed, document, now).result()


def _unreadable(key: Key, known: Known, observed: Observed, now: float) -> Result:
    """One that was never known otherwise: there is nothing to be said of it but why."""
    before = observed.status
    valid = validity(known.catalogue, findings_of(known.world.index, KIND, None, now, *key), key[0])
    answers = [ready([valid], ""), valid]
    status = FeatureSetStatus(
        observed_generation=observed.generation,
        conditions=conditions(answers, before, observed.generation, now),
    )
    what = about(KIND, key, observed)
    return Result(
        status=differs(status, before, ("replicas",)),
        events=tuple(notice(what, Event.INVALID, one.message) for one in news([valid], before)),
    )


@dataclass(frozen=True)
class _Looked:
    """One set at one moment."""

    key: Key
    known: Known
    observed: Observed
    document: Set
    now: float

    def result(self) -> Result:
        before = self.observed.status
        server = self.known.catalogue.server_of(self.document)
        rows, gone = self._rows(before)
        seen = united(rows)
        overrides = overrides_of(self.known.catalogue, self.key[0], self.now)
        children = [*self._children(server)]
        answers = [*self._answers(server, rows, seen, overrides)]
        status = self._status(server, seen, overrides, answers, before)
        return Result(
            actions=(
                *self._removals(before, gone),
                *(one for kind, body in children for one in applied(self._made, kind, body)),
                *left_over(
                    self._made,
                    self.key[0],
                    self.observed.uid,
                    [(kind, body["metadata"]["name"]) for kind, body in children],
                    self._is_called,
                ),
            ),
            status=differs(status, before, ("replicas",)),
            events=tuple(self._events(answers, before, children)),
            requeue_at=self._again_at(rows),
        )

    @property
    def _made(self) -> Any:
        return self.known.children

    # What belongs to it

    def _children(self, server: SpiffeId | None) -> Iterator[tuple[Resource, Body]]:
        account = account_of(self.document)
        if account is None or server is None:
            return
        sets = [
            one
            for one in self.known.catalogue.served_by.get(server, ())
            if one.model.metadata.namespace == self.key[0]
        ]
        plain = takes_unidentified(sets, self.now)
        own = [*self._owners(sets)]
        environment = self.known.environment(self.key[0])
        if self.document.model.spec.serving.gateway is not None and environment is not None:
            if not self.known.settings.gateways:
                return
            yield from gateway(
                self.document,
                self.observed.uid,
                environment,
                self.known.injection,
                plain=plain,
            )
        yield SERVICES, service(self.key[0], account, own, plain=plain)

    def _is_called(self, body: Body) -> bool:
        """Whether some set is served by way of a Service of ours, or may be: of a set that can't be read nobody
        knows."""
        called, sets = body["metadata"]["name"], self.known.catalogue.feature_sets
        for owner in owners(body):
            key = (self.key[0], owner["name"])
            if key not in sets and self.known.observed(KIND, key) is not None:
                return True
        accounts = (account_of(one) for (inside, _), one in sets.items() if inside == self.key[0])
        return any(one is not None and service_name(one) == called for one in accounts)

    def _owners(self, sets: Sequence[Set]) -> Iterator[tuple[str, str]]:
        for one in sets:
            metadata = one.model.metadata
            observed = self.known.observed(KIND, (metadata.namespace, metadata.name))
            if observed is not None:
                yield metadata.name, observed.uid

    # The rows

    def _rows(self, before: Any) -> tuple[list[Row], list[Row]]:
        return alive(
            before.get("replicas") or (),
            self.known.world.pods,
            self.known.settings.namespace,
            self.known.instance,
            self.now,
        )

    def _removals(self, before: Any, gone: list[Row]) -> Iterator[Action]:
        rows = before.get("replicas") or []
        # From the end, so that the places of the others stay.
        for row in reversed(gone):
            index = rows.index(row)
            yield RemoveRow(FEATURE_SETS, self.key, index, row["replica"], row["seenAt"])

    # The conditions

    def _answers(
        self, server: SpiffeId | None, rows: list[Row], seen: dict[str, Any], overrides: Overrides
    ) -> Iterator[Answer]:
        catalogue, index = self.known.catalogue, self.known.world.index
        findings = findings_of(index, KIND, self.document, self.now, *self.key)
        valid = validity(catalogue, findings, self.key[0])
        claimed = self._claimed(server)
        served = self._served(seen)
        distributed = self._distributed(server, seen)
        suspended = self._suspended()
        counting = [valid, claimed, served, distributed]
        whole = ready(counting, f"{seen['progress']} sidecars use the newest policy")
        if suspended.is_so:
            whole = Answer(Type.READY, "False", suspended.reason, suspended.message)
        yield whole
        yield from counting
        yield self._observing(rows, seen)
        yield self._closed(seen)
        yield self._overridden(overrides)
        yield suspended

    def _claimed(self, server: SpiffeId | None) -> Answer:
        lost = claims_lost(self.known.catalogue, self.document, server)
        if not lost:
            return answer(Type.CLAIMED, Reason.SOLE_OWNER, "it serves all that it lists")
        feature = any(one.code == "feature-claimed-twice" for one in lost)
        reason = Reason.FEATURE_CLAIMED_BY_OTHER if feature else Reason.SERVICE_CLAIMED_BY_OTHER
        more = f" (and {len(lost) - 1} more)" if len(lost) > 1 else ""
        return answer(Type.CLAIMED, reason, f"{lost[0].message}; {lost[0].remedy}{more}")

    def _served(self, seen: dict[str, Any]) -> Answer:
        serving = self.document.model.spec.serving
        if serving.gateway is not None:
            return self._gateway_served()
        account = account_of(self.document)
        if account is None:
            if seen["sidecars"]:
                return answer(Type.SERVED, Reason.SIDECARS_READY, "its sidecars are connected")
            said = f"no sidecar of workload {serving.workload_name} is connected"
            return answer(Type.SERVED, Reason.NO_SIDECAR, said)
        pods = self.known.world.pods.of_account(self.key[0], account)
        running = [(name, one) for name, one in pods if is_running(one)]
        if not running:
            said = f"no pod runs as service account {account}"
            return answer(Type.SERVED, Reason.NO_PODS, said)
        without = [name for name, one in running if not has_sidecar(one)]
        if without:
            said = (
                f"{len(without)} of {len(running)} pods have no sidecar: {', '.join(without[:3])}"
            )
            return answer(Type.SERVED, Reason.NO_SIDECAR, said)
        said = f"{len(running)} of {len(running)} pods have a sidecar"
        return answer(Type.SERVED, Reason.SIDECARS_READY, said)

    def _gateway_served(self) -> Answer:
        if not self.known.settings.gateways:
            said = "gateways are switched off in the operator's configuration"
            return answer(Type.SERVED, Reason.GATEWAY_PENDING, said)
        name = gateway_name(self.key[1])
        there = self.known.children.get(DEPLOYMENTS, self.key[0], name)
        count = (there or {}).get("readyReplicas", 0)
        if not count:
            said = f"no pod of Deployment {name} is ready"
            return answer(Type.SERVED, Reason.GATEWAY_PENDING, said)
        said = f"{count} pods of Deployment {name} are ready"
        return answer(Type.SERVED, Reason.SIDECARS_READY, said)

    def _distributed(self, server: SpiffeId | None, seen: dict[str, Any]) -> Answer:
        held = held_by(self.known.world.index, server, self.now) if server is not None else []
        if held:
            said = f"sidecars stay at the last good policy: {held[0].message} ({held[0].file})"
            return answer(Type.DISTRIBUTED, Reason.HELD, said)
        if server is not None and self.known.held(server):
            said = "sidecars stay at the last good policy"
            return answer(Type.DISTRIBUTED, Reason.HELD, said)
        if not seen["sidecars"]:
            said = "no sidecar of it is connected to the operator"
            return answer(Type.DISTRIBUTED, Reason.NO_SIDECAR_CONNECTED, said)
        behind = [one for one in seen["laggards"] if self._lags(one)]
        for reason, chosen in (
            (Reason.SIDECAR_REFUSED, [one for one in behind if one.error]),
            (Reason.SIDECAR_TOO_OLD, [one for one in behind if version_lags(one.engine or "")]),
            (Reason.SIDECARS_BEHIND, behind),
        ):
            if chosen:
                first = chosen[0]
                why = f": {first.error}" if first.error else f" since {first.since}"
                said = f"{seen['progress']} use the newest policy; {first.pod} is behind{why}"
                return answer(Type.DISTRIBUTED, reason, said)
        said = f"{seen['progress']} use the newest policy"
        return answer(Type.DISTRIBUTED, Reason.ALL_CURRENT, said)

    def _lags(self, laggard: Any) -> bool:
        return bool(laggard.error) or self.now - second_of(laggard.since) >= BEHIND_SECONDS

    def _observing(self, rows: list[Row], seen: dict[str, Any]) -> Answer:
        if seen["bypassing"]:
            peers = [one.pod or one.address for one in seen["bypassing"]]
            said = f"{len(peers)} reach the feature server past its sidecar: {', '.join(peers[:3])}"
            return answer(Type.OBSERVED, Reason.SERVICE_BYPASSES_SIDECAR, said)
        count = (seen["answered_last_hour"] or 0) + (seen["refused_last_hour"] or 0)
        if count or seen["would_be_refused"] or seen["unidentified"]:
            return answer(
                Type.OBSERVED, Reason.CALLERS_SEEN, "requests come by way of the sidecars"
            )
        said = "no request came by way of the sidecars within the hour"
        return answer(Type.OBSERVED, Reason.NOTHING_SEEN, said)

    def _closed(self, seen: dict[str, Any]) -> Answer:
        serving = self.document.model.spec.serving
        ports = {serving.upstream_of(one)[1] for one in serving.endpoints}
        if self._accepts(ports):
            said = "the feature server stays reachable, and the owner answers for that"
            return answer(Type.CLOSED, Reason.OWNER_ACCEPTS, said)
        if serving.gateway is not None:
            said = (
                f"{serving.gateway.upstream} can be called past the gateway, unless a NetworkPolicy lets "
                "nobody else in"
            )
            return answer(Type.CLOSED, Reason.UPSTREAM_ON_ALL_ADDRESSES, said)
        found = [one for one in seen["listening"] if one.port in ports]
        if not found:
            said = "no connected sidecar has seen the feature server listen"
            return answer(Type.CLOSED, Reason.NO_SIDECAR_CONNECTED, said)
        for one in found:
            if not is_loopback(one.address):
                said = f"the feature server listens on {one.address}, port {one.port}"
                return answer(Type.CLOSED, Reason.UPSTREAM_ON_ALL_ADDRESSES, said)
        said = "the feature server listens on loopback alone"
        return answer(Type.CLOSED, Reason.UPSTREAM_ON_LOOPBACK, said)

    def _accepts(self, ports: set[int]) -> bool:
        return any(
            one.what == "feature-server"
            and (one.port is None or one.port in ports)
            and self.now < day_after(one.until)
            for one in self.document.model.spec.accepted
        )

    def _overridden(self, overrides: Overrides) -> Answer:
        found = overrides.chosen.of_set(*self.key)
        if found is None:
            return answer(Type.OVERRIDDEN, Reason.NONE, "what is written holds")
        reason = Reason.CLOSED_BY_HAND if found.action == "close" else Reason.RELAXED
        return answer(Type.OVERRIDDEN, reason, f"by Override {found.name}, until it ends")

    def _suspended(self) -> Answer:
        if self.known.is_suspended(self.key[0]):
            said = f"namespace {self.key[0]} has featward.dev/protection: suspended"
            return answer(Type.SUSPENDED, Reason.PROTECTION_SUSPENDED, said)
        return answer(Type.SUSPENDED, Reason.NONE, "protection is not suspended")

    # The rest

    def _status(
        self,
        server: SpiffeId | None,
        seen: dict[str, Any],
        overrides: Overrides,
        answers: list[Answer],
        before: Any,
    ) -> FeatureSetStatus:
        found = overrides.chosen.of_set(*self.key)
        account = account_of(self.document) if server is not None else None
        return FeatureSetStatus(
            observed_generation=self.observed.generation,
            conditions=conditions(answers, before, self.observed.generation, self.now),
            server=str(server) if server is not None else None,
            service=service_name(account) if account is not None else None,
            mode=_mode(self.document.model.spec.enforcement.mode, found.action if found else ""),
            identities_covered=self._covered(before),
            overrides=tuple([found.name] if found is not None else [])[:ROWS],
            suspended=self.known.is_suspended(self.key[0]),
            **seen,
        )

    def _covered(self, before: Any) -> int | None:
        """As its bindings' reconcilers found; until all of them have looked, what was said before."""
        identities: set[str] = set()
        for binding in self.known.catalogue.bindings_of.get(self.key, ()):
            metadata = binding.model.metadata
            covered = self.known.covered.get((metadata.namespace, metadata.name))
            if covered is None:
                said: int | None = before.get("identitiesCovered")
                return said
            identities |= covered
        return len(identities)

    def _events(
        self, answers: list[Answer], before: Any, children: list[tuple[Resource, Body]]
    ) -> Iterator[Notice]:
        what = about(KIND, self.key, self.observed)
        old = {one["type"]: one["status"] for one in before.get("conditions") or ()}
        for one in news(answers, before):
            event = _EVENTS.get((one.type, one.reason))
            if event is not None:
                yield notice(what, event, one.message)
            elif one.type in _GOOD_NEWS and old.get(one.type.value) == "True":
                yield notice(what, _GOOD_NEWS[one.type], one.message, "Normal")
        for kind, body in children:
            name = body["metadata"]["name"]
            if kind == DEPLOYMENTS and self._made.get(kind, self.key[0], name) is None:
                yield notice(what, Event.GATEWAY_MADE, f"Deployment {name} was made", "Normal")

    def _again_at(self, rows: list[Row]) -> float | None:
        dates = [second_of(row["seenAt"]) + ABSENT_SECONDS for row in rows]
        dates += [
            second_of(one["since"]) + BEHIND_SECONDS
            for row in rows
            for one in row.get("laggards", ())
        ]
        date = set_again_at(self.known.catalogue, self.document, self.now)
        dates += [int(date)] if date is not None else []
        return min((float(one) for one in dates if one > self.now), default=None)


def is_running(pod: PodFacts) -> bool:
    """Whether a pod works, or is about to."""
    return not pod.deleting and pod.phase not in ("Succeeded", "Failed")


def has_sidecar(pod: PodFacts) -> bool:
    """Whether a pod has our sidecar."""
    return any(
        one.name == CONTAINER and one.restart_policy == "Always" for one in pod.init_containers
    )


def version_lags(engine: str) -> bool:
    """Whether an engine is so much older than ours that it is not promised to work."""
    theirs, ours = engine.split("."), engine_version.split(".")
    if len(theirs) < 2 or not all(part.isdigit() for part in theirs[:2]):
        return False
    their_major, their_minor = int(theirs[0]), int(theirs[1])
    our_major, our_minor = int(ours[0]), int(ours[1])
    return their_major < our_major or (
        their_major == our_major and their_minor < our_minor - _MINOR_VERSIONS
    )


def _mode(written: str, action: str) -> Any:
    if action == "close":
        return "closed"
    return min(written, "shadow", key=_MODES.index) if action == "relax" else written
