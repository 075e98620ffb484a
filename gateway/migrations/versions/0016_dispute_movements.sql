-- What moved for a dispute: all of its balance transactions, whatever the dispute itself lists. Held
-- and fee are their sum. Code that knows two movements at most cannot write disputes any more: it
-- would book them once more in its own words.
ALTER TABLE dispute
ADD COLUMN movements jsonb NOT NULL DEFAULT '[]',
DROP COLUMN is_held,
DROP COLUMN was_lost,
DROP COLUMN fee_minor,
DROP COLUMN fee_currency;
