"""Why a stream ends by our doing, and with which status. Written once: the sidecar acts on the status.

RefusedError          carries the status; its text is told to the caller
"""

import grpc

from featward.errors import FeatwardError

__all__ = ["RETRY_AFTER", "RefusedError", "later", "malformed", "no_policy", "not_permitted"]

RETRY_AFTER = "featward-retry-after-ms"
"""Trailing metadata of UNAVAILABLE: in so many milliseconds it may be better."""


class RefusedError(FeatwardError):
    """The stream ends with this status and sentence; ``retry_after`` is in seconds."""

    def __init__(self, status: grpc.StatusCode, message: str, retry_after: float = 0.0) -> None:
        super().__init__(message)
        self.status, self.retry_after = status, retry_after


def not_permitted(message: str) -> RefusedError:
    """The caller is nobody who gets a policy here; what waiting does not cure."""
    return RefusedError(grpc.StatusCode.PERMISSION_DENIED, message)


def no_policy(message: str) -> RefusedError:
    """There is no snapshot for the caller until somebody edits what is wrong."""
    return RefusedError(grpc.StatusCode.FAILED_PRECONDITION, message)


def malformed(message: str) -> RefusedError:
    """The caller does not speak the protocol."""
    return RefusedError(grpc.StatusCode.INVALID_ARGUMENT, message)


def later(message: str, seconds: float) -> RefusedError:
    """Not now."""
    return RefusedError(grpc.StatusCode.UNAVAILABLE, message, seconds)
