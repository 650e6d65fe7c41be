"""Everything for which a pod that asks is refused, found at once so that nobody mends one thing at a time."""

from collections.abc import Iterator

from featward_operator.injection.annotations import Asked, listening
from featward_operator.injection.decision import Fault, Reason
from featward_operator.injection.facts import Facts
from featward_operator.injection.names import (
    CONTAINER,
    HEALTH_PORT,
    PLAIN_PORT,
    SERVER_PORT,
    SOCKET_FOLDER,
    SOCKET_VOLUME,
    VOLUMES,
)
from featward_operator.injection.settings import InjectionSettings
from featward_operator.injection.situation import environment_of, unit_of

__all__ = ["clashes", "unit_faults"]


def clashes(facts: Facts, settings: InjectionSettings, asked: Asked, kind: str) -> Iterator[Fault]:
    """What of the pod or of the cluster leaves no room for a sidecar."""
    if facts.host_network:
        yield Fault(
            Reason.HOST_NETWORK,
            "spec.hostNetwork is true: a sidecar needs a network that only its pod is in",
        )
    yield from _names(facts)
    yield from _ports(facts, asked, kind)
    if settings.too_old:
        yield Fault(
            Reason.CLUSTER_TOO_OLD,
            f"{settings.too_old}: native sidecars need Kubernetes 1.33, and 1.29 on every node",
        )


def unit_faults(facts: Facts, settings: InjectionSettings) -> Iterator[Fault]:
    """Why the pod could have no identity."""
    unit, where = unit_of(facts, settings), f"namespace {facts.request.namespace}"
    if unit is None:
        several = ", ".join(sorted(settings.environments))
        yield Fault(
            Reason.NO_BUSINESS_UNIT,
            f"{where} has no label featward.dev/business-unit, which this cluster needs because it serves "
            f"{several}: expected the name of a BusinessUnit, such as prod.payments",
        )
    elif environment_of(unit) not in settings.environments:
        here = ", ".join(sorted(settings.environments))
        yield Fault(
            Reason.NO_ENVIRONMENT,
            f"{where} is labelled {unit}: expected a unit of an environment that is served here, {here}",
        )
    elif facts.namespace and unit not in facts.namespace.units and not unit.endswith(".default"):
        yield Fault(
            Reason.UNKNOWN_BUSINESS_UNIT,
            f"{where} is labelled {unit}: expected a BusinessUnit that exists; `kubectl get businessunits` "
            "lists them",
        )


def _names(facts: Facts) -> Iterator[Fault]:
    ours = facts.has_sidecar and facts.status is not None
    if CONTAINER in facts.containers or (facts.has_sidecar and not ours):
        yield Fault(
            Reason.CONTAINER_NAME_TAKEN,
            f"a container is called {CONTAINER}: expected that name to be free for the sidecar",
        )
    for volume in () if ours else VOLUMES:
        if volume in facts.volumes:
            yield Fault(
                Reason.VOLUME_NAME_TAKEN,
                f"a volume is called {volume}: expected that name to be free for the sidecar",
            )
    for container, volume in facts.mounts.get(SOCKET_FOLDER, ()):
        if not (ours and volume == SOCKET_VOLUME):
            yield Fault(
                Reason.VOLUME_NAME_TAKEN,
                f"container {container} mounts {volume} at {SOCKET_FOLDER}: expected that path to be free",
            )


def _ports(facts: Facts, asked: Asked, kind: str) -> Iterator[Fault]:
    ours = {port: key for key, port in reversed(listening(asked, kind))}
    for use in facts.ports:
        if use.number in ours:
            yield Fault(
                Reason.PORT_TAKEN,
                f"container {use.container} has port {use.number}, on which the sidecar would listen: expected "
                f"another one in {ours[use.number]}",
            )
        if use.name in (SERVER_PORT, PLAIN_PORT, HEALTH_PORT):
            yield Fault(
                Reason.PORT_TAKEN,
                f"container {use.container} calls a port {use.name}: expected that name to be free for the "
                "sidecar's, which Services select by it",
            )
