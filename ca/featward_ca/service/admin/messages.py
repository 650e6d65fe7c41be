"""Authorities, rotations and what stands in their way, in the protocol's form."""

from collections.abc import Iterable, Mapping

from featward.authority.v1 import authority_pb2
from featward_ca.rotation.known import Blocker, BlockerKind, Known, LiveClient, Rotation
from featward_ca.rotation.orders import Answer
from featward_ca.rotation.states import OPEN
from featward_ca.rotation.waiting import blockers
from featward_ca.store.authority_rows import AuthorityRow

# A message of gRPC has 4 MB at most, which twelve thousand clients would fill.
_LISTED = 1000
# Of each rotation under way, in an answer that may hold fifty of them.
_FIRST = 16


def authority(
    row: AuthorityRow, live_svids: int = 0, replace_at: float = 0
) -> authority_pb2.Authority:
    """One authority."""
    return authority_pb2.Authority(
        id=row.id,
        owner=row.owner,
        state=row.state,
        path_prefix=row.path_prefix or "",
        not_before=row.not_before,
        not_after=row.not_after,
        spki_sha256=row.spki_sha256,
        issuer=row.issuer or "",
        announced_sequence=row.announced_sequence or 0,
        tainted_sequence=row.tainted_sequence or 0,
        generation=row.generation,
        live_svids=live_svids,
        replace_at=int(replace_at),
    )


def rotation(row: Rotation, known: Known) -> authority_pb2.Rotation:
    """One rotation; of the clients, how many the present step has left to wait for. One that is over waits
    for nobody.
    """
    is_open = row.state in OPEN
    found = blockers(row, known) if is_open else []
    needed = len(known.clients) if is_open else 0
    waiting = sum(one.kind is BlockerKind.CLIENT for one in found)
    return authority_pb2.Rotation(
        id=row.id,
        owner=row.owner,
        target=row.target or "",
        predecessor=row.predecessor or "",
        kind=row.kind,
        step=row.step,
        state=row.state,
        step_since=row.step_since,
        deadline=row.deadline,
        acknowledged=needed - waiting,
        needed=needed,
        requested_by=row.requested_by,
        reason=row.reason,
        blockers=_blockers(found[:_FIRST]),
        blockers_left_out=max(0, len(found) - _FIRST),
    )


def step_response(
    answer: Answer, known: Known, signed: Mapping[str, int]
) -> authority_pb2.StepResponse:
    """The answer to an order; `signed`: how many SVIDs of each authority live."""
    row = answer.authority
    return authority_pb2.StepResponse(
        authority=authority(row, signed.get(row.id, 0)) if row else None,
        rotation=rotation(answer.rotation, known) if answer.rotation else None,
        blockers=_blockers(answer.blockers[:_LISTED]),
        breaks=answer.breaks[:_LISTED],
        changed=answer.changed,
        steps=answer.steps,
        blockers_left_out=max(0, len(answer.blockers) - _LISTED),
        breaks_left_out=max(0, len(answer.breaks) - _LISTED),
    )


def client(one: LiveClient) -> authority_pb2.Client:
    """A client as far as rotations know it."""
    return authority_pb2.Client(
        lineage=one.lineage,
        spiffe_id=one.spiffe_id,
        connected=one.connected,
        acknowledged_sequence=one.acknowledged,
        authority=one.authority,
        not_after=int(one.not_after),
    )


def _blockers(found: Iterable[Blocker]) -> list[authority_pb2.Blocker]:
    return [
        authority_pb2.Blocker(
            kind=one.kind,
            who=one.who,
            text=one.text,
            until=one.until or 0,
            client=client(one.client) if one.client else None,
        )
        for one in found
    ]
