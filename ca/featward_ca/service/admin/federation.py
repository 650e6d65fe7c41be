"""How the foreign trust domains stand, in the words of the protocol."""

from featward.authority.v1 import authority_pb2
from featward_ca.core import Core
from featward_ca.federation.standing import Standing, interval, standing
from featward_ca.trouble import Trouble


async def foreign_domains(
    core: Core,
) -> tuple[list[authority_pb2.Foreign], list[Trouble]]:
    """Every relation, and what there is to do about federation. Raises StoreError."""
    rows, now = await core.foreign.rows(), core.clock.now()
    found = []
    for domain in sorted(core.situation.directory.relations):
        row = rows.get(domain)
        hint, unsafe = row.refresh_hint if row else 0, core.situation.lifetimes.unsafe_short
        seconds = interval(hint, unsafe_short=unsafe)
        found.append(standing(domain, row, core.endpoints.error(domain), now, seconds))
    troubles = [trouble for one in found for trouble in one.troubles]
    own = core.endpoints.own_trouble(now)
    return [_foreign(one) for one in found], [*troubles, *own]


def _foreign(one: Standing) -> authority_pb2.Foreign:
    return authority_pb2.Foreign(
        trust_domain=one.trust_domain,
        sequence=one.sequence,
        fetched_at=one.fetched_at,
        error=one.error,
        first_end=int(one.first_end),
    )
