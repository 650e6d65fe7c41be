-- Which environment this file belongs to; one row.
CREATE TABLE environment (
    name TEXT NOT NULL,
    trust_domain TEXT NOT NULL,
    created_at REAL NOT NULL
) STRICT;

-- The sequence of bundle and scope table; one row, never decreasing.
CREATE TABLE trust (
    sequence INTEGER NOT NULL
) STRICT;
INSERT INTO trust (sequence) VALUES (0);

-- Roots and issuing authorities. owner: 'root', 'platform' or a business unit such as 'prod.payments'.
-- state: prepared (announced, not used), active, old (replaced, still announced), expired (no longer announced).
CREATE TABLE authority (
    id TEXT PRIMARY KEY,
    owner TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('prepared', 'active', 'old', 'expired')),
    certificate BLOB NOT NULL,
    spki_sha256 BLOB NOT NULL UNIQUE,
    path_prefix TEXT,
    not_before INTEGER NOT NULL,
    not_after INTEGER NOT NULL,
    announced_at REAL NOT NULL,
    activated_at REAL,
    -- PKCS #8, encrypted under the key-encryption key; NULL after the authority's end.
    key BLOB
) STRICT;
CREATE UNIQUE INDEX authority_active ON authority (owner) WHERE state = 'active';

-- Unused join tokens. A use deletes the row, and only one deletion can find it.
CREATE TABLE join_token (
    secret_sha256 BLOB PRIMARY KEY,
    workload TEXT NOT NULL,
    created_at REAL NOT NULL,
    expires_at REAL NOT NULL
) STRICT;

-- All SVIDs that descend from one attestation.
CREATE TABLE lineage (
    id TEXT PRIMARY KEY,
    spiffe_id TEXT NOT NULL,
    workload TEXT NOT NULL,
    method TEXT NOT NULL,
    started_at REAL NOT NULL,
    tainted_at REAL,
    taint_reason TEXT
) STRICT;

-- Issued SVIDs. certificate stays NULL when the CA was stopped between the intent and the outcome.
CREATE TABLE svid (
    serial TEXT PRIMARY KEY,
    lineage TEXT NOT NULL REFERENCES lineage (id),
    spiffe_id TEXT NOT NULL,
    authority TEXT NOT NULL REFERENCES authority (id),
    spki_sha256 BLOB NOT NULL,
    issued_at INTEGER NOT NULL,
    not_before INTEGER NOT NULL,
    not_after INTEGER NOT NULL,
    renew_at INTEGER NOT NULL,
    certificate BLOB,
    -- The serial from which this one was renewed; a serial may be renewed once.
    renewed_from TEXT UNIQUE REFERENCES svid (serial)
) STRICT;
CREATE INDEX svid_not_after ON svid (not_after);

-- What was signed or refused, in order. Nothing in it is ever changed.
CREATE TABLE audit (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    time REAL NOT NULL,
    request TEXT NOT NULL,
    kind TEXT NOT NULL,
    caller TEXT NOT NULL,
    profile TEXT,
    subject TEXT,
    serial TEXT,
    tbs_sha256 TEXT,
    outcome TEXT NOT NULL,
    detail TEXT
) STRICT;
CREATE INDEX audit_request ON audit (request);
CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit table is append-only'); END;
CREATE TRIGGER audit_is_not_deleted BEFORE DELETE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit table is append-only'); END;
