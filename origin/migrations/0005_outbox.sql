-- Deliveries are claimed account by account: past one whose receiver is slow, however much waits for it.
CREATE INDEX outbox_waiting ON outbox (account, next_at_ms) WHERE state = 'pending';
