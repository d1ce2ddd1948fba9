-- The vault's second half: proofs, re-shares, key use, the audit chain. One text for both databases, as in 0001; what
-- has to be written differently is in 0002_vault.sqlite.sql and 0002_vault.postgres.sql, run after this.

-- One more with each change of the share set or the ring: the other processes reload when they see it.
ALTER TABLE vault ADD COLUMN ring_version BIGINT NOT NULL DEFAULT 1;

-- How often a data key has sealed. Counted in blocks that are reserved before they are used: never too low.
ALTER TABLE vault_keys ADD COLUMN uses BIGINT NOT NULL DEFAULT 0;

-- The keys that a record may name. Destroying a key deletes its row here, which the database refuses while one record
-- names it: whatever another process does at that moment, no record loses its key.
CREATE TABLE vault_data_keys (id BIGINT PRIMARY KEY);
CREATE TABLE vault_fingerprint_keys (id BIGINT PRIMARY KEY);
INSERT INTO vault_data_keys (id) SELECT id FROM vault_keys WHERE kind = 'data' AND state <> 'destroyed';
INSERT INTO vault_fingerprint_keys (id) SELECT id FROM vault_keys WHERE kind = 'fingerprint' AND state <> 'destroyed';

-- Who holds which share, of the set in effect and of a re-share that waits for its proofs.
CREATE TABLE vault_shares (
    set_id         TEXT   NOT NULL,
    generation     BIGINT NOT NULL,
    share_index    BIGINT NOT NULL,
    name           TEXT   NOT NULL,
    recipient      TEXT   NOT NULL,   -- age or ssh public key
    sealed_share   TEXT   NOT NULL,   -- armored age file: only the custodian can open it
    proved_at_ms   BIGINT,            -- when the custodian first gave the right share
    PRIMARY KEY (set_id, generation, share_index)
);
INSERT INTO vault_shares (set_id, generation, share_index, name, recipient, sealed_share)
    SELECT set_id, 0, share_index, name, recipient, sealed_share FROM vault_custodians;
DROP TABLE vault_custodians;

-- The re-share under way: at most one. What custodians gave as authority is in memory only; once a threshold of it came,
-- the new set is dealt and stored here, and waits for its proofs.
CREATE TABLE vault_reshare (
    id             BIGINT PRIMARY KEY CHECK (id = 1),
    nonce          TEXT   NOT NULL,
    started_by     TEXT   NOT NULL,
    started_at_ms  BIGINT NOT NULL,
    compromised    BIGINT NOT NULL,   -- root and data keys are replaced too
    plan           TEXT   NOT NULL,   -- JSON: threshold and custodians, frozen
    plan_seal      {blob} NOT NULL,   -- vault record over the plan: nobody changes it before the dealing
    share_set      TEXT,              -- JSON, as in vault; null until dealt
    wrapped_root   {blob},
    seal           {blob}             -- vault record over what was dealt: it is known again at the switch
);

-- The ring as it will be after a re-share that replaces the root key.
CREATE TABLE vault_reshare_keys (
    kind           TEXT   NOT NULL,
    id             BIGINT NOT NULL,
    wrapped        {blob} NOT NULL,
    state          TEXT   NOT NULL,
    created_at_ms  BIGINT NOT NULL,
    PRIMARY KEY (kind, id)
);

-- What one operator asked for and a second one has to confirm.
CREATE TABLE vault_approvals (
    action         TEXT   PRIMARY KEY,
    requested_by   TEXT   NOT NULL,
    requested_at_ms BIGINT NOT NULL
);

-- The re-encryption: the last one, or the one under way.
CREATE TABLE vault_reencryption (
    id             BIGINT PRIMARY KEY CHECK (id = 1),
    state          TEXT   NOT NULL,   -- running, done
    started_by     TEXT   NOT NULL,
    started_at_ms  BIGINT NOT NULL,
    finished_at_ms BIGINT,
    per_second     BIGINT NOT NULL,   -- records, at most
    total          BIGINT NOT NULL,
    done           BIGINT NOT NULL,
    failed         BIGINT NOT NULL,   -- records that do not open; they stay as they are
    cursor_table   TEXT   NOT NULL,   -- everything up to this row has been looked at
    cursor_row     TEXT   NOT NULL,
    lease_owner    TEXT   NOT NULL,   -- the process that works on it
    lease_until_ms BIGINT NOT NULL
);

-- The audit: a hash chain for each process that ever ran.
CREATE TABLE audit_chains (
    id             TEXT   PRIMARY KEY,   -- 32 hexadecimal digits, drawn at start
    process        TEXT   NOT NULL,      -- for people: host, region and process number
    started_at_ms  BIGINT NOT NULL
);

CREATE TABLE audit_links (
    chain          TEXT   NOT NULL REFERENCES audit_chains (id),
    number         BIGINT NOT NULL,      -- from 1, without a gap
    at_ms          BIGINT NOT NULL,
    entries        TEXT   NOT NULL,      -- JSON array: what happened, in one transaction with it
    hash           {blob} NOT NULL,      -- over this link and the one before
    key_id         BIGINT,               -- the audit key that signed; null: the vault was sealed
    signature      {blob},               -- Ed25519 over the hash
    PRIMARY KEY (chain, number)
);
