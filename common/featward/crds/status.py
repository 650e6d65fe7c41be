"""What the operator says of each kind in its ``status``, as models: written by it alone, by server-side apply.

Counters are of what featward itself saw; a missing one is not known, and 0 is known to be none. Every list
has an end, so that a set with a thousand callers does not outgrow what an API server stores: the newest stay.
"""

from typing import Annotated, Any, ClassVar, Literal, TypeAlias

from pydantic import ConfigDict, Field, StringConstraints

from featward.manifests.model import Items, Model
from featward.manifests.text import BindingDigest, FeatureName, Line, Moment, Name, SpiffeIdText

__all__ = [
    "STATUS",
    "ApprovalStatus",
    "Authority",
    "BindingStatus",
    "Bypassing",
    "Condition",
    "FeatureSetStatus",
    "Laggard",
    "Listening",
    "OverrideStatus",
    "OwnerStatus",
    "ReplicaRow",
    "Rotation",
    "RotationRequest",
    "Sightings",
    "Status",
    "Unidentified",
    "WouldBeRefused",
]

ROWS = 32
"""Rows that a list of things seen holds: more than a person reads, and few enough to be stored often."""
REPLICAS = 16
"""Replicas of the operator that can report at once; two to five run."""

Word: TypeAlias = Annotated[
    str, StringConstraints(pattern="^[A-Z][A-Za-z0-9]*$", min_length=1, max_length=64)
]
Sentence: TypeAlias = Annotated[str, StringConstraints(max_length=4096)]
SnapshotDigest: TypeAlias = Annotated[
    str, StringConstraints(pattern="^[0-9a-f]{64}$", min_length=64, max_length=64)
]
Progress: TypeAlias = Annotated[
    str, StringConstraints(pattern="^[0-9]+/[0-9]+$", min_length=3, max_length=41)
]
Count: TypeAlias = Annotated[int, Field(ge=0)]
Port: TypeAlias = Annotated[int, Field(ge=1, le=65535)]


class Said(Model):
    """A part of a status; the operator writes it by the names of Python."""

    model_config = ConfigDict(validate_by_name=True, validate_by_alias=True)


class Condition(Said):
    """One question about the object and its answer, as Kubernetes has them."""

    row_key: ClassVar[str] = "type"

    type: Word = Field(description="The question, such as `Ready`.")
    status: Literal["True", "False", "Unknown"] = Field(description="The answer.")
    reason: Word = Field(description="Why, in one word that programs may depend on.")
    message: Sentence = Field(description="Why, in a sentence for people.")
    last_transition_time: Moment = Field(
        description="When the answer last changed.", json_schema_extra={"format": "date-time"}
    )
    observed_generation: Count | None = Field(
        default=None, description="The `metadata.generation` that the answer is about."
    )


class Status(Said):
    """What every kind says."""

    observed_generation: Count | None = Field(
        default=None, description="The `metadata.generation` that the status is about."
    )
    conditions: Items[Condition] = Field(
        default=(), max_length=16, description="The questions and their answers, by type."
    )

    def as_json(self) -> dict[str, Any]:
        """As it is applied: what is not known and lists of nothing are left out."""
        return self.model_dump(by_alias=True, exclude_none=True, exclude_defaults=True, mode="json")


class Laggard(Said):
    """A pod whose sidecar does not use the newest policy."""

    pod: Name = Field(description="The pod's name.")
    digest: SnapshotDigest | None = Field(
        default=None, description="The policy that it uses. Without it, none."
    )
    engine: Line | None = Field(default=None, description="The version of its engine.")
    since: Moment = Field(
        description="Since when it is behind.", json_schema_extra={"format": "date-time"}
    )
    error: Line | None = Field(
        default=None,
        description="Why its engine would not take the newest policy, where it said so.",
    )


class WouldBeRefused(Said):
    """A caller whom mode enforce would refuse some of what it asks for now."""

    caller: SpiffeIdText = Field(description="Who it is.")
    reason: Line = Field(description="The reason that the refusal would give.")
    missing: Items[FeatureName] = Field(
        default=(), max_length=16, description="Features that it asks for and is not granted."
    )
    last_seen: Moment = Field(
        description="When it last asked so.", json_schema_extra={"format": "date-time"}
    )
    count: Count = Field(description="How often it was seen to.")


class Unidentified(Said):
    """A caller without identity on the plain port."""

    address: Line = Field(description="The IP address that it calls from.")
    pod: Line | None = Field(
        default=None, description="The pod that has the address, `namespace/name`, where one has."
    )
    last_seen: Moment = Field(
        description="When it last called.", json_schema_extra={"format": "date-time"}
    )


class Bypassing(Said):
    """A caller of the feature server's own port, past the sidecar."""

    address: Line = Field(description="The IP address that it calls from.")
    port: Port = Field(description="The port that it calls.")
    pod: Line | None = Field(
        default=None, description="The pod that has the address, `namespace/name`, where one has."
    )
    last_seen: Moment = Field(
        description="When it was last seen.", json_schema_extra={"format": "date-time"}
    )


class Listening(Said):
    """Where processes of the set's pods listen beside the sidecar."""

    port: Port = Field(description="The port.")
    address: Line = Field(description="The IP address; `0.0.0.0` and `::` are all of the pod's.")


class Sightings(Said):
    """What the sidecars of a set report."""

    sidecars: Count | None = Field(default=None, description="Sidecars that are connected.")
    sidecars_current: Count | None = Field(
        default=None, description="Those of them that use the newest policy."
    )
    laggards: Items[Laggard] = Field(
        default=(), max_length=ROWS, description="Those that do not, the longest behind first."
    )
    answered_last_hour: Count | None = Field(
        default=None, description="Requests answered in the last hour."
    )
    refused_last_hour: Count | None = Field(
        default=None, description="Requests refused in the last hour."
    )
    would_be_refused: Items[WouldBeRefused] = Field(
        default=(),
        max_length=ROWS,
        description="Callers that enforce would refuse, the latest first.",
    )
    unidentified: Items[Unidentified] = Field(
        default=(),
        max_length=ROWS,
        description="Callers that have no identity yet, the latest first.",
    )
    bypassing: Items[Bypassing] = Field(
        default=(),
        max_length=ROWS,
        description="Callers that go past the sidecar, the latest first.",
    )
    listening: Items[Listening] = Field(
        default=(),
        max_length=ROWS,
        description="Where the set's pods listen beside the sidecar, by port.",
    )


class ReplicaRow(Sightings):
    """What one replica of the operator knows of the set; the leader adds the rows up."""

    row_key: ClassVar[str] = "replica"

    replica: Name = Field(description="The replica's pod.")
    seen_at: Moment = Field(
        description="When it wrote this row.", json_schema_extra={"format": "date-time"}
    )
    digest: SnapshotDigest | None = Field(
        default=None, description="The newest policy as the replica compiled it."
    )

    def as_row(self) -> dict[str, Any]:
        """As it is applied: what is not known and lists of nothing are left out."""
        return self.model_dump(by_alias=True, exclude_none=True, exclude_defaults=True, mode="json")


class FeatureSetStatus(Status, Sightings):
    """How a feature set is served."""

    server: SpiffeIdText | None = Field(
        default=None, description="The identity that serves the set."
    )
    service: Name | None = Field(
        default=None, description="The Service by which clients reach its sidecars."
    )
    mode: Literal["observe", "shadow", "enforce", "closed"] | None = Field(
        default=None, description="What is in force, Overrides taken into account."
    )
    digest: SnapshotDigest | None = Field(
        default=None, description="The newest policy of the workload that serves the set."
    )
    progress: Progress | None = Field(
        default=None, description="`sidecarsCurrent` of `sidecars`, such as `3/3`."
    )
    identities_covered: Count | None = Field(
        default=None, description="Identities that some binding grants to."
    )
    overrides: Items[Name] = Field(
        default=(), max_length=ROWS, description="The Overrides in force for it, by name."
    )
    suspended: bool | None = Field(
        default=None, description="Whether protection is suspended in its namespace."
    )
    replicas: Items[ReplicaRow] = Field(
        default=(), max_length=REPLICAS, description="What each replica of the operator knows."
    )


class BindingStatus(Status):
    """What a binding amounts to."""

    identities_covered: Count | None = Field(
        default=None, description="Identities that it grants to now."
    )
    granted_features: Count | None = Field(default=None, description="Features that it grants now.")
    digest: BindingDigest | None = Field(
        default=None, description="The digest of its `spec`, which a GrantApproval names."
    )
    approval: Name | None = Field(
        default=None, description="The GrantApproval that it rests on, where it needs one."
    )


class RotationRequest(Said):
    """A rotation that the operator has asked the CA for, kept so that it asks once."""

    requested_at: Line = Field(
        description="The value of `featward.dev/rotate-requested-at` that it was asked for by."
    )
    generation: Count = Field(
        description="The generation of the authority that has to sign in the end: one more than the one that "
        "signed when it was asked for."
    )
    done: bool | None = Field(default=None, description="Whether the rotation has ended.")


class Rotation(Said):
    """The replacement of an authority that is under way, or the last one."""

    id: Line | None = Field(default=None, description="Its id at the CA.")
    step: Literal["request", "prepare", "activate", "taint", "revoke", "done"] | None = Field(
        default=None, description="What is done next."
    )
    state: Literal["running", "blocked", "paused", "done", "cancelled"] | None = Field(
        default=None, description="How it goes."
    )
    since: Moment | None = Field(
        default=None,
        description="Since when it is at this step.",
        json_schema_extra={"format": "date-time"},
    )
    acknowledged: Count | None = Field(
        default=None, description="Clients that have acknowledged what the step needs."
    )
    needed: Count | None = Field(default=None, description="Clients that have to.")
    progress: Progress | None = Field(
        default=None, description="`acknowledged` of `needed`, such as `41/42`."
    )
    blockers: Items[Line] = Field(
        default=(), max_length=16, description="What stands in the way, a sentence each."
    )
    held: bool | None = Field(
        default=None,
        description="Whether the operator has paused it, because of `featward.dev/rotation: paused`. What "
        "somebody has paused at the CA the operator does not resume.",
    )
    request: RotationRequest | None = Field(
        default=None, description="What the operator has asked for."
    )


class Authority(Said):
    """The key that signs now."""

    id: Line | None = Field(default=None, description="Its id at the CA.")
    generation: Count | None = Field(
        default=None, description="Counts the authorities of this owner from 1."
    )
    not_after: Moment | None = Field(
        default=None, description="When it ends.", json_schema_extra={"format": "date-time"}
    )
    replace_at: Moment | None = Field(
        default=None,
        description="When the CA's schedule begins to replace it. Without it, it is being replaced, or it is "
        "a root that only a ceremony replaces.",
        json_schema_extra={"format": "date-time"},
    )


class OwnerStatus(Status):
    """How the owner of an authority stands: an environment by its root, a business unit by its issuing key."""

    rotation: Rotation | None = Field(
        default=None, description="The rotation under way, or the last one."
    )
    authority: Authority | None = Field(default=None, description="The key that signs now.")


class ApprovalStatus(Status):
    """Whether an approval holds."""


class OverrideStatus(Status):
    """Whether an Override is in force."""

    target: Line | None = Field(
        default=None, description="What it is about, such as `featureset ml/driver-stats`."
    )


STATUS: dict[str, type[Status]] = {
    "Environment": OwnerStatus,
    "BusinessUnit": OwnerStatus,
    "Workload": Status,
    "FeatureSet": FeatureSetStatus,
    "FeatureBinding": BindingStatus,
    "GrantApproval": ApprovalStatus,
    "Override": OverrideStatus,
}
"""The status of each kind that has a CRD."""
