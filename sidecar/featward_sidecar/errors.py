"""What can go wrong in the running sidecar.

    SidecarError
    ├── StartError          can't start at all: exit code 1
    ├── ManifestsError    the folder does not compile; the last good policy stays
    ├── ReloadError       the app was not told to read its files again
    ├── SourceError         somebody else's SVID can't be used; what we have stays
    ├── SnapshotError     a kept snapshot can't be used
    ├── ContentError        an identity that apps must not be given
    ├── EvidenceError       nothing to prove our identity with; the remedy is a person's
    └── CallError           a call to the CA failed; retried with back-off
        └── CertificateRefusedError  our certificate was taken for no good

ConfigurationError is apart (in `configuration`): it happens before there is a sidecar.
"""

from collections.abc import Sequence

__all__ = [
    "CallError",
    "CertificateRefusedError",
    "ContentError",
    "EvidenceError",
    "ManifestsError",
    "ReloadError",
    "SidecarError",
    "SnapshotError",
    "SourceError",
    "StartError",
]


class SidecarError(Exception):
    """Base of the sidecar's own errors; its text is one sentence that may be logged."""


class StartError(SidecarError):
    """Raised before anything listens; nothing was changed."""


class ManifestsError(SidecarError):
    """The compiler refused the folder; `findings` are its reasons, as it printed them."""

    def __init__(self, message: str, findings: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.findings = tuple(findings)


class SnapshotError(SidecarError):
    """A snapshot from the state folder is too old, damaged or another workload's."""


class ContentError(SidecarError):
    """Not delivered: what was delivered before stays, and is not taken from anybody."""


class ReloadError(SidecarError):
    """The files are written, but their app may not know; tried again."""


class SourceError(SidecarError):
    """A file or a Workload API gave nothing, or what is not for us; tried again."""


class EvidenceError(SidecarError):
    """No token, an unreadable one, or one that the CA has already refused."""


class CallError(SidecarError):
    """A gRPC call ended; `status` is its code (style of `Status`), `detail` what the other side said, and
    `retry_after` the seconds that it asks us to stay away, if it does. Of a call that the Dialer could not
    carry, `cause` is its word for why (``not-trusted``) and `alert` the TLS alert that it was refused by."""

    def __init__(
        self,
        status: int,
        detail: str,
        retry_after: float | None = None,
        *,
        cause: str = "",
        alert: str = "",
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.retry_after = retry_after
        self.cause = cause
        self.alert = alert


class CertificateRefusedError(CallError):
    """Refused in the handshake, whatever would have been asked. `reason` is one word for it: ``banned``."""

    def __init__(self, status: int, detail: str, reason: str) -> None:
        super().__init__(status, detail)
        self.reason = reason
