"""Who exists: the part of the manifests that the CA acts on, reduced to plain values.

It stands between the CA and the manifest models so that issuing knows nothing of YAML. Outside
Kubernetes only a `Workload` can be attested; whoever is not in the directory any more is not
renewed either.
"""

import pwd
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from featward.errors import SpiffeIdError
from featward.identity.called import Called
from featward.identity.spiffe import SpiffeId
from featward_ca.errors import ConfigurationError, MalformedRequestError, UnknownWorkloadError
from featward_ca.federation.relations import Relation


@dataclass(frozen=True)
class Cluster:
    """A Kubernetes cluster whose service accounts are attested; `business_units` may hold ``*``."""

    name: str
    issuer: str
    business_units: frozenset[str]

    def may_attest(self, business_unit: str) -> bool:
        """Whether its namespaces may belong to this business unit."""
        return not self.business_units.isdisjoint({"*", business_unit})


@dataclass(frozen=True)
class JwtIssuer:
    """An OIDC issuer whose tokens prove workloads; `max_key_age` in seconds."""

    name: str
    issuer: str
    ca_file: str | None
    max_key_age: float


@dataclass(frozen=True)
class JwtRule:
    """What a token of an issuer has to claim, each value exactly so."""

    issuer: str
    claims: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Workload:
    """One workload that may be attested. `name` is as on command lines:
    ``prod.payments/pricing-api``; of a service account ``cluster/namespace/name``.
    """

    name: str
    business_unit: str
    spiffe_id: SpiffeId
    # A user name or uid; None: not attested by the kernel's word.
    unix_user: str | None = None
    jwt: JwtRule | None = None

    def fits(self, issuer: str, claims: Mapping[str, Any]) -> bool:
        """Whether this workload is attested by verified claims of the issuer of this name."""
        if self.jwt is None or self.jwt.issuer != issuer or not self.jwt.claims:
            return False
        return all(claims.get(name) == value for name, value in self.jwt.claims)

    def runs_as(self, uid: int) -> bool:
        """Whether this workload is attested by processes of this user."""
        if self.unix_user is None:
            return False
        if self.unix_user.isdecimal():
            return int(self.unix_user) == uid
        try:
            return pwd.getpwnam(self.unix_user).pw_uid == uid
        except KeyError:
            return False


@dataclass(frozen=True)
class Directory:
    """One environment as the manifests describe it; lifetimes in seconds."""

    environment: str
    trust_domain: str
    svid_lifetime: float
    # Name (``prod.payments``) to the lifetime of its authority.
    business_units: Mapping[str, float] = field(default_factory=dict)
    workloads: Mapping[str, Workload] = field(default_factory=dict)
    # Foreign trust domains, by name.
    relations: Mapping[str, Relation] = field(default_factory=dict)
    # None: at half of the life.
    renew_every: float | None = None
    # Name to how often its authority is replaced, of those whose manifests say so.
    rotate_every: Mapping[str, float] = field(default_factory=dict)
    clusters: tuple[Cluster, ...] = ()
    jwt_issuers: tuple[JwtIssuer, ...] = ()
    # Namespaces of the manifests and whose they are; None: nobody's.
    namespaces: Mapping[str, str | None] = field(default_factory=dict)
    # Whose a namespace without a label is, where that is clear.
    default_unit: str | None = None

    def takes_jwt_of(self, workload: Workload) -> bool:
        """Whether a JWT can still prove this workload: it says by which, and the issuer is known."""
        rule = workload.jwt
        return rule is not None and any(one.name == rule.issuer for one in self.jwt_issuers)

    def workload(self, text: str) -> Workload:
        """The workload that somebody means by its name or its SPIFFE ID. Raises MalformedRequestError
        for what is neither, and UnknownWorkloadError.
        """
        if text in self.workloads:
            return self.workloads[text]
        wanted = _called(text).spiffe_id
        for workload in self.workloads.values() if wanted else ():
            if workload.spiffe_id == wanted:
                return workload
        known = ", ".join(sorted(self.workloads)[:20]) or "none"
        raise UnknownWorkloadError(f"the manifests have no Workload {text!r}; they have: {known}")

    def identity(self, text: str) -> SpiffeId:
        """Whom somebody means: a SPIFFE ID, whoever that is, or the name of a workload. Raises
        MalformedRequestError and UnknownWorkloadError.
        """
        called = _called(text)
        if called.spiffe_id is not None:
            return called.spiffe_id
        if called.is_workload:
            return self.workload(text).spiffe_id
        raise UnknownWorkloadError(
            f"{text!r} is a service account, whose business unit its cluster says: give its SPIFFE ID,"
            f" spiffe://{self.trust_domain}/bu/<unit>/ns/{called.owner}/sa/{called.name};"
            " featward ca clients shows those that live"
        )

    def run_by(self, uid: int, name: str = "") -> list[Workload]:
        """All workloads that a user's processes may be, or the one of this name among them."""
        # The name first: to look up a user costs more.
        named = [one for one in self.workloads.values() if name in ("", one.name)]
        return [workload for workload in named if workload.runs_as(uid)]


def _called(text: str) -> Called:
    try:
        return Called.parse(text)
    except SpiffeIdError as error:
        raise MalformedRequestError(str(error)) from error


def short_name(environment: str, business_unit: str) -> str:
    """A business unit inside its environment: ``prod.payments`` is ``payments``. Raises
    ConfigurationError.
    """
    prefix, dot, short = business_unit.partition(".")
    if not dot or prefix != environment or not short:
        raise ConfigurationError(
            f"business unit {business_unit} does not belong to environment {environment}: it is"
            f" named {environment}.<name>"
        )
    return short


def path_prefix(environment: str, business_unit: str) -> str:
    """What the authority of a business unit may sign: ``/bu/payments/``."""
    return f"/bu/{short_name(environment, business_unit)}/"


def workload(
    environment: str,
    trust_domain: str,
    business_unit: str,
    name: str,
    unix_user: str | None,
    *,
    jwt: JwtRule | None = None,
    role: str = "service",
) -> Workload:
    """A workload with its identity. Raises ConfigurationError."""
    make = SpiffeId.ci_job if role == "ci" else SpiffeId.workload
    try:
        spiffe_id = make(trust_domain, short_name(environment, business_unit), name)
    except SpiffeIdError as error:
        raise ConfigurationError(
            f"workload {business_unit}/{name} has no valid identity: {error}"
        ) from error
    return Workload(f"{business_unit}/{name}", business_unit, spiffe_id, unix_user, jwt)
