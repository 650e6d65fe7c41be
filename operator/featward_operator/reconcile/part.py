"""Status, children and audit as a part of the operator: what each replica writes, and what its leader keeps."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, TypeAlias

from featward.kubernetes.resource import DOCUMENTS
from featward.logs import fields
from featward_operator.controllers import Controller, Reconcile
from featward_operator.injection.configured import injection_settings
from featward_operator.reconcile import (
    approval,
    binding,
    business_unit,
    environment,
    feature_set,
    namespace,
    override,
    workload,
)
from featward_operator.reconcile.audit import AuditSeries
from featward_operator.reconcile.children import Children
from featward_operator.reconcile.known import Known
from featward_operator.reconcile.override import OverridesInForce
from featward_operator.reconcile.rows import RowWriter
from featward_operator.reconcile.triggers import Triggers
from featward_operator.run import Operator, Part
from featward_operator.vocabulary import Reason
from featward_operator.world import World

if TYPE_CHECKING:
    from featward.identity.spiffe import SpiffeId
    from featward.kubernetes.elector import Lost
    from featward_operator.health import Gate
    from featward_operator.identities import Identities
    from featward_operator.policy.part import PolicyPart
    from featward_operator.reconcile.known import Reach
    from featward_operator.reconcile.rows import Reports

__all__ = ["RECONCILERS", "Reconciling", "reach_by_identity", "reconcile_part"]

_log = logging.getLogger(__name__)
# Keys of one kind at once: they wait for the server far longer than they compute.
_WORKERS = 4

RECONCILERS: dict[str, Reconcile[Known]] = {
    "Environment": environment.reconcile,
    "BusinessUnit": business_unit.reconcile,
    "Workload": workload.reconcile,
    "FeatureSet": feature_set.reconcile,
    "FeatureBinding": binding.reconcile,
    "GrantApproval": approval.reconcile,
    "Namespace": namespace.reconcile,
    "Override": override.reconcile,
}
"""Who decides about which kind."""

Held: TypeAlias = "Callable[[SpiffeId], bool]"


def reach_by_identity(identities: Identities) -> Reach:
    """Whether CAs can be talked to, as far as the identities tell that they give us and renew."""

    def reach(environment: str) -> tuple[Reason, str]:
        told = {one.name: domain for domain, one in identities.settings.items()}
        error = identities.workloads[told[environment]].last_error
        why = f": {error}" if error else ""
        if environment in identities.missing():
            return Reason.NO_IDENTITY, f"its CA has not given the operator an identity{why}"
        if error:
            return Reason.UNREACHABLE, f"its CA can't be asked{why}"
        return Reason.REACHABLE, "its CA answers"

    return reach


def reconcile_part(
    operator: Operator,
    world: World,
    policy: PolicyPart,
    identities: Identities,
    *,
    reach: Reach | None = None,
) -> Part:
    """The part. ``reach`` says whether the CA of an environment can be talked to, where somebody knows better
    than by the identities that it gives us.
    """
    made = Reconciling(
        operator,
        world,
        policy.tallies,
        policy.pushes.newest,
        lambda workload: workload in policy.slices.held,
        reach or reach_by_identity(identities),
    )
    return Part("status", lambda _, gate: made.serve(gate), lambda _, lost: made.lead(lost))


class Reconciling:
    """One for each replica."""

    def __init__(
        self,
        operator: Operator,
        world: World,
        reports: Reports,
        newest: Callable[[SpiffeId], str],
        held: Held,
        reach: Reach,
        *,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._operator, self._world, self._now = operator, world, now
        self._held, self._reach = held, reach
        settings = operator.settings
        self._injection = injection_settings(settings, settings.injection, version("featward"))
        self.rows = RowWriter(operator.gateway, world, reports, newest, operator.instance, now=now)
        self.known: Known | None = None
        """What the leader knows; None while another replica leads."""
        self.controllers: dict[str, Controller[Known]] = {}
        self.leading = asyncio.Event()
        """Set while this replica leads and has listed what it has made."""
        operator.metrics.registry.register(AuditSeries(self._audits, self._suspended))
        operator.metrics.registry.register(OverridesInForce(world.index.catalogue))

    async def serve(self, gate: Gate) -> None:
        """Write this replica's rows until cancelled. Nobody waits for them, so nothing waits for us."""
        gate.open()
        await self.rows.run()

    async def lead(self, lost: Lost) -> None:
        """Keep everything as it should be, until cancelled."""
        await self._world.synced.wait()
        known = Known(
            self._world,
            self._operator.settings,
            self._injection,
            Children(),
            self._operator.instance,
            self._held,
            self._reach,
        )
        controllers = {kind: self._controller(kind, known) for kind in RECONCILERS}
        triggers = Triggers(known, {kind: one.queue for kind, one in controllers.items()})
        known.children.changed = triggers.child_changed
        known.children.bundle_changed = triggers.bundle_changed
        synced = asyncio.Event()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._follow(known, synced))
                await synced.wait()
                self.known, self.controllers = known, controllers
                self._world.watchers.append(triggers)
                triggers.everything()
                self.leading.set()
                _log.info("status is kept by this replica", extra=fields(kinds=len(controllers)))
                for one in controllers.values():
                    group.create_task(one.run(lost))
        finally:
            self.leading.clear()
            self.known = None
            if triggers in self._world.watchers:
                self._world.watchers.remove(triggers)

    async def _follow(self, known: Known, synced: asyncio.Event) -> None:
        settings = self._operator.settings
        await known.children.follow(
            self._operator.gateway, settings.namespace, gateways=settings.gateways, synced=synced
        )

    def _controller(self, kind: str, known: Known) -> Controller[Known]:
        operator = self._operator
        return Controller(
            DOCUMENTS[kind],
            kind,
            RECONCILERS[kind],
            known,
            gateway=operator.gateway,
            events=operator.events,
            metrics=operator.metrics,
            workers=_WORKERS,
            now=self._now,
        )

    def _audits(self) -> Any:
        return self.known.audits if self.known is not None else None

    def _suspended(self) -> int:
        known = self.known
        return sum(map(known.is_suspended, known.catalogue.namespaces)) if known else 0
