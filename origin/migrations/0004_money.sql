-- The money: totals and acts, two dialects, 3-D Secure, wallets, subscribers, idempotency, deliveries. One text for both
-- databases, as in 0001; the tables that SQLite has to make anew are in 0004_money.sqlite.sql and .postgres.sql.

-- A payment request as its merchant made it. What has no column of its own is JSON in `details`: items, billing and
-- shipping, pages to return to; personal data, but no card data.
ALTER TABLE payment_requests ADD COLUMN dialect TEXT NOT NULL DEFAULT 'pluto';     -- pluto, v1
ALTER TABLE payment_requests ADD COLUMN kind TEXT NOT NULL DEFAULT 'payment';      -- payment, subscribe, renew, charge
ALTER TABLE payment_requests ADD COLUMN order_id TEXT;                             -- v1: the merchant's, not unique
ALTER TABLE payment_requests ADD COLUMN autocapture BIGINT NOT NULL DEFAULT 1;
ALTER TABLE payment_requests ADD COLUMN partial BIGINT NOT NULL DEFAULT 0;         -- the payer may pay less
ALTER TABLE payment_requests ADD COLUMN subscriber_id BIGINT;                      -- renew, charge: whose
ALTER TABLE payment_requests ADD COLUMN details TEXT NOT NULL DEFAULT '{}';

-- A code that is being paid is freed by the sweep when its payer is gone.
ALTER TABLE codes ADD COLUMN lease_until_ms BIGINT;

-- Cards kept for later charges.
CREATE TABLE subscribers (
    id              {identity},
    account         TEXT   NOT NULL REFERENCES accounts (name),
    ref             TEXT,                     -- the merchant's own
    order_id        TEXT,
    card            TEXT   NOT NULL,          -- the card's token
    card_bin        TEXT   NOT NULL,
    card_last_four  TEXT   NOT NULL,
    card_expiry     TEXT   NOT NULL,          -- YYYY-MM
    acquirer        TEXT   NOT NULL,
    series          TEXT   NOT NULL,          -- what the acquirer wants to be told with the next charge
    rev             BIGINT NOT NULL,
    acts            TEXT   NOT NULL DEFAULT '[]', -- JSON: renewals, as the feed tells them
    ended_at_ms     BIGINT,                   -- the bank forbids further charges; a renewal begins anew
    created_at_ms   BIGINT NOT NULL,
    updated_at_ms   BIGINT NOT NULL
);
CREATE INDEX subscribers_by_account ON subscribers (account, id);

-- 3-D Secure under way; gone once the authorisation has its outcome.
CREATE TABLE authentications (
    transaction_id  BIGINT PRIMARY KEY,
    server_trans_id TEXT   NOT NULL,          -- 3dsecure.io's
    version         TEXT   NOT NULL,
    state           TEXT   NOT NULL,          -- method, asking, challenge
    method_done     BIGINT NOT NULL DEFAULT 0,-- the bank's page has called back
    details         TEXT   NOT NULL,          -- JSON: addresses, and the message that the acquirer is given
    began_at_ms     BIGINT NOT NULL,
    updated_at_ms   BIGINT NOT NULL
);
CREATE UNIQUE INDEX authentications_by_server_id ON authentications (server_trans_id);

-- MobilePay: the payment there that belongs to a transaction here.
CREATE TABLE wallet_payments (
    transaction_id  BIGINT PRIMARY KEY,
    reference       TEXT   NOT NULL UNIQUE,   -- ours, as MobilePay knows it
    attempt_id      TEXT,                     -- MobilePay's id of the one card callback that is taken
    answer          TEXT,                     -- JSON: what that callback was answered, and is answered again
    state           TEXT   NOT NULL,          -- asked, created, answered, ended
    details         TEXT   NOT NULL,          -- JSON: what it was made with, and where the payer was sent
    created_at_ms   BIGINT NOT NULL,
    looked_at_ms    BIGINT NOT NULL DEFAULT 0,
    next_look_at_ms BIGINT                    -- when MobilePay is asked how it stands; null: settled
);
CREATE INDEX wallet_payments_due ON wallet_payments (next_look_at_ms) WHERE next_look_at_ms IS NOT NULL;

-- What MobilePay has still to be told of captures, refunds and releases; each may be told twice.
CREATE TABLE wallet_reports (
    transaction_id  BIGINT NOT NULL,
    act             BIGINT NOT NULL,          -- 0: the attempt came to nothing
    kind            TEXT   NOT NULL,          -- capture, refund, cancel
    amount_minor    BIGINT NOT NULL,
    state           TEXT   NOT NULL,          -- pending, done, parked
    attempts        BIGINT NOT NULL,
    key_number      BIGINT NOT NULL DEFAULT 0,-- of the idempotency key: a refusal stays one for its key
    next_at_ms      BIGINT NOT NULL,
    lease_until_ms  BIGINT NOT NULL,
    last_error      TEXT,
    PRIMARY KEY (transaction_id, act)
);
CREATE INDEX wallet_reports_due ON wallet_reports (next_at_ms) WHERE state = 'pending';

-- MobilePay's webhooks, each taken once.
CREATE TABLE wallet_events (
    reference       TEXT   NOT NULL,
    name            TEXT   NOT NULL,
    psp_reference   TEXT   NOT NULL,
    at_ms           BIGINT NOT NULL,
    PRIMARY KEY (reference, name, psp_reference)
);

-- The answers of idempotency keys: committed open with the intent, completed with the outcome.
CREATE TABLE idempotency_keys (
    account         TEXT   NOT NULL REFERENCES accounts (name),
    method          TEXT   NOT NULL,
    path            TEXT   NOT NULL,
    name            TEXT   NOT NULL,          -- hash of the key that the client sent
    request_mac     {blob} NOT NULL,          -- hash of the parsed request under that key, never the request
    transaction_id  BIGINT,                   -- what was begun with it: the outcome can be read there
    act             BIGINT,
    status          BIGINT,                   -- HTTP; null: open
    body            TEXT,
    created_at_ms   BIGINT NOT NULL,
    PRIMARY KEY (account, method, path, name)
);
CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created_at_ms);

-- Deliveries: a form of their own, a deadline where money waits for the answer, and what they tell of.
ALTER TABLE outbox ADD COLUMN kind TEXT NOT NULL DEFAULT 'webhook';                -- webhook, ping
ALTER TABLE outbox ADD COLUMN format TEXT NOT NULL DEFAULT 'json';                 -- json, pluto (base64 of AES-128-CBC)
ALTER TABLE outbox ADD COLUMN transaction_id BIGINT;
ALTER TABLE outbox ADD COLUMN deadline_at_ms BIGINT;                               -- strict mode: afterwards it is withdrawn and the payment voided
ALTER TABLE outbox ADD COLUMN delivered_at_ms BIGINT;
CREATE INDEX outbox_by_account ON outbox (account, created_at_ms);
CREATE INDEX outbox_by_age ON outbox (created_at_ms);
CREATE INDEX outbox_strict ON outbox (next_at_ms) WHERE deadline_at_ms IS NOT NULL AND state = 'pending';
CREATE INDEX outbox_by_transaction ON outbox (transaction_id) WHERE deadline_at_ms IS NOT NULL;

-- How an account is told, and how its payments are made. Its secrets (the notification key, the whole API key for
-- pings, what each party wants to see) are rows of acquirer_credentials: secrets towards a third party, by its name.
ALTER TABLE accounts ADD COLUMN webhook_format TEXT NOT NULL DEFAULT 'json';
ALTER TABLE accounts ADD COLUMN webhook_strict BIGINT NOT NULL DEFAULT 0;
ALTER TABLE accounts ADD COLUMN ping_url TEXT;
ALTER TABLE accounts ADD COLUMN pinged_at_ms BIGINT NOT NULL DEFAULT 0;
ALTER TABLE accounts ADD COLUMN pinged_seq BIGINT NOT NULL DEFAULT 0;
ALTER TABLE accounts ADD COLUMN three_d_secure TEXT NOT NULL DEFAULT 'off';       -- off, on (where the card has it), required
ALTER TABLE accounts ADD COLUMN text_on_statement TEXT;
CREATE INDEX accounts_by_ping ON accounts (pinged_at_ms) WHERE ping_url IS NOT NULL;

-- Which acquirer is asked, by merchant and currency ('*': any); without a row, those that the merchant has credentials at.
CREATE TABLE acquirer_routes (
    account         TEXT   NOT NULL REFERENCES accounts (name),
    currency        TEXT   NOT NULL,
    position        BIGINT NOT NULL,
    acquirer        TEXT   NOT NULL,
    PRIMARY KEY (account, currency, position)
);

-- What was asked of whom, and when it is looked at again while nobody knows its outcome.
ALTER TABLE acts ADD COLUMN acquirer TEXT;
ALTER TABLE acts ADD COLUMN decline TEXT;
ALTER TABLE acts ADD COLUMN is_reversal BIGINT NOT NULL DEFAULT 0;                 -- a refund or void of everything, by name
ALTER TABLE acts ADD COLUMN tries BIGINT NOT NULL DEFAULT 1;
ALTER TABLE acts ADD COLUMN next_try_at_ms BIGINT;                                 -- null: nothing is tried
CREATE INDEX acts_to_try ON acts (next_try_at_ms) WHERE next_try_at_ms IS NOT NULL;
UPDATE acts SET acquirer = 'clearhaus';
CREATE INDEX acts_by_day ON acts (settled_at_ms, transaction_id, number) WHERE kind IN ('capture', 'refund'); -- reconciliation
