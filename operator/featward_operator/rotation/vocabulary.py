"""The words by which the operator speaks of rotations and Overrides: reasons of conditions, and Events.

Programs and alerts depend on them. The text below each is its entry in the reference.
"""

from enum import StrEnum

__all__ = [
    "AuthorityReachable",
    "OverrideEvent",
    "OverrideInForce",
    "Rotating",
    "RotationEvent",
]


class AuthorityReachable(StrEnum):
    """Whether the operator hears from the CA about an authority. While it does not, `Rotating` is Unknown for
    the same reason.
    """

    REACHABLE = "Reachable"
    """The CA answers, and has an authority of this owner."""
    UNREACHABLE = "Unreachable"
    """The CA does not answer, or refuses to; what is said of the rotation is what was known last."""
    NOT_OURS = "NotOurs"
    """The environment is none that this operator works for."""
    NO_IDENTITY = "NoIdentity"
    """The operator has no identity in the environment yet, and the CA listens to nobody without."""
    NO_AUTHORITY = "NoAuthority"
    """The CA answers, and has no authority that signs for this owner: it has not read the object yet, or waits
    for a ceremony. Of `Rotating` alone."""


class Rotating(StrEnum):
    """Condition of Environment and BusinessUnit: whether its authority is being replaced."""

    REQUESTED = "Requested"
    """Asked for, by `featward.dev/rotate-requested-at`, and not begun yet."""
    PREPARING = "Preparing"
    """The new key is made and announced; nothing is signed with it."""
    ACTIVATING = "Activating"
    """Everybody who has an identity learns of the new key; then it signs."""
    TAINTING = "Tainting"
    """All that the old key has signed is about to be renewed."""
    REVOKING = "Revoking"
    """Identities are renewed; when nobody uses what the old key has signed, nobody accepts it any more."""
    IDLE = "Idle"
    """Nothing is under way."""
    BLOCKED = "Blocked"
    """The step has waited for longer than it should. It goes on by itself when what blocks it is gone."""
    PAUSED = "Paused"
    """By hand: by `featward.dev/rotation: paused`, or at the CA."""
    FAILED = "Failed"
    """The CA refused to begin it, or it was given up at the CA."""


class RotationEvent(StrEnum):
    """Events about Environment and BusinessUnit."""

    REQUESTED = "RotationRequested"
    """A rotation was asked for by annotation; the note has the generation that will sign."""
    STEP = "RotationStep"
    """A rotation has begun, or has come to its next step."""
    BLOCKED = "RotationBlocked"
    """A step waits for longer than it should; the note says for what."""
    PAUSED = "RotationPaused"
    """A rotation was paused."""
    RESUMED = "RotationResumed"
    """A paused rotation goes on."""
    DONE = "RotationDone"
    """The authority was replaced, and nobody accepts the one before any more."""
    FAILED = "RotationFailed"
    """A rotation was refused by the CA, or given up there."""


class OverrideInForce(StrEnum):
    """Condition InForce of Override: whether it holds now."""

    IN_FORCE = "InForce"
    """It holds, until `spec.expires`."""
    ENDED = "Ended"
    """Its time is over. It may be deleted."""
    LONGER_THAN_MAX_OVERRIDE = "LongerThanMaxOverride"
    """It asks for longer than the environment allows, and so does not hold at all."""
    NO_MAX_OVERRIDE = "NoMaxOverride"
    """The environment has no `maxOverride`: no Override of it ever holds."""
    TARGET_NOT_FOUND = "TargetNotFound"
    """What it is about is not there, or its namespace is in no environment."""


class OverrideEvent(StrEnum):
    """Events about an Override and about what it overrides."""

    OVERRIDDEN = "Overridden"
    """Something is relaxed or closed by hand; the note says by which Override, why and until when."""
    ENDED = "OverrideEnded"
    """That is over: what the manifests say holds again."""
