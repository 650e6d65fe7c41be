"""Why the CA should believe that we are who we say: a join token, the kernel's word on a UNIX socket, or a
token that Kubernetes or a CI system keeps in a file.

Apart from `identity` because the remedies that only a person can apply are worded here: a join token is used
once, and keys live in memory only, so a workload enrolled by one needs a new one after each restart.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from featward.identity.join_token import JoinToken, JoinTokenError
from featward.identity.v1 import identity_pb2
from featward_sidecar.configuration import Identity
from featward_sidecar.errors import EvidenceError
from featward_sidecar.roots import read_digests

__all__ = [
    "Evidence",
    "JoinTokenEvidence",
    "JwtEvidence",
    "KubernetesEvidence",
    "UnixEvidence",
    "evidence_for",
]

LONGEST_TOKEN = 16 * 1024
"""The CA takes no longer one."""


class Evidence(Protocol):
    """One way to prove who we are; `kind` is its name in the configuration."""

    kind: str

    def attest(self) -> tuple[identity_pb2.Evidence, bytes | None]:
        """Evidence for the first identity, and the digest of the root by which we know that it is our CA, where
        a network is between us. Raises EvidenceError."""

    def renew(self) -> identity_pb2.Evidence | None:
        """Evidence for the next one; None: it rests on the current SVID. Raises EvidenceError."""

    def refused(self, why: str) -> EvidenceError:
        """What to raise when the CA does not believe it."""


class JoinTokenEvidence:
    """A token from a file, read anew each time, because a person may have replaced it."""

    kind = "join-token"

    def __init__(self, file: Path, workload: str) -> None:
        self._file = file
        self._workload = workload
        self._refused: str | None = None

    def token(self) -> JoinToken:
        """Raises EvidenceError for a file that can't be read, and for a token that `refused` was called for."""
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
            f"attest: {{unix: {{user: …}}}} into the Workload in the CA's manifests, or run as that user; "
            "if it is there, the identity may be banned (featward ca ban list)"
        )


class _TokenFile:
    """A token that somebody else keeps fresh in a file, so it is read at every use.

    Unlike a join token it does not say who our CA is; the configuration does, by the digests of its roots or by
    a file of them, which is read at every use as well.
    """

    def __init__(self, file: Path, roots: Sequence[str] | Path) -> None:
        self._file = file
        self._roots = roots
        self._turn = 0

    def root(self) -> bytes:
        """The root to expect. While one follows another there are two, and each is tried in its turn. Raises
        EvidenceError for a file without a digest."""
        if isinstance(self._roots, Path):
            roots = read_digests(self._roots)
        else:
            roots = [bytes.fromhex(root) for root in self._roots]
        self._turn += 1
        return roots[(self._turn - 1) % len(roots)]

    def token(self) -> str:
        """Raises EvidenceError for a file without a token."""
        try:
            with self._file.open(encoding="ascii") as file:
                text = file.read(LONGEST_TOKEN + 2).strip()
        except (OSError, UnicodeDecodeError) as error:
            raise EvidenceError(f"the token file {self._file} can't be read: {error}") from error
        if text.count(".") != 2 or len(text) > LONGEST_TOKEN:
            raise EvidenceError(f"the token file {self._file} holds no JWT")
        return text


class KubernetesEvidence(_TokenFile):
    """The service account token that Kubernetes projects into the pod and replaces in time."""

    kind = "kubernetes"

    def attest(self) -> tuple[identity_pb2.Evidence, bytes | None]:
        return self.renew(), self.root()

    def renew(self) -> identity_pb2.Evidence:
        """The pod still has its token, so it is shown again."""
        token = identity_pb2.KubernetesEvidence(token=self.token())
        return identity_pb2.Evidence(kubernetes=token)

    def refused(self, why: str) -> EvidenceError:
        return EvidenceError(
            f"the CA does not take the service account token in {self._file}: {why}; it has to be projected "
            "for the audience featward.dev/ca/<trust domain>, and the CA's log says more"
        )


class JwtEvidence(_TokenFile):
    """A token of an OIDC issuer, such as a CI system's for one job."""

    kind = "jwt"

    def __init__(self, file: Path, roots: Sequence[str] | Path, workload: str) -> None:
        super().__init__(file, roots)
        self._workload = workload

    def attest(self) -> tuple[identity_pb2.Evidence, bytes | None]:
        jwt = identity_pb2.JwtEvidence(token=self.token(), workload=self._workload)
        return identity_pb2.Evidence(jwt=jwt), self.root()

    def renew(self) -> None:
        """The token of a job is good for minutes and for one key: renewal rests on the current SVID."""

    def refused(self, why: str) -> EvidenceError:
        return EvidenceError(
            f"the CA does not take the token in {self._file} for {self._workload}: {why}; a token is good for "
            "one start of the sidecar, for the audience featward.dev/ca/<trust domain>, and its claims have to "
            "be those of attest: {jwt: …} in the Workload"
        )


def evidence_for(settings: Identity) -> Evidence:
    """The configured kind: a join token where one is configured, else what the kernel says of this process."""
    match settings.evidence_kind:
        case "join-token":
            assert settings.join_token_file is not None  # noqa: S101  the configuration was checked
            return JoinTokenEvidence(settings.join_token_file, settings.workload)
        case "kubernetes":
            assert settings.token_file is not None  # noqa: S101  the configuration was checked
            return KubernetesEvidence(settings.token_file, _roots(settings))
        case "jwt":
            assert settings.token_file is not None  # noqa: S101  the configuration was checked
            return JwtEvidence(settings.token_file, _roots(settings), settings.workload)
    return UnixEvidence(settings.workload)


def _roots(settings: Identity) -> Sequence[str] | Path:
    return settings.root_sha256_file or settings.root_sha256
