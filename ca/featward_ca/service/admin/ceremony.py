"""The offline root: what waits for its signature, and what it has signed."""

from collections.abc import Mapping

from featward.authority.v1 import authority_pb2
from featward_ca.rotation.actions import By
from featward_ca.rotation.imports import pending, take_in
from featward_ca.service.admin import messages
from featward_ca.service.admin.office import AdminHandler, Office
from featward_ca.service.guard import Call


async def _list_requests(
    office: Office, _: authority_pb2.ListRequestsRequest, __: Call
) -> authority_pb2.ListRequestsResponse:
    return authority_pb2.ListRequestsResponse(
        requests=[
            authority_pb2.PendingRequest(
                authority=row.id,
                owner=row.owner,
                csr=csr,
                not_before=row.not_before,
                not_after=row.not_after,
                path_prefix=row.path_prefix or "",
            )
            for row, csr in await pending(office.core)
        ]
    )


async def _import(
    office: Office, message: authority_pb2.ImportCertificatesRequest, call: Call
) -> authority_pb2.ImportCertificatesResponse:
    by = By(str(call.peer), f"{call.request.id}.step")
    rows = await take_in(office.core, list(message.certificates), message.root, by)
    call.remark.detail = ", ".join(f"{row.id} of {row.owner}" for row in rows)
    return authority_pb2.ImportCertificatesResponse(
        authorities=[messages.authority(row) for row in rows]
    )


HANDLERS: Mapping[str, AdminHandler] = {
    "ListRequests": _list_requests,
    "ImportCertificates": _import,
}
