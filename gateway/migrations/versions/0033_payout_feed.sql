-- How payouts were with each change; what never changes of them is in payout alone. Rows are never changed.
CREATE TABLE payout_change (
    -- Gapless: given after the commit of what changed, by one process at a time.
    sequence bigint PRIMARY KEY,
    id text COLLATE "C" NOT NULL,
    state text NOT NULL,
    automatic boolean NOT NULL,
    stripe_payout_id text NOT NULL,
    failure_code text NOT NULL,
    was_paid boolean NOT NULL,
    method text NOT NULL,
    source_type text NOT NULL,
    destination_type text NOT NULL,
    destination_id text NOT NULL,
    reconciliation_status text NOT NULL,
    trace_id_status text NOT NULL,
    trace_id text NOT NULL,
    original_payout_id text NOT NULL,
    reversed_by_payout_id text NOT NULL,
    balance_transaction_id text NOT NULL,
    failure_balance_transaction_id text NOT NULL,
    primary_payout_id text NOT NULL,
    content_complete boolean NOT NULL,
    stripe_create_time timestamptz,
    arrival_time timestamptz,
    return_time timestamptz,
    update_time timestamptz NOT NULL,
    record_time timestamptz NOT NULL
);

ALTER TABLE payout
-- Stripe's ids; empty until known, and in what a release before has read.
ADD COLUMN balance_transaction_id text NOT NULL DEFAULT '',
ADD COLUMN failure_balance_transaction_id text NOT NULL DEFAULT '',
-- Of a part of a split payout: the one that lists what all of them contain. Written by the balance sweep.
ADD COLUMN primary_payout_id text NOT NULL DEFAULT '',
-- All that it contains has been read, and of what other payouts of the same run contain as well.
ADD COLUMN content_complete boolean NOT NULL DEFAULT FALSE,
-- What of it can change, as its last change tells it; NULL before the first. It has changed where it differs.
ADD COLUMN told text;

-- What a release before 0029 has read is not whole: Stripe is asked again.
UPDATE payout SET next_look_time = now()
WHERE stripe_payout_id <> '' AND stripe_create_time IS NULL AND next_look_time IS NULL;

UPDATE payout SET content_complete = TRUE
WHERE content_time IS NOT NULL;

GRANT SELECT, INSERT ON payout_change TO gateway_service;
