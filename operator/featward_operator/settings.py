"""What the operator is told, by one file that the chart writes into a ConfigMap: strict, and all wrong at once.

Read as manifests are, so that errors have line, value and remedy. An unknown key is refused: one that is read
and ignored would be a promise not kept. The file is read once; another one is another rollout.
"""

from pathlib import Path
from typing import Annotated, Literal, Self, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator
from pydantic.alias_generators import to_camel

from featward.manifests.document import SourceFile
from featward.manifests.findings import Finding
from featward.manifests.model import Items
from featward.manifests.shape import modelled
from featward.manifests.text import (
    EXPECTED,
    Address,
    Duration,
    Label,
    Name,
    TrustDomainName,
    seconds,
)
from featward.strictyaml import read, show_path
from featward_operator.errors import SettingsError
from featward_operator.injection.section import InjectionSection

__all__ = [
    "EnvironmentSettings",
    "FolderSettings",
    "LeaseSettings",
    "LogSettings",
    "PortSettings",
    "Settings",
    "load",
]

PAGE = "docs/operator.md"

_IMAGE = "^[a-z0-9]+([._/:@-]+[A-Za-z0-9]+)*$"
EXPECTED[_IMAGE] = "an image with its tag or digest, such as registry.acme.example/featward:0.2.0"
Image: TypeAlias = Annotated[str, StringConstraints(pattern=_IMAGE, max_length=512)]
PortNumber: TypeAlias = Annotated[int, Field(ge=1, le=65535)]


class Section(BaseModel):
    """Strict, frozen, camelCase, and without a place for unknown keys."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", alias_generator=to_camel)


class EnvironmentSettings(Section):
    """One environment that this operator works for."""

    name: Label = Field(description="The name of its Environment.")
    trust_domain: TrustDomainName = Field(
        description="Its trust domain, as the Environment has it. Said here as well: the operator needs an "
        "identity of it before there may be an Environment."
    )
    ca: Address = Field(
        description="Where its CA listens, such as `featward-ca-prod.featward.svc:8443`."
    )


class LeaseSettings(Section):
    """How replicas agree on who acts."""

    duration: Duration = Field(
        default="15s",
        description="How long a leader that has gone silent is waited for; the defaults are those of "
        "Kubernetes' own controllers.",
    )
    renew: Duration = Field(
        default="10s",
        description="A leader that could not renew for so long stops by itself; shorter than `duration`.",
    )
    retry: Duration = Field(
        default="2s", description="Between two looks at the Lease; shorter than `renew`."
    )

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if not seconds(self.retry) < seconds(self.renew) < seconds(self.duration):
            told = f"{self.retry}, {self.renew}, {self.duration}"
            raise ValueError(f"expected retry < renew < duration, found {told}")
        return self


class PortSettings(Section):
    """Where the operator listens, on all addresses of its pod."""

    health: PortNumber = Field(
        default=8080,
        description="`/healthz`, `/readyz` and `/metrics`, over plain HTTP: for the kubelet and Prometheus.",
    )
    policy: PortNumber = Field(
        default=8443, description="Policy for sidecars, over mTLS. Sidecars are told this port."
    )
    webhook: PortNumber = Field(
        default=9443, description="Admission reviews, over HTTPS: for the API server."
    )

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        told = [self.health, self.policy, self.webhook]
        if twice := sorted({one for one in told if told.count(one) > 1}):
            raise ValueError(f"two of the ports are {twice[0]}; each needs its own")
        return self


class FolderSettings(Section):
    """Where the chart mounts what the operator needs."""

    evidence: str = Field(
        default="/var/run/secrets/featward",
        description="A folder for each environment, by its name, with `token` (a service account token for "
        "its CA) and `root.sha256` (a digest a line: the roots that its CA is known by at first contact).",
    )
    run: str = Field(
        default="/var/run/featward",
        description="Sockets of its own, in folders that nobody else gets into. At most 40 bytes, because "
        "the names of sockets are short.",
        max_length=40,
    )


class LogSettings(Section):
    """What is written on standard error."""

    format: Literal["auto", "json", "console"] = Field(
        default="auto", description="`auto`: console on a terminal, else an object of JSON a line."
    )
    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="The least severe level written."
    )


class Settings(Section):
    """All of it."""

    namespace: Label = Field(
        description="The namespace that the operator runs in. Its pods are never injected."
    )
    cluster: Label = Field(
        description="This cluster's name in `spec.clusters` of the Environments: part of who its pods are."
    )
    image: Image = Field(
        description="The image of sidecars and gateways, with its tag or digest. It is the operator's own."
    )
    environments: Items[EnvironmentSettings] = Field(
        min_length=1, max_length=64, description="The environments that this operator works for."
    )
    service_name: Label = Field(
        default="featward-operator",
        description="The operator's Service, by which the API server and sidecars reach it.",
    )
    cluster_domain: Name = Field(
        default="cluster.local", description="The DNS domain of the cluster's Services."
    )
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] = Field(
        default="IfNotPresent", description="How the image of sidecars is pulled."
    )
    image_pull_secrets: Items[Name] = Field(
        default=(),
        max_length=16,
        description="Names of the Secrets by which gateways log in to the image's registry; each must be in "
        "the namespace of the FeatureSet. Injected pods bring their own.",
    )
    gateways: bool = Field(
        default=True,
        description="Whether the operator makes the gateways of FeatureSets with `spec.serving.gateway`, and "
        "writes Deployments, ServiceAccounts and PodDisruptionBudgets.",
    )
    injection: InjectionSection = Field(
        default_factory=InjectionSection,
        description="Defaults of the sidecars that pods get. What a pod says itself goes over them.",
    )
    ports: PortSettings = Field(default_factory=PortSettings, description="Where it listens.")
    folders: FolderSettings = Field(
        default_factory=FolderSettings, description="What it reads and keeps in files."
    )
    lease: LeaseSettings = Field(
        default_factory=LeaseSettings, description="How replicas agree on who acts."
    )
    log: LogSettings = Field(default_factory=LogSettings, description="What is logged.")

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        for what in ("name", "trust_domain"):
            told = [getattr(one, what) for one in self.environments]
            if twice := sorted({one for one in told if told.count(one) > 1}):
                said = what.replace("_", " ")
                raise ValueError(f"two environments have the {said} {twice[0]}; keep one")
        return self


def load(file: Path) -> Settings:
    """Read the file. Raises SettingsError, with everything that is wrong with it."""
    try:
        text = file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{file} can't be read: {error}") from error
    found = _read(str(file), text)
    if isinstance(found, list):
        raise SettingsError(f"{file} can't be used, for {_count(found)}", sorted(found))
    return found


def _read(name: str, text: str) -> Settings | list[Finding]:
    trees, faults = read(text)
    findings = [
        Finding(name, one.line, one.column, show_path(one.path), one.code, one.message, one.remedy)
        for one in faults
    ]
    if findings:
        return findings
    if len(trees) != 1 or not isinstance(trees[0].value, dict):
        message = f"expected one mapping of keys to values, found {len(trees)} documents"
        return [Finding(name, 1, 1, "", "not-a-mapping", message, f"see {PAGE}")]
    return modelled(trees[0].value, Settings, SourceFile(name, text), 0, PAGE)


def _count(findings: list[Finding]) -> str:
    return f"{len(findings)} reason{'' if len(findings) == 1 else 's'}"
