"""The CA's word on whom to trust, in the words of the engine: this only translates, and leaves nothing out.

For every client of a CA of ours: the sidecar, and what has a `WorkloadIdentity`.
"""

import logging

from featward.identity.v1 import identity_pb2
from featward.logs import fields
from featward_engine import Credentials

__all__ = ["tainted_authorities", "use_trust"]

log = logging.getLogger(__name__)


def use_trust(credentials: Credentials, trust: identity_pb2.Trust) -> None:
    """Trust this and nothing else from now on. Raises EngineError, and then nothing has changed."""
    credentials.set_trust(
        list(trust.roots),
        [(scope.spki_sha256, scope.path_prefix) for scope in trust.scopes],
        trust.sequence,
        bans=[_ban(ban) for ban in trust.bans],
        foreign=[(each.trust_domain, list(each.roots)) for each in trust.foreign],
    )
    counts = {name: len(getattr(trust, name)) for name in ("roots", "scopes", "bans", "foreign")}
    log.info("trust updated", extra=fields(sequence=trust.sequence, **counts))


def tainted_authorities(trust: identity_pb2.Trust) -> set[str]:
    """Those whose SVIDs are to be renewed, as the engine names an authority."""
    return {scope.spki_sha256.hex() for scope in trust.scopes if scope.tainted}


def _ban(ban: identity_pb2.Ban) -> tuple[str, str, int]:
    match ban.WhichOneof("whom"):
        case "authority_spki_sha256":
            return "authority", ban.authority_spki_sha256.hex(), ban.expires_at
        case "serial":
            return "serial", ban.serial, ban.expires_at
        case _:
            return "identity", ban.spiffe_id, ban.expires_at
