"""Why the CA should believe that we are who we say: a join token, or the kernel's word on a UNIX socket.

Apart from `identity` because this is where other kinds of evidence will be added, and where the one remedy that
only a person can apply is worded: a token is used once, and keys live in memory only, so a workload enrolled by
token needs a new one after each restart.
"""

import os
from pathlib import Path

from featward.identity.join_token import JoinToken, JoinTokenError
from featward.identity.spiffe import SpiffeId
from featward.identity.v1 import identity_pb2
from featward_sidecar.configuration import Identity
from featward_sidecar.errors import EvidenceError

__all__ = ["JoinTokenEvidence", "UnixEvidence", "evidence_for", "workload_id"]


class JoinTokenEvidence:
    """A token from a file, read anew each time, because a person may have replaced it."""

    kind = "join-token"

    def __init__(self, file: Path, workload: str) -> None:
        self._file = file
        self._workload = workload
        self._refused: str | None = None

    def token(self) -> JoinToken:
        """Raises EvidenceError for a file that can't be read, and for a token that `refuse` was called for."""
        try:
            text = self._file.read_text(encoding="ascii").strip()
            token = JoinToken.parse(text)
        except (OSError, UnicodeDecodeError) as error:
            raise EvidenceError(
                f"the join token file {self._file} can't be read: {error}; {self._remedy}"
            ) from error
        except JoinTokenError as error:
            raise EvidenceError(
                f"the join token file {self._file} is not usable: {error}; {self._remedy}"
            ) from error
        if text == self._refused:
            raise EvidenceError(
                f"the join token in {self._file} was refused before and is not sent again; {self._remedy}"
            )
        return token

    def attest(self) -> tuple[identity_pb2.Evidence, bytes | None]:
        """Evidence for the CA, and the digest of the root by which we know that it is our CA."""
        token = self.token()
        return identity_pb2.Evidence(join_token=token.evidence), token.root_sha256

    def renew(self) -> None:
        """Nothing is left of a token after its use: renewal rests on the current SVID."""

    def refused(self, why: str) -> EvidenceError:
        """What to raise when this token is not good for us; it is not sent again."""
        self._refused = self._file.read_text(encoding="ascii").strip()
        return EvidenceError(
            f"the join token in {self._file} is of no use: {why}; it has to be for {self._workload} and is "
            f"good for one use, so a restarted sidecar needs a new one; {self._remedy}"
        )

    @property
    def _remedy(self) -> str:
        return (
            f"run `featward ca token create --workload {self._workload}` and put its output there"
        )


class UnixEvidence:
    """The CA asks the kernel which user has connected."""

    kind = "unix"

    def __init__(self, workload: str) -> None:
        self._workload = workload

    def attest(self) -> tuple[identity_pb2.Evidence, bytes | None]:
        """Evidence for the CA; who may bind its socket is the file system's answer to whether it is our CA."""
        return self.renew(), None

    def renew(self) -> identity_pb2.Evidence:
        """The evidence is still there, so it is shown again."""
        return identity_pb2.Evidence(unix=identity_pb2.UnixEvidence(workload=self._workload))

    def refused(self, why: str) -> EvidenceError:
        """What to raise when the CA does not take us for the workload; its manifests may yet change."""
        return EvidenceError(
            f"the CA does not take user {os.getuid()} for {self._workload}: {why}; write "
            f"attest: {{unix: {{user: …}}}} into the Workload in the CA's manifests, or run as that user"
        )


def workload_id(trust_domain: str, workload: str) -> str:
    """The identity that a workload of the configuration must get.

    >>> workload_id("prod.acme.example", "prod.payments/feast")
    'spiffe://prod.acme.example/bu/payments/svc/feast'
    """
    business_unit, _, name = workload.partition("/")
    return str(SpiffeId.workload(trust_domain, business_unit.partition(".")[2], name))


def evidence_for(settings: Identity) -> JoinTokenEvidence | UnixEvidence:
    """A join token where one is configured, else what the kernel says of this process."""
    if settings.join_token_file is not None:
        return JoinTokenEvidence(settings.join_token_file, settings.workload)
    return UnixEvidence(settings.workload)
