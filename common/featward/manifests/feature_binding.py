"""The kind by which an owner grants features: to whom, which, for what, how much, until when."""

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from featward.manifests.model import (
    Distinct,
    Items,
    Model,
    Namespaced,
    Rule,
    exactly_one,
    one_of,
)
from featward.manifests.text import (
    BusinessUnitName,
    ColumnName,
    Day,
    FeatureName,
    Label,
    Line,
    Name,
    Rate,
    SpiffeIdText,
    VersionRange,
)

__all__ = ["FeatureBinding", "FeatureBindingSpec", "Limits", "Subject"]


class ServiceAccountSubject(Model):
    """A Kubernetes service account."""

    namespace: Label = Field(description="The service account's namespace.")
    name: Name = Field(description="The service account's name.")


class WorkloadSubject(Model):
    """A workload outside Kubernetes."""

    business_unit: BusinessUnitName = Field(description="The workload's business unit.")
    name: Name = Field(description="The workload's name: its `spec.name`.")


class Subject(Model):
    """Whom a binding grants to; exactly one of the four."""

    service_account: ServiceAccountSubject | None = Field(
        default=None, description="A Kubernetes service account."
    )
    workload: WorkloadSubject | None = Field(
        default=None, description="A workload outside Kubernetes."
    )
    spiffe_id: SpiffeIdText | None = Field(default=None, description="One identity, written out.")
    business_unit: BusinessUnitName | None = Field(
        default=None, description="Every identity of a business unit, those of the future too."
    )

    rules: ClassVar[tuple[Rule, ...]] = (
        one_of("serviceAccount", "workload", "spiffeId", "businessUnit"),
    )

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        exactly_one(self, "service_account", "workload", "spiffe_id", "business_unit")
        return self


class FeatureSetReference(Model):
    """The feature set granted from."""

    name: Name = Field(description="A feature set of the binding's own namespace.")
    version: VersionRange | None = Field(
        default=None,
        description='The versions that the binding is for, such as `">=1.2,<2"`. It does not apply to others. '
        "Without it, any.",
    )


class CostLimit(Model):
    """A budget of cost units: a value costs what its feature says."""

    rate: Rate = Field(description="Cost units for each second, minute, hour or day: `10000/m`.")
    burst: int = Field(
        ge=1,
        le=1_000_000_000_000,
        description="Cost units that may be spent at once; a request above it never passes.",
    )


class Limits(Model):
    """How much may be read."""

    cost: CostLimit | None = Field(
        default=None, description="A budget of cost units. Without it, none."
    )
    rows_per_request: int | None = Field(
        default=None,
        ge=1,
        le=1_000_000,
        description="Rows in one request. Without it, the sidecar's own limit.",
    )


class FeatureBindingSpec(Model):
    """The grant."""

    subjects: Items[Subject] = Field(
        min_length=1, max_length=64, description="Whom the binding grants to."
    )
    feature_set: FeatureSetReference = Field(description="The feature set granted from.")
    features: Distinct[FeatureName] = Field(
        default=(), max_length=1024, description="The features granted."
    )
    services: Distinct[ColumnName] = Field(
        default=(),
        max_length=64,
        description="Services whose features are granted, as they are listed by the feature set.",
    )
    purpose: Line = Field(
        description="What the features are used for, in the words of who asked for them."
    )
    limits: Limits = Field(default=Limits(), description="How much may be read.")
    on_excess: Literal["deny", "strip"] = Field(
        default="deny",
        description="What becomes of a request that asks for more than is granted: `deny` refuses it, `strip` "
        "answers it without the rest.",
    )
    expires: Day = Field(
        description="The last day (UTC) on which the binding holds.",
        json_schema_extra={"format": "date"},
    )
    recertify_by: Day | None = Field(
        default=None,
        description="The last day (UTC) by which the owner has looked at the grant again and written a later "
        "day here; not after `expires`. `check` warns for the 30 days before. Afterwards the binding is "
        "overdue, and where its unit's `ceiling.suspendOverdue` says so it grants nothing.",
        json_schema_extra={"format": "date"},
    )

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "(has(self.features) && size(self.features) > 0) || "
            "(has(self.services) && size(self.services) > 0)",
            "expected features or services, found neither",
        ),
        Rule(
            "!has(self.recertifyBy) || self.recertifyBy <= self.expires",
            "expected a recertifyBy not after expires",
        ),
    )

    @model_validator(mode="after")
    def _grants_something(self) -> Self:
        if not self.features and not self.services:
            raise ValueError("expected features or services, found neither")
        return self

    @model_validator(mode="after")
    def _recertified_while_it_holds(self) -> Self:
        # Days of one form sort as texts.
        if self.recertify_by is not None and self.recertify_by > self.expires:
            raise ValueError(
                f"recertifyBy {self.recertify_by} is after {self.expires}, the day on which the binding expires"
            )
        return self


class FeatureBinding(Model):
    """A grant: these identities may read these features of this set, for this purpose, until this day."""

    api_version: Literal["featward.dev/v1alpha1"] = Field(description="The version of this format.")
    kind: Literal["FeatureBinding"] = Field(description="The kind of object.")
    metadata: Namespaced = Field(description="The object's name, namespace and labels.")
    spec: FeatureBindingSpec = Field(description="The grant.")
