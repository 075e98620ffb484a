-- Until when this database has the events of an account. In the same database as they, so that one
-- put back to an earlier state says what was true of that.
CREATE TABLE webhook_walk (
    corridor text NOT NULL,
    -- The connected account; empty for the corridor's own.
    stripe_account text NOT NULL,
    -- By Stripe's clock: every event made before was stored, if it was acknowledged or listed as
    -- undelivered. It never goes back.
    walked_until timestamptz NOT NULL,
    PRIMARY KEY (corridor, stripe_account)
);

GRANT SELECT, INSERT, UPDATE ON webhook_walk TO gateway_service;
