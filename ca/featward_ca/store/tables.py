"""The columns of the schema, for statements. What each one means stands in ``schema/*/*.sql``,
which makes them.
"""

from sqlalchemy import BigInteger, Column, Float, LargeBinary, MetaData, Table, Text

_metadata = MetaData()

environment = Table(
    "environment",
    _metadata,
    Column("name", Text),
    Column("trust_domain", Text),
    Column("created_at", Float),
)
trust = Table("trust", _metadata, Column("sequence", BigInteger))
authority = Table(
    "authority",
    _metadata,
    Column("id", Text, primary_key=True),
    Column("owner", Text),
    Column("state", Text),
    Column("certificate", LargeBinary),
    Column("spki_sha256", LargeBinary),
    Column("path_prefix", Text),
    Column("not_before", BigInteger),
    Column("not_after", BigInteger),
    Column("announced_at", Float),
    Column("activated_at", Float),
    Column("key", LargeBinary),
)
join_token = Table(
    "join_token",
    _metadata,
    Column("secret_sha256", LargeBinary, primary_key=True),
    Column("workload", Text),
    Column("created_at", Float),
    Column("expires_at", Float),
)
lineage = Table(
    "lineage",
    _metadata,
    Column("id", Text, primary_key=True),
    Column("spiffe_id", Text),
    Column("workload", Text),
    Column("method", Text),
    Column("started_at", Float),
    Column("tainted_at", Float),
    Column("taint_reason", Text),
)
svid = Table(
    "svid",
    _metadata,
    Column("serial", Text, primary_key=True),
    Column("lineage", Text),
    Column("spiffe_id", Text),
    Column("authority", Text),
    Column("spki_sha256", LargeBinary),
    Column("issued_at", BigInteger),
    Column("not_before", BigInteger),
    Column("not_after", BigInteger),
    Column("renew_at", BigInteger),
    Column("certificate", LargeBinary),
    Column("renewed_from", Text),
)
audit = Table(
    "audit",
    _metadata,
    Column("id", BigInteger, primary_key=True),
    Column("time", Float),
    Column("request", Text),
    Column("kind", Text),
    Column("caller", Text),
    Column("profile", Text),
    Column("subject", Text),
    Column("serial", Text),
    Column("tbs_sha256", Text),
    Column("outcome", Text),
    Column("detail", Text),
)
