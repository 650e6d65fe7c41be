"""Every word that the operator says to programs: conditions, the reasons of their answers, and events.

People write alerts and scripts on them, so a word keeps its meaning. They stand here once, with what they mean;
docs/kubernetes-reference.md is made of this, and an answer that is not in the table can't be given.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Self

__all__ = ["QUESTIONS", "Event", "Question", "Reason", "Type"]


class _Word(StrEnum):
    """A word and, as ``meaning``, what it says."""

    meaning: str

    def __new__(cls, word: str, meaning: str) -> Self:
        one = str.__new__(cls, word)
        one._value_ = word
        one.meaning = meaning
        return one


class Type(_Word):
    """The questions that conditions answer."""

    READY = "Ready", "Whether all is well; where not, with the reason of what comes first."
    VALID = "Valid", "Whether the object, as it stands with all others, can be used."
    CLAIMED = "Claimed", "Whether the set serves all that it lists."
    SERVED = "Served", "Whether there are pods with sidecars that serve the set."
    DISTRIBUTED = "Distributed", "Whether its sidecars use the newest policy."
    OBSERVED = "Observed", "Whether callers come by way of the sidecars."
    CLOSED = "Closed", "Whether the feature server itself is out of reach for other pods."
    OVERRIDDEN = "Overridden", "Whether something else holds for now than what is written."
    SUSPENDED = "Suspended", "Whether protection is suspended in the namespace."
    GRANTING = "Granting", "Whether the binding grants anything at this moment."
    APPROVED = "Approved", "Whether all that needs the business unit's consent has it."
    DUE = "Due", "Whether the owner has to look at the binding soon."
    OVERDUE = "Overdue", "Whether the owner should have looked at it before now."
    IN_FORCE = "InForce", "Whether the approval or the Override holds."
    AUTHORITY_REACHABLE = "AuthorityReachable", "Whether the operator can talk to the CA."
    ROTATING = "Rotating", "Whether an authority is being replaced."


class Reason(_Word):
    """Why an answer is as it is."""

    READY = "Ready", "All is well."
    VALID = "Valid", "Nothing is wrong with it."
    INVALID = (
        "Invalid",
        "Something is wrong with it: the message says what, by the code of `featward check`.",
    )
    UNKNOWN_NAMESPACE = "UnknownNamespace", "It names a namespace that is not known."
    NO_BUSINESS_UNIT = "NoBusinessUnit", "Its namespace belongs to no business unit that there is."
    UNKNOWN_LABEL = (
        "UnknownLabel",
        "It can be used, and has a label or annotation of ours that nobody reads: a slip, mostly.",
    )
    SOLE_OWNER = "SoleOwner", "No older set of the same workload lists any of it."
    FEATURE_CLAIMED_BY_OTHER = (
        "FeatureClaimedByOther",
        "An older set of the same workload has some of its features, and keeps them.",
    )
    SERVICE_CLAIMED_BY_OTHER = (
        "ServiceClaimedByOther",
        "An older set of the same workload has some of its services, and keeps them.",
    )
    SIDECARS_READY = "SidecarsReady", "All pods that serve it have a sidecar."
    NO_PODS = "NoPods", "No pod runs as the service account that serves it."
    NO_SIDECAR = "NoSidecar", "A pod that serves it has no sidecar, and is not protected."
    GATEWAY_PENDING = "GatewayPending", "Its gateway is not up yet."
    ALL_CURRENT = "AllCurrent", "Every connected sidecar uses the newest policy."
    SIDECARS_BEHIND = "SidecarsBehind", "A sidecar has not taken the newest policy for 10 s."
    SIDECAR_REFUSED = "SidecarRefused", "A sidecar's engine would not take the newest policy."
    SIDECAR_TOO_OLD = (
        "SidecarTooOld",
        "A sidecar that is behind is more than two minor versions older than the operator.",
    )
    HELD = "Held", "Something is wrong above it, so its sidecars stay at the last good policy."
    NO_SIDECAR_CONNECTED = "NoSidecarConnected", "No sidecar of it is connected to the operator."
    CALLERS_SEEN = (
        "CallersSeen",
        "Requests came by way of the sidecars within the hour, and none past them.",
    )
    SERVICE_BYPASSES_SIDECAR = (
        "ServiceBypassesSidecar",
        "Somebody reaches the feature server past its sidecar: `status.bypassing`.",
    )
    NOTHING_SEEN = "NothingSeen", "No request came within the hour."
    UPSTREAM_ON_LOOPBACK = "UpstreamOnLoopback", "The feature server listens on loopback alone."
    OWNER_ACCEPTS = (
        "OwnerAccepts",
        "It stays reachable, and the owner answers for that in `spec.accepted`.",
    )
    UPSTREAM_ON_ALL_ADDRESSES = (
        "UpstreamOnAllAddresses",
        "Other pods reach the feature server's own port, unless a NetworkPolicy closes it.",
    )
    RELAXED = "Relaxed", "An Override has it in shadow at most."
    CLOSED_BY_HAND = "ClosedByHand", "An Override refuses every request of it."
    NONE = "None", "There is nothing of the kind."
    PROTECTION_SUSPENDED = (
        "ProtectionSuspended",
        "Its namespace has `featward.dev/protection: suspended`.",
    )
    IN_FORCE = "InForce", "It holds."
    EXPIRED = "Expired", "Its last day is over."
    SUSPENDED = (
        "Suspended",
        "It is overdue, and its business unit's ceiling suspends what is overdue: it grants nothing.",
    )
    VERSION_MISMATCH = "VersionMismatch", "It is for other versions of the set."
    NOTHING_GRANTABLE = (
        "NothingGrantable",
        "Nothing of what it names can be granted, or nobody is named.",
    )
    APPROVAL_MISSING = "ApprovalMissing", "It needs a GrantApproval, and has none."
    APPROVAL_VOID = (
        "ApprovalVoid",
        "It was edited after it was approved: the approval is of another digest.",
    )
    APPROVAL_EXPIRED = "ApprovalExpired", "The last day of its approval is over."
    CLOSED = "Closed", "An Override closes the binding, its set or its environment."
    NOT_NEEDED = "NotNeeded", "All that it grants is its team's to grant."
    APPROVED = "Approved", "A GrantApproval of this digest holds."
    RECERTIFICATION_DUE = "RecertificationDue", "`recertifyBy` is within 30 days."
    EXPIRY_DUE = "ExpiryDue", "It expires within 14 days."
    NOT_DUE = "NotDue", "There is time."
    RECERTIFICATION_OVERDUE = (
        "RecertificationOverdue",
        "`recertifyBy` is over. It still grants: its business unit's ceiling does not suspend.",
    )
    NOT_OVERDUE = "NotOverdue", "No day has passed."
    MATCHES = "Matches", "It is the consent to a binding as that stands."
    BINDING_NOT_FOUND = "BindingNotFound", "There is no binding of that name."
    DIGEST_DIFFERS = "DigestDiffers", "The binding was edited after it was approved."
    WRONG_BUSINESS_UNIT = "WrongBusinessUnit", "The binding belongs to another business unit."
    REACHABLE = "Reachable", "The CA answers."
    UNREACHABLE = "Unreachable", "The CA does not answer; the message says what was tried."
    NOT_OURS = "NotOurs", "The environment is not in this operator's configuration."
    NO_IDENTITY = "NoIdentity", "The CA has not given the operator an identity."
    NO_AUTHORITY = (
        "NoAuthority",
        "The CA has no authority that signs for it: it has not read the object yet, or waits for a ceremony.",
    )
    REQUESTED = "Requested", "Asked for by `featward.dev/rotate-requested-at`, and not begun yet."
    PREPARING = "Preparing", "The next authority is made, and everybody learns of it."
    ACTIVATING = "Activating", "The next authority signs from now on."
    TAINTING = "Tainting", "What the old authority signed is replaced."
    REVOKING = "Revoking", "The old authority is taken out of everybody's trust."
    IDLE = "Idle", "No rotation is under way."
    BLOCKED = "Blocked", "A step waits for somebody: `status.rotation.blockers`."
    PAUSED = "Paused", "By `featward.dev/rotation: paused`, or by hand at the CA."
    FAILED = "Failed", "The CA refused to begin, or it was given up there; the message says which."
    ENDED = "Ended", "Its time is over."
    LONGER_THAN_MAX_OVERRIDE = (
        "LongerThanMaxOverride",
        "It would hold longer than its environment allows.",
    )
    NO_MAX_OVERRIDE = "NoMaxOverride", "Its environment allows no Override."
    TARGET_NOT_FOUND = "TargetNotFound", "What it is about is not there."


class Event(_Word):
    """What is told by Events."""

    INVALID = "Invalid", "An object can't be used any more, or was made so."
    CLAIM_LOST = "ClaimLost", "A set lists what an older set of its workload has."
    HELD = "Held", "A workload is held."
    SIDECAR_BEHIND = "SidecarBehind", "Sidecars of a set do not take its newest policy."
    SIDECAR_TOO_OLD = "SidecarTooOld", "Sidecars of a set are too old for it."
    SERVICE_BYPASSED = "ServiceBypassed", "Callers reach a feature server past its sidecar."
    OVERRIDDEN = "Overridden", "An Override holds from now on."
    OVERRIDE_ENDED = "OverrideEnded", "It holds no more."
    BINDING_EXPIRED = "BindingExpired", "The last day of a binding is over."
    RECERTIFICATION_DUE = (
        "RecertificationDue",
        "A binding has to be looked at again within 30 days.",
    )
    RECERTIFICATION_OVERDUE = "RecertificationOverdue", "It was not."
    BINDING_SUSPENDED = "BindingSuspended", "It was not, and grants nothing until it is."
    APPROVAL_VOIDED = "ApprovalVoided", "A binding was edited after it was approved."
    BUSINESS_UNIT_CHANGED = "BusinessUnitChanged", "A namespace belongs to another business unit."
    PROTECTION_SUSPENDED = "ProtectionSuspended", "Protection is suspended in a namespace."
    PROTECTION_RESTORED = "ProtectionRestored", "It is no longer."
    SIDECAR_MISSING = (
        "SidecarMissing",
        "A pod asks for a sidecar, or is called as if it had one, and has none.",
    )
    TEMPLATE_OLD = (
        "TemplateOld",
        "Pods of a namespace have sidecars of an older template; restart them.",
    )
    INJECTION_IGNORED = (
        "InjectionIgnored",
        "Pods ask by annotation in a namespace that does not let annotations count.",
    )
    ROTATION_REQUESTED = "RotationRequested", "A rotation was asked for by annotation."
    ROTATION_STEP = "RotationStep", "A rotation is at its next step."
    ROTATION_BLOCKED = "RotationBlocked", "A rotation waits for somebody."
    ROTATION_PAUSED = "RotationPaused", "A rotation was paused by hand."
    ROTATION_RESUMED = "RotationResumed", "It goes on."
    ROTATION_DONE = "RotationDone", "It has ended."
    ROTATION_FAILED = "RotationFailed", "The CA refused to begin, or it was given up there."
    WEBHOOK_CERTIFICATE_ROTATED = (
        "WebhookCertificateRotated",
        "Another authority signs the webhook's certificates: as planned, or (a Warning) because it was lost.",
    )
    GATEWAY_MADE = "GatewayMade", "The gateway of a set was made."


@dataclass(frozen=True, slots=True)
class Question:
    """Who is asked, and the reasons that each answer may have."""

    kinds: tuple[str, ...]
    true: tuple[Reason, ...]
    false: tuple[Reason, ...]
    unknown: tuple[Reason, ...] = ()


_R = Reason
_KINDS = ("Environment", "BusinessUnit", "Workload", "FeatureSet", "FeatureBinding")
_SET, _BINDING, _OWNERS = ("FeatureSet",), ("FeatureBinding",), ("Environment", "BusinessUnit")

QUESTIONS: dict[Type, Question] = {
    Type.READY: Question(
        (*_KINDS, "GrantApproval", "Override"),
        (_R.READY,),
        (),  # the reason of the first question that counts and fails
    ),
    Type.VALID: Question(
        (*_KINDS, "GrantApproval", "Override"),
        (_R.VALID, _R.UNKNOWN_LABEL),
        (_R.INVALID, _R.UNKNOWN_NAMESPACE, _R.NO_BUSINESS_UNIT),
    ),
    Type.CLAIMED: Question(
        _SET, (_R.SOLE_OWNER,), (_R.FEATURE_CLAIMED_BY_OTHER, _R.SERVICE_CLAIMED_BY_OTHER)
    ),
    Type.SERVED: Question(
        _SET, (_R.SIDECARS_READY,), (_R.NO_PODS, _R.NO_SIDECAR, _R.GATEWAY_PENDING)
    ),
    Type.DISTRIBUTED: Question(
        _SET,
        (_R.ALL_CURRENT,),
        (_R.HELD, _R.SIDECAR_REFUSED, _R.SIDECAR_TOO_OLD, _R.SIDECARS_BEHIND),
        (_R.NO_SIDECAR_CONNECTED,),
    ),
    Type.OBSERVED: Question(
        _SET, (_R.CALLERS_SEEN,), (_R.SERVICE_BYPASSES_SIDECAR, _R.NOTHING_SEEN)
    ),
    Type.CLOSED: Question(
        _SET,
        (_R.UPSTREAM_ON_LOOPBACK, _R.OWNER_ACCEPTS),
        (_R.UPSTREAM_ON_ALL_ADDRESSES,),
        (_R.NO_SIDECAR_CONNECTED,),
    ),
    Type.OVERRIDDEN: Question(_SET, (_R.RELAXED, _R.CLOSED_BY_HAND), (_R.NONE,)),
    Type.SUSPENDED: Question((*_SET, *_BINDING), (_R.PROTECTION_SUSPENDED,), (_R.NONE,)),
    Type.GRANTING: Question(
        _BINDING,
        (_R.IN_FORCE,),
        (
            _R.EXPIRED,
            _R.SUSPENDED,
            _R.VERSION_MISMATCH,
            _R.APPROVAL_MISSING,
            _R.APPROVAL_VOID,
            _R.APPROVAL_EXPIRED,
            _R.NOTHING_GRANTABLE,
            _R.CLOSED,
        ),
    ),
    Type.APPROVED: Question(
        _BINDING,
        (_R.NOT_NEEDED, _R.APPROVED),
        (_R.APPROVAL_MISSING, _R.APPROVAL_VOID, _R.APPROVAL_EXPIRED),
    ),
    Type.DUE: Question(_BINDING, (_R.RECERTIFICATION_DUE, _R.EXPIRY_DUE), (_R.NOT_DUE,)),
    Type.OVERDUE: Question(
        _BINDING, (_R.EXPIRED, _R.SUSPENDED, _R.RECERTIFICATION_OVERDUE), (_R.NOT_OVERDUE,)
    ),
    Type.IN_FORCE: Question(
        ("GrantApproval", "Override"),
        (_R.MATCHES, _R.IN_FORCE),
        (
            _R.BINDING_NOT_FOUND,
            _R.DIGEST_DIFFERS,
            _R.EXPIRED,
            _R.WRONG_BUSINESS_UNIT,
            _R.ENDED,
            _R.LONGER_THAN_MAX_OVERRIDE,
            _R.NO_MAX_OVERRIDE,
            _R.TARGET_NOT_FOUND,
        ),
    ),
    Type.AUTHORITY_REACHABLE: Question(
        _OWNERS, (_R.REACHABLE,), (_R.UNREACHABLE, _R.NOT_OURS, _R.NO_IDENTITY)
    ),
    Type.ROTATING: Question(
        _OWNERS,
        (_R.REQUESTED, _R.PREPARING, _R.ACTIVATING, _R.TAINTING, _R.REVOKING),
        (_R.IDLE, _R.BLOCKED, _R.PAUSED, _R.FAILED),
        (_R.UNREACHABLE, _R.NO_IDENTITY, _R.NO_AUTHORITY),
    ),
}
"""What may be answered to each question; `conditions.answer` gives no other."""
