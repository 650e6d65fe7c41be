"""The kind that owners of feature servers write: what is served, where, and how strictly it is guarded."""

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
    Address,
    ColumnName,
    Day,
    FeatureName,
    HostName,
    Line,
    Name,
    VersionText,
)

__all__ = [
    "LONGEST_GATEWAY_SET",
    "Accepted",
    "Endpoint",
    "Enforcement",
    "Entity",
    "Feature",
    "FeatureSet",
    "FeatureSetSpec",
    "Gateway",
    "Service",
    "Serving",
]

LONGEST_GATEWAY_SET = 245
"""Letters in the name of a set with a gateway: its service account is ``<name>-gateway``, of 253 at most."""

ScalarType = Literal["int32", "int64", "float", "double", "string", "bool", "bytes", "timestamp"]
ValueType = Literal[
    "int32", "int64", "float", "double", "string", "bool", "bytes", "timestamp", "other"
]


class Owner(Model):
    """Whom a refused caller may ask."""

    team: Line = Field(description="The team that owns the features.")
    contact: Line = Field(
        description="Where to reach it; refused callers of the environment are told."
    )


class ServingWorkload(Model):
    """The workload beside whose sidecar the feature server runs; exactly one of the two."""

    service_account: Name | None = Field(
        default=None, description="A Kubernetes service account of the feature set's namespace."
    )
    name: Name | None = Field(
        default=None,
        description="A Workload (its `spec.name`) of the business unit of the feature set's namespace.",
    )

    rules: ClassVar[tuple[Rule, ...]] = (one_of("serviceAccount", "name"),)

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        exactly_one(self, "service_account", "name")
        return self


class Gateway(Model):
    """A sidecar as a Deployment of its own, before a server that nothing can be injected into. Its identity is
    the service account `<name of the set>-gateway`."""

    replicas: int = Field(default=2, ge=1, le=50, description="How many pods it has.")
    upstream: Address = Field(
        description="The feature server, `host:port`, as the gateway's pods reach it, such as "
        "`feast-online.ml.svc:80`. This way is not encrypted."
    )


class Endpoint(Model):
    """Where the feature server itself listens, as its sidecar reaches it. Behind a gateway its `upstream` says
    so, and neither host nor port is given."""

    adapter: Literal["feast-http/v1"] = Field(
        description="The feature server's API: `feast-http/v1` is Feast's HTTP feature server."
    )
    host: HostName = Field(
        default="127.0.0.1", description="The host; loopback, unless it can't be."
    )
    port: int | None = Field(
        default=None,
        ge=1,
        le=65535,
        description="The port; required beside `workload`.",
    )


class Serving(Model):
    """How the features are served: by a workload or behind a gateway, exactly one of the two."""

    workload: ServingWorkload | None = Field(
        default=None, description="The workload that serves the features, with a sidecar beside it."
    )
    gateway: Gateway | None = Field(
        default=None,
        description="Kubernetes only: the operator sets a sidecar up before a server that can't have one "
        "beside it.",
    )
    endpoints: Items[Endpoint] = Field(
        min_length=1, max_length=1, description="The feature server's APIs behind the sidecar."
    )
    upstream_auth: Literal["none", "passthrough", "token"] = Field(
        default="none",
        description="What becomes of the `Authorization` header on the way to the feature server: `none` "
        "drops it, `passthrough` keeps the caller's (unsigned tokens are refused), `token` sets the "
        "sidecar's own. Both need endpoints on loopback: this way is not encrypted.",
    )
    address: Address | None = Field(
        default=None,
        description="Where the sidecar in front of the feature server listens, `host:port`. Clients outside "
        "Kubernetes need it.",
    )

    rules: ClassVar[tuple[Rule, ...]] = (
        one_of("workload", "gateway"),
        Rule(
            "!has(self.gateway) || self.endpoints.all(one, !has(one.host) && !has(one.port))",
            "expected neither host nor port of an endpoint beside gateway, whose upstream says both",
        ),
        Rule(
            "has(self.gateway) || self.endpoints.all(one, has(one.port))",
            "expected the port of each endpoint, on which the feature server listens",
        ),
    )

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        exactly_one(self, "workload", "gateway")
        return self

    @model_validator(mode="after")
    def _upstream_says_where(self) -> Self:
        given = [{"host", "port"} & one.model_fields_set for one in self.endpoints]
        if self.gateway is not None and any(given):
            raise ValueError(
                "expected neither host nor port of an endpoint beside gateway, whose upstream says both"
            )
        return self

    @model_validator(mode="after")
    def _endpoints_have_ports(self) -> Self:
        if self.gateway is None and any(one.port is None for one in self.endpoints):
            raise ValueError(
                "expected the port of each endpoint, on which the feature server listens"
            )
        return self

    @property
    def workload_name(self) -> str | None:
        """The Workload that serves, by its `spec.name`; None where a service account or a gateway does."""
        return self.workload.name if self.workload is not None else None

    def upstream_of(self, endpoint: Endpoint) -> tuple[str, int]:
        """Host and port at which the feature server itself is reached."""
        if self.gateway is not None:
            host, _, port = self.gateway.upstream.rpartition(":")
            return host, int(port)
        if endpoint.port is None:
            raise AssertionError("an endpoint beside a workload has a port")
        return endpoint.host, endpoint.port


class Unidentified(Model):
    """Callers that have no identity yet and come in on the plain port."""

    allow: bool = Field(
        description="Whether they pass in observe and shadow. In enforce they are refused anyway."
    )
    until: Day | None = Field(
        default=None,
        description="The last day on which they pass. Required where they are allowed.",
        json_schema_extra={"format": "date"},
    )

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "!self.allow || has(self.until)",
            "expected until, the last day on which callers without identity pass, beside allow: true",
        ),
    )

    @model_validator(mode="after")
    def _dated(self) -> Self:
        if self.allow and self.until is None:
            raise ValueError(
                "expected until, the last day on which callers without identity pass, beside allow: true"
            )
        return self


class Enforcement(Model):
    """How strictly the feature set is guarded."""

    mode: Literal["observe", "shadow", "enforce"] = Field(
        default="enforce",
        description="`observe` records and refuses nothing; `shadow` refuses by identity and route, and "
        "records what it would have decided; `enforce` decides.",
    )
    unidentified: Unidentified = Field(
        default=Unidentified(allow=False), description="Callers that have no identity yet."
    )


class Entity(Model):
    """A key that rows are asked for by, or a value that the caller sends along."""

    name: ColumnName = Field(description="The name by which a request gives it.")
    type: ScalarType = Field(description="The type of its values.")


class Feature(Model):
    """One column that can be granted."""

    name: FeatureName = Field(description="As a request names it: `view:column`.")
    type: ValueType = Field(
        description="The type of its values; `other` for lists, maps and structures."
    )
    sensitivity: int = Field(
        default=1, ge=0, le=3, description="0 public, 1 internal, 2 confidential, 3 secret."
    )
    cost: int = Field(
        default=1, ge=1, le=1_000_000, description="Cost units of one value, for limits."
    )
    lineage: Line | None = Field(default=None, description="Where the values come from.")


class Service(Model):
    """Features that are asked for together under one name."""

    name: ColumnName = Field(description="As a request names it: Feast's `feature_service`.")
    features: Distinct[FeatureName] = Field(
        min_length=1, max_length=1024, description="Features of this set."
    )


class Accepted(Model):
    """Something beside the API that stays open, and that the owner answers for."""

    what: Literal["feature-server", "online-store", "offline-server", "registry", "ui", "other"] = (
        Field(description="What it is that stays open.")
    )
    port: int | None = Field(
        default=None, ge=1, le=65535, description="Its port. Without it, whichever it has."
    )
    reason: Line = Field(description="Why, in the words of whoever answers for it.")
    until: Day = Field(
        description="The last day (UTC) on which it is accepted. Afterwards it is reported as open.",
        json_schema_extra={"format": "date"},
    )


class FeatureSetSpec(Model):
    """What is served and how it is guarded."""

    version: VersionText = Field(
        description='The set\'s version, in quotes: `"1.2.0"`. Bindings name a range of them.'
    )
    owner: Owner = Field(description="Whom a refused caller may ask.")
    serving: Serving = Field(description="How the features are served.")
    enforcement: Enforcement = Field(
        default=Enforcement(), description="How strictly the set is guarded."
    )
    entities: Items[Entity] = Field(
        min_length=1, max_length=64, description="The keys that rows are asked for by."
    )
    request_inputs: Items[Entity] = Field(
        default=(),
        max_length=256,
        description="Values that callers send along, for features computed on demand.",
    )
    features: Items[Feature] = Field(
        min_length=1, max_length=8192, description="The features that can be granted."
    )
    services: Items[Service] = Field(
        default=(),
        max_length=512,
        description="Features that are asked for together under one name.",
    )
    accepted: Items[Accepted] = Field(
        default=(),
        max_length=32,
        description="What of the serving pods stays open beside the sidecar, and is reported as accepted where "
        "it would be reported as open. It opens and closes nothing.",
    )


class FeatureSet(Model):
    """A named, versioned, owned group of features behind one API. What is not listed can't be read."""

    api_version: Literal["featward.dev/v1alpha1"] = Field(description="The version of this format.")
    kind: Literal["FeatureSet"] = Field(description="The kind of object.")
    metadata: Namespaced = Field(description="The object's name, namespace and labels.")
    spec: FeatureSetSpec = Field(description="What is served and how it is guarded.")

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            f"!has(self.spec.serving.gateway) || size(self.metadata.name) <= {LONGEST_GATEWAY_SET}",
            f"expected a name of at most {LONGEST_GATEWAY_SET} characters for a set with a gateway",
        ),
    )

    @model_validator(mode="after")
    def _names_its_gateway(self) -> Self:
        if self.spec.serving.gateway and len(self.metadata.name) > LONGEST_GATEWAY_SET:
            raise ValueError(
                f"expected a name of at most {LONGEST_GATEWAY_SET} characters for a set with a gateway"
            )
        return self
