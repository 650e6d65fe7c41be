"""What the operator's configuration may say under ``injection``."""

from collections.abc import Callable
from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, field_validator
from pydantic.alias_generators import to_camel

from featward_operator.injection.quantities import cpu, memory

__all__ = ["InjectionSection"]

PortNumber: TypeAlias = Annotated[int, Field(ge=1, le=65535)]


class InjectionSection(BaseModel):
    """Defaults of sidecars. What a pod may say itself goes over them."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", alias_generator=to_camel)

    run_as_user: int | None = Field(
        default=65532,
        ge=1,
        description="User and group of sidecars; null leaves them to the cluster, as OpenShift wants it.",
    )
    port: PortNumber = Field(default=15443, description="Where sidecars take mTLS.")
    plain_port: PortNumber = Field(
        default=15080,
        description="Where they take callers without identity, where that is allowed.",
    )
    health_port: PortNumber = Field(default=15020, description="Their probes and metrics.")
    outbound_port: PortNumber = Field(
        default=15100,
        description="The first loopback port for the feature sets that a client names.",
    )
    cpu_request: str = Field(default="50m", description="What a sidecar requests.")
    cpu_limit: str = Field(default="", description="Empty for none, because a limit throttles.")
    memory_request: str = Field(default="64Mi", description="What a sidecar requests.")
    memory_limit: str = Field(
        default="192Mi", description="Its volumes for keys and sockets count against it."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="The least severe level that sidecars log."
    )
    drain_seconds: int = Field(
        default=20, ge=1, le=3600, description="How long open requests may take when a pod ends."
    )
    record_bytes: int = Field(
        default=64 * 1024 * 1024,
        ge=4096,
        description="How long the decision record may grow; two of this size are kept.",
    )

    @field_validator("cpu_request", "cpu_limit")
    @classmethod
    def _cpu(cls, text: str) -> str:
        return _amount(text, cpu)

    @field_validator("memory_request", "memory_limit")
    @classmethod
    def _memory(cls, text: str) -> str:
        return _amount(text, memory)


def _amount(text: str, read: Callable[[str], str]) -> str:
    if not text:
        return text
    try:
        return read(text)
    except ValueError as error:
        raise ValueError(f"expected {error}, or nothing") from None
