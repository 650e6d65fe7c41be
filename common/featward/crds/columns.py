"""The columns that `kubectl get` prints of each kind, and those that it adds with `-o wide`."""

from dataclasses import dataclass
from typing import Any

__all__ = ["COLUMNS", "Column"]


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its title, and where in the object its value is.

    Days are texts here: kubectl shows a column of type `date` as an age, and what is in the future has none.
    """

    name: str
    path: str
    type: str = "string"
    wide: bool = False

    def as_json(self) -> dict[str, Any]:
        """As a CRD has it; columns of a priority above 0 are the wide ones."""
        column: dict[str, Any] = {"name": self.name, "type": self.type, "jsonPath": self.path}
        return column | ({"priority": 1} if self.wide else {})


def _answer(condition: str, key: str = "status") -> str:
    return f'.status.conditions[?(@.type=="{condition}")].{key}'


_AGE = Column("Age", ".metadata.creationTimestamp", "date")
_READY = Column("Ready", _answer("Ready"))
_ROTATION = Column("Rotation", _answer("Rotating", "reason"))
_ACKNOWLEDGED = Column("Acknowledged", ".status.rotation.progress")
_MESSAGE = Column("Message", _answer("Ready", "message"), wide=True)

COLUMNS: dict[str, tuple[Column, ...]] = {
    "Environment": (
        Column("Trust domain", ".spec.trustDomain"),
        Column("Authority", _answer("AuthorityReachable", "reason")),
        _ROTATION,
        _ACKNOWLEDGED,
        _READY,
        _AGE,
        _MESSAGE,
    ),
    "BusinessUnit": (
        Column("Generation", ".status.authority.generation", "integer"),
        _ROTATION,
        _ACKNOWLEDGED,
        _READY,
        _AGE,
        _MESSAGE,
    ),
    "Workload": (
        Column("Unit", ".spec.businessUnit"),
        Column("Role", ".spec.role"),
        _AGE,
    ),
    "FeatureSet": (
        Column("Version", ".spec.version"),
        Column("Mode", ".status.mode"),
        Column("Sidecars", ".status.progress"),
        Column("Refused/h", ".status.refusedLastHour", "integer"),
        _READY,
        _AGE,
        Column("Owner", ".spec.owner.team", wide=True),
        Column("Digest", ".status.digest", wide=True),
        _MESSAGE,
    ),
    "FeatureBinding": (
        Column("Set", ".spec.featureSet.name"),
        Column("Granting", _answer("Granting")),
        Column("Identities", ".status.identitiesCovered", "integer"),
        Column("Expires", ".spec.expires"),
        Column("Recertify", ".spec.recertifyBy"),
        _AGE,
        Column("Purpose", ".spec.purpose", wide=True),
        Column("Message", _answer("Granting", "message"), wide=True),
    ),
    "GrantApproval": (
        Column("Namespace", ".spec.binding.namespace"),
        Column("Binding", ".spec.binding.name"),
        Column("Unit", ".spec.businessUnit"),
        Column("In force", _answer("InForce")),
        Column("Expires", ".spec.expires"),
        _AGE,
        Column("Reason", ".spec.reason", wide=True),
        Column("Message", _answer("InForce", "message"), wide=True),
    ),
    "Override": (
        Column("Action", ".spec.action"),
        Column("Target", ".status.target"),
        Column("In force", _answer("InForce")),
        Column("Expires", ".spec.expires"),
        _AGE,
        Column("Reason", ".spec.reason", wide=True),
        Column("Message", _answer("InForce", "message"), wide=True),
    ),
}
"""By kind, in the order in which they are printed after the name."""
