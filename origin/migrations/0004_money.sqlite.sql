-- Columns that lose their NOT NULL, and feeds of more than transactions: made anew, as in 0002_vault.sqlite.sql.

CREATE TABLE new_transactions (
    id               INTEGER PRIMARY KEY AUTOINCREMENT,
    request_id       TEXT   NOT NULL REFERENCES payment_requests (id),
    account          TEXT   NOT NULL REFERENCES accounts (name),
    attempt          TEXT   NOT NULL UNIQUE,
    dialect          TEXT   NOT NULL DEFAULT 'pluto',
    kind             TEXT   NOT NULL DEFAULT 'payment',  -- payment, charge, verify (a card kept, nothing charged)
    method           TEXT   NOT NULL DEFAULT 'card',     -- card, mobilepay
    code             TEXT,                               -- what was scanned
    reference        TEXT   NOT NULL,                    -- as it was when it was paid
    order_id         TEXT,
    subscriber_id    BIGINT,
    card             TEXT,                               -- null: a wallet's, or not known yet
    card_bin         TEXT,
    card_last_four   TEXT,
    card_expiry      TEXT,                               -- YYYY-MM, as the feed tells it
    payer_msisdn     TEXT,
    amount_minor     BIGINT NOT NULL,
    currency         TEXT   NOT NULL,
    autocapture      BIGINT NOT NULL DEFAULT 1,
    state            TEXT   NOT NULL,
    version          BIGINT NOT NULL DEFAULT 1,          -- one more with each write: writers compare it
    rev              BIGINT NOT NULL DEFAULT 0,          -- changes told in the feed
    authorised_minor BIGINT NOT NULL DEFAULT 0,
    captured_minor   BIGINT NOT NULL DEFAULT 0,
    refunded_minor   BIGINT NOT NULL DEFAULT 0,
    acts_done        BIGINT NOT NULL DEFAULT 0,          -- captures, refunds and voids: the index of the API
    last_act         BIGINT NOT NULL DEFAULT 0,
    pending_act      BIGINT,                             -- the one act that has no outcome yet
    acquirer         TEXT,
    acquirer_state   TEXT,
    series           TEXT,
    approval_code    TEXT,
    decline          TEXT,
    bank_code        TEXT,
    lease_until_ms   BIGINT,                             -- waiting for the payer until then
    held_until_ms    BIGINT,                             -- strict mode: waiting for the receiver until then
    created_at_ms    BIGINT NOT NULL,
    authorised_at_ms BIGINT,
    updated_at_ms    BIGINT NOT NULL
);
INSERT INTO new_transactions (id, request_id, account, attempt, code, reference, card, card_bin, card_last_four,
        amount_minor, currency, state, rev, authorised_minor, captured_minor, acts_done, last_act, pending_act, acquirer,
        acquirer_state, decline, created_at_ms, authorised_at_ms, updated_at_ms)
    SELECT t.id, t.request_id, t.account, t.attempt, c.code, r.merchant_reference, t.card, t.card_bin, t.card_last_four,
        t.amount_minor, t.currency,
        CASE t.state WHEN 'capturing' THEN 'authorised' WHEN 'captured' THEN 'authorised'
            WHEN 'capture_unknown' THEN 'authorised' WHEN 'voiding' THEN 'authorised'
            WHEN 'void_unknown' THEN 'authorised' ELSE t.state END,
        (SELECT COUNT(*) FROM changes h WHERE h.transaction_id = t.id),
        CASE WHEN t.state IN ('authorising', 'declined', 'lost') THEN 0 ELSE t.amount_minor END,
        CASE WHEN t.state = 'captured' THEN t.amount_minor ELSE 0 END,
        (SELECT COUNT(*) FROM acts a WHERE a.transaction_id = t.id AND a.state = 'done' AND a.kind <> 'authorise'),
        (SELECT COALESCE(MAX(a.number), 0) FROM acts a WHERE a.transaction_id = t.id),
        (SELECT MAX(a.number) FROM acts a WHERE a.transaction_id = t.id
            AND (a.state = 'asked' OR (a.state = 'unknown' AND t.state <> 'lost'))),
        t.acquirer, t.acquirer_ref, t.decline, t.created_at_ms, t.created_at_ms, t.updated_at_ms
    FROM transactions t JOIN payment_requests r ON r.id = t.request_id LEFT JOIN codes c ON c.request_id = t.request_id;
DROP TABLE transactions;
ALTER TABLE new_transactions RENAME TO transactions;
CREATE INDEX transactions_open ON transactions (state, updated_at_ms) WHERE state IN ('waiting', 'authorising');
CREATE INDEX transactions_held ON transactions (held_until_ms) WHERE held_until_ms IS NOT NULL;
CREATE INDEX transactions_pending ON transactions (updated_at_ms) WHERE pending_act IS NOT NULL;
CREATE INDEX transactions_lost ON transactions (id) WHERE state = 'lost';
CREATE INDEX transactions_by_request ON transactions (request_id);
CREATE INDEX transactions_by_code ON transactions (code, id);
CREATE INDEX transactions_by_reference ON transactions (account, reference, id);
CREATE INDEX transactions_by_day ON transactions (account, created_at_ms);

CREATE TABLE new_changes (
    account         TEXT   NOT NULL REFERENCES accounts (name),
    seq             BIGINT NOT NULL,
    kind            TEXT   NOT NULL,                     -- transaction, charge, subscriber
    object_id       BIGINT NOT NULL,
    rev             BIGINT NOT NULL,
    body            TEXT   NOT NULL,                     -- the entry of the feed, JSON, as it was then
    at_ms           BIGINT NOT NULL,
    PRIMARY KEY (account, seq)
) WITHOUT ROWID;
INSERT INTO new_changes SELECT account, seq, 'transaction', transaction_id, 0,
        '{"type":"transaction","id":' || transaction_id || ',"error":"recorded by an older release"}', at_ms FROM changes;
DROP TABLE changes;
ALTER TABLE new_changes RENAME TO changes;
