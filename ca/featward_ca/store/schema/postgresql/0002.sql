-- Which environment this store belongs to; one row.
CREATE TABLE environment (
    name TEXT NOT NULL,
    trust_domain TEXT NOT NULL,
    created_at DOUBLE PRECISION NOT NULL
);

-- One row; SQLite keeps it in PRAGMA user_version.
CREATE TABLE schema_version (
    version INTEGER NOT NULL
);
INSERT INTO schema_version (version) VALUES (2);

-- The sequence of all that is announced; one row, never decreasing, from the Unix time of the first start on.
-- Its row lock guards rotation.
CREATE TABLE trust (
    sequence BIGINT NOT NULL
);
INSERT INTO trust (sequence) VALUES (0);

-- One row. halted_at: nothing is signed until it is NULL again. clock_high: the latest moment at which anything
-- was signed; a clock that is behind it signs nothing.
CREATE TABLE issuance (
    halted_at DOUBLE PRECISION,
    halted_by TEXT,
    reason TEXT,
    clock_high DOUBLE PRECISION NOT NULL DEFAULT 0
);
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
    certificate BYTEA,
    csr BYTEA,
    spki_sha256 BYTEA NOT NULL UNIQUE,
    path_prefix TEXT,
    not_before BIGINT NOT NULL,
    not_after BIGINT NOT NULL,
    -- The *_sequence columns: what the sequence was from that change on.
    announced_at DOUBLE PRECISION,
    announced_sequence BIGINT,
    activated_at DOUBLE PRECISION,
    activated_sequence BIGINT,
    tainted_at DOUBLE PRECISION,
    tainted_sequence BIGINT,
    revoked_at DOUBLE PRECISION,
    -- PKCS #8, encrypted under the key-encryption key; NULL after the authority's end, and where another machine has it.
    key BYTEA,
    CHECK (state IN ('requested', 'retired') OR certificate IS NOT NULL),
    UNIQUE (owner, generation)
);
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
    started_at DOUBLE PRECISION NOT NULL,
    step_since DOUBLE PRECISION NOT NULL,
    step_timeout DOUBLE PRECISION NOT NULL,
    requested_by TEXT NOT NULL,
    reason TEXT NOT NULL DEFAULT '',
    forced INTEGER NOT NULL DEFAULT 0,
    version INTEGER NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX rotation_open ON rotation (owner) WHERE state IN ('running', 'blocked', 'paused');

-- What happened in a rotation, in order. Nothing in it is ever changed.
CREATE TABLE rotation_event (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    rotation TEXT NOT NULL REFERENCES rotation (id),
    time DOUBLE PRECISION NOT NULL,
    step TEXT NOT NULL,
    what TEXT NOT NULL,
    detail TEXT
);

-- Unused join tokens. A use deletes the row, and only one deletion can find it. root_sha256: the root that the
-- token names, without which its holder would not know this CA.
CREATE TABLE join_token (
    secret_sha256 BYTEA PRIMARY KEY,
    workload TEXT NOT NULL,
    root_sha256 BYTEA NOT NULL,
    created_at DOUBLE PRECISION NOT NULL,
    expires_at DOUBLE PRECISION NOT NULL
);

-- The key for which a JWT was used first; it proves nothing for another one.
CREATE TABLE jwt_use (
    token_sha256 BYTEA PRIMARY KEY,
    spki_sha256 BYTEA NOT NULL,
    expires_at DOUBLE PRECISION NOT NULL
);

-- The business unit that a namespace had when it was first seen.
CREATE TABLE namespace_pin (
    cluster TEXT NOT NULL,
    namespace TEXT NOT NULL,
    business_unit TEXT NOT NULL,
    pinned_at DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (cluster, namespace)
);

-- A client: one process that was attested once, and all SVIDs that it has had. acknowledged_sequence: what it and
-- all its local consumers use, at the least.
CREATE TABLE lineage (
    id TEXT PRIMARY KEY,
    spiffe_id TEXT NOT NULL,
    workload TEXT NOT NULL,
    method TEXT NOT NULL,
    cluster TEXT,
    started_at DOUBLE PRECISION NOT NULL,
    tainted_at DOUBLE PRECISION,
    taint_reason TEXT,
    serial_in_use TEXT,
    acknowledged_sequence BIGINT NOT NULL DEFAULT 0,
    acknowledged_at DOUBLE PRECISION,
    seen_at DOUBLE PRECISION,
    -- The replica that holds its stream.
    replica TEXT,
    version TEXT,
    clock_offset_ms BIGINT
);
CREATE INDEX lineage_spiffe_id ON lineage (spiffe_id);

-- Issued SVIDs. certificate stays NULL when the CA was stopped between the intent and the outcome; cap: which
-- bound set not_after.
CREATE TABLE svid (
    serial TEXT PRIMARY KEY,
    lineage TEXT NOT NULL REFERENCES lineage (id),
    spiffe_id TEXT NOT NULL,
    authority TEXT NOT NULL REFERENCES authority (id),
    spki_sha256 BYTEA NOT NULL,
    issued_at BIGINT NOT NULL,
    not_before BIGINT NOT NULL,
    not_after BIGINT NOT NULL,
    renew_at BIGINT NOT NULL,
    cap TEXT NOT NULL CHECK (cap IN ('svid-ttl', 'authority')),
    replica TEXT NOT NULL,
    certificate BYTEA,
    -- The serial from which this one was renewed; a serial may be renewed once.
    renewed_from TEXT UNIQUE
);
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
    created_at DOUBLE PRECISION NOT NULL,
    expires_at DOUBLE PRECISION,
    UNIQUE (kind, value)
);

-- The newest good bundle document of each federated trust domain; error: why the last fetch was not one.
CREATE TABLE foreign_bundle (
    trust_domain TEXT PRIMARY KEY,
    sequence BIGINT NOT NULL,
    document BYTEA NOT NULL,
    refresh_hint INTEGER NOT NULL,
    fetched_at DOUBLE PRECISION NOT NULL,
    error TEXT
);

-- The processes on this store. sequence: what the replica's own Listeners use.
CREATE TABLE replica (
    id TEXT PRIMARY KEY,
    started_at DOUBLE PRECISION NOT NULL,
    seen_at DOUBLE PRECISION NOT NULL,
    sequence BIGINT NOT NULL,
    streams BIGINT NOT NULL
);

-- What was signed, changed or refused, in order. Nothing in it is ever changed.
CREATE TABLE audit (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    time DOUBLE PRECISION NOT NULL,
    replica TEXT NOT NULL,
    request TEXT NOT NULL,
    kind TEXT NOT NULL,
    caller TEXT NOT NULL,
    profile TEXT,
    subject TEXT,
    serial TEXT,
    authority TEXT,
    tbs_sha256 TEXT,
    outcome TEXT NOT NULL,
    detail TEXT
);
CREATE INDEX audit_request ON audit (request);
CREATE INDEX audit_serial ON audit (serial);

CREATE FUNCTION append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the table % is append-only', TG_TABLE_NAME;
END $$;
CREATE TRIGGER audit_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit
FOR EACH STATEMENT EXECUTE FUNCTION append_only();
CREATE TRIGGER rotation_event_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON rotation_event
FOR EACH STATEMENT EXECUTE FUNCTION append_only();

-- Tells the other replicas, when the change is committed.
CREATE FUNCTION tell_trust() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NOTIFY featward_trust;
    RETURN NULL;
END $$;
CREATE TRIGGER trust_is_told AFTER UPDATE ON trust FOR EACH STATEMENT EXECUTE FUNCTION tell_trust();
CREATE TRIGGER authority_is_told AFTER INSERT OR UPDATE ON authority
FOR EACH STATEMENT EXECUTE FUNCTION tell_trust();
CREATE TRIGGER halt_is_told AFTER UPDATE OF halted_at ON issuance
FOR EACH STATEMENT EXECUTE FUNCTION tell_trust();
