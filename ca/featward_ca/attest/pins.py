"""Whose a namespace is: what the manifests or its label say, and it stays so until somebody moves it.

Who may write a namespace's labels in a cluster could otherwise give its service accounts the
identities of any business unit.
"""

from featward.manifests.model import BUSINESS_UNIT_LABEL
from featward_ca.attest import Claim
from featward_ca.attest.reviews import TokenReviewer
from featward_ca.attest.tokens import shown
from featward_ca.clock import Clock
from featward_ca.directory import Cluster, Directory
from featward_ca.errors import NotAttestedError
from featward_ca.store import pins
from featward_ca.store.pins import PinRow
from featward_ca.store.store import Connection


async def business_unit(
    directory: Directory, cluster: Cluster, reviewer: TokenReviewer, namespace: str
) -> str:
    """Whom a namespace belongs to now. Raises NotAttestedError, or LaterError when its label can't
    be read.
    """
    if namespace in directory.namespaces:
        unit = directory.namespaces[namespace]
    else:
        labels = await reviewer.labels(namespace)
        if labels is None:
            raise NotAttestedError(f"the cluster {cluster.name} has no namespace {namespace}")
        unit = labels.get(BUSINESS_UNIT_LABEL, directory.default_unit)
    if unit is None or unit not in directory.business_units:
        raise NotAttestedError(
            f"namespace {namespace} of {cluster.name} belongs to {shown(unit)}, which is no"
            f" business unit of {directory.environment}; declare it, or correct the namespace's"
            f" label {BUSINESS_UNIT_LABEL}"
        )
    if not cluster.may_attest(unit):
        raise NotAttestedError(
            f"the cluster {cluster.name} may not attest for {unit}; businessUnits in the"
            " Environment say so"
        )
    return unit


def pinned(cluster: str, namespace: str, unit: str, clock: Clock) -> Claim:
    """Pins the namespace when it is first seen, and refuses it when it was seen as another's."""

    def claim(connection: Connection) -> None:
        found = pins.pin(connection, PinRow(cluster, namespace, unit, clock.now()))
        if found != unit:
            raise NotAttestedError(
                f"namespace {namespace} of {cluster} was {found}'s and now says {unit}; if that is"
                f" meant: featward ca namespace move {cluster}/{namespace} --to {unit}"
            )

    return claim
