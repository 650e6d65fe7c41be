"""The kinds that platform engineers write: environments, business units, namespaces, workloads.

They say who may exist. The CA reads them to know what it may issue, the compiler to know whom a name means.
"""

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from featward.manifests.attestors import Attestation, Cluster, JwtIssuer
from featward.manifests.federation import Federation
from featward.manifests.model import ClusterMetadata, Items, Model, Rule
from featward.manifests.text import (
    BusinessUnitName,
    Day,
    Duration,
    Label,
    Name,
    TrustDomainName,
    seconds,
)

__all__ = [
    "AUTHORITY_TTLS",
    "BusinessUnit",
    "Ceiling",
    "Environment",
    "Namespace",
    "Workload",
]

# An authority needs a TTL to be announced, one during which it is used while the next is made, and
# the SVIDs of its last hour must end before it does; six leaves room for a CA that was away for
# some of it.
AUTHORITY_TTLS = 6
_SVID_TTL = "1h"
_LIFETIME = "7d"


class EnvironmentMetadata(ClusterMetadata):
    """An environment's name is one label, because a business unit's name begins with it and a dot."""

    name: Label = Field(description="The environment's name, such as `prod`.")


class EnvironmentSpec(Model):
    """What holds in the whole environment."""

    trust_domain: TrustDomainName = Field(
        description="The SPIFFE trust domain of the environment, which no other environment shares."
    )
    svid_ttl: Duration = Field(
        default=_SVID_TTL,
        alias="svidTTL",
        description="How long a workload's certificate is valid. The CA accepts 5 minutes to 24 hours.",
        json_schema_extra={"format": "duration"},
    )
    renew_every: Duration | None = Field(
        default=None,
        description="Certificates are renewed after this time, where half of the `svidTTL` is later; less than "
        "that half. Long-lived certificates renewed often survive a night without the CA.",
        json_schema_extra={"format": "duration"},
    )
    enforce_by: Day | None = Field(
        default=None,
        description="After this day no feature set of the environment may be in mode `observe`.",
        json_schema_extra={"format": "date"},
    )
    max_override: Duration | None = Field(
        default=None,
        description="How long an Override may hold, counted from when it was made. Without it none is ever in "
        "force.",
        json_schema_extra={"format": "duration"},
    )
    federates_with: Items[Federation] = Field(
        default=(),
        max_length=64,
        description="Foreign trust domains whose identities can be told, and granted to by full SPIFFE ID.",
    )
    clusters: Items[Cluster] = Field(
        default=(),
        max_length=64,
        description="The Kubernetes clusters whose service accounts get identities of the environment.",
    )
    jwt_issuers: Items[JwtIssuer] = Field(
        default=(),
        max_length=64,
        description="The OIDC issuers whose tokens prove workloads.",
    )

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "!has(self.renewEvery) || self.renewEvery.getSeconds() * 2 < "
            f"(has(self.svidTTL) ? self.svidTTL.getSeconds() : {seconds(_SVID_TTL)})",
            "expected a renewEvery below half of the svidTTL, when certificates are renewed anyway",
        ),
    )
    transitions: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "self.trustDomain == oldSelf.trustDomain",
            "an environment keeps its trust domain, which is part of every identity in it; make another "
            "environment and move there",
        ),
    )

    @model_validator(mode="after")
    def _renews_in_time(self) -> Self:
        if self.renew_every and seconds(self.renew_every) * 2 >= seconds(self.svid_ttl):
            raise ValueError(
                f"renewEvery of {self.renew_every} is not below half of the svidTTL of {self.svid_ttl}, when "
                "certificates are renewed anyway"
            )
        return self


class Environment(Model):
    """One stage, such as dev or prod, with a root key of its own. Nothing of one is accepted in another."""

    api_version: Literal["featward.dev/v1alpha1"] = Field(description="The version of this format.")
    kind: Literal["Environment"] = Field(description="The kind of object.")
    metadata: EnvironmentMetadata = Field(description="The object's name and labels.")
    spec: EnvironmentSpec = Field(description="What holds in the environment.")


class BusinessUnitMetadata(ClusterMetadata):
    """A business unit's name says which environment it is in."""

    name: BusinessUnitName = Field(
        description="The environment's name, a dot, and the unit's own name: `prod.payments`."
    )


class Authority(Model):
    """The unit's issuing key."""

    lifetime: Duration = Field(
        default=_LIFETIME,
        description="How long the unit's issuing certificate is valid; at least six times the `svidTTL`.",
        json_schema_extra={"format": "duration"},
    )
    rotate_every: Duration | None = Field(
        default=None,
        description="The CA replaces the key this long after it was made, where two sevenths of its `lifetime` "
        "before its end is later; at least six times the `svidTTL`, and less than `lifetime`.",
        json_schema_extra={"format": "duration"},
    )

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "!has(self.rotateEvery) || self.rotateEvery < "
            f"(has(self.lifetime) ? self.lifetime : duration('{seconds(_LIFETIME)}s'))",
            "expected a rotateEvery below the lifetime of the authority",
        ),
    )

    @model_validator(mode="after")
    def _rotates_while_it_lives(self) -> Self:
        if self.rotate_every and seconds(self.rotate_every) >= seconds(self.lifetime):
            raise ValueError(
                f"rotateEvery of {self.rotate_every} is not below the authority's lifetime of {self.lifetime}"
            )
        return self


class Ceiling(Model):
    """What the unit's teams may grant at most by themselves. A ceiling narrows grants and never widens them."""

    max_sensitivity: int = Field(
        default=3,
        ge=0,
        le=3,
        description="Features above this sensitivity are granted only by a binding with a GrantApproval.",
    )
    max_binding_life: Duration | None = Field(
        default=None,
        description="A binding may expire at most so long from now. Without it any day is allowed.",
        json_schema_extra={"format": "duration"},
    )
    suspend_overdue: bool = Field(
        default=False,
        description="Whether a binding that is not recertified in time grants nothing until it is. Without it, "
        "that it is overdue is only reported.",
    )


class BusinessUnitSpec(Model):
    """How the unit issues and what it may grant."""

    authority: Authority = Field(default=Authority(), description="The unit's issuing key.")
    ceiling: Ceiling = Field(
        default=Ceiling(), description="What the unit's teams may grant at most."
    )


class BusinessUnit(Model):
    """An owner inside an environment. `<environment>.default` exists without being declared."""

    api_version: Literal["featward.dev/v1alpha1"] = Field(description="The version of this format.")
    kind: Literal["BusinessUnit"] = Field(description="The kind of object.")
    metadata: BusinessUnitMetadata = Field(description="The object's name and labels.")
    spec: BusinessUnitSpec = Field(
        default=BusinessUnitSpec(), description="How the unit issues and what it may grant."
    )


class NamespaceMetadata(ClusterMetadata):
    """A namespace's labels decide whom it belongs to."""

    name: Label = Field(description="The namespace's name.")
    labels: dict[str, str] = Field(
        default_factory=dict,
        description="Labels. `featward.dev/business-unit` decides the environment and business unit. Where one "
        "environment is declared, a namespace without it belongs to `<environment>.default`.",
    )


class Namespace(Model):
    """A Kubernetes namespace. Outside Kubernetes it groups feature sets and bindings in the same way."""

    api_version: Literal["v1"] = Field(description="Kubernetes' own version.")
    kind: Literal["Namespace"] = Field(description="The kind of object.")
    metadata: NamespaceMetadata = Field(description="The namespace's name and labels.")


class WorkloadSpec(Model):
    """Who the workload is."""

    business_unit: BusinessUnitName = Field(description="The business unit that owns the workload.")
    name: Name = Field(
        description="The workload's name in its business unit, the end of its SPIFFE ID."
    )
    role: Literal["service", "ci"] = Field(
        default="service",
        description="`ci` for a job of a CI system; its SPIFFE ID has `/ci/` in the place of `/svc/`.",
    )
    attest: Attestation = Field(
        default=Attestation(),
        description="How the workload proves who it is. Without it, by a join token.",
    )


class Workload(Model):
    """A program outside Kubernetes: `spiffe://<trust domain>/bu/<unit>/svc/<name>`, or `…/ci/<name>`."""

    api_version: Literal["featward.dev/v1alpha1"] = Field(description="The version of this format.")
    kind: Literal["Workload"] = Field(description="The kind of object.")
    metadata: ClusterMetadata = Field(description="The object's name and labels.")
    spec: WorkloadSpec = Field(description="Who the workload is.")
