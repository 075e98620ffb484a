-- The balance transactions that Stripe has shown: what each is, and whether it is explained.
-- Nothing personal: of the source only its id.
CREATE TABLE balance_transaction (
    corridor text NOT NULL,
    id text COLLATE "C" NOT NULL,
    type text NOT NULL,
    source_id text NOT NULL,
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    net_minor bigint NOT NULL,
    -- The part of Stripe's balance that it counted in when we last looked.
    part text NOT NULL CHECK (part IN ('pending', 'available')),
    create_time timestamptz NOT NULL,
    available_time timestamptz NOT NULL,
    -- OPEN until all that it tells has been reported to bookkeeping; again when it has matured.
    state text NOT NULL CHECK (state IN ('OPEN', 'DONE')),
    attempts integer NOT NULL DEFAULT 0,
    next_attempt_time timestamptz NOT NULL,
    last_failure text,
    PRIMARY KEY (corridor, id)
);

CREATE INDEX balance_transaction_open ON balance_transaction (corridor, next_attempt_time)
WHERE state = 'OPEN';
-- What has not become available yet, the first to do so first.
CREATE INDEX balance_transaction_pending ON balance_transaction (corridor, available_time, id)
WHERE part = 'pending';

-- The sums of balance_transaction, to be compared with what Stripe says of its balance.
CREATE TABLE balance_total (
    corridor text NOT NULL,
    currency text NOT NULL,
    part text NOT NULL CHECK (part IN ('pending', 'available')),
    net_minor bigint NOT NULL,
    PRIMARY KEY (corridor, currency, part)
);

-- How far the walk over each corridor's balance transactions is, and who walks.
CREATE TABLE balance_sweep (
    corridor text PRIMARY KEY,
    -- The youngest balance transaction that the last finished walk saw.
    swept_until timestamptz,
    -- The walk in progress: from when, until when, and after which id its next page begins.
    walk_from timestamptz,
    walk_until timestamptz,
    walk_after_id text,
    lease_until timestamptz,
    fencing_token bigint NOT NULL DEFAULT 0,
    next_time timestamptz NOT NULL,
    finish_time timestamptz
);

GRANT SELECT, INSERT, UPDATE ON balance_transaction, balance_total, balance_sweep TO gateway_service;
