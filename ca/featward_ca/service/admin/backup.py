"""A copy of the store, while it is in use."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

from featward.authority.v1 import authority_pb2
from featward_ca.errors import MalformedRequestError, NotHereError, StoreError
from featward_ca.service.admin.office import AdminHandler, Office
from featward_ca.service.guard import Call
from featward_ca.store.copy import copy


async def _backup(
    office: Office, message: authority_pb2.BackupRequest, call: Call
) -> authority_pb2.BackupResponse:
    store = office.core.store
    if store.file is None:
        raise NotHereError("the state is in PostgreSQL: back it up with pg_dump")
    if not Path(message.path).is_absolute():
        raise MalformedRequestError("a backup needs an absolute path on the CA's machine")
    try:
        made = await asyncio.to_thread(copy, store.file, Path(message.path))
    except StoreError as error:
        raise NotHereError(str(error)) from error  # the administrator may know why
    call.remark.detail = f"to {message.path}"
    return authority_pb2.BackupResponse(
        bytes=made.bytes, sequence=made.sequence, sha256=made.sha256
    )


HANDLERS: Mapping[str, AdminHandler] = {"Backup": _backup}
