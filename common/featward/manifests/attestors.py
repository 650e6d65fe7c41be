"""Who may say who a workload is: the kernel of one machine, Kubernetes clusters, issuers of JWTs.

Apart from `platform` because these parts of its kinds are about proof; what they name is there.
"""

from typing import ClassVar, Self

from pydantic import Field, model_validator

from featward.manifests.model import Distinct, Model, Rule
from featward.manifests.text import BusinessUnitChoice, Duration, HttpsUrl, Label, Line, UserName

__all__ = ["Attestation", "Cluster", "JwtAttestation", "JwtIssuer", "UnixAttestation"]

# The issuer writes these into every token, or decides them itself; they tell no workload from another.
_OF_EVERY_TOKEN = frozenset({"iss", "aud", "exp", "nbf", "iat", "jti"})


class Cluster(Model):
    """A Kubernetes cluster whose service accounts get identities."""

    name: Label = Field(
        description="The cluster's name here and in `featward ca serve --cluster NAME=KUBECONFIG`."
    )
    issuer: HttpsUrl = Field(
        description="The issuer of the cluster's service account tokens, `--service-account-issuer` of its API "
        "server. A token is reviewed by the cluster whose issuer it names, so no two clusters share one."
    )
    business_units: Distinct[BusinessUnitChoice] = Field(
        default=("*",),
        min_length=1,
        max_length=256,
        description='The business units that namespaces of the cluster may belong to; `"*"` is any, and the '
        "default.",
    )

    def may_attest(self, business_unit: str) -> bool:
        """Whether namespaces of the cluster may belong to this business unit."""
        return "*" in self.business_units or business_unit in self.business_units


class JwtIssuer(Model):
    """An OIDC issuer, such as a CI system's, whose tokens prove workloads."""

    name: Label = Field(description="The issuer's name in `attest.jwt.issuer` of Workloads.")
    issuer: HttpsUrl = Field(
        description="The `iss` of its tokens. Its keys are fetched from below this address and nowhere else."
    )
    ca_file: Line | None = Field(
        default=None,
        description="A file on the CA's machine with the certificates, in PEM, that the issuer's TLS is judged "
        "by. Without it the machine's own.",
    )
    max_key_age: Duration = Field(
        default="1h",
        description="How long its keys are used before they are fetched again. When they can't be, its tokens "
        "are refused.",
        json_schema_extra={"format": "duration"},
    )


class UnixAttestation(Model):
    """Proof by the kernel of one machine."""

    user: UserName = Field(
        description="The user, by name or number, under which the workload runs on the CA's machine."
    )


class JwtAttestation(Model):
    """Proof by a token of an OIDC issuer, made for the audience `featward.dev/ca/<trust domain>`."""

    issuer: Label = Field(description="The name of one of the environment's `jwtIssuers`.")
    claims: dict[str, Line] = Field(
        min_length=1,
        max_length=16,
        description="What the token has to claim, each value exactly so: `sub`, or what tells the workload "
        "from all others of the issuer.",
    )

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            f"!self.claims.exists(name, name in {sorted(_OF_EVERY_TOKEN)})",
            f"{', '.join(sorted(_OF_EVERY_TOKEN))} are in every token and prove nothing; "
            "use sub or another claim",
        ),
    )

    @model_validator(mode="after")
    def _tells_workloads_apart(self) -> Self:
        if useless := sorted(_OF_EVERY_TOKEN & self.claims.keys()):
            raise ValueError(
                f"{useless[0]} is in every token and proves nothing; use sub or another claim"
            )
        return self


class Attestation(Model):
    """How the workload proves who it is, beside a join token, which `featward ca token create` makes."""

    unix: UnixAttestation | None = Field(
        default=None,
        description="By the user ID that the kernel tells of the caller of the CA's UNIX socket.",
    )
    jwt: JwtAttestation | None = Field(
        default=None, description="By a token of one of the environment's `jwtIssuers`."
    )
