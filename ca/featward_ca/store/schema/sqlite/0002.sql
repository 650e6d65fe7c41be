-- Rotation by acknowledgements, bans, federation, more evidence, replicas. SQLite can't change a CHECK or a
-- REFERENCES in place, so three tables are made anew; foreign keys are on, hence: rename, create, copy, drop the
-- children first.
DROP INDEX authority_active;
DROP INDEX svid_not_after;
ALTER TABLE svid RENAME TO svid_1;
ALTER TABLE lineage RENAME TO lineage_1;
ALTER TABLE authority RENAME TO authority_1;
-- Tokens live for an hour, and these do not say which root they name: make new ones.
DROP TABLE join_token;

-- One row. halted_at: nothing is signed until it is NULL again. clock_high: the latest moment at which anything
-- was signed; a clock that is behind it signs nothing.
CREATE TABLE issuance (
    halted_at REAL,
    halted_by TEXT,
    reason TEXT,
    clock_high REAL NOT NULL DEFAULT 0
) STRICT;
INSERT INTO issuance DEFAULT VALUES;

-- Roots and issuing authorities; see rotation/states.py for the states. owner: 'root', 'platform' or a business
-- unit such as 'prod.payments'; generation counts the authorities of one owner; issuer is the root that signed
-- it, NULL for a root.
CREATE TABLE authority (
    id TEXT PRIMARY KEY,
    owner TEXT NOT NULL,
    generation INTEGER NOT NULL,
    issuer TEXT REFERENCES authority (id),
    state TEXT NOT NULL CHECK (
        state IN ('requested', 'prepared', 'active', 'old', 'tainted', 'revoked', 'expired', 'retired')
    ),
    certificate BLOB,
    csr BLOB,
    spki_sha256 BLOB NOT NULL UNIQUE,
    path_prefix TEXT,
    not_before INTEGER NOT NULL,
    not_after INTEGER NOT NULL,
    -- The *_sequence columns: what the sequence was from that change on.
    announced_at REAL,
    announced_sequence INTEGER,
    activated_at REAL,
    activated_sequence INTEGER,
    tainted_at REAL,
    tainted_sequence INTEGER,
    revoked_at REAL,
    -- PKCS #8, encrypted under the key-encryption key; NULL after the authority's end, and where another machine has it.
    key BLOB,
    CHECK (state IN ('requested', 'retired') OR certificate IS NOT NULL),
    UNIQUE (owner, generation)
) STRICT;
CREATE UNIQUE INDEX authority_active ON authority (owner) WHERE state = 'active';
CREATE UNIQUE INDEX authority_next ON authority (owner) WHERE state IN ('requested', 'prepared');

-- The journal of rotations: what is under way, one open row for each owner. forced: blockers were overridden;
-- version grows with every change.
CREATE TABLE rotation (
    id TEXT PRIMARY KEY,
    owner TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('scheduled', 'manual', 'root', 'compromise')),
    target TEXT REFERENCES authority (id),
    predecessor TEXT REFERENCES authority (id),
    parent TEXT REFERENCES rotation (id),
    step TEXT NOT NULL CHECK (step IN ('request', 'prepare', 'activate', 'taint', 'revoke', 'done')),
    state TEXT NOT NULL CHECK (state IN ('running', 'blocked', 'paused', 'done', 'cancelled')),
    started_at REAL NOT NULL,
    step_since REAL NOT NULL,
    step_timeout REAL NOT NULL,
    requested_by TEXT NOT NULL,
    reason TEXT NOT NULL DEFAULT '',
    forced INTEGER NOT NULL DEFAULT 0,
    version INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE UNIQUE INDEX rotation_open ON rotation (owner) WHERE state IN ('running', 'blocked', 'paused');

-- What happened in a rotation, in order. Nothing in it is ever changed.
CREATE TABLE rotation_event (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    rotation TEXT NOT NULL REFERENCES rotation (id),
    time REAL NOT NULL,
    step TEXT NOT NULL,
    what TEXT NOT NULL,
    detail TEXT
) STRICT;

CREATE TRIGGER rotation_event_is_not_changed BEFORE UPDATE ON rotation_event
BEGIN SELECT RAISE(ABORT, 'the table rotation_event is append-only'); END;
CREATE TRIGGER rotation_event_is_not_deleted BEFORE DELETE ON rotation_event
BEGIN SELECT RAISE(ABORT, 'the table rotation_event is append-only'); END;

-- Unused join tokens. A use deletes the row, and only one deletion can find it. root_sha256: the root that the
-- token names, without which its holder would not know this CA.
CREATE TABLE join_token (
    secret_sha256 BLOB PRIMARY KEY,
    workload TEXT NOT NULL,
    root_sha256 BLOB NOT NULL,
    created_at REAL NOT NULL,
    expires_at REAL NOT NULL
) STRICT;

-- The key for which a JWT was used first; it proves nothing for another one.
CREATE TABLE jwt_use (
    token_sha256 BLOB PRIMARY KEY,
    spki_sha256 BLOB NOT NULL,
    expires_at REAL NOT NULL
) STRICT;

-- The business unit that a namespace had when it was first seen.
CREATE TABLE namespace_pin (
    cluster TEXT NOT NULL,
    namespace TEXT NOT NULL,
    business_unit TEXT NOT NULL,
    pinned_at REAL NOT NULL,
    PRIMARY KEY (cluster, namespace)
) STRICT;

-- A client: one process that was attested once, and all SVIDs that it has had. acknowledged_sequence: what it and
-- all its local consumers use, at the least.
CREATE TABLE lineage (
    id TEXT PRIMARY KEY,
    spiffe_id TEXT NOT NULL,
    workload TEXT NOT NULL,
    method TEXT NOT NULL,
    cluster TEXT,
    started_at REAL NOT NULL,
    tainted_at REAL,
    taint_reason TEXT,
    serial_in_use TEXT,
    acknowledged_sequence INTEGER NOT NULL DEFAULT 0,
    acknowledged_at REAL,
    seen_at REAL,
    -- The replica that holds its stream.
    replica TEXT,
    version TEXT,
    clock_offset_ms INTEGER
) STRICT;
CREATE INDEX lineage_spiffe_id ON lineage (spiffe_id);

-- Issued SVIDs. certificate stays NULL when the CA was stopped between the intent and the outcome; cap: which
-- bound set not_after.
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
    cap TEXT NOT NULL CHECK (cap IN ('svid-ttl', 'authority')),
    replica TEXT NOT NULL,
    certificate BLOB,
    -- The serial from which this one was renewed; a serial may be renewed once.
    renewed_from TEXT UNIQUE
) STRICT;
CREATE INDEX svid_not_after ON svid (not_after);
CREATE INDEX svid_lineage ON svid (lineage, not_after);
CREATE INDEX svid_authority ON svid (authority, not_after);

-- Whom nobody accepts although the chain is good. value: a SPIFFE ID, a serial, or the hex of an authority's
-- spki_sha256.
CREATE TABLE ban (
    id TEXT PRIMARY KEY,
    kind TEXT NOT NULL CHECK (kind IN ('identity', 'serial', 'authority')),
    value TEXT NOT NULL,
    reason TEXT NOT NULL,
    created_by TEXT NOT NULL,
    created_at REAL NOT NULL,
    expires_at REAL,
    UNIQUE (kind, value)
) STRICT;

-- The newest good bundle document of each federated trust domain; error: why the last fetch was not one.
CREATE TABLE foreign_bundle (
    trust_domain TEXT PRIMARY KEY,
    sequence INTEGER NOT NULL,
    document BLOB NOT NULL,
    refresh_hint INTEGER NOT NULL,
    fetched_at REAL NOT NULL,
    error TEXT
) STRICT;

-- The processes on this store. sequence: what the replica's own Listeners use.
CREATE TABLE replica (
    id TEXT PRIMARY KEY,
    started_at REAL NOT NULL,
    seen_at REAL NOT NULL,
    sequence INTEGER NOT NULL,
    streams INTEGER NOT NULL
) STRICT;

INSERT INTO authority (
    id, owner, generation, issuer, state, certificate, spki_sha256, path_prefix, not_before, not_after,
    announced_at, announced_sequence, activated_at, key
)
SELECT
    id,
    owner,
    row_number() OVER (PARTITION BY owner ORDER BY announced_at, id),
    CASE WHEN owner = 'root' THEN NULL ELSE (SELECT id FROM authority_1 WHERE owner = 'root') END,
    -- An expired one was announced no more.
    CASE state WHEN 'expired' THEN 'retired' ELSE state END,
    certificate, spki_sha256, path_prefix, not_before, not_after, announced_at, 0, activated_at, key
FROM authority_1
ORDER BY owner != 'root';
INSERT INTO lineage (id, spiffe_id, workload, method, started_at, tainted_at, taint_reason)
SELECT id, spiffe_id, workload, method, started_at, tainted_at, taint_reason FROM lineage_1;
INSERT INTO svid (
    serial, lineage, spiffe_id, authority, spki_sha256, issued_at, not_before, not_after, renew_at, cap, replica,
    certificate, renewed_from
)
SELECT
    serial, lineage, spiffe_id, authority, spki_sha256, issued_at, not_before, not_after, renew_at, 'svid-ttl', '',
    certificate, renewed_from
FROM svid_1;
DROP TABLE svid_1;
DROP TABLE lineage_1;
DROP TABLE authority_1;

ALTER TABLE audit ADD COLUMN replica TEXT NOT NULL DEFAULT '';
ALTER TABLE audit ADD COLUMN authority TEXT;
CREATE INDEX audit_serial ON audit (serial);
