"""Join tokens on request."""

from collections.abc import Mapping

from featward.authority.v1 import authority_pb2
from featward_ca.attest.join_token import LIFETIME
from featward_ca.service.admin.office import AdminHandler, Office
from featward_ca.service.guard import Call


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
        token=str(token), spiffe_id=spiffe_id, expires_at=expires_at
    )


HANDLERS: Mapping[str, AdminHandler] = {"CreateJoinToken": _create_join_token}
