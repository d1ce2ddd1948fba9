-- Which region serves, where several share this database. No row, or no region in it: every one does.
-- The epoch grows with each decision, so that who still goes by an older one can be told.
CREATE TABLE serving_region (
    one BIGINT PRIMARY KEY CHECK (one = 1),
    region TEXT,
    epoch BIGINT NOT NULL,
    since_ms BIGINT NOT NULL
);
