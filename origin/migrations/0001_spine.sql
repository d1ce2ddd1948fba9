-- One text for SQLite and PostgreSQL. The three differences are filled in by db::migrate:
--   {blob}     BLOB / BYTEA
--   {identity} an ascending 64-bit primary key
--   {unlogged} nothing / UNLOGGED
-- Times are Unix milliseconds (_at_ms), flags are 0 or 1, amounts are minor units.

-- The vault: one row once initialised. Nothing here opens anything without a threshold of shares.
CREATE TABLE vault (
    id             BIGINT PRIMARY KEY CHECK (id = 1),
    share_set      TEXT   NOT NULL,   -- JSON: set id, generation, threshold, total, SHA-256 of each share
    wrapped_root   {blob} NOT NULL,   -- the root key under the unseal key
    created_at_ms  BIGINT NOT NULL
);

-- The key ring: each key on its own under the root key.
CREATE TABLE vault_keys (
    kind           TEXT   NOT NULL,
    id             BIGINT NOT NULL,
    wrapped        {blob} NOT NULL,
    state          TEXT   NOT NULL,   -- active, retired, destroyed
    created_at_ms  BIGINT NOT NULL,
    PRIMARY KEY (kind, id)
);

-- Who holds which share. The share itself is kept only as the custodian can open it.
CREATE TABLE vault_custodians (
    set_id         TEXT   NOT NULL,
    share_index    BIGINT NOT NULL,
    name           TEXT   NOT NULL,
    recipient      TEXT   NOT NULL,   -- age or ssh public key
    sealed_share   TEXT   NOT NULL,   -- armored age file
    PRIMARY KEY (set_id, share_index)
);

CREATE TABLE accounts (
    name               TEXT   PRIMARY KEY,    -- canonical: merchant-25
    role               TEXT   NOT NULL,       -- EXTERNAL, STK, INTERNAL, WALLET
    status             TEXT   NOT NULL,       -- active, suspended
    display_name       TEXT   NOT NULL,       -- what shoppers read
    currency           TEXT   NOT NULL,       -- ISO 4217, fixed at creation
    psp                TEXT,                  -- the PSP that may act for this merchant
    password_verifier  {blob} NOT NULL,       -- SHA-256 of the API password
    credential_version BIGINT NOT NULL,       -- one more with each rotation
    webhook_url        TEXT,
    webhook_secret     {blob},                -- vault record
    change_seq         BIGINT NOT NULL,       -- the last number of the change feed
    row_version        BIGINT NOT NULL,       -- bound into webhook_secret; one more when it is written again
    created_at_ms      BIGINT NOT NULL
);

CREATE TABLE acquirer_credentials (
    account        TEXT   NOT NULL REFERENCES accounts (name),
    acquirer       TEXT   NOT NULL,
    sealed         {blob} NOT NULL,           -- vault record: JSON of that acquirer's credentials
    row_version    BIGINT NOT NULL,
    PRIMARY KEY (account, acquirer)
);

CREATE TABLE cards (
    token          TEXT   PRIMARY KEY,        -- opaque, stands for the card outside the vault
    account        TEXT   NOT NULL REFERENCES accounts (name),
    pan            {blob} NOT NULL,           -- vault record
    expiry         {blob} NOT NULL,           -- vault record
    holder         {blob},                    -- vault record
    bin            TEXT   NOT NULL,           -- first six digits, for display
    last_four      TEXT   NOT NULL,
    fingerprint    {blob} NOT NULL,           -- HMAC of the digits with a vault key: finds the same card again
    row_version    BIGINT NOT NULL,
    created_at_ms  BIGINT NOT NULL,
    UNIQUE (account, fingerprint)
);

CREATE TABLE payment_requests (
    id                  TEXT   PRIMARY KEY,
    account             TEXT   NOT NULL REFERENCES accounts (name),
    merchant_reference  TEXT   NOT NULL,
    amount_minor        BIGINT NOT NULL,      -- 0 = the payer types it
    currency            TEXT   NOT NULL,
    short_description   TEXT,
    product_url         TEXT,
    use_once            BIGINT NOT NULL,
    asked_expiry_ms     BIGINT,               -- as the merchant sent it; compared when the call is repeated
    expires_at_ms       BIGINT NOT NULL,      -- 0 = never
    created_at_ms       BIGINT NOT NULL,
    UNIQUE (account, merchant_reference)
);

CREATE TABLE codes (
    code            TEXT   PRIMARY KEY,       -- ten digits
    request_id      TEXT   NOT NULL UNIQUE REFERENCES payment_requests (id),
    state           TEXT   NOT NULL,          -- Available, Locked, Used, Blocked, Deleted
    transaction_id  BIGINT                    -- the attempt that locked or used it last
);

CREATE TABLE transactions (
    id              {identity},
    request_id      TEXT   NOT NULL REFERENCES payment_requests (id),
    account         TEXT   NOT NULL REFERENCES accounts (name),
    attempt         TEXT   NOT NULL UNIQUE,   -- the page's attempt id: consumed by this row
    card            TEXT   NOT NULL REFERENCES cards (token),
    amount_minor    BIGINT NOT NULL,
    currency        TEXT   NOT NULL,
    state           TEXT   NOT NULL,          -- see payments::state
    acquirer        TEXT   NOT NULL,
    acquirer_ref    TEXT,                     -- the acquirer's id of the authorisation
    decline         TEXT,                     -- our vocabulary of reasons
    created_at_ms   BIGINT NOT NULL,
    updated_at_ms   BIGINT NOT NULL
);
CREATE INDEX transactions_by_state ON transactions (state, updated_at_ms);
CREATE INDEX transactions_by_request ON transactions (request_id);

-- What was asked of the acquirer, written before asking; the outcome is written after.
CREATE TABLE acts (
    transaction_id  BIGINT NOT NULL REFERENCES transactions (id),
    number          BIGINT NOT NULL,
    kind            TEXT   NOT NULL,          -- authorise, capture, void
    amount_minor    BIGINT NOT NULL,
    state           TEXT   NOT NULL,          -- asked, done, refused, unknown
    created_at_ms   BIGINT NOT NULL,
    settled_at_ms   BIGINT,
    PRIMARY KEY (transaction_id, number)
);

-- The change feed: gap-free per account, numbered in the transaction that makes the change.
CREATE TABLE changes (
    account         TEXT   NOT NULL REFERENCES accounts (name),
    seq             BIGINT NOT NULL,
    transaction_id  BIGINT NOT NULL REFERENCES transactions (id),
    at_ms           BIGINT NOT NULL,
    PRIMARY KEY (account, seq)
);

CREATE TABLE outbox (
    id              TEXT   PRIMARY KEY,       -- the delivery id
    account         TEXT   NOT NULL REFERENCES accounts (name),
    url             TEXT   NOT NULL,
    body            TEXT   NOT NULL,
    state           TEXT   NOT NULL,          -- pending, delivered, parked
    attempts        BIGINT NOT NULL,
    next_at_ms      BIGINT NOT NULL,
    lease_until_ms  BIGINT NOT NULL,
    last_error      TEXT,
    created_at_ms   BIGINT NOT NULL
);
CREATE INDEX outbox_due ON outbox (state, next_at_ms);

-- Nonces of the link, shared by the processes of a region (PostgreSQL only; one process keeps them in memory).
CREATE {unlogged} TABLE link_nonces (
    nonce           TEXT   PRIMARY KEY,
    expires_at_ms   BIGINT NOT NULL
);
