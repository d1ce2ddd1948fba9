-- What 0002_vault.sqlite.sql does by making tables anew. The columns mean the same.

ALTER TABLE accounts ADD COLUMN webhook_key_id BIGINT REFERENCES vault_data_keys (id);
UPDATE accounts SET webhook_key_id = 1 WHERE webhook_secret IS NOT NULL;

-- Which data key sealed the record. Before this migration there was one only.
ALTER TABLE acquirer_credentials ADD COLUMN key_id BIGINT;
UPDATE acquirer_credentials SET key_id = 1;
ALTER TABLE acquirer_credentials ALTER COLUMN key_id SET NOT NULL;
ALTER TABLE acquirer_credentials ADD FOREIGN KEY (key_id) REFERENCES vault_data_keys (id);

-- A transaction outlives its card: what is shown of the card is kept with it.
ALTER TABLE transactions DROP CONSTRAINT transactions_card_fkey;
ALTER TABLE transactions ADD COLUMN card_bin TEXT;
ALTER TABLE transactions ADD COLUMN card_last_four TEXT;
UPDATE transactions SET card_bin = k.bin, card_last_four = k.last_four FROM cards k WHERE k.token = transactions.card;
ALTER TABLE transactions ALTER COLUMN card_bin SET NOT NULL;
ALTER TABLE transactions ALTER COLUMN card_last_four SET NOT NULL;

ALTER TABLE cards ADD COLUMN fingerprint_key BIGINT;
ALTER TABLE cards ADD COLUMN key_id BIGINT;
ALTER TABLE cards ADD COLUMN expires_at_ms BIGINT;   -- null: kept until deleted
UPDATE cards SET fingerprint_key = 1, key_id = 1;
ALTER TABLE cards ALTER COLUMN fingerprint_key SET NOT NULL;
ALTER TABLE cards ALTER COLUMN key_id SET NOT NULL;
ALTER TABLE cards ADD FOREIGN KEY (fingerprint_key) REFERENCES vault_fingerprint_keys (id);
ALTER TABLE cards ADD FOREIGN KEY (key_id) REFERENCES vault_data_keys (id);
-- The account is in the fingerprint. With the account before it, the planner of a young table reads all cards of the
-- account and compares.
ALTER TABLE cards DROP CONSTRAINT cards_account_fingerprint_key;
ALTER TABLE cards ADD UNIQUE (fingerprint);
CREATE INDEX cards_by_expiry ON cards (expires_at_ms) WHERE expires_at_ms IS NOT NULL;
