"""Join tokens on request."""

from collections.abc import Mapping
from hashlib import sha256

from featward.authority.v1 import authority_pb2
from featward_ca.attest.join_token import LIFETIME
from featward_ca.core import Core
from featward_ca.rotation.known import ROOT
from featward_ca.rotation.states import State
from featward_ca.service.admin.office import AdminHandler, Office
from featward_ca.service.guard import Call

# Of roots that are to replace the one before, or have begun to.
COMING = frozenset({State.PREPARED, State.ACTIVE})


async def _create_join_token(
    office: Office, message: authority_pb2.CreateJoinTokenRequest, call: Call
) -> authority_pb2.CreateJoinTokenResponse:
    core, directory = office.core, office.core.situation.directory
    root = core.authorities.root_sha256
    lifetime = message.lifetime_seconds or LIFETIME
    token, expires_at = await core.tokens.create(directory, message.workload, lifetime, root)
    spiffe_id = str(directory.workload(message.workload).spiffe_id)
    call.remark.subject, call.remark.detail = spiffe_id, f"for {lifetime:g} s"
    return authority_pb2.CreateJoinTokenResponse(
        token=str(token),
        spiffe_id=spiffe_id,
        expires_at=expires_at,
        warnings=_warnings(core, root, expires_at),
    )


def _warnings(core: Core, root: bytes, expires_at: float) -> list[authority_pb2.Warning]:
    """Until the CA's own certificate moves to it nobody can know the CA by a new root, and afterwards
    nobody by the one before. So the move waits for the tokens that name that one.
    """
    coming = [
        row
        for row in core.authorities.rows
        if row.owner == ROOT and row.state in COMING and sha256(row.der).digest() != root
    ]
    return [
        authority_pb2.Warning(
            code="root-moves",
            text="the environment is moving to a new root, and this token names the present one:"
            " the move waits until the token is used, or has expired",
            remedy="use it soon, or make it after the move; featward ca authority list shows it",
            due=int(expires_at),
        )
        for _ in coming[:1]
    ]


HANDLERS: Mapping[str, AdminHandler] = {"CreateJoinToken": _create_join_token}
