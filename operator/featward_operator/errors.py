"""What ends the operator, in one small tree.

FeatwardError
└── OperatorError         it can't start, or has to end; exit status 1
    └── SettingsError     the configuration can't be used; carries every finding
"""

from collections.abc import Sequence

from featward.errors import FeatwardError
from featward.manifests.findings import Finding

__all__ = ["OperatorError", "SettingsError"]


class OperatorError(FeatwardError):
    """The operator can't go on; the text says why, and what to do."""


class SettingsError(OperatorError):
    """The configuration can't be used. Nothing was started."""

    def __init__(self, message: str, findings: Sequence[Finding] = ()) -> None:
        super().__init__(message)
        self.findings = tuple(findings)
