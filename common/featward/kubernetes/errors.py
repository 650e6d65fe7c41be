"""What can go wrong between us and an API server.

FeatwardError
├── LoginError    no kubeconfig or account can be used; a person must correct it
└── ApiError      the server refused, or gave no answer; carries what decides about another try
"""

from featward.errors import FeatwardError

__all__ = ["ApiError", "LoginError"]


class LoginError(FeatwardError):
    """There is no way to log in to the API server; the configuration or the pod's account is at fault."""


class ApiError(FeatwardError):
    """The server refused a request, or nothing came back.

    ``status`` is HTTP's, 0 where there was no answer at all. ``reason`` is the server's word (``NotFound``,
    ``Conflict``, ``Expired``), and without one ``Unreachable``, ``Silent``, ``Garbled`` or ``TooLarge``.
    ``retry_after`` are the seconds for which the server wants to be left alone, None where it said nothing.
    """

    def __init__(
        self, status: int, reason: str, retry_after: float | None = None, detail: str = ""
    ) -> None:
        super().__init__(f"{status or 'no answer'} {reason}{f': {detail}' if detail else ''}")
        self.status = status
        self.reason = reason
        self.retry_after = retry_after
        self.detail = detail

    @property
    def is_conflict(self) -> bool:
        """Somebody else wrote first; read again before writing."""
        return self.status == 409

    @property
    def is_gone(self) -> bool:
        """The version that was asked for is no longer kept; list anew."""
        return self.status == 410

    @property
    def is_ours(self) -> bool:
        """The same request would be refused again: asking sooner than something changes is in vain."""
        if self.status == 500:  # how servers answer to an unknown field in a server-side apply
            return "not declared in schema" in self.detail
        return 400 <= self.status < 500 and self.status not in (401, 408, 409, 410, 429)
