"""The kinds by which somebody above a team decides: consent to what the team alone may not grant."""

from typing import Literal

from pydantic import Field

from featward.manifests.model import ClusterMetadata, Model
from featward.manifests.text import BindingDigest, BusinessUnitName, Day, Label, Line, Name

__all__ = ["BindingReference", "GrantApproval", "GrantApprovalSpec"]


class BindingReference(Model):
    """A FeatureBinding."""

    namespace: Label = Field(description="The binding's namespace.")
    name: Name = Field(description="The binding's name.")


class GrantApprovalSpec(Model):
    """Who consents to what, and until when."""

    binding: BindingReference = Field(description="The binding consented to.")
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
