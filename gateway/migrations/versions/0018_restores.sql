-- Of each ledger the newest checkpoint that it was seen to have, and whether booking has stopped
-- because it has not any more what it had.
CREATE TABLE ledger_standing (
    ledger text PRIMARY KEY,
    tree_size bigint NOT NULL DEFAULT 0 CHECK (tree_size >= 0),
    root_hash bytea NOT NULL DEFAULT '',
    check_time timestamptz,
    -- Why nothing is booked: a word of gateway/bookkeeping/standing.py.
    stop_reason text,
    stop_time timestamptz,
    CHECK ((stop_reason IS NULL) = (stop_time IS NULL)),
    CHECK ((tree_size = 0) = (root_hash = ''))
);

-- Where a feed went on after the gateway was restored from a backup: what follows this sequence
-- belongs to this epoch, up to where the next one begins. Before the first there is epoch 0.
CREATE TABLE feed_epoch (
    feed text NOT NULL,
    epoch bigint NOT NULL CHECK (epoch > 0),
    after_sequence bigint NOT NULL CHECK (after_sequence >= 0),
    PRIMARY KEY (feed, epoch)
);

GRANT SELECT, INSERT, UPDATE ON ledger_standing TO gateway_service;
GRANT SELECT, INSERT ON feed_epoch TO gateway_service;
