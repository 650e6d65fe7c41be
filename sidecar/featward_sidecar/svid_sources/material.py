"""What another issuer hands us, and what is asked of those who fetch it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from featward_sidecar.content import Bundle

__all__ = ["Material", "Source"]


@dataclass(frozen=True, slots=True)
class Material:
    """SVID, key and trust of one moment, not judged yet."""

    chain: tuple[bytes, ...]
    key: bytes = field(repr=False)
    own: Bundle
    federated: tuple[Bundle, ...] = ()


class Source(Protocol):
    """One issuer that is not ours."""

    kind: str
    """As in the configuration."""

    def follow(self, use: Callable[[Material], None]) -> None:
        """Give each material to `use`, the first as soon as it is there, until `stop`. Raises SidecarError or
        OSError when that breaks; it is called again."""

    def stop(self) -> None: ...
