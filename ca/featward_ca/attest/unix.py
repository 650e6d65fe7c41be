"""UNIX peer credentials: the kernel says which user has connected, the manifests say what that
user runs.
"""

from featward_ca.attest import Attested, Method
from featward_ca.attest.tokens import shown
from featward_ca.directory import Directory
from featward_ca.errors import NotAttestedError
from featward_ca.recorded import nothing


def attest(directory: Directory, uid: int | None, name: str) -> Attested:
    """The workload of this user; `name` chooses among several. Raises NotAttestedError."""
    if uid is None:
        raise NotAttestedError(
            "UNIX evidence came over a connection that is not the workload socket"
        )
    candidates = directory.run_by(uid, name)
    if not candidates:
        raise NotAttestedError(
            f"no Workload{f' {shown(name)}' if name else ''} is attested by uid {uid}"
        )
    if len(candidates) > 1:
        names = ", ".join(sorted(workload.name for workload in candidates))
        raise NotAttestedError(f"uid {uid} may be any of {names}; the caller has to name one")
    return Attested(candidates[0], Method.UNIX, nothing)
