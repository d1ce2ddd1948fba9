-- How accounts prove who they are: API passwords, or logins with an RSA key. One text for both databases, as in 0001.

ALTER TABLE accounts ADD COLUMN auth_mode TEXT NOT NULL DEFAULT 'basic';   -- basic, bearer: never both

-- API passwords, live and past. Live: not ended, and not over. What ends at once is marked, not timed: the clocks of two
-- origins may differ, and a rotated password must be dead at both.
CREATE TABLE api_passwords (
    account         TEXT   NOT NULL REFERENCES accounts (name),
    number          BIGINT NOT NULL,          -- from 1, for people
    verifier        {blob} NOT NULL,          -- SHA-256 of the password
    created_by      TEXT   NOT NULL,          -- the operator, or what made it
    created_at_ms   BIGINT NOT NULL,
    ends_at_ms      BIGINT,                   -- the end of an overlap; null: until it is ended
    ended_at_ms     BIGINT,                   -- null: not ended
    last_used_at_ms BIGINT,                   -- within a minute
    PRIMARY KEY (account, number)
);
-- What is looked at for each request; past passwords stay in the table.
CREATE INDEX api_passwords_live ON api_passwords (account) WHERE ended_at_ms IS NULL;
INSERT INTO api_passwords (account, number, verifier, created_by, created_at_ms)
    SELECT name, credential_version, password_verifier, 'before release 0.2', created_at_ms FROM accounts;
ALTER TABLE accounts DROP COLUMN password_verifier;

-- Who may log in, and with what. One key for an account: another one takes its place.
CREATE TABLE enrolments (
    account            TEXT   PRIMARY KEY REFERENCES accounts (name),
    public_key         {blob} NOT NULL,       -- DER SubjectPublicKeyInfo of an RSA-4096 key
    password_verifier  {blob} NOT NULL,       -- SHA-256 of the login's own password
    enrolled_by        TEXT   NOT NULL,
    enrolled_at_ms     BIGINT NOT NULL,
    last_login_at_ms   BIGINT,
    last_dry_run_at_ms BIGINT,                -- a fully correct login while the account was in Basic mode
    failures           BIGINT NOT NULL,       -- right answer to the challenge, wrong password, since the last success
    blocked_until_ms   BIGINT NOT NULL        -- no login before; 0: not blocked
);

-- What a token stands on. It counts while it has not ended and the account's credential version is still its own.
CREATE TABLE sessions (
    id                 TEXT   PRIMARY KEY,    -- UUID: the token's jti
    account            TEXT   NOT NULL REFERENCES accounts (name),
    credential_version BIGINT NOT NULL,
    created_at_ms      BIGINT NOT NULL,
    expires_at_ms      BIGINT NOT NULL,
    ended_at_ms        BIGINT                 -- logout
);
CREATE INDEX sessions_by_expiry ON sessions (expires_at_ms);

-- Challenges under way (PostgreSQL only; one process keeps them in memory). A crash empties it: logins begin anew.
CREATE {unlogged} TABLE login_challenges (
    challenge_hash     {blob} PRIMARY KEY,    -- SHA-256 of the challenge as it was sent
    text_hash          {blob} NOT NULL UNIQUE, -- SHA-256 of its base64 text: some clients hash that
    identity           TEXT   NOT NULL,
    credential_version BIGINT NOT NULL,       -- the account's when it was asked for; 0 where nobody is enrolled
    answer_hash        {blob} NOT NULL,       -- SHA-256 of the right answer, which itself is a SHA-256
    expires_at_ms      BIGINT NOT NULL
);
CREATE INDEX login_challenges_by_expiry ON login_challenges (expires_at_ms);
