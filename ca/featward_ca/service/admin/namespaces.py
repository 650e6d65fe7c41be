"""Whose a namespace of a cluster is: the one way to change it once it was seen."""

import re
from collections.abc import Mapping

from featward.authority.v1 import authority_pb2
from featward_ca.directory import Directory
from featward_ca.errors import MalformedRequestError, UnknownNameError
from featward_ca.service.admin.clients import client
from featward_ca.service.admin.office import AdminHandler, Office
from featward_ca.service.guard import Call
from featward_ca.service.paging import LARGEST_PAGE
from featward_ca.store import clients, pins
from featward_ca.store.pins import PinRow
from featward_ca.store.store import Connection

_NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


async def _move(
    office: Office, message: authority_pb2.MoveNamespaceRequest, call: Call
) -> authority_pb2.MoveNamespaceResponse:
    core, now = office.core, office.core.clock.now()
    cluster, namespace, unit = message.cluster, message.namespace, message.business_unit
    call.remark.subject = f"{cluster}/{namespace}"
    _check(core.situation.directory, cluster, namespace, unit)
    living = await core.store.read(
        lambda c: clients.live_in(c, core.store.replica, now, cluster, namespace)
    )

    def move(connection: Connection) -> str:
        before = pins.find(connection, cluster, namespace) or ""
        if before != unit and not message.dry_run:
            pins.move(connection, PinRow(cluster, namespace, unit, now))
        return before

    before = await core.store.exclusive(move)
    changed = before != unit and not message.dry_run
    what = "dry run: " if message.dry_run else ""
    call.remark.detail = f"{what}from {before or 'nobody'} to {unit}"
    affected = living if before != unit else []
    return authority_pb2.MoveNamespaceResponse(
        before=before,
        affected=[client(row) for row in affected[:LARGEST_PAGE]],
        changed=changed,
    )


def _check(directory: Directory, cluster: str, namespace: str, unit: str) -> None:
    known = {one.name: one for one in directory.clusters}
    if cluster not in known:
        names = ", ".join(sorted(known)) or "none"
        raise UnknownNameError(f"the Environment has no cluster {cluster!r}; it has: {names}")
    if not _NAMESPACE.fullmatch(namespace):
        raise MalformedRequestError(f"{namespace!r} is no name of a namespace")
    if unit not in directory.business_units:
        names = ", ".join(sorted(directory.business_units))
        raise UnknownNameError(f"there is no business unit {unit!r}; there are: {names}")
    if not known[cluster].may_attest(unit):
        raise MalformedRequestError(
            f"the cluster {cluster} may not attest for {unit}; change its businessUnits in the"
            " Environment first"
        )


HANDLERS: Mapping[str, AdminHandler] = {"MoveNamespace": _move}
