-- What moved for a dispute: all of its balance transactions, whatever the dispute itself lists. Held
-- and fee are their sum. Code that knows two movements at most cannot write disputes any more: it
-- would book them once more in its own words.
ALTER TABLE dispute
ADD COLUMN movements jsonb NOT NULL DEFAULT '[]',
DROP COLUMN is_held,
DROP COLUMN was_lost,
DROP COLUMN fee_minor,
DROP COLUMN fee_currency;

-- Refunds that Stripe has not taken from its balance, those that failed and are not back in it, and
-- why one is pending. All that were written before had moved with their state.
ALTER TABLE payment_refund
ADD COLUMN pending_reason text NOT NULL DEFAULT '',
ADD COLUMN untaken boolean NOT NULL DEFAULT FALSE,
ADD COLUMN unreturned boolean NOT NULL DEFAULT FALSE;
