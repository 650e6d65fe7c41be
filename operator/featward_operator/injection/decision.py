"""What was decided about a pod, and the words for why."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from featward_operator.injection.annotations import Asked

__all__ = ["Decision", "Fault", "Kind", "Reason"]

Kind = Literal["server", "client"]


class Reason(StrEnum):
    """Why a pod was injected, left alone or refused: in answers, metrics and status."""

    INJECTED = "injected"
    """The pod got its sidecar, or one made by today's template in the place of an older one."""
    ALREADY_INJECTED = "already-injected"
    """The sidecar was there: webhooks are called again when another one has changed the pod."""
    NOT_ASKED = "not-asked"
    """Nobody asked, or nobody may: our own namespace and kube-system are never touched."""
    ASKED_FALSE = "asked-false"
    """The pod says that it wants none."""
    ANNOTATION_WITHOUT_NAMESPACE = "annotation-without-namespace"
    """The pod asks by annotation in a namespace that does not let annotations count. It is not protected."""
    PROTECTION_SUSPENDED = "protection-suspended"
    """The namespace's protection is suspended by hand. Its pods are not protected."""
    BAD_VALUE = "bad-value"
    """A label or annotation that decides has a value that means nothing."""
    BAD_ANNOTATION = "bad-annotation"
    """An annotation about the sidecar is unknown or can't be used."""
    HOST_NETWORK = "host-network"
    """The pod has the node's network, where others have our ports and our loopback."""
    NO_BUSINESS_UNIT = "no-business-unit"
    """The namespace has no business unit, so its pods have no identity."""
    UNKNOWN_BUSINESS_UNIT = "unknown-business-unit"
    """There is no BusinessUnit of the name that the namespace has."""
    NO_ENVIRONMENT = "no-environment"
    """The namespace's environment is not one of this operator's."""
    CONTAINER_NAME_TAKEN = "container-name-taken"
    """A container has the name of ours and is not ours."""
    VOLUME_NAME_TAKEN = "volume-name-taken"
    """A volume or a mount is where ours has to be."""
    PORT_TAKEN = "port-taken"
    """A container has a port that the sidecar listens on, or the name of one of its ports."""
    CLUSTER_TOO_OLD = "cluster-too-old"
    """The server or a node has no native sidecars; before 1.33 they are not stable."""
    NOT_READY = "not-ready"
    """The operator does not know the namespace yet. Whoever makes the pod tries again."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing for which a pod is refused: the sentence has key, value and what was expected."""

    reason: Reason
    text: str


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of a pod."""

    inject: Kind | None
    """As what it gets a sidecar, if it does."""
    refused: bool
    reasons: tuple[Reason, ...]
    """The first is the one that counts."""
    errors: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    asked: Asked | None = None
    """What the annotations say, where there is something to render."""
    environment: str = ""
