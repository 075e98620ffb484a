-- Holds that stand in the ledger, that no fact of ours has reported, and that wait for it to be certain that Stripe
-- has nothing of them either: of attempts that a restored database has lost. Whoever has decided about one deletes it.
CREATE TABLE unknown_hold (
    -- Under which the ledger has it.
    fact_id text NOT NULL,
    revision integer NOT NULL,
    payment_id text NOT NULL,
    corridor text NOT NULL,
    -- Since when nobody goes on with it.
    found_time timestamptz NOT NULL,
    PRIMARY KEY (fact_id, revision)
);

GRANT SELECT, INSERT, DELETE ON unknown_hold TO gateway_service;
