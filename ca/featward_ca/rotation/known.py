"""The facts that a step of a rotation is judged by, read from the store in one transaction."""

import sys
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property

from featward_ca.rotation.states import Kind, Progress, State, Step

ROOT = "root"
PLATFORM = "platform"
# After a start nobody is connected yet. The operator is back within this: it tries every five seconds.
OPERATOR_RETURN = 10.0


@dataclass(frozen=True)
class KnownAuthority:
    """One authority. `issuer`: the id of its root, None for a root. `root_sha256`: the digest of
    the root certificate that its chain ends in.
    """

    id: str
    owner: str
    state: State
    root_sha256: bytes
    issuer: str | None = None
    generation: int = 1
    announced_at: float | None = None
    announced_sequence: int | None = None
    tainted_sequence: int | None = None
    not_before: int = 0
    not_after: int = 0
    # Whether we hold its key: not that of a root which another machine keeps.
    has_key: bool = True


@dataclass(frozen=True)
class Rotation:
    """A row of the journal: one authority on its way to replace another.

    `target` is the new one, once there is one; `predecessor` the one before, None for an owner's
    first. `parent`: the rotation of the root that this one is a part of.
    """

    id: str
    owner: str
    kind: Kind
    step: Step
    state: Progress
    started_at: float
    step_since: float
    # How long a step waits for others before the rotation is blocked, in seconds.
    step_timeout: float
    requested_by: str
    reason: str = ""
    target: str | None = None
    predecessor: str | None = None
    parent: str | None = None
    # Blockers were overridden.
    forced: bool = False
    version: int = 0

    @property
    def deadline(self) -> float:
        """When the present step has waited for long enough."""
        return self.step_since + self.step_timeout


@dataclass(frozen=True)
class LiveClient:
    """A client with an unexpired SVID; connected or not.

    `acknowledged`: what it said, and at least the sequence that its SVID's answer carried.
    `authority`: who signed the SVID in use, else the newest one; `not_after` is that SVID's.
    """

    lineage: str
    spiffe_id: str
    acknowledged: int
    authority: str
    not_after: float
    connected: bool = False

    @property
    def is_operator(self) -> bool:
        """Whether it is a replica of the environment's operator."""
        return self.spiffe_id.split("/", 3)[3:] == ["featward/operator"]


@dataclass(frozen=True)
class LiveReplica:
    """A process of this CA, and the sequence that its own Listeners use."""

    id: str
    sequence: int


@dataclass(frozen=True)
class UnusedToken:
    """A join token that was handed out and not used yet."""

    workload: str
    root_sha256: bytes
    expires_at: float


@dataclass(frozen=True)
class Known:
    """All of it at one moment. `refresh_hint`: how often federated peers look, in seconds."""

    now: float
    refresh_hint: float
    # Since when this CA is back, and clients can renew.
    opened_at: float = 0.0
    authorities: tuple[KnownAuthority, ...] = ()
    clients: tuple[LiveClient, ...] = ()
    # Those whose SVIDs ended, while the CA may have been away, and who may renew them; soon after a
    # start only.
    returning: tuple[LiveClient, ...] = ()
    replicas: tuple[LiveReplica, ...] = ()
    tokens: tuple[UnusedToken, ...] = ()
    # Those that are not over.
    rotations: tuple[Rotation, ...] = ()
    # Whether there may be federated peers at all: the bundle endpoint is on.
    publishes: bool = False

    def without_gone_operators(self) -> "Known":
        """The same, with no replica of the operator that is not connected.

        It drives rotations, so one that was killed would hold up what the others ask for until its SVID
        ends. It may be forgotten: it shows its token anew when it comes back, and knows the CA by the
        root. A workload may not, for its connections live on without us.
        """
        if self.now < self.opened_at + OPERATOR_RETURN:
            return self
        kept = tuple(one for one in self.clients if one.connected or not one.is_operator)
        return self if len(kept) == len(self.clients) else replace(self, clients=kept)

    @cached_property
    def least_acknowledged(self) -> int:
        """What even the last of the clients has acknowledged."""
        return min((one.acknowledged for one in self.clients), default=sys.maxsize)

    def find(self, authority: str | None) -> KnownAuthority | None:
        """The authority of this id; None when it is over, or none was named."""
        return next((one for one in self.authorities if one.id == authority), None)

    def active(self, owner: str) -> KnownAuthority | None:
        """Who signs for an owner."""
        return next(iter(self.of(owner, State.ACTIVE)), None)

    def rotation_of(self, owner: str) -> Rotation | None:
        """What is under way for an owner."""
        return next((one for one in self.rotations if one.owner == owner), None)

    def of(self, owner: str, *states: State) -> tuple[KnownAuthority, ...]:
        """An owner's authorities in these states."""
        return tuple(one for one in self.authorities if one.owner == owner and one.state in states)

    def under(self, root: KnownAuthority) -> tuple[KnownAuthority, ...]:
        """What a root has signed."""
        return tuple(one for one in self.authorities if one.issuer == root.id)


class BlockerKind(StrEnum):
    """What may stand in the way."""

    CLIENT = "client"
    REPLICA = "replica"
    JOIN_TOKEN = "join-token"  # noqa: S105  # the name of the kind
    OWNER = "owner"
    AUTHORITY = "authority"
    ROTATION = "rotation"
    TIME = "time"


@dataclass(frozen=True)
class Blocker:
    """One thing that a step waits for. `until`: when it goes away by itself, None if it needs
    somebody.
    """

    kind: BlockerKind
    who: str
    text: str
    until: float | None = None
    client: LiveClient | None = None
