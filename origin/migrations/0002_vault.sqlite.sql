-- SQLite cannot drop or tighten a constraint: the tables are made anew (https://www.sqlite.org/lang_altertable.html §7).
-- db::migrate turns foreign keys off around this and checks them before it commits.

ALTER TABLE accounts ADD COLUMN webhook_key_id BIGINT REFERENCES vault_data_keys (id);
UPDATE accounts SET webhook_key_id = 1 WHERE webhook_secret IS NOT NULL;

CREATE TABLE new_acquirer_credentials (
    account        TEXT   NOT NULL REFERENCES accounts (name),
    acquirer       TEXT   NOT NULL,
    sealed         BLOB   NOT NULL,
    key_id         BIGINT NOT NULL REFERENCES vault_data_keys (id),
    row_version    BIGINT NOT NULL,
    PRIMARY KEY (account, acquirer)
);
INSERT INTO new_acquirer_credentials SELECT account, acquirer, sealed, 1, row_version FROM acquirer_credentials;
DROP TABLE acquirer_credentials;
ALTER TABLE new_acquirer_credentials RENAME TO acquirer_credentials;

CREATE TABLE new_transactions (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    request_id      TEXT   NOT NULL REFERENCES payment_requests (id),
    account         TEXT   NOT NULL REFERENCES accounts (name),
    attempt         TEXT   NOT NULL UNIQUE,
    card            TEXT   NOT NULL,
    card_bin        TEXT   NOT NULL,
    card_last_four  TEXT   NOT NULL,
    amount_minor    BIGINT NOT NULL,
    currency        TEXT   NOT NULL,
    state           TEXT   NOT NULL,
    acquirer        TEXT   NOT NULL,
    acquirer_ref    TEXT,
    decline         TEXT,
    created_at_ms   BIGINT NOT NULL,
    updated_at_ms   BIGINT NOT NULL
);
INSERT INTO new_transactions (id, request_id, account, attempt, card, card_bin, card_last_four, amount_minor, currency,
        state, acquirer, acquirer_ref, decline, created_at_ms, updated_at_ms)
    SELECT t.id, t.request_id, t.account, t.attempt, t.card, k.bin, k.last_four, t.amount_minor, t.currency,
        t.state, t.acquirer, t.acquirer_ref, t.decline, t.created_at_ms, t.updated_at_ms
    FROM transactions t JOIN cards k ON k.token = t.card;
DROP TABLE transactions;
ALTER TABLE new_transactions RENAME TO transactions;
CREATE INDEX transactions_by_state ON transactions (state, updated_at_ms);
CREATE INDEX transactions_by_request ON transactions (request_id);

CREATE TABLE new_cards (
    token           TEXT   PRIMARY KEY,
    account         TEXT   NOT NULL REFERENCES accounts (name),
    pan             BLOB   NOT NULL,
    expiry          BLOB   NOT NULL,
    holder          BLOB,
    bin             TEXT   NOT NULL,
    last_four       TEXT   NOT NULL,
    fingerprint     BLOB   NOT NULL,
    fingerprint_key BIGINT NOT NULL REFERENCES vault_fingerprint_keys (id),
    key_id          BIGINT NOT NULL REFERENCES vault_data_keys (id),
    expires_at_ms   BIGINT,
    row_version     BIGINT NOT NULL,
    created_at_ms   BIGINT NOT NULL,
    UNIQUE (fingerprint)                  -- the account is in it; alone it is what is looked up
);
INSERT INTO new_cards (token, account, pan, expiry, holder, bin, last_four, fingerprint, fingerprint_key, key_id,
        row_version, created_at_ms)
    SELECT token, account, pan, expiry, holder, bin, last_four, fingerprint, 1, 1, row_version, created_at_ms FROM cards;
DROP TABLE cards;
ALTER TABLE new_cards RENAME TO cards;
CREATE INDEX cards_by_expiry ON cards (expires_at_ms) WHERE expires_at_ms IS NOT NULL;
