"""What it means when a call is refused: which refusals are of our certificate, and when new evidence helps.

Apart from `identity`, because the way to the operator meets the same refusals.
"""

from featward.identity.alerts import refused_by
from featward_sidecar.errors import CallError, CertificateRefusedError
from featward_sidecar.grpc_call import Status

__all__ = ["REFUSALS", "evidence_helps", "of_certificate"]

REFUSALS = (Status.PERMISSION_DENIED, Status.UNAUTHENTICATED, Status.FAILED_PRECONDITION)
"""A server's last word on a call. The same again, later, is refused in the same way."""


def of_certificate(error: CallError, whom: str) -> CertificateRefusedError | None:
    """What this refusal says of our certificate, if it is one of that; `whom`: who refuses, ``CA``."""
    refused = refused_by(error.alert)
    if refused is None:
        return None
    detail = f"the {whom} refuses our certificate (TLS alert {error.alert}): {refused.words}"
    return CertificateRefusedError(Status.PERMISSION_DENIED, detail, refused.reason)


def evidence_helps(error: CallError | None, *, expired: bool) -> bool:
    """Whether evidence may get us a certificate where this one ended the newest call to the CA.

    At once where the CA refuses the certificate: nobody else accepts it either. What the CA refuses otherwise,
    and a CA that we do not know any more, may be different a minute later, so a certificate that holds is kept.
    """
    if error is None:
        return False
    if isinstance(error, CertificateRefusedError):
        return True
    return expired and (error.status in REFUSALS or error.cause == "not-trusted")
