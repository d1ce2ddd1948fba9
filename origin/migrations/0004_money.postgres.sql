-- What 0004_money.sqlite.sql does by making tables anew. The columns mean the same.

ALTER TABLE transactions ADD COLUMN dialect TEXT NOT NULL DEFAULT 'pluto';
ALTER TABLE transactions ADD COLUMN kind TEXT NOT NULL DEFAULT 'payment';
ALTER TABLE transactions ADD COLUMN method TEXT NOT NULL DEFAULT 'card';
ALTER TABLE transactions ADD COLUMN code TEXT;
ALTER TABLE transactions ADD COLUMN reference TEXT;
ALTER TABLE transactions ADD COLUMN order_id TEXT;
ALTER TABLE transactions ADD COLUMN subscriber_id BIGINT;
ALTER TABLE transactions ALTER COLUMN card DROP NOT NULL;
ALTER TABLE transactions ALTER COLUMN card_bin DROP NOT NULL;
ALTER TABLE transactions ALTER COLUMN card_last_four DROP NOT NULL;
ALTER TABLE transactions ADD COLUMN card_expiry TEXT;
ALTER TABLE transactions ADD COLUMN payer_msisdn TEXT;
ALTER TABLE transactions ADD COLUMN autocapture BIGINT NOT NULL DEFAULT 1;
ALTER TABLE transactions ADD COLUMN version BIGINT NOT NULL DEFAULT 1;
ALTER TABLE transactions ADD COLUMN rev BIGINT NOT NULL DEFAULT 0;
ALTER TABLE transactions ADD COLUMN authorised_minor BIGINT NOT NULL DEFAULT 0;
ALTER TABLE transactions ADD COLUMN captured_minor BIGINT NOT NULL DEFAULT 0;
ALTER TABLE transactions ADD COLUMN refunded_minor BIGINT NOT NULL DEFAULT 0;
ALTER TABLE transactions ADD COLUMN acts_done BIGINT NOT NULL DEFAULT 0;
ALTER TABLE transactions ADD COLUMN last_act BIGINT NOT NULL DEFAULT 0;
ALTER TABLE transactions ADD COLUMN pending_act BIGINT;
ALTER TABLE transactions ALTER COLUMN acquirer DROP NOT NULL;
ALTER TABLE transactions RENAME COLUMN acquirer_ref TO acquirer_state;
ALTER TABLE transactions ADD COLUMN series TEXT;
ALTER TABLE transactions ADD COLUMN approval_code TEXT;
ALTER TABLE transactions ADD COLUMN bank_code TEXT;
ALTER TABLE transactions ADD COLUMN lease_until_ms BIGINT;
ALTER TABLE transactions ADD COLUMN held_until_ms BIGINT;
ALTER TABLE transactions ADD COLUMN authorised_at_ms BIGINT;
UPDATE transactions t SET
    code = (SELECT c.code FROM codes c WHERE c.request_id = t.request_id),
    reference = (SELECT r.merchant_reference FROM payment_requests r WHERE r.id = t.request_id),
    rev = (SELECT COUNT(*) FROM changes h WHERE h.transaction_id = t.id),
    authorised_minor = CASE WHEN t.state IN ('authorising', 'declined', 'lost') THEN 0 ELSE t.amount_minor END,
    captured_minor = CASE WHEN t.state = 'captured' THEN t.amount_minor ELSE 0 END,
    acts_done = (SELECT COUNT(*) FROM acts a WHERE a.transaction_id = t.id AND a.state = 'done' AND a.kind <> 'authorise'),
    last_act = (SELECT COALESCE(MAX(a.number), 0) FROM acts a WHERE a.transaction_id = t.id),
    pending_act = (SELECT MAX(a.number) FROM acts a WHERE a.transaction_id = t.id
        AND (a.state = 'asked' OR (a.state = 'unknown' AND t.state <> 'lost'))),
    authorised_at_ms = t.created_at_ms,
    state = CASE t.state WHEN 'capturing' THEN 'authorised' WHEN 'captured' THEN 'authorised'
        WHEN 'capture_unknown' THEN 'authorised' WHEN 'voiding' THEN 'authorised'
        WHEN 'void_unknown' THEN 'authorised' ELSE t.state END;
ALTER TABLE transactions ALTER COLUMN reference SET NOT NULL;
DROP INDEX transactions_by_state;
CREATE INDEX transactions_open ON transactions (state, updated_at_ms) WHERE state IN ('waiting', 'authorising');
CREATE INDEX transactions_held ON transactions (held_until_ms) WHERE held_until_ms IS NOT NULL;
CREATE INDEX transactions_pending ON transactions (updated_at_ms) WHERE pending_act IS NOT NULL;
CREATE INDEX transactions_lost ON transactions (id) WHERE state = 'lost';
CREATE INDEX transactions_by_code ON transactions (code, id);
CREATE INDEX transactions_by_reference ON transactions (account, reference, id);
CREATE INDEX transactions_by_day ON transactions (account, created_at_ms);

ALTER TABLE changes ADD COLUMN kind TEXT NOT NULL DEFAULT 'transaction';
ALTER TABLE changes ADD COLUMN rev BIGINT NOT NULL DEFAULT 0;
ALTER TABLE changes ADD COLUMN body TEXT;
UPDATE changes SET body = '{"type":"transaction","id":' || transaction_id || ',"error":"recorded by an older release"}';
ALTER TABLE changes ALTER COLUMN body SET NOT NULL;
ALTER TABLE changes DROP CONSTRAINT changes_transaction_id_fkey;
ALTER TABLE changes RENAME COLUMN transaction_id TO object_id;
