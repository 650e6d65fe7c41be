"""What the command line calls an object of a cluster, read without asking anybody."""

from dataclasses import dataclass
from typing import Self

from featward_ca.errors import ConfigurationError


@dataclass(frozen=True)
class ObjectName:
    """A namespaced object: in which of the clusters of ``--cluster``, in which namespace, how it is called."""

    cluster: str
    namespace: str
    name: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``cluster/namespace/name``. Raises ConfigurationError."""
        parts = text.split("/")
        if len(parts) != 3 or not all(parts):
            raise ConfigurationError(
                f"{text!r} names no object of a cluster; write CLUSTER/NAMESPACE/NAME, such as"
                " eu1/featward/prod"
            )
        return cls(*parts)

    def __str__(self) -> str:
        return f"{self.cluster}/{self.namespace}/{self.name}"
