-- How balance transactions were with each change; what never changes of them is in balance_transaction alone. Rows are
-- never changed.
CREATE TABLE balance_transaction_change (
    -- Gapless: given after the commit of what changed, by one process at a time.
    sequence bigint PRIMARY KEY,
    corridor text NOT NULL,
    id text COLLATE "C" NOT NULL,
    part text NOT NULL,
    state text NOT NULL CHECK (state IN ('EXPLAINED', 'SUSPENSE', 'UNEXPLAINED', 'MISSING')),
    reason text NOT NULL,
    stripe_payout_id text NOT NULL,
    payment_id text NOT NULL,
    merchant_id text NOT NULL,
    record_time timestamptz NOT NULL
);

ALTER TABLE balance_transaction
-- What Stripe calls its source: charge, refund, payout; empty if it has none, NULL if a release of before has read it.
ADD COLUMN source_type text,
-- The payout that contains it, once Stripe has told.
ADD COLUMN stripe_payout_id text NOT NULL DEFAULT '',
-- What of it can change, as its last change tells it; NULL before the first. It has changed where it differs.
ADD COLUMN told text,
-- Its first change and its last; NULL before.
ADD COLUMN first_sequence bigint,
ADD COLUMN sequence bigint;

ALTER TABLE payout
-- Of an automatic payout: how far what it contains has been read, and when all of it was.
ADD COLUMN content_after_id text NOT NULL DEFAULT '',
ADD COLUMN content_time timestamptz;

GRANT SELECT, INSERT ON balance_transaction_change TO gateway_service;
