"""The key-encryption key in a Secret of a cluster, for a CA whose pod has no disk that it could be kept on.

Read, or else made once, and never written again: it is immutable, and of two replicas that make it at one
moment the server takes the first. Mounting it would not do: the kubelet gives such files to a group as well.
"""

import asyncio
import base64
import binascii
import logging
from typing import Any

from featward.kubernetes.backoff import Backoff
from featward.kubernetes.errors import ApiError
from featward.kubernetes.gateway import Gateway
from featward.kubernetes.resource import SECRETS
from featward.logs import fields
from featward_ca.cluster.names import ObjectName
from featward_ca.errors import KeyEncryptionError
from featward_ca.keys import long_enough, new_kek

_log = logging.getLogger(__name__)
KEY = "kek"
MANAGER = "featward-ca"
# So long a server that does not answer is asked again: one that is restarted is back by then. Then the CA
# ends, and whoever runs it sees why.
_PATIENCE = 60.0


async def key_encryption_key(
    gateway: Gateway, name: ObjectName, *, first_start: bool, patience: float = _PATIENCE
) -> tuple[bytes, bool]:
    """The key, and whether it was made just now (only at a first start). Raises KeyEncryptionError."""
    backoff = Backoff(longest=5.0)
    deadline = asyncio.get_running_loop().time() + patience
    while True:
        try:
            return await _read_or_make(gateway, name, first_start)
        except ApiError as error:
            if error.is_ours or asyncio.get_running_loop().time() >= deadline:
                raise KeyEncryptionError(
                    f"the Secret {name} with the key-encryption key can't be read or made: {error}; the"
                    " CA's account needs get on it, and create on secrets in its namespace"
                ) from error
            _log.warning("secret not read", extra=fields(secret=str(name), error=str(error)))
            await asyncio.sleep(backoff.next(error.retry_after))


async def _read_or_make(
    gateway: Gateway, name: ObjectName, first_start: bool
) -> tuple[bytes, bool]:
    """Raises ApiError, or KeyEncryptionError."""
    if (found := await _read(gateway, name)) is not None:
        return found, False
    if not first_start:
        raise KeyEncryptionError(
            f"there is no Secret {name}, and without the key-encryption key in it the stored keys stay"
            " shut; bring it back from where you keep its copy (key kek), or name the one that it is in"
        )
    kek = new_kek()
    try:
        await _make(gateway, name, kek)
    except ApiError as error:
        # Another replica made it meanwhile, and then that is the key.
        if error.is_conflict and (theirs := await _read(gateway, name)) is not None:
            return theirs, False
        raise
    return kek, True


async def _read(gateway: Gateway, name: ObjectName) -> bytes | None:
    """None: there is no such Secret."""
    try:
        secret: dict[str, Any] = await gateway.ask("GET", SECRETS.path(name.namespace, name.name))
    except ApiError as error:
        if error.status == 404:
            return None
        raise
    encoded = (secret.get("data") or {}).get(KEY)
    if encoded is None:
        raise KeyEncryptionError(
            f"the Secret {name} has no key {KEY}; put the key-encryption key there, or name another Secret"
        )
    try:
        kek = base64.b64decode(encoded, validate=True).strip()
    except binascii.Error as error:
        raise KeyEncryptionError(
            f"the key {KEY} of the Secret {name} can't be read: {error}"
        ) from error
    return long_enough(kek, f"the Secret {name}")


async def _make(gateway: Gateway, name: ObjectName, kek: bytes) -> None:
    body = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name.name, "namespace": name.namespace},
        "type": "Opaque",
        "immutable": True,
        "data": {KEY: base64.b64encode(kek).decode()},
    }
    query = (("fieldManager", MANAGER),)
    await gateway.ask("POST", SECRETS.path(name.namespace), body, query=query)
