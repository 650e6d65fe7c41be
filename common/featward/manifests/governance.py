"""The kinds by which somebody above a team decides: consent to what the team alone may not grant, and for a
few hours another mode than the team wrote.
"""

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from featward.manifests.model import ClusterMetadata, Model, Rule, exactly_one, one_of
from featward.manifests.text import BindingDigest, BusinessUnitName, Day, Label, Line, Moment, Name

__all__ = [
    "GrantApproval",
    "GrantApprovalSpec",
    "NamespacedReference",
    "Override",
    "OverrideSpec",
    "OverrideTarget",
]


class NamespacedReference(Model):
    """An object of a namespace."""

    namespace: Label = Field(description="Its namespace.")
    name: Name = Field(description="Its name.")


class GrantApprovalSpec(Model):
    """Who consents to what, and until when."""

    binding: NamespacedReference = Field(description="The binding consented to.")
    binding_digest: BindingDigest = Field(
        description="The digest of the binding's `spec` as it was read by whoever consents. Any edit of it, a "
        "later `recertifyBy` too, makes another digest, and so voids the approval.",
    )
    business_unit: BusinessUnitName = Field(
        description="The business unit that consents: the one that the binding's namespace belongs to."
    )
    reason: Line = Field(description="Why, in the words of whoever consents.")
    expires: Day = Field(
        description="The last day (UTC) of the consent. A binding that needs it ends with it, whole.",
        json_schema_extra={"format": "date"},
    )


class GrantApproval(Model):
    """Consent of a business unit, above its team, to a binding that grants across business units or above the
    ceiling. Without it those subjects and features are left out."""

    api_version: Literal["featward.dev/v1alpha1"] = Field(description="The version of this format.")
    kind: Literal["GrantApproval"] = Field(description="The kind of object.")
    metadata: ClusterMetadata = Field(description="The object's name and labels.")
    spec: GrantApprovalSpec = Field(description="Who consents to what, and until when.")


class OverrideTarget(Model):
    """What is overridden; exactly one of the three."""

    feature_set: NamespacedReference | None = Field(default=None, description="A FeatureSet.")
    binding: NamespacedReference | None = Field(
        default=None, description="A FeatureBinding, which can only be closed."
    )
    environment: Label | None = Field(
        default=None, description="Every feature set of an environment, by its name."
    )

    rules: ClassVar[tuple[Rule, ...]] = (one_of("featureSet", "binding", "environment"),)

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        exactly_one(self, "feature_set", "binding", "environment")
        return self


class OverrideSpec(Model):
    """What holds instead, for what, why, and until when."""

    action: Literal["relax", "close"] = Field(
        description="`relax`: as in shadow, where the mode is stricter, so identities and routes still count; "
        "`close`: every request is refused, in observe too."
    )
    target: OverrideTarget = Field(description="What is overridden.")
    reason: Line = Field(description="Why, in the words of whoever decides.")
    expires: Moment = Field(
        description="The moment from which on it holds no more; at most the environment's `maxOverride` after "
        "the Override was made.",
        json_schema_extra={"format": "date-time"},
    )

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "self.action != 'relax' || !has(self.target.binding)",
            "expected a feature set or an environment to relax; a binding can only be closed",
        ),
    )
    transitions: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "self == oldSelf",
            "an Override is not changed once it is made; delete it and make another",
        ),
    )

    @model_validator(mode="after")
    def _relaxes_no_binding(self) -> Self:
        if self.action == "relax" and self.target.binding is not None:
            raise ValueError(
                "expected a feature set or an environment to relax; a binding can only be closed"
            )
        return self


class Override(Model):
    """A decision by hand that ends by itself: for a few hours a feature set is relaxed, or it or a binding is
    closed. It is made in a cluster and never kept in a folder, where nobody would take it out again."""

    api_version: Literal["featward.dev/v1alpha1"] = Field(description="The version of this format.")
    kind: Literal["Override"] = Field(description="The kind of object.")
    metadata: ClusterMetadata = Field(description="The object's name and labels.")
    spec: OverrideSpec = Field(description="What holds instead, for what, why, and until when.")
