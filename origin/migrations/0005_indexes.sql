-- What is asked all the time is looked up, however much there is of everything else.

-- Deliveries are claimed account by account: past one whose receiver is slow, however much waits for it.
CREATE INDEX outbox_waiting ON outbox (account, next_at_ms) WHERE state = 'pending';

-- The resolver's, every two seconds.
DROP INDEX transactions_open;
CREATE INDEX transactions_waiting ON transactions (lease_until_ms) WHERE state = 'waiting';
CREATE INDEX transactions_stranded ON transactions (updated_at_ms) WHERE state = 'authorised' AND autocapture = 1
    AND amount_minor > 0 AND captured_minor = 0 AND pending_act IS NULL AND held_until_ms IS NULL AND lease_until_ms IS NULL;

-- Each payment's: how often its code was declined, and whether its card is a subscriber's.
CREATE INDEX transactions_declined ON transactions (code, created_at_ms) WHERE state = 'declined';
DROP INDEX subscribers_by_account;
CREATE INDEX subscribers_by_card ON subscribers (account, card);
