"""The columns of the schema, for statements. What each one means stands in ``schema/*/*.sql``,
which makes them.

Numbers are wide everywhere, because times in whole seconds outgrow 31 bits in 2038.
"""

from typing import Any

from sqlalchemy import BigInteger, Column, Float, LargeBinary, MetaData, Table, Text
from sqlalchemy.types import TypeEngine

_metadata = MetaData()
_number, _time, _text, _bytes = BigInteger(), Float(), Text(), LargeBinary()


def _table(name: str, key: str | tuple[str, ...] = (), /, **columns: TypeEngine[Any]) -> Table:
    keys = (key,) if isinstance(key, str) else key
    made = (Column(column, kind, primary_key=column in keys) for column, kind in columns.items())
    return Table(name, _metadata, *made)


environment = _table("environment", name=_text, trust_domain=_text, created_at=_time)
trust = _table("trust", sequence=_number)
settled = _table("settled", audit=_number)
issuance = _table("issuance", halted_at=_time, halted_by=_text, reason=_text, clock_high=_time)
authority = _table(
    "authority",
    "id",
    id=_text,
    owner=_text,
    generation=_number,
    issuer=_text,
    state=_text,
    certificate=_bytes,
    csr=_bytes,
    spki_sha256=_bytes,
    path_prefix=_text,
    not_before=_number,
    not_after=_number,
    announced_at=_time,
    announced_sequence=_number,
    activated_at=_time,
    activated_sequence=_number,
    tainted_at=_time,
    tainted_sequence=_number,
    revoked_at=_time,
    key=_bytes,
)
rotation = _table(
    "rotation",
    "id",
    id=_text,
    owner=_text,
    kind=_text,
    target=_text,
    predecessor=_text,
    parent=_text,
    step=_text,
    state=_text,
    started_at=_time,
    step_since=_time,
    step_timeout=_time,
    requested_by=_text,
    reason=_text,
    forced=_number,
    version=_number,
)
rotation_event = _table(
    "rotation_event",
    "id",
    id=_number,
    rotation=_text,
    time=_time,
    step=_text,
    what=_text,
    detail=_text,
)
join_token = _table(
    "join_token",
    "secret_sha256",
    secret_sha256=_bytes,
    workload=_text,
    root_sha256=_bytes,
    created_at=_time,
    expires_at=_time,
)
jwt_use = _table(
    "jwt_use", "token_sha256", token_sha256=_bytes, spki_sha256=_bytes, expires_at=_time
)
namespace_pin = _table(
    "namespace_pin",
    ("cluster", "namespace"),
    cluster=_text,
    namespace=_text,
    business_unit=_text,
    pinned_at=_time,
)
lineage = _table(
    "lineage",
    "id",
    id=_text,
    spiffe_id=_text,
    workload=_text,
    method=_text,
    cluster=_text,
    started_at=_time,
    tainted_at=_time,
    taint_reason=_text,
    serial_in_use=_text,
    acknowledged_sequence=_number,
    acknowledged_at=_time,
    seen_at=_time,
    replica=_text,
    version=_text,
    clock_offset_ms=_number,
)
svid = _table(
    "svid",
    "serial",
    serial=_text,
    lineage=_text,
    spiffe_id=_text,
    authority=_text,
    spki_sha256=_bytes,
    issued_at=_number,
    not_before=_number,
    not_after=_number,
    renew_at=_number,
    cap=_text,
    replica=_text,
    certificate=_bytes,
    renewed_from=_text,
)
ban = _table(
    "ban",
    "id",
    id=_text,
    kind=_text,
    value=_text,
    reason=_text,
    created_by=_text,
    created_at=_time,
    expires_at=_time,
)
foreign_bundle = _table(
    "foreign_bundle",
    "trust_domain",
    trust_domain=_text,
    sequence=_number,
    document=_bytes,
    refresh_hint=_number,
    fetched_at=_time,
    error=_text,
)
replica = _table(
    "replica",
    "id",
    id=_text,
    started_at=_time,
    seen_at=_time,
    sequence=_number,
    streams=_number,
)
audit = _table(
    "audit",
    "id",
    id=_number,
    time=_time,
    replica=_text,
    request=_text,
    kind=_text,
    caller=_text,
    profile=_text,
    subject=_text,
    serial=_text,
    authority=_text,
    tbs_sha256=_text,
    outcome=_text,
    detail=_text,
)
ALL = _metadata.tables
